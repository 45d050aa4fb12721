/* Upstream: from a version to its writers' inputs, and to those of whom these were told by. */
#include "closure_walk.h"

#include <stdlib.h>

/* ---- Inputs ---- */

struct input {
    uint32_t position, source, meta, watermark;
};

typedef enum pfs_outcome input_function(struct pfs_walk *walk, const struct input *input, void *context);

/* The newest piece with a position below `end`, by way of jumps; 0 if there is none. */
static enum pfs_outcome seek(struct pfs_walk *walk, uint32_t ref, uint32_t end, uint32_t *found)
{
    const uint32_t *words, *jump;
    size_t room;
    while (ref != 0) {
        TRY(pfs_words(walk, PFS_FORWARD, ref, INPUTS_ENTRIES, &words, &room));
        if (words[INPUTS_FIRST] < end)
            break;
        uint32_t next = words[INPUTS_BEFORE];
        if (words[INPUTS_JUMP] != 0) {
            TRY(pfs_words(walk, PFS_FORWARD, words[INPUTS_JUMP], INPUTS_ENTRIES, &jump, &room));
            if (jump[INPUTS_FIRST] >= end)
                next = words[INPUTS_JUMP];
        }
        if (next >= ref)
            return PFS_DAMAGED;
        ref = next;
    }
    *found = ref;
    return PFS_DONE;
}

/* Calls `visit` for the inputs [from, to) of the piece at `words`. */
static enum pfs_outcome visit_piece(struct pfs_walk *walk, const uint32_t *words, size_t room, uint32_t from,
                                    uint32_t to, input_function *visit, void *context)
{
    uint32_t first = words[INPUTS_FIRST], count = words[INPUTS_HEAD] & 0xFFFFu, told = words[INPUTS_HEAD] >> 16;
    if (INPUTS_ENTRIES + 2 * (size_t)count + told > room || first > POSITION_MASK)
        return PFS_DAMAGED;
    const uint32_t *entries = words + INPUTS_ENTRIES, *watermarks = entries + 2 * (size_t)count;
    uint32_t end = to - first < count ? to - first : count;
    /* Watermarks stand in order beside the entries: to find one, those before it are counted. */
    uint32_t at = told == 0 && from > first ? from - first : 0;
    for (uint32_t seen = 0; at < end; at++) {
        struct input input = {first + at, entries[2 * at], entries[2 * at + 1], 0};
        if (INPUT_INFORMED(input.meta)) {
            if (seen == told)
                return PFS_DAMAGED;
            input.watermark = watermarks[seen++];
        }
        if (input.position >= from && input.source != 0)
            TRY(visit(walk, &input, context));
    }
    return PFS_DONE;
}

/* Calls `visit` for the inputs [from, to) of a list that are known. */
static enum pfs_outcome visit_inputs(struct pfs_walk *walk, uint32_t ref, uint32_t from, uint32_t to,
                                     input_function *visit, void *context)
{
    const uint32_t *words;
    size_t room;
    if (from >= to)
        return PFS_DONE;
    TRY(seek(walk, ref, to, &ref));
    while (ref != 0) {
        TRY(pfs_words(walk, PFS_FORWARD, ref, INPUTS_ENTRIES, &words, &room));
        if (words[INPUTS_FIRST] >= to || words[INPUTS_BEFORE] >= ref)
            return PFS_DAMAGED;
        TRY(visit_piece(walk, words, room, from, to, visit, context));
        if (words[INPUTS_FIRST] <= from)
            break;
        ref = words[INPUTS_BEFORE];
        /* Pieces do not overlap, and there may be gaps. */
        to = words[INPUTS_FIRST];
    }
    return PFS_DONE;
}

/* ---- Following ---- */

static enum pfs_outcome add_job(struct pfs_walk *walk, size_t actor, uint32_t from, uint32_t to)
{
    struct job *job = APPEND(&walk->jobs);
    if (job == NULL)
        return PFS_NO_MEMORY;
    *job = (struct job){actor, from, to, false};
    return PFS_DONE;
}

/* An activity's inputs below a watermark hold at a level. */
static enum pfs_outcome cover(struct pfs_walk *walk, uint32_t number, uint32_t watermark, uint32_t level, bool is_told,
                              size_t *actor)
{
    const uint32_t *words;
    bool is_new;
    if (level >= PFS_LEVELS)
        return PFS_DAMAGED;
    TRY(pfs_actor(walk, number, actor, &words, &is_new));
    if (is_told && (words[NODE_FLAGS] & FLAG_INTERACTIVE) != 0)
        level = PFS_LEVEL_AMBIENT;
    struct actor *covered = &walk->actors.items[*actor];
    if (watermark > covered->marks[level])
        covered->marks[level] = watermark;
    if (level > walk->question.level_max || watermark <= covered->done)
        return PFS_DONE;
    uint32_t done = covered->done;
    covered->done = watermark;
    return add_job(walk, *actor, done, watermark);
}

static enum pfs_outcome follow(struct pfs_walk *walk, const struct input *input, void *context)
{
    const uint32_t *depth = context;
    size_t actor;
    if (INPUT_LEVEL(input->meta) > walk->question.level_max)
        return PFS_DONE;
    if (INPUT_INFORMED(input->meta))
        return cover(walk, input->source, input->watermark, 0, true, &actor);
    return pfs_reach(walk, input->source, *depth + 1);
}

static enum pfs_outcome run_jobs(struct pfs_walk *walk, uint32_t depth)
{
    const uint32_t *words;
    while (walk->jobs.count > 0) {
        struct job job = walk->jobs.items[--walk->jobs.count];
        TRY(pfs_node(walk, walk->actors.items[job.actor].number, KIND_ACTIVITY, &words, NULL));
        TRY(visit_inputs(walk, words[ACTIVITY_INPUTS], job.from, job.to, follow, &depth));
    }
    return PFS_DONE;
}

static enum pfs_outcome add_single(struct pfs_walk *walk, size_t actor, uint32_t position)
{
    struct single *single = APPEND(&walk->singles);
    if (single == NULL)
        return PFS_NO_MEMORY;
    struct actor *of = &walk->actors.items[actor];
    *single = (struct single){position, of->focus};
    of->focus = walk->singles.count;
    return position >= of->done && position < POSITION_MASK ? add_job(walk, actor, position, position + 1) : PFS_DONE;
}

typedef enum pfs_outcome writer_function(struct pfs_walk *walk, uint32_t version, uint32_t number, uint32_t watermark,
                                         uint32_t rest, size_t *actor);

/* Calls `each` for the writers of a version; the last one's actor is told. */
static enum pfs_outcome for_writers(struct pfs_walk *walk, uint32_t version, const uint32_t *words,
                                    writer_function *each, size_t *actor)
{
    uint32_t flags = words[NODE_FLAGS], ref = words[VERSION_WRITER];
    if (ref != 0 && (flags & FLAG_CHAINED) == 0)
        return each(walk, version, ref, words[VERSION_WATERMARK], 0, actor);
    for (struct piece piece; ref != 0; ref = piece.before) {
        TRY(pfs_piece(walk, PFS_FORWARD, ref, 1, &piece));
        if (piece.tag != WRITERS_TAG)
            continue;
        TRY(pfs_piece(walk, PFS_FORWARD, ref, 2, &piece));
        for (size_t i = 0; i < piece.count; i++)
            TRY(each(walk, version, piece.entries[2 * i], piece.entries[2 * i + 1], FLAG_REST(flags), actor));
    }
    return PFS_DONE;
}

static enum pfs_outcome cover_writer(struct pfs_walk *walk, uint32_t version, uint32_t number, uint32_t watermark,
                                     uint32_t rest, size_t *actor)
{
    (void)version;
    return cover(walk, number, watermark, rest, false, actor);
}

enum pfs_outcome pfs_expand_up(struct pfs_walk *walk, struct version version)
{
    const uint32_t *words;
    size_t writer = SIZE_MAX;
    TRY(pfs_node(walk, version.number, KIND_VERSION, &words, NULL));
    uint32_t flags = words[NODE_FLAGS];
    if ((flags & FLAG_DEPENDS) != 0 && words[VERSION_PREVIOUS] != 0)
        TRY(pfs_reach(walk, words[VERSION_PREVIOUS], version.depth + 1));
    TRY(for_writers(walk, version.number, words, cover_writer, &writer));
    if ((flags & FLAG_CHAINED) != 0 && FLAG_REST(flags) != 0) {
        struct piece piece;
        for (uint32_t ref = words[VERSION_WRITER]; ref != 0; ref = piece.before) {
            TRY(pfs_piece(walk, PFS_FORWARD, ref, 1, &piece));
            for (size_t i = 0; piece.tag != WRITERS_TAG && i < piece.count; i++)
                TRY(writer == SIZE_MAX ? PFS_DAMAGED : add_single(walk, writer, piece.entries[i]));
        }
    }
    return run_jobs(walk, version.depth);
}

/* ---- Edges ---- */

static enum pfs_outcome add_generated(struct pfs_walk *walk, uint32_t version, uint32_t number, uint32_t watermark,
                                      uint32_t rest, size_t *actor)
{
    (void)watermark;
    (void)rest;
    (void)actor;
    return pfs_add_edge(walk, PFS_GENERATED, number, version, 0, 0);
}

static enum pfs_outcome add_input(struct pfs_walk *walk, const struct input *input, void *context)
{
    const struct actor *actor = context;
    uint32_t own = INPUT_LEVEL(input->meta), level;
    if (own >= PFS_LEVELS)
        return PFS_DAMAGED;
    if (!pfs_level(actor->marks, walk->focused.items, walk->focused.count, input->position, own, &level))
        return PFS_DONE;
    if (level > walk->question.level_max) {
        walk->left_out[level]++;
        return PFS_DONE;
    }
    return pfs_add_edge(walk, INPUT_INFORMED(input->meta) ? PFS_INFORMED : PFS_USED, input->source, actor->number,
                        input->position, level);
}

/* The positions in focus of an actor, ascending, in `focused`. */
static enum pfs_outcome gather_singles(struct pfs_walk *walk, const struct actor *actor)
{
    walk->focused.count = 0;
    for (size_t at = actor->focus; at != 0; at = walk->singles.items[at - 1].before) {
        struct pair *pair = APPEND(&walk->focused);
        if (pair == NULL)
            return PFS_NO_MEMORY;
        *pair = (struct pair){walk->singles.items[at - 1].position, 0};
    }
    if (walk->focused.count > 1)
        qsort(walk->focused.items, walk->focused.count, sizeof *walk->focused.items, pfs_compare_pairs);
    return PFS_DONE;
}

enum pfs_outcome pfs_collect_up(struct pfs_walk *walk)
{
    const uint32_t *words;
    size_t unused;
    walk->part_count = walk->actors.count;
    for (size_t i = 0; i < walk->actors.count; i++)
        walk->actors.items[i].is_part = true;
    if (!walk->question.edges)
        return PFS_DONE;
    for (size_t i = 0; i < walk->expanded; i++) {
        uint32_t number = walk->versions.items[i].number;
        TRY(pfs_node(walk, number, KIND_VERSION, &words, NULL));
        TRY(for_writers(walk, number, words, add_generated, &unused));
        if ((words[NODE_FLAGS] & FLAG_DEPENDS) != 0 && words[VERSION_PREVIOUS] != 0)
            TRY(pfs_add_edge(walk, PFS_REVISED, words[VERSION_PREVIOUS], number, 0, 0));
    }
    for (size_t i = 0; i < walk->actors.count; i++) {
        struct actor *actor = &walk->actors.items[i];
        uint32_t end = 0;
        for (size_t level = 0; level < PFS_LEVELS; level++)
            if (actor->marks[level] > end)
                end = actor->marks[level];
        TRY(gather_singles(walk, actor));
        TRY(pfs_node(walk, actor->number, KIND_ACTIVITY, &words, NULL));
        TRY(visit_inputs(walk, words[ACTIVITY_INPUTS], 0, end, add_input, actor));
    }
    return PFS_DONE;
}
