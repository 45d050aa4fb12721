"""What is live, in tables, and how it goes when nobody needs it any more.

Nothing scans: each thing counts who needs it.  A version is needed as the newest of its file, by the next
commit, by each activity that used it and by the version that continues it; an activity while it runs, by what
it wrote, by those it told something, by its children, and for a while after its end (`Kept.remember`): the
reader of a pipe may show itself late.  Letting go is done in small steps, with later calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from pfs.lineage.facts import Change, Input
from pfs.lineage.live.notes import Notebook, Notes
from pfs.lineage.live.state import Actor, External, File, Files, LiveVersion, Place

SWEEP_STEPS: Final = 64  # that one call lets go at most, ~1 us each; the rest waits for the next calls
# How long one that has ended may still turn out to have told somebody something: so many activities, with so
# many inputs in all, for so long.
RECENT_MAX: Final = 10_000
RECENT_INPUTS_MAX: Final = 200_000
RECENT_NS: Final = 3600 * 10**9


class Kept:
    """The tables.  Owned by the event loop."""

    def __init__(self, files: Files, notes: Notes, now_ns: Callable[[], int]) -> None:
        self.below = files
        self.now_ns = now_ns
        self.notes = Notebook(notes, self._number_of)
        self.actors: dict[int, Actor] = {}
        self.versions: dict[int, LiveVersion] = {}
        self.externals: dict[int, External] = {}
        self.files: dict[Place, File] = {}
        # branch → generation → file id → its newest version then, None: what nobody recorded made
        self.roots: dict[int, dict[int, dict[int, LiveVersion | None]]] = {}
        self.generations: dict[int, int] = {}  # branch → the current one, as far as was heard
        self.consumers: dict[int, dict[int, int]] = {}  # version → {activity: position in its inputs}
        self.revised: dict[int, dict[int, None]] = {}  # version → those whose `previous` it is
        # path → the live version there, where there are several {id: version}
        self.paths: dict[bytes, LiveVersion | dict[int, LiveVersion]] = {}
        self.changers: dict[int, Actor] = {}  # who made the changes that wait for a commit
        self.changes: dict[int, deque[tuple[int, Change]]] = {}  # branch → numbered, the oldest first
        self.late: dict[int, Actor] = {}  # those that `is_late`
        self.order = 0  # of the version that ended last
        self.number = 0  # given out last
        self._recent: deque[tuple[int, Actor]] = deque()  # (when it ended, an activity)
        self._recent_inputs = 0
        self._doomed: deque[Actor | LiveVersion | External] = deque()

    def next_number(self) -> int:
        """A number for notes."""
        self.number += 1
        return self.number

    def find(self, version: int) -> LiveVersion | External | None:
        """A version that is live, or that something live depends on."""
        return self.versions.get(version) or self.externals.get(version)

    def flush(self) -> None:
        """The end of a call: let go of some that nobody needs, write down what was learned."""
        if self._doomed:
            self.sweep(SWEEP_STEPS)
        if self.notes.batch or self.notes.gone:
            self.notes.flush()

    def release(self, source: LiveVersion | External) -> None:
        """One that needed a version needs it no longer."""
        source.uses -= 1
        if not source.uses:
            self._doomed.append(source)

    def leave(self, actor: Actor) -> None:
        """One that needed an activity needs it no longer."""
        actor.uses -= 1
        if not actor.uses and actor.ended is not None:
            self._doomed.append(actor)

    def set_late(self, actor: Actor, is_late: bool) -> None:
        """Whether the segments that describe an activity have yet to be told its end."""
        if is_late is not actor.is_late:
            actor.is_late = is_late
            if is_late:
                self.late[actor.id] = actor
                actor.uses += 1
            else:
                del self.late[actor.id]
                self.leave(actor)

    def remember(self, actor: Actor) -> None:
        """An activity has ended: keep it a while, and what nothing stores of its inputs."""
        actor.uses += 1
        self._recent.append((self.now_ns(), actor))
        self._recent_inputs += len(actor.inputs)
        self.forget_recent()

    def forget_recent(self) -> None:
        """Those that ended too long ago, or too many ago, tell nobody anything any more."""
        before_ns = self.now_ns() - RECENT_NS
        while self._recent and (
            len(self._recent) > RECENT_MAX
            or self._recent_inputs > RECENT_INPUTS_MAX
            or self._recent[0][0] < before_ns
        ):
            _, actor = self._recent.popleft()
            self._recent_inputs -= len(actor.inputs)
            actor.is_over = True
            actor.uses -= 1
            self._doomed.append(actor)

    def sweep(self, steps: int) -> bool:
        """Let go of what nobody needs, up to so many things; whether more is left."""
        doomed = self._doomed
        while doomed and steps > 0:
            one = doomed.popleft()
            if isinstance(one, Actor):
                steps -= self._shorten(one, steps)
            elif not one.uses and self.find(one.id) is one:
                steps -= 1
                self.notes.gone.append(one.number)
                self.consumers.pop(one.id, None)
                if isinstance(one, LiveVersion):
                    self.take_out(one)
                else:
                    del self.externals[one.id]
        return bool(doomed)

    def take_out(self, version: LiveVersion) -> None:
        """A version is not live any more, and needs nothing."""
        del self.versions[version.id]
        for one in version.credits:  # they stay: a thread may be reading them
            one.actor.outputs.pop(version.id, None)
            self.leave(one.actor)
        self.leave_path(version)
        self.unneed(version)
        self.unrevise(version)
        if version.frozen is not None:
            self.below.release(version.place, version.frozen)

    def uncredit(self, version: LiveVersion) -> None:
        """Whoever wrote a version is not needed for it."""
        for one in version.credits:
            one.actor.outputs.pop(version.id, None)
            self.leave(one.actor)
        version.first, version.others = None, None

    def unneed(self, version: LiveVersion) -> None:
        """A version keeps none of those before it."""
        for before in version.needs:
            source = self.find(before)
            if source is not None:
                self.release(source)
        version.needs = ()

    def unrevise(self, version: LiveVersion) -> None:
        """A version is not the next one of its previous."""
        after = self.revised.get(version.previous)
        if after is not None:
            after.pop(version.id, None)
            if not after:
                del self.revised[version.previous]

    def enter_path(self, version: LiveVersion) -> None:
        """A version is at its path."""
        there = self.paths.get(version.path)
        if there is None:
            self.paths[version.path] = version
        elif isinstance(there, LiveVersion):
            self.paths[version.path] = {there.id: there, version.id: version}
        else:
            there[version.id] = version

    def leave_path(self, version: LiveVersion) -> None:
        """A version is not at its path any more."""
        there = self.paths.get(version.path)
        if isinstance(there, dict):
            there.pop(version.id, None)
        if there is version or not there:
            self.paths.pop(version.path, None)

    def _shorten(self, actor: Actor, steps: int) -> int:
        """Cut off inputs that nothing stores; all of an activity that nobody needs.  The steps that took."""
        if actor.ended is None or not (actor.is_over or not actor.uses):
            return 0
        if not actor.uses and self.actors.get(actor.id) is actor:
            self._drop(actor)
        keep = max(actor.covered, actor.stored) if actor.uses else 0
        inputs = actor.inputs
        left = steps
        while len(inputs) > keep and left > 0:
            self._unlearn(actor, inputs.pop(), len(inputs))
            left -= 1
        if len(inputs) > keep:
            self._doomed.appendleft(actor)
        return steps - left + 1

    def _drop(self, actor: Actor) -> None:
        del self.actors[actor.id]
        self.notes.gone.append(actor.number)
        for source, _ in actor.executing:
            self.release(source)
        actor.executing = []
        if actor.parent is not None:
            if actor.parent.successor is actor:
                actor.parent.successor = None  # no circle of references is left to the garbage collector
            self.leave(actor.parent)

    def _unlearn(self, actor: Actor, one: Input, position: int) -> None:
        if one.informed:
            source = self.actors.get(one.source)
            if source is not None:
                positions = source.tells.get(actor.id, [])
                positions.remove(position)
                if not positions:
                    del source.tells[actor.id]
                self.leave(source)
            return
        actor.known.pop(one.source, None)
        used = self.find(one.source)
        if used is not None:
            consumers = self.consumers.get(one.source)
            if consumers is not None:
                consumers.pop(actor.id, None)
                if not consumers:
                    del self.consumers[one.source]
            self.release(used)

    def _number_of(self, one: Input) -> int:
        source = self.actors.get(one.source) if one.informed else self.find(one.source)
        return 0 if source is None else source.number
