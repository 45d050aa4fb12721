/* Closures over the graph of the lineage index: what versions came from, or what came from them.
 *
 * The graph comes in blocks of 32-bit words; pfs/lineage/index/graph.py specifies them, pfs/lineage/index/closure.py says
 * what a closure is.  A walk asks for a block when it first needs it, so its cost follows the answer.  Blocks may
 * hold anything: nothing outside of them is read, and no chain in them is followed for ever.
 *
 * These files know no Python.  A walk belongs to one thread. */
#ifndef PFS_CLOSURE_H
#define PFS_CLOSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PFS_LEVELS 7
#define PFS_LEVEL_AMBIENT 6
#define PFS_NO_DEPTH UINT32_MAX

enum pfs_block_kind { PFS_NODES, PFS_FORWARD, PFS_INVERSE, PFS_BLOCK_KINDS };

enum pfs_edge_kind { PFS_GENERATED, PFS_USED, PFS_INFORMED, PFS_REVISED };

enum pfs_outcome {
    PFS_DONE,
    PFS_NO_MEMORY,
    PFS_DAMAGED, /* the blocks are no graph */
    PFS_STOPPED  /* the function that fetches blocks failed, and knows why */
};

struct pfs_question {
    bool down;          /* what came from the roots; else what they came from */
    bool edges;         /* also collect edges, and count those that are too weak */
    uint32_t level_max; /* weaker edges are not followed */
    uint32_t depth_max; /* versions from a root; PFS_NO_DEPTH */
};

/* From what was first to what came from it. */
struct pfs_edge {
    uint32_t kind;
    uint32_t unused;
    uint64_t source;
    uint64_t target;
    uint32_t position; /* in the inputs of the target, if it is an activity */
    uint32_t level;
};

/* Opaque. */
struct pfs_walk;

/* Must call pfs_walk_give for this block, and may do so for others, then return PFS_DONE; any other outcome ends the
 * walk with that outcome. */
typedef enum pfs_outcome pfs_fetch_function(void *context, struct pfs_walk *walk, enum pfs_block_kind kind,
                                            uint32_t block);

/* A new walk; NULL without memory.  `context` is passed to `fetch`. */
struct pfs_walk *pfs_walk_begin(const struct pfs_question *question, pfs_fetch_function *fetch, void *context);

/* Hands over a block of `count` words, which stay the caller's and in place until pfs_walk_end. */
enum pfs_outcome pfs_walk_give(struct pfs_walk *walk, enum pfs_block_kind kind, uint32_t block, const uint32_t *words,
                               size_t count);

/* Walks from these versions, all that there is.  Once for each walk.  After any other outcome than PFS_DONE there is
 * no answer. */
enum pfs_outcome pfs_walk_run(struct pfs_walk *walk, const uint32_t *roots, size_t count);

/* The answer.  Versions come by depth, the roots first; edges and `left_out` (counts by level) only if asked for. */
size_t pfs_walk_version_count(const struct pfs_walk *walk);
size_t pfs_walk_activity_count(const struct pfs_walk *walk);
size_t pfs_walk_edge_count(const struct pfs_walk *walk);
void pfs_walk_versions(const struct pfs_walk *walk, uint64_t *ids, uint32_t *depths);
void pfs_walk_activities(const struct pfs_walk *walk, uint64_t *ids);
const struct pfs_edge *pfs_walk_edges(const struct pfs_walk *walk);
const uint64_t *pfs_walk_left_out(const struct pfs_walk *walk);

void pfs_walk_end(struct pfs_walk *walk);

#endif
