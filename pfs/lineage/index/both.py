"""What is live and what is stored, as one `Source`.

An activity may be in both: slices of it are in commits, the rest is live.  So may a fact, for the moment
between its commit and its leaving the live model: nothing is told twice.  What is stored depends on nothing
that is only live.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from pfs.lineage.facts import Activity, Change, Ending, Input, Source, Version
from pfs.lineage.index.graph import GAP
from pfs.lineage.index.writer import GraphWriter

T = TypeVar("T")


class Both:
    """The union of two sources.  Used where `live` may be asked."""

    def __init__(self, live: Source, index: Source, first: Callable[[int], int] = lambda _: 0) -> None:
        """`first`: position of the first input that `live` has of an activity; it has all from there on."""
        self.live = live
        self.index = index
        self._first = first

    def activity(self, activity: int) -> Activity | None:
        """The description of an activity."""
        return self.live.activity(activity) or self.index.activity(activity)

    def ending(self, activity: int) -> Ending | None:
        """How it ended."""
        return self.live.ending(activity) or self.index.ending(activity)

    def inputs(self, activity: int) -> Sequence[Input]:
        """All inputs of an activity: the stored ones, then those that are live."""
        live = self.live.inputs(activity)
        if not live:
            return self.index.inputs(activity)
        first = self._first(activity)
        if not first:
            return live
        stored = self.index.inputs(activity)[:first]
        return [*stored, *[GAP] * (first - len(stored)), *live]

    def outputs(self, activity: int) -> Sequence[int]:
        """The versions that an activity wrote, in order."""
        return _union(self.index.outputs(activity), self.live.outputs(activity))

    def version(self, version: int) -> Version | None:
        """A version."""
        return self.live.version(version) or self.index.version(version)

    def consumers(self, version: int) -> Sequence[tuple[int, int]]:
        """(activity, position) of everyone who used a version."""
        return _union(self.index.consumers(version), self.live.consumers(version))

    def informed(self, activity: int) -> Sequence[tuple[int, int, int]]:
        """(activity, position, watermark of ours) of everyone whom an activity informed."""
        return _union(self.index.informed(activity), self.live.informed(activity))

    def revisions(self, version: int) -> Sequence[int]:
        """The versions whose `previous` this one is."""
        return _union(self.index.revisions(version), self.live.revisions(version))

    def versions_at(self, repo: int, path: bytes) -> Sequence[int]:
        """Every version that was at a path, the oldest first."""
        found = _union(self.index.versions_at(repo, path), self.live.versions_at(repo, path))
        return sorted(found, key=self._written_ns)

    def versions_with(self, content: bytes) -> Sequence[int]:
        """Every version with this content id."""
        return _union(self.index.versions_with(content), self.live.versions_with(content))

    def changes_at(self, repo: int, path: bytes) -> Sequence[Change]:
        """What happened to a name, the oldest first."""
        return list(_merged(self.index.changes_at(repo, path), self.live.changes_at(repo, path)))

    def changes_below(self, repo: int, path: bytes) -> Iterator[Change]:
        """The same for a directory and all below it."""
        return _merged(self.index.changes_below(repo, path), self.live.changes_below(repo, path))

    def origin(self, segment: bytes, row: int) -> int:
        """The version that a row of a segment is."""
        return self.live.origin(segment, row) or self.index.origin(segment, row)

    def activities(self, since_ns: int = 0) -> Iterator[int]:
        """All activities that began at or after a time, the newest first."""
        live = list(self.live.activities(since_ns))
        known = set(live)
        stored = (activity for activity in self.index.activities(since_ns) if activity not in known)
        return heapq.merge(live, stored, key=self._started_ns, reverse=True)

    # For pfs.lineage.index.closure

    def live_facts(self) -> int:
        """How many facts `put_live` would put."""
        return sum(
            1 + len(self.live.inputs(activity)) + len(self.live.outputs(activity))
            for activity in self.live.activities()
        )

    def put_live(self, writer: GraphWriter) -> None:
        """Put all that is live into a graph."""
        for activity in self.live.activities():
            described = self.live.activity(activity)
            writer.add_activity(activity, interactive=described is not None and described.interactive)
            inputs = self.live.inputs(activity)
            writer.add_inputs(activity, self._first(activity), inputs)
            used = (item.source for item in inputs if not item.informed)
            for identifier in chain(used, self.live.outputs(activity)):
                version = self.live.version(identifier)
                if version is not None:
                    writer.add_version(version)

    def _written_ns(self, version: int) -> int:
        found = self.version(version)
        return 0 if found is None else found.time_ns

    def _started_ns(self, activity: int) -> int:
        found = self.activity(activity)
        return 0 if found is None else found.started_ns


def _union(stored: Sequence[T], live: Sequence[T]) -> Sequence[T]:
    if not live:
        return stored
    return list(dict.fromkeys((*stored, *live)))


def _merged(stored: Iterable[Change], live: Iterable[Change]) -> Iterator[Change]:
    """Changes by time, those that are in both once."""
    at_once: dict[Change, None] = {}
    time_ns = 0
    for change in heapq.merge(stored, live, key=lambda change: change.time_ns):
        if change.time_ns != time_ns:
            at_once, time_ns = {}, change.time_ns
        if change not in at_once:
            at_once[change] = None
            yield change
