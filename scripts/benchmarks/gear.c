/* What the chunker is measured against: Gear hashing as in FastCDC (Xia et al., USENIX ATC '16), plain and with
 * normalized chunking.  Compiled on the fly by gear.py; no part of pfs. */
#include <stddef.h>
#include <stdint.h>

static uint64_t table[256];

/* SplitMix64 (Steele et al., 2014): any fixed random table will do. */
void gear_fill(uint64_t seed)
{
    for (int i = 0; i < 256; i++) {
        uint64_t z = seed += UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        table[i] = z ^ (z >> 31);
    }
}

/* The plain loop: every byte is hashed, one cut in `average` bytes (a power of two), no bounds.  Returns the number
 * of chunks.  Of three ways to write it, the fastest with gcc. */
size_t gear_plain(const uint8_t *bytes, size_t size, uint64_t average)
{
    uint64_t mask = (average - 1) << 40;
    size_t chunks = 0, i = 0;
    while (i < size) {
        uint64_t hash = 0;
        while (i < size) {
            hash = (hash << 1) + table[bytes[i++]];
            if ((hash & mask) == 0)
                break;
        }
        chunks++;
    }
    return chunks;
}

/* Gear-NC2: nothing is hashed before min_bytes; a cut is 4 times as unlikely as 1 / average before `normal` bytes and
 * 4 times as likely after.  A threshold on the hash instead of a mask, so that any average is possible.  Writes the
 * cut points, at most size / min_bytes + 1, and returns their number. */
size_t gear_nc2(const uint8_t *bytes, size_t size, size_t min_bytes, size_t normal, size_t max_bytes, double average,
                uint64_t *cuts)
{
    uint64_t hard = (uint64_t)(0x1p62 / average), easy = hard << 4;
    size_t count = 0, start = 0;
    while (start < size) {
        size_t remaining = size - start, end = remaining < max_bytes ? remaining : max_bytes, i = min_bytes;
        const uint8_t *chunk = bytes + start;
        uint64_t hash = 0;
        for (; i < end; i++) {
            hash = (hash << 1) + table[chunk[i]];
            if (hash < (i < normal ? hard : easy)) {
                i++;
                break;
            }
        }
        start += i < end ? i : end;
        cuts[count++] = start;
    }
    return count;
}
