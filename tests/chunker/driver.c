/* Runs the kernels under sanitizers: every input lies at the very end and at the very start of an allocation of its
 * own size, so that one byte read outside is found.  Prints a hash of all cut points; exit code 1 if kernels differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunker.h"

#define CAPACITY 4096
#define SIZE_MOST ((size_t)300000)

static uint64_t state = 1;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void fill(uint8_t *bytes, size_t size, unsigned kind)
{
    static const size_t periods[] = {2, 3, 5, 8, 16, 17, 4096};
    for (size_t i = 0; i < size; i++) {
        if (kind == 0)
            bytes[i] = (uint8_t)(draw() >> 32);
        else if (kind == 1)
            bytes[i] = 0;
        else if (kind == 2)
            bytes[i] = 0xFF;
        else if (kind == 3)
            bytes[i] = draw() >> 63 ? 0xFF : 0;
        else {
            size_t period = periods[kind - 4];
            bytes[i] = i < period ? (uint8_t)(draw() >> 32) : bytes[i - period];
        }
    }
}

/* All cut points with a capacity that makes the caller come back for more. */
static size_t cut_all(const struct pfs_rule *rule, const uint8_t *bytes, size_t size, bool final, size_t capacity,
                      uint64_t *cuts)
{
    size_t total = 0, written;
    do {
        written = pfs_cut_points(rule, bytes, size, final, total ? (size_t)cuts[total - 1] : 0, cuts + total, capacity);
        total += written;
    } while (written == capacity);
    return total;
}

static uint64_t hash_cuts(uint64_t hash, const uint64_t *cuts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ cuts[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static uint64_t run(struct pfs_rule rule, size_t size, unsigned kind, bool final, uint64_t hash)
{
    static uint64_t cuts[2][CAPACITY * 2];
    uint8_t *bytes = malloc(size ? size : 1);
    if (bytes == NULL)
        exit(2);
    fill(bytes, size, kind);
    rule.kernel = PFS_KERNEL_SCALAR;
    size_t count = cut_all(&rule, bytes, size, final, 7, cuts[0]);
    if (pfs_kernel_available(PFS_KERNEL_AVX2)) {
        rule.kernel = PFS_KERNEL_AVX2;
        size_t other = cut_all(&rule, bytes, size, final, CAPACITY * 2, cuts[1]);
        if (other != count || memcmp(cuts[0], cuts[1], count * sizeof cuts[0][0]) != 0) {
            fprintf(stderr, "kernels differ: size %zu, kind %u, rule %zu..%zu\n", size, kind, rule.min_bytes,
                    rule.max_bytes);
            exit(1);
        }
    }
    free(bytes);
    return hash_cuts(hash, cuts[0], count);
}

int main(void)
{
    static const struct pfs_rule rules[] = {{64, 64, 0},     {64, 65, 0},     {64, 1087, 0},       {64, 1088, 0},
                                            {64, 1089, 0},   {100, 1123, 0},  {512, 4096, 0},      {1000, 9000, 0},
                                            {4096, 66000, 0}, {32768, 98304, 0}, {64, (size_t)1 << 18, 0}};
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        size_t most = rules[r].min_bytes * CAPACITY < SIZE_MOST ? rules[r].min_bytes * CAPACITY : SIZE_MOST;
        for (unsigned kind = 0; kind < 11; kind++) {
            for (size_t size = 0; size < 3; size++)
                hash = run(rules[r], size, kind, true, hash);
            for (size_t delta = 0; delta < 5; delta++) {
                hash = run(rules[r], rules[r].min_bytes - 2 + delta, kind, true, hash);
                if (rules[r].max_bytes <= SIZE_MOST)
                    hash = run(rules[r], rules[r].max_bytes - 2 + delta, kind, delta % 2, hash);
            }
            hash = run(rules[r], most - draw() % 64, kind, true, hash);
            hash = run(rules[r], most - draw() % 64, kind, false, hash);
        }
    }
    printf("%016llx\n", (unsigned long long)hash);
    return 0;
}
