"""The steps by which what is live changes.

Each step changes the tables of `kept` and what counts on what, and notes for the journal what it added; a
version that changes in several steps is noted by whoever makes them.  Which step when is the rules' business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from pfs.lineage.facts import OUTSIDE, Change, Flag, Input, Level, Version, Writer, raw_version_id, version_id
from pfs.lineage.group import Origin
from pfs.lineage.live.kept import Kept
from pfs.lineage.live.notes import Notes
from pfs.lineage.live.state import (
    NOBODY_BEGAN,
    Actor,
    Credit,
    External,
    File,
    Files,
    LiveVersion,
    Place,
    Seen,
)

BASES_MAX: Final = 200_000  # files whose committed version is at hand, ~200 bytes each


class Tables(Kept):
    """What is live, and how it changes.  Owned by the event loop."""

    def __init__(
        self,
        files: Files,
        notes: Notes,
        now_ns: Callable[[], int],
        resolve: Callable[[bytes, int], int] | None = None,
    ) -> None:
        super().__init__(files, notes, now_ns)
        self._resolve = resolve
        self.stored_lately: dict[Origin, int] = {}  # row of a segment → version, until the index knows it
        # What files without a live version hold, as far as was asked.
        self._bases: dict[Place, LiveVersion | External] = {}

    # files, and versions from elsewhere

    def file(self, place: Place) -> File:
        """The file's entry, made where there is none."""
        file = self.files.get(place)
        if file is None:
            file = self.files[place] = File(place)
        return file

    def leave_file(self, file: File) -> None:
        """Forget a file that is neither open nor changed."""
        if file.version is None and not file.grips and self.files.get(file.place) is file:
            del self.files[file.place]

    def committed(self, place: Place) -> LiveVersion | External | None:
        """What a file without a live version holds.  Whoever calls makes use of it at once."""
        known = self._base(place)
        if known is not None:
            return known
        seen = self.below.committed(place)
        if seen is None or (seen.size and not seen.content):
            return None
        found = self.external(seen)
        if len(self._bases) >= BASES_MAX:
            self._bases.clear()
        self._bases[place] = found
        return found

    def _base(self, place: Place) -> LiveVersion | External | None:
        known = self._bases.get(place)
        return known if known is not None and known.uses and self.find(known.id) is known else None

    def external(self, seen: Seen) -> LiveVersion | External:
        """What some commit has.  Whoever calls makes use of it at once."""
        version = self._id_of(seen)
        found = self.find(version)
        if found is not None:
            if isinstance(found, LiveVersion) and found.content is None:
                found.contain(seen.content, seen.height, seen.size, seen.mtime_ns)
            return found
        return self.add_external(
            Version(
                id=version,
                repo=seen.repo,
                branch=seen.branch,
                file_id=seen.file_id,
                path=seen.path,
                content=seen.content,
                height=seen.height,
                size=seen.size,
                mtime_ns=seen.mtime_ns,
            ),
            self.origin(seen),
        )

    def origin(self, seen: Seen) -> Origin | None:
        """Which row of which segment says how something committed was made."""
        return None if seen.origin is None else Origin(*seen.origin)

    def committed_id(self, place: Place) -> int:
        """The id of that; 0 where it is not known."""
        known = self._base(place)
        if known is not None:
            return known.id
        seen = self.below.committed(place)
        return 0 if seen is None or (seen.size and not seen.content) else self._id_of(seen)

    def _id_of(self, seen: Seen) -> int:
        version = 0
        if seen.origin is not None:
            version = self.stored_lately.get(Origin(*seen.origin), 0)
            if not version and self._resolve is not None:
                version = self._resolve(*seen.origin)
        return version or raw_version_id(seen.repo, seen.file_id.to_bytes(8, "little"), seen.content)

    def forget_stored(self, steps: int) -> None:
        """Let go of rows that the index knows by now, the oldest first."""
        while self.stored_lately and steps > 0 and self._resolve is not None:
            origin = next(iter(self.stored_lately))
            if not self._resolve(*origin):
                break
            del self.stored_lately[origin]
            steps -= 1

    def add_external(self, fact: Version, origin: Origin | None) -> External:
        """Enter a version from elsewhere.  Whoever calls makes use of it at once."""
        made = self.externals[fact.id] = External(self.next_number(), fact, origin)
        self.notes.external(made)
        return made

    # inputs

    def use(self, actor: Actor, source: LiveVersion | External, level: int, flags: int) -> int:
        """A version becomes an input, once; its position.  A stronger level replaces a weaker one."""
        position = actor.known.get(source.id)
        if position is not None:
            one = actor.inputs[position]
            if level < one.level and position >= actor.stored:
                one = Input(source.id, False, 0, level, one.flags, one.time_ns)
                actor.inputs[position] = one
                self.notes.input(actor, position, source.number, one)
            return position
        position = len(actor.inputs)
        one = Input(source.id, False, 0, level, flags, self.now_ns())
        actor.inputs.append(one)
        actor.known[source.id] = position
        consumers = self.consumers.get(source.id)
        if consumers is None:
            self.consumers[source.id] = {actor.activity.id: position}
        else:
            consumers[actor.activity.id] = position
        source.uses += 1
        self.notes.input(actor, position, source.number, one)
        return position

    def hear(self, sink: Actor, source: Actor, mark: int, level: int, flags: int) -> int:
        """The source told the sink what its first `mark` inputs are; position of the entry, -1 where none.

        The entry about this source grows while no watermark of the sink covers it; else there is a new one.
        """
        watermark, position = sink.told.get(source.id, (-1, -1))
        if mark <= watermark:
            return position
        one = Input(source.id, True, mark, level, flags, self.now_ns())
        if position >= max(sink.covered, sink.stored, 0) and _is_alike(sink.inputs[position], level, flags):
            sink.inputs[position] = one
        else:
            position = len(sink.inputs)
            sink.inputs.append(one)
            sink.before[position] = watermark
            source.tells.setdefault(sink.id, []).append(position)
            source.uses += 1
        sink.told[source.id] = (mark, position)
        source.covered = max(source.covered, mark)
        self.notes.input(sink, position, source.number, one)
        return position

    def add_change(self, change: Change) -> None:
        """What happened to a name."""
        number = self.next_number()
        self.changes.setdefault(change.branch, deque()).append((number, change))
        self.notes.change(number, change)

    # versions

    def begin_version(
        self,
        actor: Actor | None,
        file: File,
        relation: int,
        previous: LiveVersion | External | None,
        path: bytes | None = None,
    ) -> LiveVersion:
        """Begin the next version of a file.  The caller fills it in and notes it.

        actor: whose it will be; None: made by nobody recorded.  path: where the file is, if that is known.
        """
        place, number = file.place, self.next_number()
        began = NOBODY_BEGAN
        if actor is None:
            nonce = b"%d %d" % (number, self.now_ns())
            version_number = raw_version_id(place.repo, place.file_id.to_bytes(8, "little"), nonce)
        else:
            version_number = version_id(actor.activity.id, actor.ordinal)
            actor.ordinal += 1
            began = (actor.number, actor.ordinal)
        if path is None:
            path = self.below.path(place)
        version = LiveVersion(version_number, number, place, path, relation)
        version.generation, version.began = self.generations.get(place.branch, 0), began
        if previous is not None:
            self.follow(version, previous, self.base_of(previous, actor))
        self.enter(version, file)
        return version

    def follow(
        self,
        version: LiveVersion,
        previous: LiveVersion | External | None,
        base: LiveVersion | External | None = None,
    ) -> None:
        """Say which version was before; keep it where this one depends on it, or nothing else tells it."""
        self.unneed(version)
        self.unrevise(version)
        version.previous, version.base = 0, 0
        if previous is None:
            return
        version.previous = previous.id
        self.revised.setdefault(previous.id, {})[version.id] = None
        if version.depends_on_previous:
            version.base = 0 if base is None else base.id
            needed = {previous.id: previous} if base is None else {previous.id: previous, base.id: base}
        elif isinstance(previous, External):
            needed = {previous.id: previous}
        else:
            return
        version.needs = tuple(needed)
        for one in needed.values():
            one.uses += 1

    def base_of(self, version: LiveVersion | External, actor: Actor | None) -> LiveVersion | External | None:
        """What an activity learns from a version: the version, or if it made that alone, what was before."""
        if actor is None:
            return version
        if isinstance(version, LiveVersion) and version.only_writer is actor:
            return self.find(version.base) if version.base else None
        return None if version.id in actor.own else version

    def enter(self, version: LiveVersion, file: File) -> None:
        """Put a new version into the tables, as the newest one of its file."""
        place = version.place
        self._bases.pop(place, None)
        self.versions[version.id] = version
        old, file.version = file.version, version
        roots = self.roots_of(place.branch, version.generation)
        former = roots.get(place.file_id)
        roots[place.file_id] = version
        if former is not None:
            former.is_root = False
            self.release(former)
        if old is not None:
            old.is_current = False
            self.release(old)
        for one in (old, former if former is not old else None):
            if one is not None and one.uses:
                self.notes.version(one)  # that it is not the newest any more
        version.uses += 2
        self.enter_path(version)
        file.stamp += 1

    def roots_of(self, branch: int, generation: int) -> dict[int, LiveVersion | None]:
        """By file id, the newest version of a generation; None: what nobody recorded made."""
        generations = self.roots.get(branch)
        if generations is None:
            generations = self.roots[branch] = {}
        roots = generations.get(generation)
        if roots is None:
            roots = generations[generation] = {}
        return roots

    def credit(self, version: LiveVersion, actor: Actor, flags: int) -> Credit:
        """One more activity writes a version, now."""
        mark = len(actor.inputs)
        made = Credit(actor, mark, flags)
        if version.first is None:
            version.first = made
        elif version.others is None:
            version.others = {actor: made}
        else:
            version.others[actor] = made
        actor.uses += 1
        actor.outputs[version.id] = version
        actor.covered = max(actor.covered, mark)
        self.wrote_at(actor, version.place)
        return made

    def wrote_at(self, actor: Actor, place: object) -> None:
        """Take note of whether an activity has one output or several."""
        if actor.place is None:
            actor.place = place
        elif actor.place != place:
            actor.is_multiple = True

    def relate(self, version: LiveVersion, relation: int) -> None:
        """Change how a version came after the one before."""
        did = version.depends_on_previous
        version.relation = relation
        if did and not version.depends_on_previous:
            self.unneed(version)
            self.follow(version, self.lasting(self.find(version.previous)))

    def lasting(self, previous: LiveVersion | External | None) -> LiveVersion | External | None:
        """Going back, the first version that stays once it is neither the newest nor waited for."""
        while isinstance(previous, LiveVersion) and previous.frozen is None and not previous.content:
            if previous.uses > previous.is_current + self._is_passing_root(previous):
                break
            previous = self.find(previous.previous) if previous.previous else None
        return previous

    def _is_passing_root(self, version: LiveVersion) -> bool:
        return version.is_root and version.generation >= self.generations.get(version.place.branch, 0)

    def unless_used(self, source: LiveVersion | External | None) -> None:
        """Let go of a version that was entered and is not made use of."""
        if source is not None and not source.uses:
            source.uses = 1
            self.release(source)

    def move(self, version: LiveVersion, path: bytes) -> None:
        """A version is at another path now."""
        if path != version.path:
            self.leave_path(version)
            version.path = path
            self.enter_path(version)

    def finish(self, version: LiveVersion) -> None:
        """Nothing is written to a version any more."""
        if version.is_open:
            version.is_open = False
            self.order += 1
            version.order = self.order

    def settle(self, version: LiveVersion) -> None:
        """The next commit does not wait for a version any more."""
        if version.is_root:
            version.is_root = False
            generation = self.roots[version.place.branch][version.generation]
            if generation.get(version.place.file_id) is version:
                del generation[version.place.file_id]
            self.release(version)

    def dethrone(self, version: LiveVersion) -> None:
        """A version is not the newest of its file any more: from now on the newest commit says what is."""
        if version.is_current:
            version.is_current = False
            file = self.files.get(version.place)
            if file is not None and file.version is version:
                file.version = None
                self.leave_file(file)
            self.release(version)

    def leave_unnamed(self, version: LiveVersion) -> None:
        """A version that no commit waits for goes with the last name and the last handle of its file."""
        if version.is_current and not version.is_root:
            file = self.files.get(version.place)
            if (file is None or not file.grips) and not self.below.path(version.place):
                self.dethrone(version)

    def forget(self, place: Place) -> None:
        """What a file holds was set by nobody recorded."""
        self._bases.pop(place, None)
        file = self.files.get(place)
        if file is not None:
            file.stamp += 1
            if file.version is not None:
                self.depose(file.version)

    def forget_branch(self, branch: int) -> None:
        """What all files of a branch hold was set anew."""
        for place in [place for place in self._bases if place.branch == branch]:
            del self._bases[place]
        for place in [place for place in self.files if place.branch == branch]:
            self.forget(place)

    def depose(self, version: LiveVersion) -> None:
        """Something that nobody recorded made has taken the place of the newest version of a file."""
        place = version.place
        self.finish(version)
        self.dethrone(version)
        current = self.generations.get(place.branch, 0)
        if version.generation == current:
            self.settle(version)
            self.notes.version(version)
        for roots in self.roots.get(
            place.branch, {}
        ).values():  # their commit may still come; not so after a crash
            root = roots.get(place.file_id)
            if root is not None:
                root.is_deposed = True
                self.notes.version(root)
        self.roots_of(place.branch, current)[place.file_id] = None

    def store(self, version: LiveVersion, fact: Version) -> None:
        """A version is in a segment; where something live depends on it, it stays as one from elsewhere."""
        writer = version.only_writer
        if writer is not None and writer.ended is None and not version.depends_on_previous:
            writer.own[version.id] = None
        self.settle(version)
        self.dethrone(version)
        if version.uses:
            made = External(version.number, fact, version.origin)
            made.uses = version.uses
            self.take_out(version)
            self.externals[made.id] = made
            self.notes.external(made)

    def fact(
        self, version: LiveVersion, focus: tuple[int, ...] | None = None, rest: int = Level.OBSERVED
    ) -> Version:
        """A live version as a fact."""
        place = version.place
        writers = tuple(Writer(one.actor.id, one.mark, one.flags) for one in version.credits)
        if len(writers) > 1:
            writers = tuple(Writer(one.activity, one.watermark, one.flags | Flag.SHARED) for one in writers)
        return Version(
            id=version.id,
            repo=place.repo,
            branch=place.branch,
            file_id=place.file_id,
            path=version.path,
            relation=version.relation,
            previous=version.previous,
            writers=writers,
            time_ns=version.time_ns,
            content=version.content or b"",
            height=version.height,
            size=version.size,
            mtime_ns=version.mtime_ns,
            is_known=version.content is not None and not (place.repo == OUTSIDE and not version.content),
            focus=focus,
            rest=rest,
        )


def _is_alike(one: Input, level: int, flags: int) -> bool:
    return one.level == level and one.flags == flags
