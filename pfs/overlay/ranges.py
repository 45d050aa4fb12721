"""A set of byte ranges, kept sorted and merged.

Used for the dirty ranges of a layer: which bytes below `low` its working file
holds.  Half-open ranges [start, end); neighbours that touch are one range.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class RangeSet:
    """Disjoint, sorted, half-open byte ranges.  Owned by one layer; not thread-safe."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Add [start, end); an empty range changes nothing."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def covers(self, start: int, end: int) -> bool:
        """Whether every byte of [start, end) is in the set (true for an empty range)."""
        if start >= end:
            return True
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and self._ends[at] >= end

    def clip(self, limit: int) -> None:
        """Forget everything at or past `limit`."""
        at = bisect_left(self._starts, limit)
        del self._starts[at:]
        del self._ends[at:]
        if self._ends and self._ends[-1] > limit:
            self._ends[-1] = limit

    def segments(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Split [start, end) into pieces (start, end, whether in the set), in order."""
        at = bisect_right(self._ends, start)
        while start < end:
            if at == len(self._starts) or self._starts[at] >= end:
                yield start, end, False
                return
            if self._starts[at] > start:
                yield start, self._starts[at], False
                start = self._starts[at]
            stop = min(end, self._ends[at])
            yield start, stop, True
            start = stop
            at += 1

    def copy(self) -> RangeSet:
        """An independent copy."""
        other = RangeSet()
        other._starts = self._starts.copy()
        other._ends = self._ends.copy()
        return other
