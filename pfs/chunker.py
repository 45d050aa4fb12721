"""Where to cut bytes into chunks, and how little to cut again after a change.

The rule is specified in native/chunker.h; it, its constants and the two sizes below are one format, numbered
FORMAT and kept by every store. Promises: the same bytes give the same chunks on every machine; a decision
reads at most MAX_BYTES from the chunk's start, so any cut point is an exact place to start again. Boundaries
are not keyed: whoever knows the bytes knows the cuts. Leaves hashing and storing the chunks to the caller.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pfs import _native

if TYPE_CHECKING:
    from typing_extensions import Buffer

MIN_BYTES = 32 * 1024
"""No chunk but the last of a file is shorter; a file up to this size is one chunk."""

MAX_BYTES = 96 * 1024
"""No chunk is longer. Sizes are uniform between the two, so the average is 64 KiB."""

FORMAT = 1
"""Number of the rule, its constants and its two sizes; a store refuses another."""

READ_BYTES_FIRST = 3 * MAX_BYTES
"""First read of `recut`: after a small change the cut points mostly meet within the next two chunks."""

READ_BYTES_MAX = 4 * 1024 * 1024
"""Longest read of `recut`: bounds memory, and is long against the cost of a call."""


def cut(buffer: Buffer, *, final: bool = True) -> list[int]:
    """Return the cut points of a C-contiguous buffer that starts at a cut point: ascending ends of chunks.

    With `final` the file ends with the buffer, and so does the last chunk; an empty buffer has no chunk.
    Without it more bytes follow, and only cut points that they cannot move come back; the caller goes on from
    the last of them, with more bytes at hand (less than MAX_BYTES may give none). Releases the GIL.
    """
    return _native.cut_points(buffer, MIN_BYTES, MAX_BYTES, final)


def whole_zero_chunks(start: int, end: int) -> int:
    """Return how many chunks of MAX_BYTES follow the cut point `start` when [start, end) is all zero bytes.

    Zeros are always cut at MAX_BYTES, so a hole of any length is stepped over without reading it.
    """
    return (end - start) // MAX_BYTES


class OldCuts(Protocol):
    """The chunk boundaries of a file before the change: 0, every cut point, and so its size."""

    @property
    def size(self) -> int:
        """Bytes of the old file: the last boundary."""
        ...

    def at_or_after(self, offset: int) -> int:
        """Return the least boundary that is >= `offset`, for 0 <= offset <= size."""
        ...


class CutList:
    """OldCuts of a list as `cut` returns it for a whole file."""

    def __init__(self, cuts: Sequence[int]) -> None:
        self._cuts = cuts

    @property
    def size(self) -> int:
        """Bytes of the old file."""
        return self._cuts[-1] if self._cuts else 0

    def at_or_after(self, offset: int) -> int:
        """Return the least boundary that is >= `offset`."""
        return self._cuts[bisect_left(self._cuts, offset)] if offset else 0


def restart(old: OldCuts, dirty_start: int) -> int:
    """Return where to start to cut again after a change at `dirty_start`.

    It is the first old boundary with boundary + MAX_BYTES > dirty_start: not the start of the chunk that
    holds the change, since chunks before it read that far too. Past the old end a change counts as there.
    """
    return old.at_or_after(max(0, min(dirty_start, old.size) - MAX_BYTES + 1))


def meets(old: OldCuts, new_cut: int, dirty_end: int) -> bool:
    """Whether the old chunks hold from the new cut point on: it is past the change, and an old one."""
    return dirty_end <= new_cut <= old.size and old.at_or_after(new_cut) == new_cut


class Recut(NamedTuple):
    """The old chunks in [start, end) give way to chunks that end at `cuts`.

    `cuts` ends with `end`, but for the last change of a file that got shorter or longer: there `end` is the
    old size, and `cuts` ends with the new one or is empty, if the new file ends at `start`.
    """

    start: int
    end: int
    cuts: list[int]


def recut(
    read: Callable[[int, int], Buffer], size: int, old: OldCuts, dirty: Iterable[tuple[int, int]]
) -> Iterator[Recut]:
    """Cut a changed file again: the least that gives the same cut points as cutting it from scratch.

    `read(offset, length)` returns exactly those bytes of the file as it is now, `size` bytes long. `dirty`
    are the ascending, disjoint ranges [start, end) outside of which the old and the new file are equal as far
    as both reach; a change of size needs no range. The results are ascending and disjoint; other chunks hold.
    """
    done = 0
    for dirty_start, dirty_end in _with_size_change(size, old.size, dirty):
        if dirty_end <= done:
            continue
        start = max(done, restart(old, dirty_start))
        met, cuts = _cut_until_met(read, size, old, start, dirty_end)
        if met is None:
            yield Recut(start, old.size, cuts)
            return
        yield Recut(start, met, cuts)
        done = met


def _with_size_change(
    size: int, old_size: int, dirty: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """The ranges that begin within both files, then the one that only one of them has.

    The last chunks were cut with the end in view, so an end that moved is a change at the shorter one's end.
    """
    shorter, longer = sorted((size, old_size))
    for start, end in dirty:
        if start < shorter:
            yield start, end
    if shorter < longer:
        yield shorter, longer


def _cut_until_met(
    read: Callable[[int, int], Buffer], size: int, old: OldCuts, start: int, dirty_end: int
) -> tuple[int | None, list[int]]:
    """Where the new cut points meet the old ones, if they do, and the new ones up to there or to the end."""
    cuts: list[int] = []
    position, length_max = start, READ_BYTES_FIRST
    while position < size:
        length = min(length_max, size - position)
        for offset in cut(read(position, length), final=position + length == size):
            cuts.append(position + offset)
            if meets(old, cuts[-1], dirty_end):
                return cuts[-1], cuts
        position, length_max = cuts[-1], min(2 * length_max, READ_BYTES_MAX)
    return None, cuts
