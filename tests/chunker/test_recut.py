"""Cutting again after a change equals cutting from scratch, and reads little."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pfs import chunker
from pfs.chunker import MAX_BYTES, MIN_BYTES, CutList, Recut
from tests.chunker.reference import FACTOR
from tests.chunker.samples import bitmap, periodic, random_bytes

KIB = 1024
BASES: dict[str, Callable[[int], bytes]] = {
    "random": random_bytes,
    "zeros": bytes,
    "bitmap": bitmap,
    "periodic": lambda size: periodic(size, 4096),
}


class RecordingFile:
    """A file in memory that notes what was read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        assert 0 < length <= len(self.data) - offset
        self.reads.append((offset, length))
        return self.data[offset : offset + length]


def apply(old_cuts: list[int], recuts: list[Recut]) -> list[int]:
    """The cut points of the new file, from the old ones and what gave way."""
    cuts: list[int] = []
    position = 0
    for start, end, new in recuts:
        assert position <= start
        cuts += [cut for cut in old_cuts if position < cut <= start]
        cuts += new
        position = end
    return cuts + [cut for cut in old_cuts if cut > position]


def recut(old: bytes, new: bytes, dirty: list[tuple[int, int]]) -> tuple[list[Recut], RecordingFile]:
    """Cut again, and check against cutting from scratch."""
    old_cuts = chunker.cut(old)
    file = RecordingFile(new)
    recuts = list(chunker.recut(file.read, len(new), CutList(old_cuts), dirty))
    assert apply(old_cuts, recuts) == chunker.cut(new)
    return recuts, file


sizes = st.one_of(st.integers(0, 5), st.integers(0, 1200 * KIB))
overwrites = st.lists(
    st.tuples(st.integers(0, 1200 * KIB), st.integers(1, 150 * KIB), st.sampled_from(["random", "zeros"])),
    max_size=5,
)


@given(st.sampled_from(sorted(BASES)), sizes, sizes, overwrites, st.booleans())
@example("random", MAX_BYTES * 3, MAX_BYTES * 4, [], True)
@example("zeros", MAX_BYTES * 3, MAX_BYTES * 4, [(MAX_BYTES, 1, "random")], True)
@settings(max_examples=200, deadline=None)
def test_equals_cutting_from_scratch(
    kind: str, old_size: int, new_size: int, writes: list[tuple[int, int, str]], resized: bool
) -> None:
    old = BASES[kind](old_size)
    if not resized:
        new_size = old_size
    new = bytearray(old[:new_size] + bytes(max(0, new_size - old_size)))
    dirty = []
    position = 0
    for offset, length, what in sorted(writes):
        start, end = max(offset, position), min(offset + length, new_size)
        if start < end:
            new[start:end] = random_bytes(end - start, seed=7) if what == "random" else bytes(end - start)
            dirty.append((start, end))
            position = end
    recut(old, bytes(new), dirty)


def test_unchanged_reads_nothing() -> None:
    data = random_bytes(500 * KIB)
    recuts, file = recut(data, data, [])
    assert (recuts, file.reads) == ([], [])


def test_small_overwrite_reads_a_few_chunks() -> None:
    old = random_bytes(8192 * KIB)
    new = bytearray(old)
    new[4000 * KIB : 4004 * KIB] = bytes(4 * KIB)
    (change,), file = recut(old, bytes(new), [(4000 * KIB, 4004 * KIB)])
    assert file.reads == [(change.start, chunker.READ_BYTES_FIRST)]
    assert change.end - change.start <= chunker.READ_BYTES_FIRST
    assert change.start > 4000 * KIB - MAX_BYTES


def test_append_restarts_near_the_end_and_keeps_the_rest() -> None:
    old = random_bytes(8192 * KIB)
    (change,), file = recut(old, old + b"x", [])
    assert change.end == len(old)
    assert change.cuts[-1] == len(old) + 1
    assert len(old) - MAX_BYTES < file.reads[0][0] == change.start


def test_far_apart_changes_are_cut_separately() -> None:
    old = random_bytes(8192 * KIB)
    new = bytearray(old)
    places = [1000 * KIB, 5000 * KIB, 8000 * KIB]
    for place in places:
        new[place] ^= 255
    changes, _ = recut(old, bytes(new), [(place, place + 1) for place in places])
    assert len(changes) == 3
    assert all(change.start <= place < change.end for change, place in zip(changes, places, strict=True))


@pytest.mark.parametrize("gap", [1, 5 * KIB, 40 * KIB, 70 * KIB, 100 * KIB, 130 * KIB, 200 * KIB])
def test_changes_near_each_other_are_cut_once(gap: int) -> None:
    old = random_bytes(2048 * KIB)
    for first in range(300 * KIB, 1500 * KIB, 64 * KIB):
        new = bytearray(old)
        new[first] ^= 255
        new[first + gap] ^= 255
        changes, _ = recut(old, bytes(new), [(first, first + 1), (first + gap, first + gap + 1)])
        dirty = (first, first + gap)
        assert all(any(change.start <= at < change.end for at in dirty) for change in changes)
        assert all(before.end <= after.start for before, after in pairwise(changes))
        assert sum(change.start <= first + gap < change.end for change in changes) == 1


@pytest.mark.parametrize("new_size", [0, 1, MIN_BYTES, 500 * KIB])
def test_truncation(new_size: int) -> None:
    old = random_bytes(900 * KIB)
    recuts, _ = recut(old, old[:new_size], [])
    assert recuts[-1].end == len(old)
    # Ranges written before the truncation, one of them cut off by it.
    again, _ = recut(old, old[:new_size], [(new_size // 2, new_size // 2 + 9), (800 * KIB, 850 * KIB)])
    assert again[-1].end == len(old)


def test_restart_is_the_first_chunk_that_could_read_the_change() -> None:
    cuts = [MAX_BYTES, 2 * MAX_BYTES, 3 * MAX_BYTES]
    old = CutList(cuts)
    assert chunker.restart(old, 0) == 0
    assert chunker.restart(old, MAX_BYTES - 1) == 0
    assert chunker.restart(old, MAX_BYTES) == MAX_BYTES
    assert chunker.restart(old, 3 * MAX_BYTES) == 3 * MAX_BYTES
    assert chunker.restart(old, 9 * MAX_BYTES) == 3 * MAX_BYTES
    assert chunker.restart(CutList([MIN_BYTES, 2 * MIN_BYTES]), 2 * MIN_BYTES) == 0
    assert chunker.restart(CutList([]), 5) == 0


def test_the_chunk_that_holds_the_change_is_too_late_a_start() -> None:
    """Why restart looks MAX_BYTES back: a later word decided for an earlier chunk, too."""
    old = random_bytes(400 * KIB)
    first, second = chunker.cut(old)[:2]
    winner = (0xFFFFFFFF * pow(FACTOR, -1, 2**32) % 2**32).to_bytes(4, "little")
    place = min(first + 8, MAX_BYTES - 4)
    assert first <= place < second
    new = old[:place] + winner + old[place + 4 :]
    changes, _ = recut(old, new, [(place, place + 4)])
    assert changes[0].start == 0
    assert changes[0].cuts[0] == place + 4


def test_old_chunks_hold_only_past_the_change_and_at_an_old_cut() -> None:
    old = CutList([100, 200])
    assert chunker.meets(old, 100, 100)
    assert not chunker.meets(old, 100, 101)
    assert not chunker.meets(old, 150, 100)
    assert not chunker.meets(old, 300, 100)


@pytest.mark.parametrize("end", [MAX_BYTES - 1, MAX_BYTES, 5 * MAX_BYTES, 5 * MAX_BYTES + 70_000])
def test_holes_are_stepped_over_by_division(end: int) -> None:
    whole = chunker.whole_zero_chunks(0, end)
    data = bytes(end) + random_bytes(200 * KIB)
    assert chunker.cut(data)[:whole] == [MAX_BYTES * (k + 1) for k in range(whole)]
