/* Between the files of the closure: the graph as C sees it, and what a walk remembers. */
#ifndef PFS_CLOSURE_WALK_H
#define PFS_CLOSURE_WALK_H

#include "closure.h"

#define NODE_WORDS ((size_t)8)
#define NODE_SLOTS ((size_t)127)
#define BLOCK_WORDS ((size_t)1020)

#define KIND_MASK 3u
#define KIND_VERSION 1u
#define KIND_ACTIVITY 2u
#define FLAG_DEPENDS 4u
#define FLAG_INTERACTIVE 4u
#define FLAG_CHAINED 8u
#define FLAG_REST(flags) ((flags) >> 4 & 7u)

#define POSITION_MASK ((UINT32_C(1) << 29) - 1)
#define LEVEL_OF(word) ((word) >> 29)

/* Words of a node.  The id comes first. */
enum { VERSION_WRITER = 2, VERSION_WATERMARK, VERSION_PREVIOUS, VERSION_CONSUMERS, VERSION_REVISIONS, NODE_FLAGS = 7 };
enum { ACTIVITY_INPUTS = 2, ACTIVITY_INPUTS_END, ACTIVITY_OUTPUTS, ACTIVITY_INFORMED, ACTIVITY_FOCUS };

/* Words of a piece of a list; of a piece of a list of inputs. */
enum { PIECE_BEFORE, PIECE_HEAD, PIECE_ENTRIES };
enum { INPUTS_BEFORE, INPUTS_JUMP, INPUTS_ORDINAL, INPUTS_FIRST, INPUTS_HEAD, INPUTS_ENTRIES = 7 };

#define INPUT_LEVEL(meta) ((meta) & 7u)
#define INPUT_INFORMED(meta) ((meta) & 8u)

#define WRITERS_TAG 0u

/* A growing array of one type. */
#define VECTOR(type)          \
    struct {                  \
        type *items;          \
        size_t count, capacity; \
    }

/* One more item of a vector, as an lvalue pointer; NULL without memory. */
#define APPEND(vector)                                                                                      \
    ((vector)->count == (vector)->capacity &&                                                               \
             !pfs_grow((void **)&(vector)->items, &(vector)->capacity, sizeof *(vector)->items)             \
         ? NULL                                                                                             \
         : &(vector)->items[(vector)->count++])

bool pfs_grow(void **items, size_t *capacity, size_t item_bytes);

struct version {
    uint32_t number, depth;
};

struct pair {
    uint32_t key, value;
};

/* Upstream.  marks: by level, up to where inputs hold.  Downstream: what is before led to something. */
struct actor {
    uint32_t number;
    uint32_t marks[PFS_LEVELS];
    uint32_t done;  /* upstream: inputs before were followed.  downstream: the greatest mark that may be followed */
    bool is_part;   /* downstream: whether it led to something */
    size_t focus;   /* upstream: 1 + index of its newest in `singles` */
    size_t outputs, outputs_end; /* downstream: in `outputs`, ascending by watermark; taken from the end */
    size_t told, told_end;       /* in `told`, the same */
    size_t focused, focused_end; /* in `focused`, ascending by position */
};

struct single {
    uint32_t position;
    size_t before; /* 1 + index of the one before of the same actor */
};

struct told {
    uint32_t watermark, number, place; /* place: level << 29 | position */
};

/* What is to be done before the next version.  Upstream: to follow the inputs [from, to) of an actor; downstream: to go
 * on from the place `from` of an actor, where it used or was told by the node `to`. */
struct job {
    size_t actor;
    uint32_t from, to;
    bool informed;
};

/* An input that was reached downstream. */
struct candidate {
    size_t actor;
    uint32_t source, place;
    bool informed;
};

struct node_block {
    struct node_block *given_before;
    const uint32_t *words;
    size_t count;               /* of nodes */
    uint32_t state[NODE_SLOTS]; /* 1 + index in `versions` or `actors`; 0: not reached */
};

struct arena_block {
    const uint32_t *words;
    size_t count;
};

struct pfs_walk {
    struct pfs_question question;
    pfs_fetch_function *fetch;
    void *context;
    struct node_block **nodes;
    struct node_block *given; /* the newest */
    struct arena_block *arenas[PFS_BLOCK_KINDS]; /* that of PFS_NODES is not used */
    size_t capacity[PFS_BLOCK_KINDS];
    VECTOR(struct version) versions; /* also the queue: by depth */
    VECTOR(struct actor) actors;
    VECTOR(struct single) singles;
    VECTOR(struct pair) outputs; /* watermark, version */
    VECTOR(struct told) told;
    VECTOR(struct pair) focused; /* position, version */
    VECTOR(struct job) jobs;
    VECTOR(struct candidate) candidates;
    VECTOR(struct pair) generated; /* activity, version */
    VECTOR(struct pfs_edge) edges;
    size_t expanded; /* versions before it in the queue were */
    size_t part_count; /* actors that belong to the answer */
    uint64_t left_out[PFS_LEVELS];
};

#define TRY(call)                              \
    do {                                       \
        enum pfs_outcome outcome_ = (call);    \
        if (outcome_ != PFS_DONE)              \
            return outcome_;                   \
    } while (0)

/* The words of a node of a kind, and its state. */
enum pfs_outcome pfs_node(struct pfs_walk *walk, uint32_t number, uint32_t kind, const uint32_t **words,
                          uint32_t **state);
/* The id of a node that was reached. */
uint64_t pfs_node_id(const struct pfs_walk *walk, uint32_t number);
/* The words from a ref on, at least `least`, and how many there are to the end of the block. */
enum pfs_outcome pfs_words(struct pfs_walk *walk, enum pfs_block_kind arena, uint32_t ref, size_t least,
                           const uint32_t **words, size_t *count);
/* One piece of a list: its entries, their number, their tag, and the ref of the piece before. */
struct piece {
    const uint32_t *entries;
    size_t count;
    uint32_t tag, before;
};
enum pfs_outcome pfs_piece(struct pfs_walk *walk, enum pfs_block_kind arena, uint32_t ref, size_t stride,
                           struct piece *piece);

/* A version belongs to the answer. */
enum pfs_outcome pfs_reach(struct pfs_walk *walk, uint32_t number, uint32_t depth);
/* The actor of an activity; a new one has marks of 0 and `is_new`. */
enum pfs_outcome pfs_actor(struct pfs_walk *walk, uint32_t number, size_t *actor, const uint32_t **words,
                           bool *is_new);
enum pfs_outcome pfs_add_edge(struct pfs_walk *walk, enum pfs_edge_kind kind, uint32_t source, uint32_t target,
                              uint32_t position, uint32_t level);

/* The two directions. */
enum pfs_outcome pfs_expand_up(struct pfs_walk *walk, struct version version);
enum pfs_outcome pfs_collect_up(struct pfs_walk *walk);
enum pfs_outcome pfs_expand_down(struct pfs_walk *walk, struct version version);
enum pfs_outcome pfs_collect_down(struct pfs_walk *walk);

int pfs_compare_pairs(const void *left, const void *right);
/* The first of some ascending pairs whose key is not less. */
size_t pfs_find(const struct pair *pairs, size_t count, uint32_t key);
/* The strongest level at which an input holds: its own if it is in focus; false where it does not hold. */
bool pfs_level(const uint32_t *marks, const struct pair *focus, size_t count, uint32_t position, uint32_t own,
               uint32_t *level);

#endif
