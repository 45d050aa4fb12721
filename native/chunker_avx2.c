/* The AVX2 kernel: 64 scores an iteration.  Everything else is chunker.c's; on other machines this file is empty but
 * for a function that says so. */
#include "chunker.h"

#ifdef PFS_X86_64

#include <immintrin.h>

#define BLOCK_WORDS ((size_t)64)
/* The scan outruns the hardware's prefetching, which stops at every page.  Asking for bytes past the end is harmless,
 * and past the window they are mostly the next chunk's: 12.6 -> 15 GB/s from memory (Zen 3; 512 to 8192 tried). */
#define PREFETCH_BYTES ((uintptr_t)2048)

/* The 32 words that start at bytes[0..31], as four vectors of every fourth word, and their lane maxima. */
__attribute__((target("avx2"))) static inline __m256i maxima_of_32(const uint8_t *bytes, __m256i factor)
{
    __m256i at0 = _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i_u *)bytes), factor);
    __m256i at1 = _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i_u *)(bytes + 1)), factor);
    __m256i at2 = _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i_u *)(bytes + 2)), factor);
    __m256i at3 = _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i_u *)(bytes + 3)), factor);
    return _mm256_max_epu32(_mm256_max_epu32(at0, at1), _mm256_max_epu32(at2, at3));
}

__attribute__((target("avx2"))) static inline uint32_t greatest_lane(__m256i lanes)
{
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
    return (uint32_t)_mm_cvtsi128_si32(half);
}

__attribute__((target("avx2"))) static void maxima_avx2(const uint8_t *bytes, size_t count, uint32_t *maxima)
{
    const __m256i factor = _mm256_set1_epi32((int)PFS_FACTOR);
    while (count > 0) {
        size_t words = count < PFS_SEGMENT_WORDS ? count : PFS_SEGMENT_WORDS;
        size_t whole = words / BLOCK_WORDS * BLOCK_WORDS;
        __m256i lanes = _mm256_setzero_si256();
        for (size_t j = 0; j < whole; j += BLOCK_WORDS) {
            _mm_prefetch((const char *)((uintptr_t)(bytes + j) + PREFETCH_BYTES), _MM_HINT_T0);
            lanes = _mm256_max_epu32(lanes, _mm256_max_epu32(maxima_of_32(bytes + j, factor),
                                                             maxima_of_32(bytes + j + 32, factor)));
        }
        *maxima = greatest_lane(lanes);
        if (whole < words) {
            uint32_t rest;
            pfs_maxima_scalar(bytes + whole, words - whole, &rest);
            *maxima = rest > *maxima ? rest : *maxima;
        }
        maxima++;
        bytes += words;
        count -= words;
    }
}

pfs_maxima_function *pfs_find_maxima_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? maxima_avx2 : NULL;
}

#else

pfs_maxima_function *pfs_find_maxima_avx2(void)
{
    return NULL;
}

#endif
