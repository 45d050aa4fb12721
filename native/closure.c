/* A closure's walk: blocks, what was reached, and the queue by depth.  closure_up.c and closure_down.c expand. */
#include "closure_walk.h"

#include <stdlib.h>
#include <string.h>

bool pfs_grow(void **items, size_t *capacity, size_t item_bytes)
{
    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    if (wanted > SIZE_MAX / item_bytes)
        return false;
    void *grown = realloc(*items, wanted * item_bytes);
    if (grown == NULL)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

int pfs_compare_pairs(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->value == b->value ? 0 : a->value < b->value ? -1 : 1;
}

size_t pfs_find(const struct pair *pairs, size_t count, uint32_t key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pairs[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pfs_level(const uint32_t *marks, const struct pair *focus, size_t count, uint32_t position, uint32_t own,
               uint32_t *level)
{
    *level = own;
    size_t at = pfs_find(focus, count, position);
    if (at < count && focus[at].key == position)
        return true;
    for (uint32_t weaker = 0; weaker < PFS_LEVELS; weaker++) {
        if (position < marks[weaker]) {
            *level = weaker > own ? weaker : own;
            return true;
        }
    }
    return false;
}

/* ---- Blocks ---- */

/* Zeros from calloc cost nothing until they are touched, so a directory may be long where few blocks are needed. */
static bool grow_directory(void **items, size_t *capacity, size_t wanted, size_t item_bytes)
{
    if (wanted <= *capacity)
        return true;
    size_t length = wanted + wanted / 2 + 16;
    void *grown = calloc(length, item_bytes);
    if (grown == NULL)
        return false;
    if (*capacity != 0)
        memcpy(grown, *items, *capacity * item_bytes);
    free(*items);
    *items = grown;
    *capacity = length;
    return true;
}

static enum pfs_outcome give_nodes(struct pfs_walk *walk, uint32_t block, const uint32_t *words, size_t count)
{
    if (!grow_directory((void **)&walk->nodes, &walk->capacity[PFS_NODES], (size_t)block + 1, sizeof *walk->nodes))
        return PFS_NO_MEMORY;
    if (walk->nodes[block] != NULL)
        return PFS_DONE;
    struct node_block *nodes = calloc(1, sizeof *nodes);
    if (nodes == NULL)
        return PFS_NO_MEMORY;
    nodes->words = words;
    nodes->count = count / NODE_WORDS;
    nodes->given_before = walk->given;
    walk->given = nodes;
    walk->nodes[block] = nodes;
    return PFS_DONE;
}

enum pfs_outcome pfs_walk_give(struct pfs_walk *walk, enum pfs_block_kind kind, uint32_t block, const uint32_t *words,
                               size_t count)
{
    if (kind == PFS_NODES)
        return count <= NODE_SLOTS * NODE_WORDS ? give_nodes(walk, block, words, count) : PFS_DAMAGED;
    if (count > BLOCK_WORDS)
        return PFS_DAMAGED;
    if (!grow_directory((void **)&walk->arenas[kind], &walk->capacity[kind], (size_t)block + 1,
                        sizeof *walk->arenas[kind]))
        return PFS_NO_MEMORY;
    if (walk->arenas[kind][block].words == NULL)
        walk->arenas[kind][block] = (struct arena_block){words, count};
    return PFS_DONE;
}

static bool is_known(const struct pfs_walk *walk, uint32_t number)
{
    uint32_t block = number >> 7;
    return block < walk->capacity[PFS_NODES] && walk->nodes[block] != NULL &&
           (number & 127u) < walk->nodes[block]->count;
}

enum pfs_outcome pfs_node(struct pfs_walk *walk, uint32_t number, uint32_t kind, const uint32_t **words,
                          uint32_t **state)
{
    uint32_t block = number >> 7;
    size_t slot = number & 127u;
    if (block >= walk->capacity[PFS_NODES] || walk->nodes[block] == NULL)
        TRY(walk->fetch(walk->context, walk, PFS_NODES, block));
    if (number == 0 || !is_known(walk, number))
        return PFS_DAMAGED;
    *words = walk->nodes[block]->words + slot * NODE_WORDS;
    if (state != NULL)
        *state = &walk->nodes[block]->state[slot];
    return ((*words)[NODE_FLAGS] & KIND_MASK) == kind ? PFS_DONE : PFS_DAMAGED;
}

uint64_t pfs_node_id(const struct pfs_walk *walk, uint32_t number)
{
    const uint32_t *words = walk->nodes[number >> 7]->words + (number & 127u) * NODE_WORDS;
    return words[0] | (uint64_t)words[1] << 32;
}

enum pfs_outcome pfs_words(struct pfs_walk *walk, enum pfs_block_kind arena, uint32_t ref, size_t least,
                           const uint32_t **words, size_t *count)
{
    uint32_t block = ref >> 10;
    size_t at = ref & 1023u;
    if (block >= walk->capacity[arena] || walk->arenas[arena][block].words == NULL)
        TRY(walk->fetch(walk->context, walk, arena, block));
    if (block >= walk->capacity[arena] || walk->arenas[arena][block].words == NULL)
        return PFS_DAMAGED;
    const struct arena_block *found = &walk->arenas[arena][block];
    if (at > found->count || found->count - at < least)
        return PFS_DAMAGED;
    *words = found->words + at;
    *count = found->count - at;
    return PFS_DONE;
}

enum pfs_outcome pfs_piece(struct pfs_walk *walk, enum pfs_block_kind arena, uint32_t ref, size_t stride,
                           struct piece *piece)
{
    const uint32_t *words;
    size_t room;
    TRY(pfs_words(walk, arena, ref, PIECE_ENTRIES, &words, &room));
    *piece = (struct piece){
        words + PIECE_ENTRIES, words[PIECE_HEAD] & 0xFFFFu, words[PIECE_HEAD] >> 16, words[PIECE_BEFORE]};
    /* Refs descend, so that every chain ends. */
    return piece->count * stride <= room - PIECE_ENTRIES && piece->before < ref ? PFS_DONE : PFS_DAMAGED;
}

/* ---- What was reached ---- */

enum pfs_outcome pfs_reach(struct pfs_walk *walk, uint32_t number, uint32_t depth)
{
    const uint32_t *words;
    uint32_t *state;
    TRY(pfs_node(walk, number, KIND_VERSION, &words, &state));
    if (*state != 0)
        return PFS_DONE;
    struct version *version = APPEND(&walk->versions);
    if (version == NULL)
        return PFS_NO_MEMORY;
    *version = (struct version){number, depth};
    *state = 1;
    return PFS_DONE;
}

enum pfs_outcome pfs_actor(struct pfs_walk *walk, uint32_t number, size_t *actor, const uint32_t **words, bool *is_new)
{
    uint32_t *state;
    TRY(pfs_node(walk, number, KIND_ACTIVITY, words, &state));
    *is_new = *state == 0;
    if (*is_new) {
        struct actor *made = APPEND(&walk->actors);
        if (made == NULL)
            return PFS_NO_MEMORY;
        memset(made, 0, sizeof *made);
        made->number = number;
        *state = (uint32_t)walk->actors.count;
    }
    *actor = *state - 1;
    return PFS_DONE;
}

enum pfs_outcome pfs_add_edge(struct pfs_walk *walk, enum pfs_edge_kind kind, uint32_t source, uint32_t target,
                              uint32_t position, uint32_t level)
{
    /* Whoever follows an edge has met its ends; blocks that contradict themselves may name others here. */
    if (!is_known(walk, source) || !is_known(walk, target))
        return PFS_DAMAGED;
    struct pfs_edge *edge = APPEND(&walk->edges);
    if (edge == NULL)
        return PFS_NO_MEMORY;
    *edge = (struct pfs_edge){
        (uint32_t)kind, 0, pfs_node_id(walk, source), pfs_node_id(walk, target), position, level};
    return PFS_DONE;
}

/* ---- The walk ---- */

struct pfs_walk *pfs_walk_begin(const struct pfs_question *question, pfs_fetch_function *fetch, void *context)
{
    struct pfs_walk *walk = calloc(1, sizeof *walk);
    if (walk != NULL) {
        walk->question = *question;
        walk->fetch = fetch;
        walk->context = context;
    }
    return walk;
}

enum pfs_outcome pfs_walk_run(struct pfs_walk *walk, const uint32_t *roots, size_t count)
{
    bool down = walk->question.down;
    for (size_t i = 0; i < count; i++)
        TRY(pfs_reach(walk, roots[i], 0));
    /* The queue grows while it is gone through; depths in it only ascend. */
    for (; walk->expanded < walk->versions.count; walk->expanded++) {
        struct version version = walk->versions.items[walk->expanded];
        if (version.depth >= walk->question.depth_max)
            break;
        TRY(down ? pfs_expand_down(walk, version) : pfs_expand_up(walk, version));
    }
    return down ? pfs_collect_down(walk) : pfs_collect_up(walk);
}

size_t pfs_walk_version_count(const struct pfs_walk *walk)
{
    return walk->versions.count;
}

size_t pfs_walk_activity_count(const struct pfs_walk *walk)
{
    return walk->part_count;
}

size_t pfs_walk_edge_count(const struct pfs_walk *walk)
{
    return walk->edges.count;
}

void pfs_walk_versions(const struct pfs_walk *walk, uint64_t *ids, uint32_t *depths)
{
    for (size_t i = 0; i < walk->versions.count; i++) {
        ids[i] = pfs_node_id(walk, walk->versions.items[i].number);
        depths[i] = walk->versions.items[i].depth;
    }
}

void pfs_walk_activities(const struct pfs_walk *walk, uint64_t *ids)
{
    for (size_t i = 0; i < walk->actors.count; i++)
        if (walk->actors.items[i].is_part)
            *ids++ = pfs_node_id(walk, walk->actors.items[i].number);
}

const struct pfs_edge *pfs_walk_edges(const struct pfs_walk *walk)
{
    return walk->edges.items;
}

const uint64_t *pfs_walk_left_out(const struct pfs_walk *walk)
{
    return walk->left_out;
}

void pfs_walk_end(struct pfs_walk *walk)
{
    if (walk == NULL)
        return;
    while (walk->given != NULL) {
        struct node_block *nodes = walk->given;
        walk->given = nodes->given_before;
        free(nodes);
    }
    free(walk->nodes);
    free(walk->arenas[PFS_FORWARD]);
    free(walk->arenas[PFS_INVERSE]);
    free(walk->versions.items);
    free(walk->actors.items);
    free(walk->singles.items);
    free(walk->outputs.items);
    free(walk->told.items);
    free(walk->focused.items);
    free(walk->jobs.items);
    free(walk->candidates.items);
    free(walk->generated.items);
    free(walk->edges.items);
    free(walk);
}
