/* Content-defined chunking by a windowed maximum: where to cut bytes into chunks.
 *
 * The rule, format 1.  Offsets count from the chunk's start; m = min(max_bytes, remaining);
 * s(i) = little-endian u32 at [i-4, i), times PFS_FACTOR modulo 2^32.
 *   1. remaining <= min_bytes: cut at `remaining`.
 *   2. S = the greatest s(i) for i in [min_bytes, m]; T = every such i with s(i) == S.
 *   3. S == 0 or |T| > (m - min_bytes) / 8 + 1: cut at m (zeros, runs, short periods; it bounds the work).
 *   4. Cut at the i in T whose 64 bytes [i-64, i) rank highest; of equal ranks, at the greatest i.
 * The decision reads [start, start + max_bytes) only, so every cut point is an exact place to start again.
 * Nothing is keyed: who knows the bytes knows the cuts.
 *
 * Relatives: MaxCDC (buildbarn), MinCDC-hash4 (O. Peters), VectorCDC (FAST '25), FastCDC (ATC '16).
 * These files know no Python.  Nothing here allocates, keeps state, or reads outside the bytes it is given.
 */
#ifndef PFS_CHUNKER_H
#define PFS_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The rank of a candidate reads the 64 bytes before it. */
#define PFS_MIN_BYTES_LEAST ((size_t)64)
/* Keeps what is noted of one window, one bit for each byte and a little more, within 33 KiB of stack. */
#define PFS_MAX_BYTES_MOST ((size_t)1 << 18)

/* Kernels differ in speed and in nothing else. */
enum pfs_kernel {
    PFS_KERNEL_AUTO,   /* the fastest one this machine runs */
    PFS_KERNEL_SCALAR, /* plain C, everywhere */
    PFS_KERNEL_AVX2    /* x86-64 with AVX2 */
};

/* Valid when PFS_MIN_BYTES_LEAST <= min_bytes <= max_bytes <= PFS_MAX_BYTES_MOST. */
struct pfs_rule {
    size_t min_bytes;
    size_t max_bytes;
    enum pfs_kernel kernel;
};

bool pfs_rule_valid(const struct pfs_rule *rule);
bool pfs_kernel_available(enum pfs_kernel kernel);

/* Writes the cut points of bytes[start, size) to cuts, ascending, each an offset into `bytes` (the end of one
 * chunk); `start` must be 0 or a cut point.  The caller owns both arrays.
 *
 * final: the bytes end at `size`, and the last cut point is `size` (no cut point at all when start == size).
 * not final: more bytes follow, and only cut points that they cannot move are written, those of chunks with
 * max_bytes or more at hand.
 *
 * Returns how many were written.  Fewer than `capacity`: there are no more.  Exactly `capacity`: call again with
 * `start` = the last one written.  The rule must be valid and its kernel available. */
size_t pfs_cut_points(const struct pfs_rule *rule, const uint8_t *bytes, size_t size, bool final, size_t start,
                      uint64_t *cuts, size_t capacity);

/* ---- Between the kernels ---- */

/* -DPFS_PORTABLE builds what a machine without x86-64 and 128-bit integers gets, so that tests on x86-64 reach it. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(PFS_PORTABLE)
#define PFS_X86_64 1
#endif

#define PFS_FACTOR ((uint32_t)0x9E3779B1)
/* Words whose maximum is kept as one number; only segments that hold S are looked at again. */
#define PFS_SEGMENT_WORDS ((size_t)1024)

/* The word at j is the little-endian u32 at bytes[j, j + 4), for j in [0, count); words overlap.  Reads
 * bytes[0, count + 3).  Writes maxima[k] = the greatest word * PFS_FACTOR of the k-th segment, the last of which
 * may be short. */
typedef void pfs_maxima_function(const uint8_t *bytes, size_t count, uint32_t *maxima);

pfs_maxima_function pfs_maxima_scalar;
/* NULL where the machine or the compiler has no AVX2. */
pfs_maxima_function *pfs_find_maxima_avx2(void);

#endif
