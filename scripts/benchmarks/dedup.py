"""How well chunks of later versions are found among those of earlier ones, against Gear-NC2.

Both chunkers are given the same average size on each data set, or the one with smaller chunks would win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from blake3 import blake3

from pfs import chunker
from scripts.benchmarks.gear import Gear
from tests.chunker import samples

VERSIONS = 4
BYTES_PER_EDIT = 384 * 1024
"""One edit in six chunks: enough of them that chance evens out, few enough that most chunks are shared."""

DATA_SETS: dict[str, Callable[[int], bytes]] = {
    "random": samples.random_bytes,
    "Python sources": lambda size: samples.real_bytes(size, (".py",)),
    "binaries": lambda size: samples.real_bytes(size, (".so", ".a")),
    "DNA": samples.dna,
    "bitmap": samples.bitmap,
    "four symbols": lambda size: samples.symbols(size, b"ab \n"),
}
"""First versions, as functions of the size in bytes."""


def distinct_chunks(data: bytes, cuts: Sequence[int]) -> dict[bytes, int]:
    """Length of each distinct chunk by its hash."""
    view, start, lengths = memoryview(data), 0, {}
    for end in cuts:
        lengths[blake3(view[start:end]).digest()] = end - start
        start = end
    return lengths


def versions_of(data: bytes) -> list[bytes]:
    """The data and what edits made of it, one version after the other."""
    versions = [data]
    for seed in range(1, VERSIONS):
        versions.append(samples.edited(versions[-1], len(data) // BYTES_PER_EDIT, seed))
    return versions


def stored_bytes(versions: Sequence[bytes], cut: Callable[[bytes], list[int]]) -> int:
    """Bytes of all distinct chunks of all versions."""
    lengths: dict[bytes, int] = {}
    for version in versions:
        lengths.update(distinct_chunks(version, cut(version)))
    return sum(lengths.values())


def quality(gear: Gear, data: bytes) -> float:
    """Our dedup ratio on versions of the data over that of Gear-NC2; above 1 ours is better."""
    versions = versions_of(data)
    everything = b"".join(versions)
    wanted = len(everything) / len(chunker.cut(everything))
    average = gear.nc2_average(everything, wanted)
    ours = stored_bytes(versions, chunker.cut)
    return stored_bytes(versions, lambda version: gear.nc2(version, average)) / ours
