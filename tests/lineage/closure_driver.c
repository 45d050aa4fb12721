/* Walks a graph read from a file again and again, each time with some words changed at random: for the sanitizers.
 *
 * The file, in u32: number of roots, roots; then for each block its kind, its number, its count of words, and those.
 * Prints how many of the walks came to an end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closure.h"

#define BLOCKS_MAX 4096

struct block {
    uint32_t kind, number, count;
    uint32_t *words;
};

static struct block blocks[BLOCKS_MAX];
static size_t block_count;
static uint64_t state = 1;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static enum pfs_outcome fetch(void *context, struct pfs_walk *walk, enum pfs_block_kind kind, uint32_t number)
{
    (void)context;
    for (size_t i = 0; i < block_count; i++)
        if (blocks[i].kind == (uint32_t)kind && blocks[i].number == number)
            return pfs_walk_give(walk, kind, number, blocks[i].words, blocks[i].count);
    return PFS_STOPPED;
}

static int walk_once(const struct pfs_question *question, const uint32_t *roots, uint32_t count)
{
    struct pfs_walk *walk = pfs_walk_begin(question, fetch, NULL);
    if (walk == NULL)
        return 0;
    enum pfs_outcome outcome = pfs_walk_run(walk, roots, count);
    if (outcome == PFS_DONE) {
        size_t versions = pfs_walk_version_count(walk), activities = pfs_walk_activity_count(walk);
        uint64_t *ids = malloc((versions + activities + 1) * sizeof *ids);
        uint32_t *depths = malloc((versions + 1) * sizeof *depths);
        if (ids != NULL && depths != NULL) {
            pfs_walk_versions(walk, ids, depths);
            pfs_walk_activities(walk, ids + versions);
        }
        free(ids);
        free(depths);
    }
    pfs_walk_end(walk);
    return outcome == PFS_DONE;
}

static uint32_t read_word(FILE *file)
{
    uint32_t word;
    return fread(&word, sizeof word, 1, file) == 1 ? word : UINT32_MAX;
}

/* Small numbers find other nodes and places; any number finds the bounds. */
static uint32_t odd_word(uint32_t word)
{
    switch (next_random() % 4) {
    case 0:
        return next_random() % 64;
    case 1:
        return word ^ (UINT32_C(1) << next_random() % 32);
    case 2:
        return word + 1;
    default:
        return next_random() * 2 + next_random() % 2;
    }
}

int main(int count, char **arguments)
{
    uint32_t roots[64], root_count, done = 0;
    FILE *file = count == 3 ? fopen(arguments[1], "rb") : NULL;
    if (file == NULL || (root_count = read_word(file)) > 64)
        return 2;
    for (uint32_t i = 0; i < root_count; i++)
        roots[i] = read_word(file);
    for (uint32_t kind; block_count < BLOCKS_MAX && (kind = read_word(file)) != UINT32_MAX;) {
        struct block *block = &blocks[block_count++];
        *block = (struct block){kind, read_word(file), read_word(file), NULL};
        block->words = malloc(block->count * sizeof *block->words + 1);
        if (block->words == NULL || fread(block->words, sizeof *block->words, block->count, file) != block->count)
            return 2;
    }
    fclose(file);
    long rounds = strtol(arguments[2], NULL, 10);
    for (long round = 0; round < rounds; round++) {
        uint32_t *changed[3], before[3], changes = round == 0 ? 0 : 1 + next_random() % 3;
        for (uint32_t i = 0; i < changes; i++) {
            struct block *block = &blocks[next_random() % block_count];
            changed[i] = &block->words[next_random() % block->count];
            before[i] = *changed[i];
            *changed[i] = odd_word(before[i]);
        }
        struct pfs_question question = {round % 2 == 1, round % 3 != 0, next_random() % 7,
                                        round % 5 == 0 ? next_random() % 4 : PFS_NO_DEPTH};
        done += (uint32_t)walk_once(&question, roots, root_count);
        while (changes-- > 0)
            *changed[changes] = before[changes];
    }
    for (size_t i = 0; i < block_count; i++)
        free(blocks[i].words);
    printf("%u\n", done);
    return 0;
}
