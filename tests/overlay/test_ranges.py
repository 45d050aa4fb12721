"""A set of ranges against a set of bytes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pfs.overlay.ranges import RangeSet

SPAN = 40
offsets = st.integers(0, SPAN)
operations = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "clip"]), offsets, offsets))


@given(operations, offsets, offsets)
def test_ranges_are_a_set_of_bytes(steps: list[tuple[str, int, int]], start: int, end: int) -> None:
    ranges, model = RangeSet(), set[int]()
    for what, first, last in steps:
        if what == "add":
            ranges.add(first, last)
            model |= set(range(first, last))
        else:
            ranges.clip(first)
            model = {byte for byte in model if byte < first}
    found = list(ranges)
    assert {byte for first, last in found for byte in range(first, last)} == model
    assert found == sorted(found)
    assert all(first < last for first, last in found)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
    assert len(ranges) == len(found)
    assert bool(ranges) == bool(model)
    assert ranges.covers(start, end) == (set(range(start, end)) <= model)
    pieces = list(ranges.segments(start, end))
    assert [byte for first, last, _ in pieces for byte in range(first, last)] == list(range(start, end))
    assert all((byte in model) == inside for first, last, inside in pieces for byte in range(first, last))


def test_a_copy_is_independent() -> None:
    ranges = RangeSet()
    ranges.add(0, 5)
    other = ranges.copy()
    other.add(7, 9)
    other.clip(3)
    assert list(ranges) == [(0, 5)]
