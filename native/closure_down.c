/* Downstream: from a version to what its users made afterwards, and to those whom they told. */
#include "closure_walk.h"

#include <stdlib.h>

/* ---- What an activity led to ---- */

static enum pfs_outcome add_pair(struct pfs_walk *walk, bool is_output, uint32_t key, uint32_t value)
{
    struct pair *pair = is_output ? APPEND(&walk->outputs) : APPEND(&walk->focused);
    if (pair == NULL)
        return PFS_NO_MEMORY;
    *pair = (struct pair){key, value};
    return PFS_DONE;
}

static void mark(struct pfs_walk *walk, size_t actor, uint32_t level, uint32_t watermark)
{
    struct actor *of = &walk->actors.items[actor];
    if (watermark > of->marks[level])
        of->marks[level] = watermark;
    if (level <= walk->question.level_max && watermark > of->done)
        of->done = watermark;
}

static enum pfs_outcome load_outputs(struct pfs_walk *walk, size_t actor, uint32_t ref)
{
    for (struct piece piece; ref != 0; ref = piece.before) {
        TRY(pfs_piece(walk, PFS_INVERSE, ref, 2, &piece));
        for (size_t i = 0; i < piece.count; i++) {
            uint32_t watermark = piece.entries[2 * i + 1] & POSITION_MASK, rest = LEVEL_OF(piece.entries[2 * i + 1]);
            if (rest >= PFS_LEVELS)
                return PFS_DAMAGED;
            mark(walk, actor, rest, watermark);
            if (rest <= walk->question.level_max)
                TRY(add_pair(walk, true, watermark, piece.entries[2 * i]));
        }
    }
    return PFS_DONE;
}

static enum pfs_outcome load_told(struct pfs_walk *walk, size_t actor, uint32_t ref, uint32_t telling)
{
    for (struct piece piece; ref != 0; ref = piece.before) {
        TRY(pfs_piece(walk, PFS_INVERSE, ref, 3, &piece));
        for (size_t i = 0; i < piece.count; i++) {
            const uint32_t *entry = piece.entries + 3 * i;
            if (LEVEL_OF(entry[1]) <= walk->question.level_max)
                mark(walk, actor, telling, entry[2]);
            if (telling > walk->question.level_max)
                continue;
            struct told *told = APPEND(&walk->told);
            if (told == NULL)
                return PFS_NO_MEMORY;
            *told = (struct told){entry[2], entry[0], entry[1]};
        }
    }
    return PFS_DONE;
}

static enum pfs_outcome load_focused(struct pfs_walk *walk, uint32_t ref)
{
    for (struct piece piece; ref != 0; ref = piece.before) {
        TRY(pfs_piece(walk, PFS_INVERSE, ref, 2, &piece));
        for (size_t i = 0; i < piece.count; i++)
            TRY(add_pair(walk, false, piece.entries[2 * i], piece.entries[2 * i + 1]));
    }
    return PFS_DONE;
}

static int compare_told(const void *left, const void *right)
{
    const struct told *a = left, *b = right;
    return a->watermark == b->watermark ? 0 : a->watermark < b->watermark ? -1 : 1;
}

/* Lists are put behind each other, those of one actor at once; sorted, as they are used up from their ends. */
static enum pfs_outcome load(struct pfs_walk *walk, size_t actor, const uint32_t *words)
{
    size_t outputs = walk->outputs.count, told = walk->told.count, focused = walk->focused.count;
    uint32_t telling = (words[NODE_FLAGS] & FLAG_INTERACTIVE) != 0 ? PFS_LEVEL_AMBIENT : 0;
    TRY(load_outputs(walk, actor, words[ACTIVITY_OUTPUTS]));
    TRY(load_told(walk, actor, words[ACTIVITY_INFORMED], telling));
    TRY(load_focused(walk, words[ACTIVITY_FOCUS]));
    struct actor *of = &walk->actors.items[actor];
    of->outputs = outputs;
    of->outputs_end = walk->outputs.count;
    of->told = told;
    of->told_end = walk->told.count;
    of->focused = focused;
    of->focused_end = walk->focused.count;
    if (of->outputs_end - outputs > 1)
        qsort(walk->outputs.items + outputs, of->outputs_end - outputs, sizeof(struct pair), pfs_compare_pairs);
    if (of->told_end - told > 1)
        qsort(walk->told.items + told, of->told_end - told, sizeof(struct told), compare_told);
    if (of->focused_end - focused > 1)
        qsort(walk->focused.items + focused, of->focused_end - focused, sizeof(struct pair), pfs_compare_pairs);
    return PFS_DONE;
}

/* ---- Following ---- */

static enum pfs_outcome add_job(struct pfs_walk *walk, uint32_t number, uint32_t place, uint32_t source, bool informed)
{
    const uint32_t *words;
    size_t actor;
    bool is_new;
    TRY(pfs_actor(walk, number, &actor, &words, &is_new));
    if (is_new)
        TRY(load(walk, actor, words));
    struct job *job = APPEND(&walk->jobs);
    if (job == NULL)
        return PFS_NO_MEMORY;
    *job = (struct job){actor, place, source, informed};
    return PFS_DONE;
}

static enum pfs_outcome made(struct pfs_walk *walk, size_t actor, uint32_t version, uint32_t depth)
{
    walk->actors.items[actor].is_part = true;
    TRY(pfs_reach(walk, version, depth + 1));
    if (!walk->question.edges)
        return PFS_DONE;
    struct pair *pair = APPEND(&walk->generated);
    if (pair == NULL)
        return PFS_NO_MEMORY;
    *pair = (struct pair){walk->actors.items[actor].number, version};
    return PFS_DONE;
}

static enum pfs_outcome go_on(struct pfs_walk *walk, struct job job, uint32_t depth)
{
    size_t actor = job.actor;
    uint32_t position = job.from & POSITION_MASK;
    if (walk->question.edges) {
        struct candidate *candidate = APPEND(&walk->candidates);
        if (candidate == NULL)
            return PFS_NO_MEMORY;
        *candidate = (struct candidate){actor, job.to, job.from, job.informed};
    }
    if (LEVEL_OF(job.from) > walk->question.level_max)
        return PFS_DONE;
    struct actor *of = &walk->actors.items[actor];
    of->is_part |= position < of->done;
    size_t at = pfs_find(walk->focused.items + of->focused, of->focused_end - of->focused, position);
    for (at += of->focused; at < of->focused_end && walk->focused.items[at].key == position; at++)
        TRY(made(walk, actor, walk->focused.items[at].value, depth));
    while (of->outputs_end > of->outputs && walk->outputs.items[of->outputs_end - 1].key > position)
        TRY(made(walk, actor, walk->outputs.items[--of->outputs_end].value, depth));
    for (;;) {
        of = &walk->actors.items[actor]; /* a new actor may have moved them */
        if (of->told_end == of->told || walk->told.items[of->told_end - 1].watermark <= position)
            return PFS_DONE;
        struct told told = walk->told.items[--of->told_end];
        TRY(add_job(walk, told.number, told.place, of->number, true));
    }
}

enum pfs_outcome pfs_expand_down(struct pfs_walk *walk, struct version version)
{
    const uint32_t *words, *later;
    struct piece piece;
    TRY(pfs_node(walk, version.number, KIND_VERSION, &words, NULL));
    for (uint32_t ref = words[VERSION_REVISIONS]; ref != 0; ref = piece.before) {
        TRY(pfs_piece(walk, PFS_INVERSE, ref, 1, &piece));
        for (size_t i = 0; i < piece.count; i++) {
            TRY(pfs_node(walk, piece.entries[i], KIND_VERSION, &later, NULL));
            if ((later[NODE_FLAGS] & FLAG_DEPENDS) == 0 || later[VERSION_PREVIOUS] != version.number)
                continue;
            TRY(pfs_reach(walk, piece.entries[i], version.depth + 1));
            if (walk->question.edges)
                TRY(pfs_add_edge(walk, PFS_REVISED, version.number, piece.entries[i], 0, 0));
        }
    }
    for (uint32_t ref = words[VERSION_CONSUMERS]; ref != 0; ref = piece.before) {
        TRY(pfs_piece(walk, PFS_INVERSE, ref, 2, &piece));
        for (size_t i = 0; i < piece.count; i++) {
            bool is_weak = LEVEL_OF(piece.entries[2 * i + 1]) > walk->question.level_max;
            if (!is_weak || walk->question.edges)
                TRY(add_job(walk, piece.entries[2 * i], piece.entries[2 * i + 1], version.number, false));
            while (walk->jobs.count > 0) {
                struct job job = walk->jobs.items[--walk->jobs.count];
                TRY(go_on(walk, job, version.depth));
            }
        }
    }
    return PFS_DONE;
}

/* ---- Edges ---- */

static enum pfs_outcome add_candidate(struct pfs_walk *walk, const struct candidate *candidate)
{
    const struct actor *actor = &walk->actors.items[candidate->actor];
    uint32_t position = candidate->place & POSITION_MASK, own = LEVEL_OF(candidate->place), level;
    if (own >= PFS_LEVELS)
        return PFS_DAMAGED;
    if (!pfs_level(actor->marks, walk->focused.items + actor->focused, actor->focused_end - actor->focused, position,
                   own, &level))
        return PFS_DONE;
    if (level > walk->question.level_max) {
        walk->left_out[level]++;
        return PFS_DONE;
    }
    return pfs_add_edge(walk, candidate->informed ? PFS_INFORMED : PFS_USED, candidate->source, actor->number, position,
                        level);
}

enum pfs_outcome pfs_collect_down(struct pfs_walk *walk)
{
    for (size_t i = 0; i < walk->actors.count; i++)
        walk->part_count += walk->actors.items[i].is_part;
    for (size_t i = 0; i < walk->candidates.count; i++)
        TRY(add_candidate(walk, &walk->candidates.items[i]));
    if (walk->generated.count > 1)
        qsort(walk->generated.items, walk->generated.count, sizeof *walk->generated.items, pfs_compare_pairs);
    for (size_t i = 0; i < walk->generated.count; i++) {
        const struct pair *pair = &walk->generated.items[i];
        if (i == 0 || pfs_compare_pairs(pair - 1, pair) != 0)
            TRY(pfs_add_edge(walk, PFS_GENERATED, pair->key, pair->value, 0, 0));
    }
    return PFS_DONE;
}
