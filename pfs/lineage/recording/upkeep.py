"""The recorder and its journal over time: playing back, opening branches again, compaction.

Everything in slices: a store may have a million versions live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from pfs.lineage.facts import OUTSIDE
from pfs.lineage.live.notes import Notes
from pfs.lineage.live.state import Actor, LiveVersion
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording.outside import Outside
from pfs.lineage.recording.replay import Replay

TIDY_STEPS = 256  # things that one call of `tidy` looks at, ~2 us each


class Compactable(Notes, Protocol):
    """Notes that grow, and can be begun anew."""

    @property
    def is_bloated(self) -> bool:
        """Whether it is worth while."""

    def begin_compaction(self) -> None:
        """What is appended from now on stands alone once `end_compaction` is called.  Raises OSError."""

    def end_compaction(self) -> None:
        """All that is live was appended since."""


class Upkeep:
    """What need not be done at once.  Owned by the event loop."""

    def __init__(self, tables: Tables, outside: Outside) -> None:
        self._tables = tables
        self._outside = outside
        self._frozen: dict[int, list[tuple[LiveVersion, bytes]]] = {}
        self._compaction: Iterator[None] | None = None

    def replay(self, records: Iterable[Sequence[Any]]) -> None:
        """Bring back what was live, into empty tables."""
        replay = Replay(self._tables)
        replay.run(records)
        self._frozen = replay.frozen
        for version in self._tables.versions.values():
            if version.place.repo == OUTSIDE:
                self._outside.remember(version.path, version.id, version.size, version.mtime_ns)

    def reopened(self, branch: int, generation: int) -> None:
        """A working tree is open again; commits hold all of its generations up to this one."""
        tables = self._tables
        for version, token in self._frozen.pop(branch, ()):
            if tables.versions.get(version.id) is version:
                version.frozen = tables.below.held(version.place, token, version.size, version.mtime_ns)
        for number in [one for one in tables.roots.get(branch, {}) if one <= generation]:
            for root in list(tables.roots[branch][number].values()):
                if root is not None:
                    self._was_committed(root)
            del tables.roots[branch][number]
        tables.generations[branch] = max(tables.generations.get(branch, 0), generation + 1)
        tables.flush()

    def tidy(self, journal: Compactable) -> bool:
        """Do some of what waits; whether more is left."""
        tables = self._tables
        tables.forget_recent()
        more = tables.sweep(TIDY_STEPS)
        tables.forget_stored(TIDY_STEPS)
        if self._compaction is None and journal.is_bloated:
            journal.begin_compaction()
            self._compaction = self._write_all()
        if self._compaction is not None:
            more = True
            if next(self._compaction, self) is self:
                tables.flush()
                journal.end_compaction()
                self._compaction = None
        tables.flush()
        return more

    def _was_committed(self, version: LiveVersion) -> None:
        """The daemon died between a commit and the recorder's being told."""
        tables = self._tables
        tables.finish(version)
        seen = tables.below.committed(version.place) if version.is_current else None
        found = None if seen is None else tables.external(seen)
        tables.settle(version)
        tables.dethrone(version)
        if seen is not None and found is version and seen.origin is not None:
            version.origin = tables.origin(seen)
            tables.store(version, tables.fact(version))
        else:
            tables.unless_used(found)
            tables.notes.version(version)

    def _write_all(self) -> Iterator[None]:
        """Note everything that is live, some at a time."""
        tables, notes = self._tables, self._tables.notes
        notes.gone.append(tables.next_number())  # none of those below is given out again
        for external in list(tables.externals.values()):
            if tables.externals.get(external.id) is external:
                notes.external(external)
                yield from self._pause()
        for actor in list(tables.actors.values()):
            if tables.actors.get(actor.id) is actor:
                notes.actor(actor)
                yield from self._pause()
        for version in list(tables.versions.values()):
            if tables.versions.get(version.id) is version:
                notes.version(version)
                yield from self._pause()
        for actor in list(tables.actors.values()):
            if tables.actors.get(actor.id) is actor:
                yield from self._write_inputs(actor)
        yield from self._write_rest()

    def _write_rest(self) -> Iterator[None]:
        tables, notes = self._tables, self._tables.notes
        for changes in list(tables.changes.values()):
            for number, change in list(changes):
                notes.change(number, change)
                yield from self._pause()

    def _write_inputs(self, actor: Actor) -> Iterator[None]:
        notes = self._tables.notes
        first = 0
        while first < len(actor.inputs):
            notes.inputs(actor, first, first + TIDY_STEPS)
            first += TIDY_STEPS
            if first < len(actor.inputs):
                yield
        for link in list(actor.links.values()):
            notes.link(link)
        yield from self._pause()

    def _pause(self) -> Iterator[None]:
        if len(self._tables.notes.batch) >= TIDY_STEPS:
            yield
