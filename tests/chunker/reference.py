"""The cut rule written down word for word: slow, obvious, and the judge of every kernel.

Follows the four steps of native/chunker.h with Python's integers and nothing clever.
"""

from __future__ import annotations

FACTOR = 0x9E3779B1
RANK_CONSTANTS = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)


def rank(window: bytes) -> int:
    """Rank of the 64 bytes before a candidate."""
    words = [int.from_bytes(window[k : k + 8], "little") for k in range(0, 64, 8)]
    keyed = [word ^ constant for word, constant in zip(words, RANK_CONSTANTS, strict=True)]
    result = 0
    for k in range(0, 8, 2):
        product = keyed[k] * keyed[k + 1]
        result ^= (product % 2**64) ^ (product // 2**64)
    return result


def chunk_length(data: bytes, start: int, min_bytes: int, max_bytes: int) -> int:
    """Length of the chunk that starts at `start` in data that ends where the file ends."""
    remaining = len(data) - start
    if remaining <= min_bytes:
        return remaining
    m = min(max_bytes, remaining)
    chunk = data[start : start + m]
    scores = {i: int.from_bytes(chunk[i - 4 : i], "little") * FACTOR % 2**32 for i in range(min_bytes, m + 1)}
    top = max(scores.values())
    ties = [i for i, score in scores.items() if score == top]
    if top == 0 or len(ties) > (m - min_bytes) / 8 + 1:
        return m
    if len(ties) == 1:
        return ties[0]
    return max(ties, key=lambda i: (rank(chunk[i - 64 : i]), i))


def cut(data: bytes, min_bytes: int, max_bytes: int) -> list[int]:
    """Every cut point of a whole file."""
    cuts: list[int] = []
    start = 0
    while start < len(data):
        start += chunk_length(data, start, min_bytes, max_bytes)
        cuts.append(start)
    return cuts
