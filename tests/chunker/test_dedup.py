"""What chunking is for: after a change, most chunks are the old ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pfs import chunker
from scripts.benchmarks.dedup import DATA_SETS, distinct_chunks, quality
from scripts.benchmarks.gear import Gear
from tests.chunker.samples import bitmap, dna, random_bytes, real_bytes

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def gear() -> Gear:
    return Gear()


@pytest.mark.parametrize("name", DATA_SETS)
def test_dedup_is_as_good_as_gear_with_normalized_chunking(name: str, gear: Gear) -> None:
    # 12 MiB here and 48 in the benchmark: two hundredths of tolerance are for the smaller sample.
    assert quality(gear, DATA_SETS[name](12 * MIB)) >= 0.97


@pytest.mark.parametrize("make", [random_bytes, real_bytes, bitmap, dna], ids=lambda make: make.__name__)
def test_one_byte_in_front_makes_one_or_two_new_chunks(make: Callable[[int], bytes]) -> None:
    data = make(32 * MIB)
    old = distinct_chunks(data, chunker.cut(data))
    new = distinct_chunks(b"!" + data, chunker.cut(b"!" + data))
    assert 1 <= len(new.keys() - old.keys()) <= 2
