"""The rules of lineage: what an open, a read, a write, a rename make known, as they happen.

Synchronous, owned by the event loop, no I/O but one write to the lineage journal for each call that learned
something, and `Files.freeze`.  Call it before bytes change and after everything that may wait.  The model is
that of facts; two rules keep the graph free of circles: a version ends before anybody but its writers sees
it, and what an activity tells another is told up to a watermark.  Only `upstream` and `group` may run in a
thread.
"""

from __future__ import annotations

from pfs.lineage.facts import Change, ChangeKind, Flag, Level, Relation
from pfs.lineage.live.state import Actor, Grip, Place, Seen
from pfs.lineage.recording import beside, flows, programs, renamed, written
from pfs.lineage.recording.acting import Acting
from pfs.lineage.recording.looked import look, look_through, newest


class Recorder(Acting):
    """Live lineage of a store; `source` answers questions about it."""

    def open(
        self,
        actor: Actor,
        place: Place,
        generation: int,
        *,
        reads: bool,
        writes: bool,
        truncates: bool = False,
        executes: bool = False,
        creates: bool = False,
        ends_by_exec: bool = False,
        path: bytes | None = None,
    ) -> Grip:
        """A file of a working tree is opened.  Freezes what others wrote to it.  Raises OSError (of freeze).

        generation: the branch's current one.  creates: the file did not exist before.  executes: it becomes
        the program of the image that follows this actor.  ends_by_exec: its handle does not outlive that.
        path: where the file is, if that is known.
        """
        tables = self._tables
        self._reach(place.branch, generation)
        file = tables.file(place)
        grip = Grip(file, actor, reads, writes)
        grip.ends_by_exec = ends_by_exec
        file.enter(grip)
        _give(grip, actor)
        try:
            if actor.hears and (truncates or creates):
                flows.refresh(tables, actor)
            if creates:
                if file.version is None:
                    written.make(tables, actor, file, path)
            elif truncates:
                written.empty(tables, actor, file)
            elif executes:
                programs.opened(tables, actor, newest(tables, file))
                grip.reader, grip.seen = actor, file.stamp  # what the kernel reads, the next image learns
            elif reads:
                look_through(tables, grip, actor, Flag.NONE)
        except OSError:
            self.close(grip)
            raise
        if actor.activity.interactive:
            beside.opened(tables, actor, grip)
        if file.is_mapped and reads:
            self.maps(grip, actor)
        if tables.notes.batch:
            tables.flush()
        return grip

    def create(
        self,
        actor: Actor,
        place: Place,
        path: bytes,
        generation: int,
        *,
        reads: bool,
        writes: bool,
        ends_by_exec: bool = False,
    ) -> Grip:
        """A file has got its first name and is opened: `change` and `open` in one.  Raises OSError."""
        self._change(actor, ChangeKind.CREATE, place, path)
        return self.open(
            actor,
            place,
            generation,
            reads=reads,
            writes=writes,
            creates=True,
            ends_by_exec=ends_by_exec,
            path=path,
        )

    def open_seen(self, actor: Actor, seen: Seen, *, executes: bool = False) -> None:
        """A file of a commit is opened."""
        tables = self._tables
        source = tables.external(seen)
        if executes:
            programs.opened(tables, actor, source)
        elif not actor.pins:
            tables.unless_used(source)
        elif source.id not in actor.own:
            position = tables.use(actor, source, Level.OBSERVED, Flag.NONE)
            if actor.activity.interactive:
                beside.learned(actor, seen.path, position)
        tables.flush()

    def inherit(self, grip: Grip, actor: Actor) -> None:
        """A handle is open across an exec (or a fork, where that is known): the actor is the new image."""
        tables = self._tables
        self._hold(grip, actor)
        if grip.reads:
            look_through(tables, grip, actor, Flag.INHERITED)
        tables.flush()

    def guess(self, grip: Grip, actor: Actor) -> None:
        """The handle may have been open in a new image and be closed by now.  Raises OSError (of freeze)."""
        look(self._tables, actor, grip.file, Flag.INHERITED, Level.INFERRED)
        self._tables.flush()

    def read(self, grip: Grip, actor: Actor) -> None:
        """Before a READ is answered.  Raises OSError (of freeze)."""
        if grip.seen == grip.file.stamp and grip.reader is actor:
            return
        tables = self._tables
        self._hold(grip, actor)
        look_through(tables, grip, actor, Flag.NONE)
        tables.flush()

    def write(
        self,
        grip: Grip,
        actor: Actor,
        generation: int,
        offset: int,
        size_before: int,
        flags: int = Flag.NONE,
    ) -> None:
        """Before the bytes of a WRITE change.  flags: OPENER where the pid was not told.  Raises OSError."""
        if (
            grip.written == grip.file.stamp
            and grip.writer is actor
            and grip.mark == len(actor.inputs)
            and grip.generation == generation
            and offset >= grip.floor
            and not actor.hears
        ):
            return
        tables, file = self._tables, grip.file
        self._reach(file.place.branch, generation)
        if actor not in grip.holders:
            self._hold(grip, actor)
            if grip.reads:
                look_through(tables, grip, actor, Flag.INHERITED)
        self._refresh(actor)
        version = written.write(tables, actor, file, offset, size_before, flags)
        if actor.activity.interactive:
            beside.wrote(tables, actor, version)
        grip.writer, grip.generation = actor, generation
        grip.written = file.stamp
        grip.mark = len(actor.inputs)
        grip.floor = version.floor if version.relation == Relation.APPENDED else 0
        tables.flush()

    def truncate(self, actor: Actor, place: Place, generation: int, size: int, size_before: int) -> None:
        """Before a file's size is set, by path or handle.  Raises OSError."""
        if size == size_before:
            return
        tables = self._tables
        self._reach(place.branch, generation)
        file = tables.file(place)
        self._refresh(actor)
        if size == 0:
            written.empty(tables, actor, file)
        else:
            version = written.write(tables, actor, file, min(size, size_before), size_before, Flag.NONE)
            if actor.activity.interactive:
                beside.wrote(tables, actor, version)
        tables.flush()

    def mapped(self, place: Place, generation: int, actors: list[Actor] | None = None) -> None:
        """Before stores through mappings (WRITEs of pid 0) change bytes; None: all who may write the file."""
        tables = self._tables
        self._reach(place.branch, generation)
        file = tables.file(place)
        if not file.is_mapped:
            file.is_mapped = True
            for grip in file.grips:
                if grip.reads:
                    for holder in grip.holders:
                        self.maps(grip, holder)
        writers = list(file.holders) if actors is None else actors
        for actor in writers:
            self._refresh(actor)
            written.write(tables, actor, file, 0, 1, Flag.MMAP)
        if not writers:
            tables.forget(place)  # nobody is known that could have done it
        tables.flush()

    def maps(self, grip: Grip, actor: Actor) -> None:
        """An activity has mapped a file through a readable handle: it sees changes without a READ.

        Taken to be so of all that have it open once stores through some mapping have come.
        """
        actor.mapped[grip] = None
        actor.hears = True

    def close(self, grip: Grip) -> None:
        """The handle is released."""
        tables, file = self._tables, grip.file
        file.leave(grip)
        for actor in grip.holders:
            actor.grips.pop(grip, None)
            actor.seen_through.pop(grip, None)
            if actor.mapped:
                actor.mapped.pop(grip, None)
                actor.hears = bool(actor.links or actor.mapped)
        version = file.version
        if version is not None and not version.is_noted:
            tables.notes.version(version)
        if not file.grips:
            file.is_mapped = False
            if version is not None:
                tables.leave_unnamed(version)
            tables.leave_file(file)
        if tables.notes.batch:
            tables.flush()

    def change(
        self,
        actor: Actor | None,
        kind: ChangeKind,
        place: Place,
        path: bytes,
        to_path: bytes = b"",
        replaced: Place | None = None,
    ) -> None:
        """Something happened to a name.  Call it when it is sure to happen, or has.

        place: the file, or the directory's or link's file id.  replaced: what a rename has put away.
        """
        self._change(actor, kind, place, path, to_path, replaced)
        self._tables.flush()

    def _change(
        self,
        actor: Actor | None,
        kind: ChangeKind,
        place: Place,
        path: bytes,
        to_path: bytes = b"",
        replaced: Place | None = None,
    ) -> None:
        tables = self._tables
        file = tables.files.get(place)
        version = None if file is None else file.version
        number = version.id if version is not None and version.is_noted else 0
        if version is None and kind == ChangeKind.REMOVE:
            number = tables.committed_id(place)
        who = 0 if actor is None else actor.activity.id
        change = Change(
            tables.now_ns(), who, int(kind), place.repo, place.branch, path, to_path, place.file_id, number
        )
        tables.add_change(change)
        if actor is not None:
            tables.changers[who] = actor
        if version is not None:
            if kind == ChangeKind.RENAME:
                renamed.rename(tables, version, to_path, replaced)
            elif kind == ChangeKind.REMOVE:
                tables.leave_unnamed(version)

    def forget(self, place: Place, generation: int) -> None:
        """The bytes of a file were set by pfs itself: `Files.committed` says what is there now."""
        self._reach(place.branch, generation)
        self._tables.forget(place)
        self._tables.flush()

    def forget_branch(self, branch: int, generation: int) -> None:
        """The same for all files of a branch: it was set to another commit."""
        self._reach(branch, generation)
        self._tables.forget_branch(branch)
        self._tables.flush()

    def outside_read(
        self,
        actor: Actor,
        path: bytes,
        size: int,
        mtime_ns: int,
        content: bytes = b"",
        level: int = Level.OBSERVED,
    ) -> None:
        """A file beyond the mount was read, or is named by an argument (level ARGUMENT)."""
        self._outside.read(actor, path, size, mtime_ns, content, level)
        self._tables.flush()

    def outside_write(
        self,
        actor: Actor,
        path: bytes,
        size: int,
        mtime_ns: int,
        content: bytes = b"",
        *,
        is_new: bool = False,
    ) -> None:
        """A file beyond the mount was written and closed; is_new: nothing is left of what was there."""
        self._refresh(actor)
        self._outside.write(actor, path, size, mtime_ns, content, is_new)
        self._tables.flush()

    def outside_content(self, path: bytes, size: int, mtime_ns: int, content: bytes, height: int) -> None:
        """The content id of a file that was read beyond the mount has been computed."""
        self._outside.contain(path, size, mtime_ns, content, height)
        self._tables.flush()

    def newest(self, place: Place) -> int:
        """The version that a file shows now; 0 where it is not known.  Nothing is frozen by this."""
        file = self._tables.files.get(place)
        if file is not None and file.version is not None:
            return file.version.id
        return self._tables.committed_id(place)

    def _reach(self, branch: int, generation: int) -> None:
        generations = self._tables.generations
        if generation > generations.get(branch, -1):
            generations[branch] = generation

    def _hold(self, grip: Grip, actor: Actor) -> None:
        if actor in grip.holders:
            return
        grip.holders = (*grip.holders, actor)
        _give(grip, actor)
        if grip.file.is_mapped and grip.reads:
            self.maps(grip, actor)


def _give(grip: Grip, actor: Actor) -> None:
    if grip.reads:
        actor.seen_through[grip] = None
    if grip.writes:
        grip.file.hold(actor)
        actor.grips[grip] = None
