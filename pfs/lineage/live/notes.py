"""What the lineage journal is told: notes, each the whole state of one thing.

Notes are states, not differences: played back in order, twice, or without those that were written before a
compaction began, they lead to the same tables (replay).  The notes of one call are one record of the journal.
Numbers name activities and versions in notes: shorter than ids, and never given twice while one is live.
Msgpack arrays; the op stands first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Protocol

from pfs.lineage.facts import Change, Input
from pfs.lineage.live.state import NOBODY_BEGAN, Actor, Credit, External, Link, LiveVersion


class Op(IntEnum):
    """What a note says.  Fields after the op, in order; a place is repo, branch and file id.

    ACTOR: number, activity, parent, bits, ordinal, covered, stored, repo, segment, ending, executing, first
    place, own.  VERSION: number, id, place, path, relation, previous, base, [[actor, mark, flags], …],
    generation, bits, order, frozen, floor, time_ns, beside, content, origin, [who began it, its ordinal].
    """

    ACTOR = 1
    INPUTS = 2  # actor, first position, [[source, is an activity, watermark, level, flags, time_ns], …]
    EXTERNAL = 3  # number, version, origin
    VERSION = 4
    LINK = 5  # source, sink, flags, level
    CHANGE = 6  # number, change
    GONE = 7  # numbers of what is not live any more; none up to the greatest is given out again
    STORED = 8  # branch, up to which number its changes are in a commit
    WROTE = 9  # version, actor, mark, flags, relation, time_ns, whether all that was written before is gone


# Plain integers: msgspec encodes them four times faster than members of an enumeration.
_ACTOR, _INPUTS, _EXTERNAL, _VERSION, _LINK, _CHANGE, _GONE, _STORED, _WROTE = map(int, Op)

OPEN, UNTOUCHED, CURRENT, ROOT = 1, 2, 4, 8  # bits of a VERSION
PINS, MULTIPLE, DESCRIBED, LATE, FEEDS = 1, 2, 4, 8, 16  # bits of an ACTOR


class Notes(Protocol):
    """Where notes are kept until a commit holds what they say."""

    def append(self, records: Sequence[Sequence[Any]]) -> None:
        """Keep some notes, all or none after a crash.  Never raises: on a full disk they wait."""


class Notebook:
    """The notes of the call that is going on."""

    def __init__(self, notes: Notes, number_of: Callable[[Input], int]) -> None:
        self._notes = notes
        self._number_of = number_of
        self.batch: list[Sequence[Any]] = []
        self.gone: list[int] = []

    def flush(self) -> None:
        """Write them down as one record."""
        if self.gone:
            self.batch.append((_GONE, *self.gone))
            self.gone = []
        batch, self.batch = self.batch, []
        self._notes.append(batch)

    def actor(self, actor: Actor) -> None:
        """All about an activity but its inputs."""
        parent = actor.parent
        self.batch.append(
            (
                _ACTOR,
                actor.number,
                actor.activity,
                0 if parent is None else parent.number,
                actor.pins * PINS
                | actor.is_multiple * MULTIPLE
                | actor.is_stored * DESCRIBED
                | actor.is_late * LATE
                | actor.feeds * FEEDS,
                actor.ordinal,
                actor.covered,
                actor.stored,
                actor.repo,
                actor.segment,
                actor.ended,
                [(source.number, path) for source, path in actor.executing],
                actor.place,
                list(actor.own),
            )
        )

    def version(self, version: LiveVersion) -> None:
        """All about a version."""
        version.is_noted, began, version.began = True, version.began, NOBODY_BEGAN
        held, is_told = version.frozen, version.content is not None
        self.batch.append(
            (
                _VERSION,
                version.number,
                version.id,
                version.place,
                version.path,
                version.relation,
                version.previous,
                version.base,
                [(one.actor.number, one.mark, one.flags) for one in version.credits],
                version.generation,
                version.is_open * OPEN
                | version.is_untouched * UNTOUCHED
                | version.is_current * CURRENT
                | (version.is_root and not version.is_deposed) * ROOT,
                version.order,
                None if held is None else (held.token, held.size, held.mtime_ns),
                version.floor,
                version.time_ns,
                None if version.beside is None else list(version.beside),
                (version.content, version.height, version.size, version.mtime_ns) if is_told else None,
                version.origin,
                began,
            )
        )

    def wrote(self, version: LiveVersion, credit: Credit, *, is_first: bool) -> None:
        """One activity has written a version that is noted already."""
        self.batch.append(
            (
                _WROTE,
                version.number,
                credit.actor.number,
                credit.mark,
                credit.flags,
                version.relation,
                version.time_ns,
                is_first,
            )
        )

    def external(self, external: External) -> None:
        """A version that is stored, or that nobody recorded made."""
        self.batch.append((_EXTERNAL, external.number, external.version, external.origin))

    def input(self, actor: Actor, position: int, number: int, one: Input) -> None:
        """One input; number is its source's."""
        entry = (number, one.informed, one.watermark, one.level, one.flags, one.time_ns)
        self.batch.append((_INPUTS, actor.number, position, (entry,)))

    def inputs(self, actor: Actor, first: int, end: int) -> None:
        """A piece of the inputs."""
        entries = [
            (self._number_of(one), one.informed, one.watermark, one.level, one.flags, one.time_ns)
            for one in actor.inputs[first:end]
        ]
        self.batch.append((_INPUTS, actor.number, first, entries))

    def link(self, link: Link) -> None:
        """A channel."""
        self.batch.append((_LINK, link.source.number, link.sink.number, link.flags, link.level))

    def change(self, number: int, change: Change) -> None:
        """What happened to a name."""
        self.batch.append((_CHANGE, number, change))

    def stored_changes(self, branch: int, number: int) -> None:
        """The changes of a branch up to this number are in a commit."""
        self.batch.append((_STORED, branch, number))
