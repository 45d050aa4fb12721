"""Closures in Python, over any `Source` (meaning: pfs.lineage.index.closure).

The walk goes over versions by depth; each input of an activity is looked at once, however many of its outputs
are in the answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from pfs.lineage.facts import NOTHING, Input, Level, Source, Version


class EdgeKind(IntEnum):
    """What an edge says, in PROV's words."""

    GENERATED = 0  # source: an activity, target: a version that it wrote
    USED = 1  # source: a version, target: an activity
    INFORMED = 2  # source: an activity, target: another
    REVISED = 3  # source: a version, target: the version after it


class Edge(NamedTuple):
    """One edge, from what was first to what came from it; position: in the target's inputs, else 0."""

    kind: int
    source: int
    target: int
    position: int
    level: int


class Closure(NamedTuple):
    """All that was reached, the nearest first; edges and what was left out only where they were asked for.

    depths: of `versions`, how many versions away from the roots, which are the first.  left_out: level → how
    many edges were too weak to be followed.
    """

    versions: Sequence[int]
    depths: Sequence[int]
    activities: Sequence[int]
    edges: list[Edge]
    left_out: dict[int, int]


class Question(NamedTuple):
    """What is asked for, besides the roots."""

    down: bool
    level_max: int
    depth: int | None
    edges: bool


class _TooLarge(Exception):
    """The answer needs more steps than were given."""


class Walk(ABC):
    """What both directions share."""

    def __init__(self, source: Source, roots: Sequence[int], question: Question) -> None:
        self._source = source
        self._level_max = question.level_max
        self._depth_max = question.depth
        self._with_edges = question.edges
        self._depths: dict[int, int] = {}  # of versions, in the order in which they were reached
        self._queue: list[int] = []
        self._steps_left: int | None = None
        self._inputs_of: dict[int, Sequence[Input]] = {}
        self._interactive: dict[int, bool] = {}
        for root in roots:
            self._reach(root, 0)

    def run(self, steps_max: int | None) -> Closure | None:
        """What was found; None if that needs more than so many looks at versions and inputs.  Once."""
        self._steps_left = steps_max
        try:
            # The queue grows meanwhile; depths in it only ascend.
            for version in self._queue:
                self._spend(1)
                depth = self._depths[version]
                if self._depth_max is None or depth < self._depth_max:
                    self._expand(version, depth)
        except _TooLarge:
            return None
        return self._closure()

    def _spend(self, steps: int) -> None:
        if self._steps_left is not None:
            self._steps_left -= steps
            if self._steps_left < 0:
                raise _TooLarge

    def _closure(self) -> Closure:
        edges: list[Edge] = []
        left_out: dict[int, int] = {}
        if self._with_edges:
            edges += self._other_edges()
            for activity, position, item, level in self._input_edges():
                if level > self._level_max:
                    left_out[level] = left_out.get(level, 0) + 1
                else:
                    kind = EdgeKind.INFORMED if item.informed else EdgeKind.USED
                    edges.append(Edge(kind, item.source, activity, position, level))
        versions, depths = array("Q", self._depths.keys()), array("I", self._depths.values())
        return Closure(versions, depths, array("Q", self._activities()), edges, left_out)

    def _reach(self, version: int, depth: int) -> None:
        if version not in self._depths:
            self._depths[version] = depth
            self._queue.append(version)

    def _inputs(self, activity: int) -> Sequence[Input]:
        found = self._inputs_of.get(activity)
        if found is None:
            found = self._inputs_of[activity] = self._source.inputs(activity)
            self._spend(len(found))
        return found

    def _telling(self, activity: int) -> int:
        """The level at which what an activity had learned reaches those whom it informed."""
        found = self._interactive.get(activity)
        if found is None:
            described = self._source.activity(activity)
            found = self._interactive[activity] = described is not None and described.interactive
        return Level.AMBIENT if found else Level.OBSERVED

    @abstractmethod
    def _expand(self, version: int, depth: int) -> None:
        """Follow the edges of a version."""

    @abstractmethod
    def _other_edges(self) -> Iterator[Edge]:
        """What was generated and revised."""

    @abstractmethod
    def _input_edges(self) -> Iterator[tuple[int, int, Input, int]]:
        """(activity, position, input, level), also of those that are too weak."""

    @abstractmethod
    def _activities(self) -> Iterable[int]:
        """All that belong to the answer."""


class _Cover:
    """Which inputs of an activity hold: `focus`, and by level those before a mark."""

    __slots__ = ("done", "focus", "marks")

    def __init__(self) -> None:
        self.marks = _no_marks()
        self.focus: set[int] = set()
        self.done = 0  # inputs before it have been followed


class Upstream(Walk):
    """What versions came from."""

    def __init__(self, source: Source, roots: Sequence[int], question: Question) -> None:
        super().__init__(source, roots, question)
        self._covers: dict[int, _Cover] = {}
        self._expanded: list[Version] = []

    def _expand(self, version: int, depth: int) -> None:
        record = self._source.version(version)
        if record is None:
            return
        self._expanded.append(record)
        if record.depends_on_previous:
            self._reach(record.previous, depth + 1)
        focus, rest = _focus(record)
        for writer in record.writers:
            self._cover(writer.activity, writer.watermark, rest, focus or (), depth)

    def _cover(self, activity: int, watermark: int, rest: int, focus: Iterable[int], depth: int) -> None:
        waiting = [(activity, watermark, rest, focus)]
        while waiting:
            who, mark, level, singles = waiting.pop()
            cover = self._covers.setdefault(who, _Cover())
            cover.marks[level] = max(cover.marks[level], mark)
            positions = [at for at in singles if cover.done <= at < mark and at not in cover.focus]
            cover.focus.update(at for at in singles if 0 <= at < mark)
            if level <= self._level_max and mark > cover.done:
                positions += range(cover.done, mark)
                cover.done = mark
            if not positions:
                continue
            inputs = self._inputs(who)
            for at in positions:
                item = inputs[at] if at < len(inputs) else None
                if item is None or item.source == NOTHING or item.level > self._level_max:
                    continue
                if item.informed:
                    waiting.append((item.source, item.watermark, self._telling(item.source), ()))
                else:
                    self._reach(item.source, depth + 1)

    def _other_edges(self) -> Iterator[Edge]:
        for record in self._expanded:
            for writer in record.writers:
                yield Edge(EdgeKind.GENERATED, writer.activity, record.id, 0, Level.OBSERVED)
            if record.depends_on_previous:
                yield Edge(EdgeKind.REVISED, record.previous, record.id, 0, Level.OBSERVED)

    def _input_edges(self) -> Iterator[tuple[int, int, Input, int]]:
        for activity, cover in self._covers.items():
            end = max(cover.marks)
            inputs = self._inputs(activity) if end else ()
            for at, item in zip(range(end), inputs, strict=False):
                level = _level(at, item.level, cover.marks, cover.focus)
                if level is not None and item.source != NOTHING:
                    yield activity, at, item, level

    def _activities(self) -> Iterable[int]:
        return self._covers


class _Touched:
    """What of an activity is downstream of the positions that were reached."""

    __slots__ = ("focus", "marks", "outputs", "positions", "told")

    def __init__(self) -> None:
        self.marks = _no_marks()  # by level: what is before one of them led to something
        self.outputs: list[tuple[int, int]] = []  # (watermark, version), ascending; taken from the end
        self.focus: dict[int, list[int]] = {}
        self.told: list[tuple[int, int, int, int]] = []  # (watermark of ours, activity, position, level)
        self.positions: dict[int, None] = {}


class Downstream(Walk):
    """What came from versions."""

    def __init__(self, source: Source, roots: Sequence[int], question: Question) -> None:
        super().__init__(source, roots, question)
        self._all_touched: dict[int, _Touched] = {}
        self._generated: dict[tuple[int, int], None] = {}
        self._revised: list[tuple[int, int]] = []

    def _expand(self, version: int, depth: int) -> None:
        for later in self._source.revisions(version):
            record = self._source.version(later)
            if record is not None and record.depends_on_previous and record.previous == version:
                self._revised.append((version, later))
                self._reach(later, depth + 1)
        for activity, position in self._source.consumers(version):
            self._touch(activity, position, depth)

    def _touch(self, activity: int, position: int, depth: int) -> None:
        waiting = [(activity, position)]
        while waiting:
            who, at = waiting.pop()
            touched = self._all_touched.get(who)
            if touched is None:
                touched = self._all_touched[who] = self._touched(who)
            if at in touched.positions:
                continue
            touched.positions[at] = None
            if self._inputs(who)[at].level > self._level_max:
                continue
            made = list(touched.focus.get(at, ()))
            while touched.outputs and touched.outputs[-1][0] > at:
                made.append(touched.outputs.pop()[1])
            for version in made:
                self._generated[who, version] = None
                self._reach(version, depth + 1)
            while touched.told and touched.told[-1][0] > at:
                _, sink, where, _ = touched.told.pop()
                waiting.append((sink, where))

    def _touched(self, activity: int) -> _Touched:
        touched = _Touched()
        for version in dict.fromkeys(self._source.outputs(activity)):
            record = self._source.version(version)
            self._spend(1)
            if record is None:
                continue
            focus, rest = _focus(record)
            for writer in record.writers:
                if writer.activity != activity:
                    continue
                touched.marks[rest] = max(touched.marks[rest], writer.watermark)
                if rest <= self._level_max:
                    touched.outputs.append((writer.watermark, version))
                for at in set(focus or ()):
                    if 0 <= at < writer.watermark:
                        touched.focus.setdefault(at, []).append(version)
        telling = self._telling(activity)
        for sink, where, mark in self._source.informed(activity):
            level = self._inputs(sink)[where].level
            if level <= self._level_max:
                touched.marks[telling] = max(touched.marks[telling], mark)
            if telling <= self._level_max:
                touched.told.append((mark, sink, where, level))
        touched.outputs.sort()
        touched.told.sort()
        return touched

    def _other_edges(self) -> Iterator[Edge]:
        for activity, version in self._generated:
            yield Edge(EdgeKind.GENERATED, activity, version, 0, Level.OBSERVED)
        for version, later in self._revised:
            yield Edge(EdgeKind.REVISED, version, later, 0, Level.OBSERVED)

    def _input_edges(self) -> Iterator[tuple[int, int, Input, int]]:
        for activity, touched in self._all_touched.items():
            inputs = self._inputs(activity)
            for at in touched.positions:
                level = _level(at, inputs[at].level, touched.marks, touched.focus)
                if level is not None:
                    yield activity, at, inputs[at], level

    def _activities(self) -> Iterable[int]:
        edges = self._input_edges()
        return dict.fromkeys(activity for activity, _, _, level in edges if level <= self._level_max)


def _no_marks() -> list[int]:
    return [0] * len(Level)


def _focus(version: Version) -> tuple[tuple[int, ...] | None, int]:
    """(focus, rest): a focus is about one writer's inputs; where several wrote, all that they knew counts."""
    if version.focus is None or len(version.writers) != 1 or version.rest == Level.OBSERVED:
        return None, Level.OBSERVED
    return version.focus, version.rest


def _level(position: int, own: int, marks: Sequence[int], focus: Iterable[int]) -> int | None:
    """The strongest level at which an input holds; None where it does not."""
    if position in focus:
        return own
    for level, mark in enumerate(marks):
        if position < mark:
            return max(own, level)
    return None
