/* The cut rule of chunker.h and its kernel for every machine. */
#include "chunker.h"

#include <string.h>
#ifdef PFS_X86_64
#include <emmintrin.h>
#endif

/* PFS_FACTOR is odd, so word -> word * PFS_FACTOR is a bijection: this inverse gives back the one word that has the
 * score S, and looking for S again needs no multiplication. */
#define FACTOR_INVERSE ((uint32_t)0x0E8B2F51)

#define MAXIMA_MOST (PFS_MAX_BYTES_MOST / PFS_SEGMENT_WORDS + 1)
/* Words whose matches fit the bits of one mask. */
#define BLOCK_WORDS ((size_t)64)
#define MASKS_MOST (PFS_MAX_BYTES_MOST / BLOCK_WORDS + 1)
#define RANK_BYTES ((size_t)64)

static inline uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static inline uint64_t load_u64(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The two halves of the 128-bit product, folded. */
static inline uint64_t multiply_mix(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__) && !defined(PFS_PORTABLE)
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t low = a_low * b_low, cross = a_high * b_low, other = a_low * b_high;
    uint64_t middle = (low >> 32) + (uint32_t)cross + (uint32_t)other;
    uint64_t high = a_high * b_high + (cross >> 32) + (other >> 32) + (middle >> 32);
    return ((middle << 32) | (uint32_t)low) ^ high;
#endif
}

/* Rank of the 64 bytes that end at `end`.  Part of the format.  The constants are the first 64 bits of the fractional
 * parts of the square roots of the first eight primes, as in SHA-512 (FIPS 180-4): distinct, and nobody's choice. */
static uint64_t rank(const uint8_t *end)
{
    const uint8_t *bytes = end - RANK_BYTES;
    return multiply_mix(load_u64(bytes) ^ UINT64_C(0x6A09E667F3BCC908),
                        load_u64(bytes + 8) ^ UINT64_C(0xBB67AE8584CAA73B)) ^
           multiply_mix(load_u64(bytes + 16) ^ UINT64_C(0x3C6EF372FE94F82B),
                        load_u64(bytes + 24) ^ UINT64_C(0xA54FF53A5F1D36F1)) ^
           multiply_mix(load_u64(bytes + 32) ^ UINT64_C(0x510E527FADE682D1),
                        load_u64(bytes + 40) ^ UINT64_C(0x9B05688C2B3E6C1F)) ^
           multiply_mix(load_u64(bytes + 48) ^ UINT64_C(0x1F83D9ABFB41BD6B),
                        load_u64(bytes + 56) ^ UINT64_C(0x5BE0CD19137E2179));
}

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* SSE2 has neither a 32-bit multiplication nor an unsigned maximum, and what compilers make of it is slower than plain
 * registers (1.5 against 2.1 GB/s).  An empty statement that might change a maximum keeps them from trying; elsewhere
 * (NEON) their vector code is welcome. */
#ifdef PFS_X86_64
#define IN_REGISTER(maximum) __asm__("" : "+r"(maximum))
#else
#define IN_REGISTER(maximum) (void)0
#endif

static uint32_t greatest_score(const uint8_t *bytes, size_t count)
{
    uint32_t best0 = 0, best1 = 0, best2 = 0, best3 = 0;
    size_t j = 0;
    for (; j + 4 <= count; j += 4) {
        best0 = greater(best0, load_u32(bytes + j) * PFS_FACTOR);
        best1 = greater(best1, load_u32(bytes + j + 1) * PFS_FACTOR);
        best2 = greater(best2, load_u32(bytes + j + 2) * PFS_FACTOR);
        best3 = greater(best3, load_u32(bytes + j + 3) * PFS_FACTOR);
        IN_REGISTER(best0);
        IN_REGISTER(best1);
        IN_REGISTER(best2);
        IN_REGISTER(best3);
    }
    for (; j < count; j++)
        best0 = greater(best0, load_u32(bytes + j) * PFS_FACTOR);
    return greater(greater(best0, best1), greater(best2, best3));
}

void pfs_maxima_scalar(const uint8_t *bytes, size_t count, uint32_t *maxima)
{
    for (size_t first = 0; first < count; first += PFS_SEGMENT_WORDS)
        *maxima++ = greatest_score(bytes + first, smaller(count - first, PFS_SEGMENT_WORDS));
}

/* Bits set; inline, because x86-64 without further flags has no instruction for it (Hacker's Delight, 5-1). */
static inline size_t count_bits(uint64_t mask)
{
    mask -= mask >> 1 & UINT64_C(0x5555555555555555);
    mask = (mask & UINT64_C(0x3333333333333333)) + (mask >> 2 & UINT64_C(0x3333333333333333));
    mask = (mask + (mask >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    return (size_t)(mask * UINT64_C(0x0101010101010101) >> 56);
}

/* The candidates of one chunk and what is known of them. */
struct window {
    const uint8_t *words; /* the word of candidate i starts at words[i - min_bytes] */
    size_t count;
    const uint32_t *maxima;
    uint32_t top; /* S */
};

/* Which of the `count` <= 64 overlapping words at `bytes` equal `word`: bit 16 * (k % 4) + k / 4 stands for the k-th,
 * as vectors see them, alignment by alignment. */
static uint64_t matches(const uint8_t *bytes, size_t count, uint32_t word)
{
    uint64_t mask = 0;
#ifdef PFS_X86_64 /* all of them have SSE2 */
    if (count == BLOCK_WORDS) {
        const __m128i wanted = _mm_set1_epi32((int)word);
        for (unsigned alignment = 0; alignment < 4; alignment++) {
            __m128i equal[4];
            for (unsigned v = 0; v < 4; v++)
                equal[v] =
                    _mm_cmpeq_epi32(_mm_loadu_si128((const __m128i_u *)(bytes + alignment + (size_t)16 * v)), wanted);
            __m128i packed =
                _mm_packs_epi16(_mm_packs_epi32(equal[0], equal[1]), _mm_packs_epi32(equal[2], equal[3]));
            mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(packed) << (16 * alignment);
        }
        return mask;
    }
#endif
    for (size_t k = 0; k < count; k++)
        mask |= (uint64_t)(load_u32(bytes + k) == word) << (16 * (k % 4) + k / 4);
    return mask;
}

/* Fills the masks of the segments that hold S; returns |T|, or any number above `limit` when it is above. */
static size_t find_ties(const struct window *window, size_t limit, uint64_t *masks)
{
    uint32_t word = window->top * FACTOR_INVERSE;
    size_t ties = 0;
    for (size_t first = 0; first < window->count && ties <= limit; first += PFS_SEGMENT_WORDS) {
        if (window->maxima[first / PFS_SEGMENT_WORDS] != window->top)
            continue;
        size_t end = smaller(first + PFS_SEGMENT_WORDS, window->count);
        for (size_t block = first; block < end; block += BLOCK_WORDS) {
            uint64_t mask = matches(window->words + block, smaller(end - block, BLOCK_WORDS), word);
            masks[block / BLOCK_WORDS] = mask;
            ties += count_bits(mask);
        }
    }
    return ties;
}

/* Position in the window of the tie that ranks highest, the last one of equals. */
static size_t best_tie(const struct window *window, const uint64_t *masks)
{
    uint64_t best_rank = 0;
    size_t best = 0;
    for (size_t block = 0; block < window->count; block += BLOCK_WORDS) {
        if (window->maxima[block / PFS_SEGMENT_WORDS] != window->top)
            continue;
        for (uint64_t mask = masks[block / BLOCK_WORDS]; mask != 0; mask &= mask - 1) {
            size_t bit = (size_t)__builtin_ctzll(mask), position = block + bit / 16 + bit % 16 * 4;
            uint64_t tie_rank = rank(window->words + position + 4);
            if (tie_rank > best_rank || (tie_rank == best_rank && position > best)) {
                best_rank = tie_rank;
                best = position;
            }
        }
    }
    return best;
}

/* Length of the chunk that starts at `bytes`, at most `remaining`, which is at least 1. */
static size_t chunk_length(const struct pfs_rule *rule, pfs_maxima_function *find_maxima, const uint8_t *bytes,
                           size_t remaining)
{
    uint32_t maxima[MAXIMA_MOST];
    uint64_t masks[MASKS_MOST];
    size_t min_bytes = rule->min_bytes;
    if (remaining <= min_bytes)
        return remaining;
    size_t end = smaller(rule->max_bytes, remaining);
    struct window window = {bytes + min_bytes - 4, end - min_bytes + 1, maxima, 0};
    find_maxima(window.words, window.count, maxima);
    for (size_t k = 0; k * PFS_SEGMENT_WORDS < window.count; k++)
        window.top = greater(window.top, maxima[k]);
    if (window.top == 0)
        return end;
    size_t limit = (end - min_bytes) / 8 + 1;
    if (find_ties(&window, limit, masks) > limit)
        return end;
    return min_bytes + best_tie(&window, masks);
}

bool pfs_rule_valid(const struct pfs_rule *rule)
{
    return rule->min_bytes >= PFS_MIN_BYTES_LEAST && rule->min_bytes <= rule->max_bytes &&
           rule->max_bytes <= PFS_MAX_BYTES_MOST;
}

bool pfs_kernel_available(enum pfs_kernel kernel)
{
    return kernel != PFS_KERNEL_AVX2 || pfs_find_maxima_avx2() != NULL;
}

static pfs_maxima_function *choose(enum pfs_kernel kernel)
{
    pfs_maxima_function *avx2 = kernel == PFS_KERNEL_SCALAR ? NULL : pfs_find_maxima_avx2();
    return avx2 != NULL ? avx2 : pfs_maxima_scalar;
}

size_t pfs_cut_points(const struct pfs_rule *rule, const uint8_t *bytes, size_t size, bool final, size_t start,
                      uint64_t *cuts, size_t capacity)
{
    pfs_maxima_function *find_maxima = choose(rule->kernel);
    size_t written = 0;
    while (written < capacity && start < size && (final || size - start >= rule->max_bytes)) {
        start += chunk_length(rule, find_maxima, bytes + start, size - start);
        cuts[written++] = start;
    }
    return written;
}
