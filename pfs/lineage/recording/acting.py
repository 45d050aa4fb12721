"""Activities come and go: what a process image has from the one before, and what it leaves behind.

The half of the recorder that knows no files; the other is pfs.lineage.recording.recorder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from pfs.lineage.facts import Activity, Ending, Flag, Level
from pfs.lineage.live.source import LiveSource
from pfs.lineage.live.state import Actor, Files
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording import flows, programs
from pfs.lineage.recording.outside import Outside
from pfs.lineage.recording.sealing import Sealing
from pfs.lineage.recording.upkeep import Compactable, Upkeep


class Acting(Sealing):
    """Live activities, and the life of the recorder itself."""

    def __init__(
        self,
        files: Files,
        notes: Compactable,
        now_ns: Callable[[], int],
        resolve: Callable[[bytes, int], int] | None = None,
    ) -> None:
        """`resolve` gives the version that a row of a segment is, 0 where unknown (`Index.origin`)."""
        super().__init__(Tables(files, notes, now_ns, resolve))
        self.source = LiveSource(self._tables)
        self._journal = notes
        self._outside = Outside(self._tables)
        self._upkeep = Upkeep(self._tables, self._outside)

    def replay(self, records: Iterable[Sequence[Any]]) -> None:
        """Bring back what was live when the last daemon died.  Before anything else, with `Journal.read`."""
        self._upkeep.replay(records)

    def reopened(self, branch: int, generation: int) -> None:
        """After a replay, a working tree is open again; commits hold its generations up to this one."""
        self._upkeep.reopened(branch, generation)

    def tidy(self) -> bool:
        """Some of what may wait, in less than a millisecond; whether more is left.  Raises OSError.

        Call it again and again when the loop has time, and let a thread `Journal.sync` when nothing is left.
        """
        return self._upkeep.tidy(self._journal)

    def begin(
        self,
        activity: Activity,
        parent: Actor | None = None,
        *,
        forked: bool = False,
        upto: int | None = None,
        pins: bool = True,
    ) -> Actor:
        """A process image that was not met before; one that was, if its id is known, is given back.

        parent: the image that forked it (`forked`: it runs in a copy of its memory, no exec since), or that
        became it by exec.  upto: how many inputs the parent had at the fork, if not all that it has now.
        pins: False for indexers, whose reading keeps no version and is not recorded.
        """
        tables = self._tables
        actor = tables.actors.get(activity.id)
        if actor is not None:
            return actor
        actor = Actor(activity, parent, tables.next_number())
        actor.pins = pins
        if parent is not None:
            parent.uses += 1
            if not forked and parent.activity.key.pid == activity.key.pid:
                parent.successor = actor
        tables.actors[activity.id] = actor
        tables.notes.actor(actor)
        if parent is not None and parent.successor is actor and parent.executing:
            programs.run(tables, actor, parent)
        if parent is not None and forked:
            mark = self.forked(parent) if upto is None else min(upto, len(parent.inputs))
            tables.hear(actor, parent, mark, Level.OBSERVED, Flag.FORK)
        tables.flush()
        return actor

    def forked(self, parent: Actor) -> int:
        """A process has forked: how many inputs it had, for `upto` when the child is met."""
        tables = self._tables
        self._refresh(parent)
        parent.covered = max(parent.covered, len(parent.inputs))
        tables.flush()
        return len(parent.inputs)

    def describe(self, actor: Actor, activity: Activity) -> None:
        """A better description of the same process image has come."""
        version = activity.exe_version or actor.activity.exe_version
        actor.activity = msgspec.structs.replace(activity, id=actor.id, exe_version=version)
        self._tables.notes.actor(actor)
        self._tables.flush()

    def end(self, actor: Actor, ending: Ending, *, by_exec: bool = False) -> None:
        """It has ended; a child that read, wrote nothing and fed no pipe has told its parent (inferred)."""
        tables = self._tables
        if actor.ended is not None:
            return
        with suppress(OSError):  # a full disk does not keep anybody alive
            flows.refresh(tables, actor)
        flows.part(tables, actor)
        if not by_exec:
            flows.tell_parent(tables, actor)
        actor.ended = ending
        self._part_from_files(actor)
        tables.set_late(actor, actor.is_stored)
        tables.notes.actor(actor)
        tables.remember(actor)
        tables.flush()

    def connect(self, source: Actor, sink: Actor, flag: int = Flag.PIPE, level: int = Level.OBSERVED) -> None:
        """What the source has learned up to any write of the sink, it may have told the sink."""
        flows.connect(self._tables, source, sink, flag, level)
        self._tables.flush()

    def actors(self) -> list[Actor]:
        """Those that have not ended: after a replay, `end` those whose processes are gone."""
        return [actor for actor in self._tables.actors.values() if actor.ended is None]

    def _refresh(self, actor: Actor) -> None:
        """Before an activity writes: what pipes and mapped pages may have told it meanwhile."""
        if actor.hears:
            flows.refresh(self._tables, actor)

    def _part_from_files(self, actor: Actor) -> None:
        """An activity has ended: its handles are others' now, but pages that it stored to may still come."""
        for grip in actor.grips:
            if grip.writes and not grip.reads:
                grip.holders = tuple(other for other in grip.holders if other is not actor)
                grip.file.release(actor)
        actor.grips, actor.mapped, actor.buffers = {}, {}, {}
