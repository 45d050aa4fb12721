"""Random facts, cut into groups as commits would; and what a closure is, in the slow and obvious way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

from pfs.disk import Disk
from pfs.lineage.facts import ChangeKind, Input, Level, Relation, Source, Version
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.index.database import Index, open_index
from pfs.lineage.index.walk import Edge, EdgeKind
from tests.lineage.sources import FactSource, Story

T = TypeVar("T")

PATHS = [b"a", b"b/c", b"b/d", b"b/c/e"]
LEVELS = [Level.OBSERVED, Level.INFERRED, Level.UNOBSERVED, Level.UNLIKELY, Level.AMBIENT]


def segment_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


@dataclass
class LiveSource(FactSource):
    """The later facts of a source: inputs of an activity from a position on."""

    first: dict[int, int] = field(default_factory=dict)

    def consumers(self, version: int) -> list[tuple[int, int]]:
        return [(who, at + self.first.get(who, 0)) for who, at in super().consumers(version)]

    def informed(self, activity: int) -> list[tuple[int, int, int]]:
        return [(who, at + self.first.get(who, 0), mark) for who, at, mark in super().informed(activity)]


@dataclass
class Drawn:
    """All facts, those of each commit in order, and those that no commit holds."""

    source: FactSource
    groups: list[Group]
    live: LiveSource


class _Commits:
    """Cuts what a story has told so far into groups."""

    def __init__(self, source: FactSource) -> None:
        self.source = source
        self.groups: list[Group] = []
        self.stored: dict[int, int] = {}  # activity → inputs in groups
        self.origins: dict[int, Origin] = {}
        self.changes = 0

    def cut(self, overlap: int) -> None:
        slices: list[Slice] = []
        used: dict[int, None] = {}
        versions = [
            version
            for version in self.source.versions_by_id.values()
            if version.writers and version.id not in self.origins
        ]
        for activity in self.source.activities_by_id.values():
            inputs = self.source.inputs_by_activity[activity.id]
            first = max(0, self.stored.get(activity.id, 0) - overlap)
            self.stored[activity.id] = len(inputs)
            ending = self.source.endings.get(activity.id)
            slices.append(Slice(activity, first, tuple(inputs[first:]), ending))
            used.update((item.source, None) for item in inputs[first:] if not item.informed)
        used.update((version.previous, None) for version in versions if version.previous)
        number = len(self.groups)
        self.origins.update(
            (version.id, Origin(segment_id(number), row)) for row, version in enumerate(versions)
        )
        mine = {version.id for version in versions}
        outside = [
            (self.source.versions_by_id[version], self.origins.get(version))
            for version in used
            if version not in mine
        ]
        self.groups.append(Group(slices, versions, outside, self.source.change_list[self.changes :]))
        self.changes = len(self.source.change_list)

    def rest(self) -> LiveSource:
        source = self.source
        return LiveSource(
            activities_by_id=source.activities_by_id,
            endings=source.endings,
            inputs_by_activity={
                who: inputs[self.stored.get(who, 0) :] for who, inputs in source.inputs_by_activity.items()
            },
            versions_by_id={
                version.id: version
                for version in source.versions_by_id.values()
                if version.id not in self.origins
            },
            change_list=source.change_list[self.changes :],
            first=self.stored,
        )


@st.composite
def facts(draw: st.DrawFn, *, overlap_max: int = 0, whole: bool = False, once: bool = False) -> Drawn:
    """A story of a few processes and files, cut at random; `whole`: nothing stays live; `once`: one cut."""
    story = Story()
    source = story.source
    commits = _Commits(source)
    versions = [story.raw(b"raw")]
    processes = [story.process("first", interactive=draw(st.booleans())), story.process("tool")]
    for _ in range(draw(st.integers(5, 30))):
        what = draw(
            st.sampled_from(["process", "read", "read", "informs", "write", "write", "raw", "commit"])
        )
        who = draw(st.sampled_from(processes))
        level = draw(st.sampled_from([Level.OBSERVED, Level.OBSERVED, *LEVELS]))
        if what == "process":
            interactive = draw(st.integers(0, 4)) == 0
            processes.append(story.process("tool", f"word{len(processes) % 3}", interactive=interactive))
        elif what == "read":
            version = draw(st.sampled_from(versions))
            if all(item.source != version for item in source.inputs_by_activity[who]):
                story.read(who, version, level)
        elif what == "informs":
            sink = draw(st.sampled_from(processes))
            upto = draw(st.none() | st.integers(0, len(source.inputs_by_activity[who])))
            if sink != who:
                story.informs(who, sink, level, upto=upto)
        elif what == "write":
            versions.append(draw(_written(story, who, versions, processes)))
        elif what == "raw":
            versions.append(story.raw(draw(st.sampled_from(PATHS)), bytes([len(versions)])))
            story.change(
                who, draw(st.sampled_from(list(ChangeKind))), "b/d", draw(st.sampled_from(["", "a"]))
            )
        elif not once:
            commits.cut(draw(st.integers(0, overlap_max)))
    if draw(st.booleans()):
        story.ends(processes[-1])
    if whole:
        commits.cut(0)
    return Drawn(source, commits.groups, commits.rest())


@st.composite
def _written(draw: st.DrawFn, story: Story, who: int, versions: list[int], processes: list[int]) -> int:
    previous = draw(st.sampled_from([0, *versions]))
    relation = draw(st.sampled_from([Relation.CREATED, Relation.IN_PLACE, Relation.TRUNCATED]))
    others = draw(st.sets(st.sampled_from(processes), max_size=1)) - {who} if draw(st.booleans()) else ()
    known = len(story.source.inputs_by_activity[who])
    focused: dict[str, object] = {}
    if known and draw(st.booleans()):
        focused["focus"] = tuple(draw(st.lists(st.integers(0, known - 1), max_size=3)))
        focused["rest"] = draw(st.sampled_from([Level.OBSERVED, Level.UNLIKELY, Level.AMBIENT]))
    path = draw(st.sampled_from(PATHS))
    text = draw(st.sampled_from([b"", b"x", b"y"]))
    return story.write(who, path, text, previous=previous, relation=relation, others=tuple(others), **focused)


@contextmanager
def indexed(drawn: Drawn) -> Iterator[Index]:
    with tempfile.TemporaryDirectory() as directory:
        index, _ = open_index(Disk(), Path(directory) / "lineage.lmdb")
        index.add_many((segment_id(number), group) for number, group in enumerate(drawn.groups))
        yield index
        index.close()


@dataclass
class Reference:
    """The fixpoint of the rules, over single positions."""

    source: FactSource
    level_max: int
    depth_max: int
    versions: dict[int, int] = field(default_factory=dict)  # → depth
    holds: dict[tuple[int, int, int], int] = field(
        default_factory=dict
    )  # (activity, position, level) → depth
    touched: dict[tuple[int, int], int] = field(default_factory=dict)
    edges: set[Edge] = field(default_factory=set)
    left_out: dict[int, int] = field(default_factory=dict)
    activities: set[int] = field(default_factory=set)

    def _telling(self, activity: int) -> int:
        return Level.AMBIENT if self.source.activities_by_id[activity].interactive else Level.OBSERVED

    def up(self, roots: list[int]) -> Reference:
        self.versions = dict.fromkeys(roots, 0)
        while self._step_up():
            pass
        for version, depth in self.versions.items():
            if depth < self.depth_max:
                for writer in self.source.versions_by_id[version].writers:
                    self.activities.add(writer.activity)
                    self.edges.add(Edge(EdgeKind.GENERATED, writer.activity, version, 0, 0))
                if (record := self.source.versions_by_id[version]).depends_on_previous:
                    self.edges.add(Edge(EdgeKind.REVISED, record.previous, version, 0, 0))
        for activity, position in {(activity, position) for activity, position, _ in self.holds}:
            levels = [level for who, at, level in self.holds if (who, at) == (activity, position)]
            if self._add(activity, position, levels):
                item = self.source.inputs_by_activity[activity][position]
                self.activities.update([item.source] if item.informed else [])
        return self

    def _step_up(self) -> bool:
        changed = False
        for version, depth in list(self.versions.items()):
            record = self.source.versions_by_id[version]
            if depth >= self.depth_max:
                continue
            if record.depends_on_previous:
                changed |= _relax(self.versions, record.previous, depth + 1)
            for writer in record.writers:
                for position in range(writer.watermark):
                    level = level_of(record, position)
                    changed |= _relax(self.holds, (writer.activity, position, level), depth)
        for (activity, position, weak), depth in list(self.holds.items()):
            item = self.source.inputs_by_activity[activity][position]
            if max(item.level, weak) > self.level_max:
                continue
            if not item.informed:
                changed |= _relax(self.versions, item.source, depth + 1)
            for before in range(item.watermark):
                key = (item.source, before, self._telling(item.source))
                changed |= _relax(self.holds, key, depth)
        return changed

    def down(self, roots: list[int]) -> Reference:
        self.versions = dict.fromkeys(roots, 0)
        while self._step_down():
            pass
        for version, depth in self.versions.items():
            for later in self._later(version) if depth < self.depth_max else ():
                self.edges.add(Edge(EdgeKind.REVISED, version, later, 0, 0))
        for activity, position in self.touched:
            levels = [level for _, level in self._outputs(activity, position)]
            levels += [self._telling(activity) for item, _, _ in self._told(activity, position)
                       if item.level <= self.level_max]  # fmt: skip
            if levels and self._add(activity, position, levels):
                self.activities.add(activity)
            if self.source.inputs_by_activity[activity][position].level <= self.level_max:
                for version, level in self._outputs(activity, position):
                    if level <= self.level_max:
                        self.edges.add(Edge(EdgeKind.GENERATED, activity, version, 0, 0))
        return self

    def _step_down(self) -> bool:
        changed = False
        for version, depth in list(self.versions.items()):
            if depth >= self.depth_max:
                continue
            for later in self._later(version):
                changed |= _relax(self.versions, later, depth + 1)
            for key in self.source.consumers(version):
                changed |= _relax(self.touched, key, depth)
        for (activity, position), depth in list(self.touched.items()):
            if self.source.inputs_by_activity[activity][position].level > self.level_max:
                continue
            for version, level in self._outputs(activity, position):
                if level <= self.level_max:
                    changed |= _relax(self.versions, version, depth + 1)
            if self._telling(activity) <= self.level_max:
                for _, sink, where in self._told(activity, position):
                    changed |= _relax(self.touched, (sink, where), depth)
        return changed

    def _later(self, version: int) -> list[int]:
        records = self.source.versions_by_id.values()
        return [one.id for one in records if one.depends_on_previous and one.previous == version]

    def _outputs(self, activity: int, position: int) -> list[tuple[int, int]]:
        return [
            (record.id, level_of(record, position))
            for record in self.source.versions_by_id.values()
            for writer in record.writers
            if writer.activity == activity and writer.watermark > position
        ]

    def _told(self, activity: int, position: int) -> list[tuple[Input, int, int]]:
        return [
            (self.source.inputs_by_activity[sink][where], sink, where)
            for sink, where, mark in self.source.informed(activity)
            if mark > position
        ]

    def _add(self, activity: int, position: int, levels: list[int]) -> bool:
        item = self.source.inputs_by_activity[activity][position]
        level = max(item.level, min(levels))
        if level > self.level_max:
            self.left_out[level] = self.left_out.get(level, 0) + 1
            return False
        kind = EdgeKind.INFORMED if item.informed else EdgeKind.USED
        self.edges.add(Edge(kind, item.source, activity, position, level))
        return True


def _relax(table: dict[T, int], key: T, depth: int) -> bool:
    if key not in table or depth < table[key]:
        table[key] = depth
        return True
    return False


def level_of(version: Version, position: int) -> int:
    """The level at which an input of its writer counts for a version."""
    is_focused = version.focus is not None and len(version.writers) == 1
    return version.rest if is_focused and position not in (version.focus or ()) else Level.OBSERVED


def as_source(source: LiveSource) -> Source:
    """Says to a type checker that `LiveSource` keeps the protocol."""
    return source
