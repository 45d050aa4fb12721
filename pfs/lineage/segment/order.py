"""One order in which every fact of a group stands after what it depends on.

That there is one proves that no version depends on itself.  A group may be cut anywhere in it: each piece
then needs only the pieces before.  Refused is also what refers to nothing: an input that is neither a row
above nor used, an activity without a slice, a watermark beyond the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from pfs.lineage.facts import Version
from pfs.lineage.group import Group


class What(IntEnum):
    """What comes next."""

    INPUTS = 0
    VERSION = 1
    CHANGE = 2
    SLICE = 3  # an activity that nothing mentions but those it started


class Step(NamedTuple):
    """The next `amount` inputs of a slice, or one version, change or slice: number `number` of the group."""

    what: What
    number: int
    amount: int = 1


def in_order(group: Group) -> list[Step]:
    """All facts of a group.  ValueError if there is no such order, or the group refers to what it has not."""
    return list(_Order(group).steps())


def distinct(ids: Sequence[int], what: str) -> dict[int, int]:
    """Id → its position.  ValueError if one is zero or stands twice."""
    positions = {an_id: position for position, an_id in enumerate(ids)}
    if len(positions) != len(ids) or 0 in positions:
        raise ValueError(f"the id of {what} is zero or stands twice")
    return positions


class _Order:
    """The walk over one group."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._slices = distinct([piece.activity.id for piece in group.slices], "an activity")
        self._rows = distinct([version.id for version in group.versions], "a version")
        self._used = distinct([version.id for version, _ in group.used], "a used version")
        if not self._rows.keys().isdisjoint(self._used):
            raise ValueError("a version is both made and used from elsewhere")
        if any(piece.first < (1 if piece.before else 0) for piece in group.slices):
            raise ValueError("a slice begins before the first input, or has one before it and begins there")
        self._ends = [piece.end for piece in group.slices]
        self._done = [piece.first for piece in group.slices]
        self._mentioned = [bool(piece.inputs) for piece in group.slices]
        self._parent = [self._slices.get(piece.activity.parent) for piece in group.slices]

    def steps(self) -> Iterator[Step]:
        changes = self._group.changes
        changed = 0
        for row, version in enumerate(self._group.versions):
            while changed < len(changes) and changes[changed].time_ns <= version.time_ns:
                yield from self._change(changed)
                changed += 1
            yield from self._version(row, version)
        for number in range(changed, len(changes)):
            yield from self._change(number)
        for index, end in enumerate(self._ends):
            yield from self._inputs(index, end, len(self._rows))
        for index, mentioned in enumerate(self._mentioned):
            if not mentioned:
                yield Step(What.SLICE, index)

    def _parents(self, index: int | None) -> Iterator[Step]:
        """Whoever started an activity, where nothing mentioned them so far: near those they started."""
        while index is not None and (index := self._parent[index]) is not None and not self._mentioned[index]:
            self._mentioned[index] = True
            yield Step(What.SLICE, index)

    def _change(self, number: int) -> Iterator[Step]:
        index = self._slices.get(self._group.changes[number].activity)
        if index is not None:
            self._mentioned[index] = True
        yield Step(What.CHANGE, number)
        yield from self._parents(index)

    def _version(self, row: int, version: Version) -> Iterator[Step]:
        for writer in version.writers:
            yield from self._inputs(self._slice(writer.activity, writer.watermark), writer.watermark, row)
        if version.depends_on_previous:
            self._check_version(version.previous, row)
        if version.focus is not None:
            watermark = max((writer.watermark for writer in version.writers), default=0)
            if any(not 0 <= position < watermark for position in version.focus):
                raise ValueError(f"row {row} has a focus beyond its inputs")
        yield Step(What.VERSION, row)
        for writer in version.writers:
            yield from self._parents(self._slices[writer.activity])

    def _slice(self, activity: int, watermark: int) -> int:
        """The number of an activity's slice, which has that many inputs at least."""
        index = self._slices.get(activity)
        if index is None:
            raise ValueError(f"activity {activity:016x} has no slice")
        if not 0 <= watermark <= self._ends[index]:
            raise ValueError(f"activity {activity:016x} does not have {watermark} inputs")
        self._mentioned[index] = True
        return index

    def _check_version(self, version: int, rows: int) -> None:
        row = self._rows.get(version)
        if row is None:
            if version not in self._used:
                raise ValueError(f"version {version:016x} is neither made here nor used from elsewhere")
        elif row >= rows:
            raise ValueError(f"version {version:016x} is used before it is made")

    def _inputs(self, index: int, upto: int, rows: int) -> Iterator[Step]:
        """The inputs of a slice up to a position, first those of its informers; `rows` were made so far."""
        stack = [(index, upto)]
        waiting = {index}
        while stack:
            index, upto = stack[-1]
            start = self._done[index]
            informer = self._advance(index, upto, rows)
            if self._done[index] > start:
                yield Step(What.INPUTS, index, self._done[index] - start)
            if informer is None:
                waiting.remove(stack.pop()[0])
            elif informer[0] in waiting:
                raise ValueError("activities inform each other in a circle")
            else:
                stack.append(informer)
                waiting.add(informer[0])

    def _advance(self, index: int, upto: int, rows: int) -> tuple[int, int] | None:
        """Pass inputs of a slice until `upto`, or until one that needs another slice's inputs: that slice."""
        piece = self._group.slices[index]
        inputs, first = piece.inputs, piece.first
        for position in range(self._done[index], upto):
            source = inputs[position - first]
            if source.informed:
                informer = self._slice(source.source, source.watermark)
                done = position if informer == index else self._done[informer]
                if done < source.watermark:
                    self._done[index] = position
                    return informer, source.watermark
            else:
                if source.watermark:
                    raise ValueError("a version as an input has no watermark")
                self._check_version(source.source, rows)
        self._done[index] = max(self._done[index], upto)
        return None
