"""A group of facts to segments: cut where they grow too large, each built on those before.

The cuts follow the order of pfs.lineage.segment.order, so whatever a fact needs stands in its own segment
or in one before.  There it is named by the id of that segment: a version as a used one with its origin,
earlier inputs of an activity by `Slice.before`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from pfs.lineage.facts import Input
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.segment import stored
from pfs.lineage.segment.codec import Written, facts_of, write
from pfs.lineage.segment.names import Facts
from pfs.lineage.segment.order import Step, What, in_order
from pfs.objects.ids import Kind, object_id

# What a piece is made smaller than, by the size of the one before, so that few are written in vain.
_AIM: Final = 0.9


class Segment(NamedTuple):
    """A payload (of a LINEAGE object) and the versions that its rows are."""

    payload: bytes
    rows: list[int]


def encode(group: Group, *, store: bytes) -> list[Segment]:
    """The segments that hold a group, each after those it builds on; none if the group is empty.

    store: uuid (16 bytes) of the store whose repos and file ids are named.  ValueError if the group refers to
    what it has not, depends on itself, or holds a value that no process and no file has.
    """
    steps = in_order(group)
    if not steps:
        return []
    cutter = _Cutter(group, steps, store)
    while cutter.left:
        cutter.cut()
    return cutter.segments


class _Piece(NamedTuple):
    """What one segment is made of, and where the cutting stands after it."""

    facts: Facts
    numbers: list[int]  # of its slices in the group
    at: int
    within: int
    rows: int
    changes: int
    taken: int


class _Cutter:
    """Where the cutting of one group has come to."""

    def __init__(self, group: Group, steps: Sequence[Step], store: bytes) -> None:
        self.segments: list[Segment] = []
        self.left = sum(step.amount for step in steps)
        self._group = group
        self._store = store
        self._steps = steps
        self._take = self.left  # how much is tried next
        self._at = 0  # the step that comes next
        self._within = 0  # how much of it is done
        self._used = dict(facts_of(group).used)
        self._slices = {piece.activity.id: number for number, piece in enumerate(group.slices)}
        self._done = [piece.first for piece in group.slices]
        self._before = [piece.before for piece in group.slices]
        self._rows = 0
        self._changes = 0

    def cut(self) -> None:
        """Make the next segment."""
        while True:
            take = min(self._take, self.left)
            piece = self._piece(take)
            written = write(piece.facts, self._store)
            if written.fill <= 1 or take == 1:
                break
            self._take = max(1, int(take / written.fill * _AIM))
        if written.unfolds > 1 or len(written.payload) > stored.PAYLOAD_BYTES_MAX:
            raise ValueError("one fact and what it names are larger than a segment may be")
        self._take = max(1, int(take / max(written.fill, 1 / stored.FACTS_MAX) * _AIM))
        self._advance(piece, written)

    def _piece(self, take: int) -> _Piece:
        """What the next `take` facts need in one segment."""
        counts = Counter[int]()
        mentioned = set[int]()
        rows, changes, at, inside = self._rows, self._changes, self._at, self._within
        taken = take
        while take:
            step = self._steps[at]
            amount = min(step.amount - inside, take)
            if step.what is What.INPUTS:
                counts[step.number] += amount
            elif step.what is What.VERSION:
                mentioned.update(self._slices[one.activity] for one in self._group.versions[rows].writers)
                rows += 1
            elif step.what is What.CHANGE:
                mentioned.add(self._slices.get(self._group.changes[changes].activity, -1))
                changes += 1
            else:
                mentioned.add(step.number)
            take -= amount
            inside = inside + amount if inside + amount < step.amount else 0
            at += not inside
        inputs = {number: self._inputs(number, count) for number, count in counts.items()}
        mentioned.update(inputs)
        for part in inputs.values():
            mentioned.update(self._slices[item.source] for item in part if item.informed)
        numbers = sorted(mentioned - {-1})
        facts = Facts(
            [self._slice(number, inputs.get(number, ())) for number in numbers],
            self._group.versions[self._rows : rows],
            self._used,
            self._group.changes[self._changes : changes],
            () if self.segments else self._group.after,
        )
        return _Piece(facts, numbers, at, inside, rows, changes, taken)

    def _inputs(self, number: int, count: int) -> tuple[Input, ...]:
        start = self._done[number] - self._group.slices[number].first
        return self._group.slices[number].inputs[start : start + count]

    def _slice(self, number: int, inputs: tuple[Input, ...]) -> Slice:
        whole = self._group.slices[number]
        done = self._done[number]
        return replace(whole, first=done, inputs=inputs, before=self._before[number] if done else b"")

    def _advance(self, piece: _Piece, written: Written) -> None:
        """Take note of a segment that is made."""
        facts = piece.facts
        segment = object_id(Kind.LINEAGE, written.payload)
        self.segments.append(Segment(written.payload, [version.id for version in facts.versions]))
        for row, version in enumerate(facts.versions):
            self._used[version.id] = version, Origin(segment, row)
        for number, part in zip(piece.numbers, facts.slices, strict=True):
            if part.inputs:
                self._done[number] = part.end
                self._before[number] = segment
        self._at, self._within, self._rows, self._changes = piece.at, piece.within, piece.rows, piece.changes
        self.left -= piece.taken
