"""Bytes to cut: one generator per kind that has ever broken a chunker, all from seeds.

The tests and `scripts/bench chunker` share them. Sizes are in bytes; the same arguments give the same bytes.
"""

from __future__ import annotations

import os
import random
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from tests.chunker.reference import FACTOR, rank

PERIODS = (2, 3, 5, 16, 17, 4096)


def random_bytes(size: int, seed: int = 1) -> bytes:
    """Incompressible bytes."""
    return random.Random(seed).randbytes(size)


@lru_cache(maxsize=8)
def real_bytes(size: int, suffixes: tuple[str, ...] = (".py", ".so")) -> bytes:
    """Files of the standard library one after the other, in the order of their paths."""
    library = Path(sysconfig.get_paths()["stdlib"])
    parts, have = [], 0
    for directory, _, names in sorted(os.walk(library)):
        if "site-packages" in directory:
            continue
        for name in sorted(names):
            if name.endswith(suffixes) and have < size:
                parts.append((Path(directory) / name).read_bytes())
                have += len(parts[-1])
    joined = b"".join(parts)
    return (joined * (size // len(joined) + 1))[:size]


def periodic(size: int, period: int, seed: int = 1) -> bytes:
    """One random string of `period` bytes again and again."""
    return (random.Random(seed).randbytes(period) * (size // period + 1))[:size]


def symbols(size: int, alphabet: bytes, seed: int = 1) -> bytes:
    """Independent symbols of a small alphabet; 2, 4 or 16 symbols are fast."""
    draws = random.Random(seed).randbytes(size)
    return draws.translate(bytes(alphabet[i % len(alphabet)] for i in range(256)))


def bitmap(size: int, seed: int = 1) -> bytes:
    """Two symbols, 0x00 and 0xFF."""
    return symbols(size, b"\x00\xff", seed)


def dna(size: int, seed: int = 1) -> bytes:
    """Bases in lines of 60, as in a FASTA file."""
    line = 61
    bases = bytearray(symbols(size + line, b"ACGT", seed))
    bases[line - 1 :: line] = b"\n" * len(range(line - 1, len(bases), line))
    return bytes(bases[:size])


KINDS: dict[str, Callable[[int], bytes]] = {
    "random": random_bytes,
    "real": real_bytes,
    "zeros": bytes,
    "0xFF": lambda size: b"\xff" * size,
    **{f"period {period}": lambda size, period=period: periodic(size, period) for period in PERIODS},  # type: ignore[misc]
    "two symbols": bitmap,
    "DNA": dna,
}
"""Every kind that CHUNKING asks for, as a function of the size."""


def most_ties(size: int, min_bytes: int, max_bytes: int, seed: int = 1) -> bytes:
    """The dearest input known: as many ties as are still ranked, and yet every cut at `min_bytes`.

    A word of the greatest score stands at every eighth byte: one tie for each 8 candidates, the most that the
    rule ranks. Filler between them has one low rank; before each multiple of `min_bytes`
    stands filler that ranks above it, and below the one before, so the earliest such place always wins.
    """
    chance = random.Random(seed)
    top = (0xFFFFFFFF * pow(FACTOR, -1, 2**32) % 2**32).to_bytes(4, "little")
    group = next(g for g in iter(lambda: chance.randbytes(4) + top, b"") if rank(g * 8) < 2**60)
    steps = min(size // min_bytes + 1, 256)
    peaks: list[tuple[int, bytes]] = []
    while len(peaks) < steps:
        peak = b"".join(chance.randbytes(4) + top for _ in range(8))
        ranks = [rank((group * 8 + peak + group * 8)[k : k + 64]) for k in range(8, 128, 8)]
        if ranks[7] == max(ranks) and ranks[7] > 2**63:
            peaks.append((ranks[7], peak))
    filler = group * (min_bytes // 8)
    stretch = b"".join(filler[: min_bytes - 64] + peak for _, peak in sorted(peaks, reverse=True))
    return (stretch * (size // len(stretch) + 1))[:size]


def edited(data: bytes, edits: int, seed: int) -> bytes:
    """The data after so many inserts, deletions and overwrites of 1 to 64 bytes at random places."""
    chance = random.Random(seed)
    places = sorted(chance.sample(range(len(data)), edits))
    alphabet = data[:65536]
    parts, position = [], 0
    for place in places:
        parts.append(data[position : max(position, place)])
        length = chance.randint(1, 64)
        kind = chance.randrange(3)
        if kind < 2:
            parts.append(bytes(chance.choices(alphabet, k=length)))
        position = max(position, place) + (length if kind else 0)
    parts.append(data[position:])
    return b"".join(parts)
