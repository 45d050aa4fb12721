"""What was live when a daemon died, from the notes in its journal.

Each note says all about one thing, so the last one counts; they are only collected at first, for after a
compaction a note may name things whose own notes come later.  Then things are made, joined, and what needs
what is found anew.  Frozen bytes are asked for when the working tree of their branch is open again
(`reopened`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pfs.lineage.facts import OUTSIDE, Activity, Change, Ending, Input, Version
from pfs.lineage.group import Origin
from pfs.lineage.live.notes import CURRENT, DESCRIBED, FEEDS, LATE, MULTIPLE, OPEN, PINS, ROOT, UNTOUCHED, Op
from pfs.lineage.live.state import Actor, Credit, External, LiveVersion, Place
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording import flows

Raw = list[Any]  # a note, or a part of one


class Replay:
    """Builds empty tables up again."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._last: dict[int, Raw] = {}  # number → the last note about an actor, version or external
        self._inputs: dict[int, list[Raw | None]] = {}
        self._ordinals: dict[int, int] = {}
        self._writers: dict[int, tuple[Raw, dict[int, Raw]]] = {}  # version → its note, and who wrote it
        self._covered: dict[int, int] = {}
        self._wrote: dict[int, set[Any]] = {}  # actor → places, two at most
        self._links: list[Raw] = []
        self._changes: dict[int, dict[int, Change]] = {}
        self._actors: dict[int, Actor] = {}  # by number
        self._versions: dict[int, LiveVersion | External] = {}
        self.frozen: dict[
            int, list[tuple[LiveVersion, bytes]]
        ] = {}  # branch → versions, tokens of their bytes

    def run(self, records: Iterable[Sequence[Raw]]) -> None:
        """Read all notes, make what they name, count what needs what."""
        for notes in records:
            for note in notes:
                self._read(note)
        self._last = dict(sorted(self._last.items()))  # the order in which things began
        for number, note in self._last.items():
            if note[0] == Op.ACTOR:
                self._actors[number] = self._make_actor(number, note)
        for number, note in self._last.items():
            if note[0] == Op.VERSION:
                self._versions[number] = self._make_version(note)
            elif note[0] == Op.EXTERNAL:
                fact = msgspec.convert(note[2], Version)
                self._versions[number] = External(number, fact, _origin(note[3]))
        for number, actor in self._actors.items():
            self._join(actor, self._last[number], self._inputs.get(number, ()))
        self._enter()
        self._count()

    def _read(self, note: Raw) -> None:
        op, number = note[0], note[1]
        if op in (Op.ACTOR, Op.EXTERNAL, Op.VERSION):
            self._last[number] = note
            self._tables.number = max(self._tables.number, number)
            if op == Op.VERSION:
                self._read_writers(note)
        elif op == Op.INPUTS:
            self._read_inputs(number, note[2], note[3])
        elif op == Op.WROTE:
            self._read_wrote(note)
        elif op == Op.GONE:
            for one in note[1:]:
                self._last.pop(one, None)
                self._inputs.pop(one, None)
            self._tables.number = max(self._tables.number, *note[1:])
        elif op == Op.LINK:
            self._links.append(note)
        elif op == Op.CHANGE:
            change = msgspec.convert(note[2], Change)
            self._changes.setdefault(change.branch, {})[number] = change
        elif op == Op.STORED:
            waiting = self._changes.get(number, {})
            for one in [one for one in waiting if one <= note[2]]:
                del waiting[one]

    def _read_inputs(self, number: int, first: int, entries: Sequence[Raw]) -> None:
        inputs = self._inputs.setdefault(number, [])
        inputs += [None] * (first + len(entries) - len(inputs))
        inputs[first : first + len(entries)] = entries
        for source, informed, watermark, *_ in entries:
            if informed:
                self._cover(source, watermark)

    def _read_wrote(self, note: Raw) -> None:
        """A part of a version has changed; its own note may still come, and says more then."""
        _, number, actor, mark, flags, relation, time_ns, is_first = note
        version = self._last.get(number)
        if version is None or version[0] != Op.VERSION:
            return
        writers = self._writers.get(number)
        if is_first or writers is None or writers[0] is not version:
            listed = {} if is_first else {one[0]: one for one in version[8]}
            writers = self._writers[number] = (version, listed)
        writers[1][actor] = [actor, mark, flags]
        version[5], version[8], version[14] = relation, writers[1].values(), time_ns
        version[10] &= ~UNTOUCHED
        self._read_writers([*version[:8], [[actor, mark, flags]], *version[9:]])

    def _read_writers(self, note: Raw) -> None:
        place, path, writers, (beginner, ordinal) = note[3], note[4], note[8], note[18]
        for actor, mark, _ in writers:
            self._cover(actor, mark)
            wrote = self._wrote.setdefault(actor, set())
            if len(wrote) < 2:
                wrote.add(path if place[0] == OUTSIDE else tuple(place))
        if beginner:
            self._ordinals[beginner] = max(self._ordinals.get(beginner, 0), ordinal)

    def _cover(self, number: int, mark: int) -> None:
        self._covered[number] = max(self._covered.get(number, 0), mark)

    # things

    def _make_actor(self, number: int, note: Raw) -> Actor:
        _, _, activity, _, bits, ordinal, covered, stored, repo, segment, ended, _, place, own = note
        actor = Actor(msgspec.convert(activity, Activity), None, number)
        wrote = self._wrote.get(number, set())
        actor.pins = bool(bits & PINS)
        actor.place = Place(*place) if isinstance(place, list) else place
        for one in wrote:
            self._tables.wrote_at(actor, Place(*one) if isinstance(one, tuple) else one)
        actor.is_multiple |= bool(bits & MULTIPLE)
        actor.feeds = bool(bits & FEEDS)
        actor.is_stored, actor.is_late = bool(bits & DESCRIBED), bool(bits & LATE)
        actor.ordinal = max(ordinal, self._ordinals.get(number, 0))
        actor.covered = max(covered, self._covered.get(number, 0))
        actor.stored, actor.repo, actor.segment = stored, repo, segment
        actor.ended = None if ended is None else msgspec.convert(ended, Ending)
        actor.own = dict.fromkeys(own)
        return actor

    def _make_version(self, note: Raw) -> LiveVersion:
        _, number, version, place, path, relation, previous, base, writers, generation = note[:10]
        bits, order, frozen, floor, time_ns, beside, content, origin = note[10:18]
        made = LiveVersion(version, number, Place(*place), path, relation)
        made.previous, made.base, made.generation = previous, base, generation
        made.is_open, made.is_untouched = bool(bits & OPEN), bool(bits & UNTOUCHED)
        made.is_current, made.is_root = bool(bits & CURRENT), bool(bits & ROOT)
        made.order, made.floor, made.time_ns = order, floor, time_ns
        made.beside = None if beside is None else set(beside)
        made.origin = _origin(origin)
        for number, mark, flags in writers:
            actor = self._actors.get(number)
            if actor is not None and made.first is None:
                made.first = Credit(actor, mark, flags)
            elif actor is not None:
                made.others = made.others or {}
                made.others[actor] = Credit(actor, mark, flags)
        if content is not None:
            made.contain(*content)
        if frozen is not None:
            token, made.size, made.mtime_ns = frozen
            self.frozen.setdefault(made.place.branch, []).append((made, token))
        return made

    def _join(self, actor: Actor, note: Raw, entries: Sequence[Raw | None]) -> None:
        """Give an activity its parent and its inputs, up to the first whose source is gone."""
        actor.parent = self._actors.get(note[3])
        for number, path in note[11]:
            program = self._versions.get(number)
            if program is not None:
                actor.executing.append((program, path))
        for entry in entries:
            if entry is None:
                break
            number, informed, watermark, level, flags, time_ns = entry
            source = self._actors.get(number) if informed else self._versions.get(number)
            if source is None:
                break
            actor.inputs.append(Input(source.id, informed, watermark, level, flags, time_ns))

    # tables

    def _enter(self) -> None:
        tables = self._tables
        for actor in self._actors.values():
            tables.actors[actor.id] = actor
        for version in self._versions.values():
            if isinstance(version, External):
                tables.externals[version.id] = version
            else:
                self._enter_version(version)
        for branch, changes in self._changes.items():
            tables.changes[branch] = deque(sorted(changes.items()))
            tables.number = max([tables.number, *changes])

    def _enter_version(self, version: LiveVersion) -> None:
        tables, place = self._tables, version.place
        tables.versions[version.id] = version
        tables.enter_path(version)
        tables.order = max(tables.order, version.order)
        if version.previous:
            tables.revised.setdefault(version.previous, {})[version.id] = None
        if place.repo == OUTSIDE:
            return
        generations = tables.generations
        generations[place.branch] = max(generations.get(place.branch, 0), version.generation)
        # A version that was superseded has no note of that: the one with the greatest number counts.
        if version.is_root:
            roots = tables.roots.setdefault(place.branch, {}).setdefault(version.generation, {})
            former = roots.get(place.file_id)
            if former is None or former.number < version.number:
                roots[place.file_id] = version
            loser = former if former is None or former.number < version.number else version
            if loser is not None:
                loser.is_root = False
        if version.is_current:
            file = tables.file(place)
            newest = file.version
            if newest is None or newest.number < version.number:
                file.version = version
            loser = newest if newest is None or newest.number < version.number else version
            if loser is not None:
                loser.is_current = False

    def _count(self) -> None:
        """Find anew what needs what."""
        tables = self._tables
        for version in tables.versions.values():
            version.uses += version.is_current + version.is_root
            for one in version.credits:
                one.mark = min(one.mark, len(one.actor.inputs))
                one.actor.uses += 1
                one.actor.outputs[version.id] = version
            previous = tables.find(version.previous)
            if previous is not None:
                tables.follow(version, previous, tables.find(version.base))
        for actor in tables.actors.values():
            self._count_actor(actor)
        for actor in list(tables.actors.values()):
            if actor.ended is not None:
                tables.remember(actor)
        for _, source, sink, flags, level in self._links:
            teller, told = self._actors.get(source), self._actors.get(sink)
            if teller is not None and told is not None and teller.ended is None:
                flows.connect(tables, teller, told, flags, level)
        for thing in self._versions.values():
            tables.unless_used(thing)
        tables.notes.batch.clear()

    def _count_actor(self, actor: Actor) -> None:
        tables = self._tables
        if actor.parent is not None:
            actor.parent.uses += 1
            if actor.parent.activity.key.pid == actor.activity.key.pid:
                actor.parent.successor = actor
        if actor.is_late:
            tables.late[actor.id] = actor
            actor.uses += 1
        for program, _ in actor.executing:
            program.uses += 1
        for position, one in enumerate(actor.inputs):
            if one.informed:
                teller = tables.actors[one.source]
                actor.before[position] = actor.told.get(one.source, (-1, -1))[0]
                actor.told[one.source] = (one.watermark, position)
                teller.tells.setdefault(actor.id, []).append(position)
                teller.uses += 1
                continue
            source = tables.find(one.source)
            if source is not None:
                actor.known[one.source] = position
                tables.consumers.setdefault(one.source, {})[actor.id] = position
                source.uses += 1
                if actor.activity.interactive:
                    path = source.path if isinstance(source, LiveVersion) else source.version.path
                    actor.buffers.setdefault(path, set()).add(position)
        if actor.activity.interactive:
            for version in actor.outputs.values():
                actor.buffers.setdefault(version.path, set()).update(version.beside or ())


def _origin(raw: Raw | None) -> Origin | None:
    return None if raw is None else Origin(*raw)
