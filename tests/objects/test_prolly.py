"""The cut rule against its definition, word for word."""

from __future__ import annotations

import random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.objects.prolly import _MULTIPLIERS, CutRule, cut, cut_rule


def cut_by_definition(seeds: list[int], level: int, k: int) -> list[int]:
    """After the node's n-th entry: cut if n >= k/4 and h is low enough, or if n == 3k."""
    ends = []
    n = 0
    for index, c in enumerate(seeds, 1):
        n += 1
        h = ((c * _MULTIPLIERS[level % len(_MULTIPLIERS)]) ^ (c >> 15)) % 2**32
        limit = 2**32 / (4 * k) if n < 0.9 * k else 4 * 2**32 / k
        if (n >= k / 4 and h < limit) or n == 3 * k:
            ends.append(index)
            n = 0
    return ends


@given(
    st.one_of(
        st.lists(st.integers(0, 2**32 - 1), max_size=400),
        st.lists(st.integers(0, 3), max_size=600),
        st.integers(0, 1 << 32).map(
            lambda seed: [random.Random(seed + i).getrandbits(32) for i in range(1500)]
        ),
    ),
    st.integers(0, 20),
    st.sampled_from([32, 64, 128]),
)
def test_cut_is_its_definition(seeds: list[int], level: int, k: int) -> None:
    assert cut(seeds, level, cut_rule(k)) == cut_by_definition(seeds, level, k)


def test_the_rule_for_leaves() -> None:
    assert cut_rule(32) == CutRule(rows_min=8, rows_dense=29, rows_max=96, sparse=1 << 25, dense=1 << 29)
    assert cut_rule(64) == CutRule(rows_min=16, rows_dense=58, rows_max=192, sparse=1 << 24, dense=1 << 28)
    assert cut_rule(128) == CutRule(rows_min=32, rows_dense=116, rows_max=384, sparse=1 << 23, dense=1 << 27)


def test_multipliers_are_odd_and_distinct() -> None:
    assert all(multiplier % 2 for multiplier in _MULTIPLIERS)
    assert len(set(_MULTIPLIERS)) == len(_MULTIPLIERS)


NAMES = {
    "numbered": [b"file%07d.txt" % number for number in range(100_000)],
    "plain numbers": sorted(b"%d" % number for number in range(100_000)),
    "random hex": sorted(random.Random(number).randbytes(8).hex().encode() for number in range(100_000)),
    "file ids": [number.to_bytes(8, "big") for number in range(100_000)],
    "dates": [b"IMG_2026%04d_%06d.jpg" % (number // 300, number % 300 * 7) for number in range(100_000)],
}


@pytest.mark.parametrize("pattern", NAMES)
def test_nodes_have_their_size_whatever_the_names(pattern: str) -> None:
    keys = NAMES[pattern]
    for level, k in enumerate((32, 64)):
        ends = cut([crc32(key) for key in keys], level, cut_rule(k))
        assert 0.8 * k < len(keys) / len(ends) < 1.35 * k
        # The keys that end a node look like any others to the level above.
        keys = [keys[end - 1] for end in ends]
