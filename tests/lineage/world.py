"""A small world of processes and files in memory, recorded as it goes, and what is true in it.

Truth is kept twice, without a look at the recorder.  By bytes: which processes and raw files went into each
byte that a file has; nothing of that may be missing.  By processes: a write carries all that its process had
learned before, a file all that was written to it since it was last empty; nothing more may be there.  Sets of
processes and raw files are the bits of an int.
"""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import Protocol

from pfs.lineage.facts import Activity, ActivityKey, ChangeKind, Ending, Input, Version, activity_id
from pfs.lineage.group import Origin
from pfs.lineage.live.state import Held, Place, Seen
from pfs.lineage.recording.recorder import Recorder
from tests.lineage.world_things import File, Handle, Notes, Process

FILE_BYTES_MAX = 120
BRANCHES = {1: 1, 2: 1, 3: 2}  # branch → repo


class Lands(Protocol):
    """A commit that goes on."""

    def lands(self) -> bool: ...


def content_id(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest() if data else b""


class World:
    """What there is; the recorder's `Files`, too."""

    def __init__(self, seed: int, *, seals: bool = True) -> None:
        self.random = random.Random(seed)
        self.seals = seals
        self.clock = 0
        self.files: dict[Place, File] = {}
        self.names: dict[tuple[int, bytes], File] = {}
        self.processes: list[Process] = []
        self.handles: dict[Handle, None] = {}
        self.bits: dict[int, int] = {}  # activity or raw version → its bit
        self.bit_count = 0
        self.truth: dict[int, tuple[int, int]] = {}  # version → (by processes, by bytes)
        self.shown: dict[int, bytes] = {}  # version that somebody saw → its bytes
        self.kept: dict[bytes, bytes] = {}  # token → frozen bytes
        self.released: set[bytes] = set()
        self.base: dict[Place, Seen] = {}
        self.segments = 0
        self.rows: dict[Origin, int] = {}
        self.stored: dict[int, Version] = {}
        self.stored_bytes: dict[int, bytes] = {}
        self.stored_inputs: dict[int, dict[int, Input]] = {}
        self.generation = dict.fromkeys(BRANCHES, 1)
        self.stored_generation = dict.fromkeys(BRANCHES, 0)
        self.unknown: set[Place] = set()  # changed by nobody recorded since the base
        self.commits: list[Lands] = []
        self.next_pid, self.next_file, self.next_path = 1, 1, 1
        self.notes = Notes()
        self.recorder = self.new_recorder()

    # the recorder's side

    def new_recorder(self) -> Recorder:
        return Recorder(
            self, self.notes, self.now, lambda segment, row: self.rows.get(Origin(segment, row), 0)
        )

    def now(self) -> int:
        self.clock += 1
        return self.clock

    def freeze(self, place: Place) -> Held:
        data = bytes(self.files[place].data)
        token = b"%d" % len(self.kept)
        self.kept[token] = data
        return Held(data, len(data), self.now(), token)

    def held(self, place: Place, token: bytes, size: int, mtime_ns: int) -> Held | None:
        assert token not in self.released
        return Held(self.kept[token], size, mtime_ns, token)

    def release(self, place: Place, held: Held) -> None:
        assert held.token not in self.released
        self.released.add(held.token)

    def path(self, place: Place) -> bytes:
        file = self.files[place]
        return file.path if self.names.get((place.branch, file.path)) is file else b""

    def committed(self, place: Place) -> Seen | None:
        return None if place in self.unknown else self.base.get(place)

    # bits and truth

    def new_bit(self) -> int:
        self.bit_count += 1
        return 1 << (self.bit_count - 1)

    def note_truth(self, file: File) -> None:
        """What is true of the version that a file shows now."""
        version = self.recorder.newest(file.place)
        if not version:
            return
        if file.raw:
            self.find_raw(file, version)
        self.truth[version] = (file.truth, file.exact)

    def find_raw(self, file: File, version: int) -> None:
        """The bytes that nobody recorded wrote have got a version: this one, or the one before."""
        fact = self.recorder.source.version(version)
        while fact is not None and fact.writers:
            version = fact.previous
            fact = self.recorder.source.version(version)
        if version:
            assert version not in self.bits
            self.bits[version] = file.raw
            self.truth.setdefault(version, (file.raw, file.raw))
        file.raw = 0

    def look(self, process: Process, file: File) -> None:
        """A process has read a file; call it after the recorder was told."""
        process.taint |= file.truth
        self.note_truth(file)
        version = self.recorder.newest(file.place)
        if version in process.actor.known:
            self.shown[version] = bytes(file.data)

    def pull(self, process: Process) -> None:
        """Before a process writes: what pipes and mapped pages brought."""
        seen, todo = {process}, [process]
        while todo:
            for source in todo.pop().sources:
                if source not in seen:
                    seen.add(source)
                    todo.append(source)
        for source in seen:
            for handle in self.handles:  # a close that is not the last is not told
                if handle.reads and handle.file.mapped and source in handle.known:
                    source.taint |= handle.file.truth
            process.taint |= source.taint

    def writes(self, process: Process, file: File, start: int, data: bytes) -> None:
        """Bytes change: call it after `pull`."""
        if not file.data:
            file.taint = 0
        file.data.extend(bytes(max(0, start + len(data) - len(file.data))))
        file.bytes_taint.extend([0] * (len(file.data) - len(file.bytes_taint)))
        file.data[start : start + len(data)] = data
        file.bytes_taint[start : start + len(data)] = [process.taint] * len(data)
        file.taint |= process.taint
        file.maker = 0
        process.wrote = True

    def empties(self, process: Process, file: File) -> None:
        file.data.clear()
        file.bytes_taint.clear()
        file.taint, file.maker, file.raw = 0, process.taint, 0
        process.wrote = True

    # processes

    def start(self, parent: Process | None, *, forked: bool = False) -> Process:
        pid, self.next_pid = self.next_pid, self.next_pid + 1
        return self._begin(pid, 0, parent, forked)

    def _begin(self, pid: int, execs: int, parent: Process | None, forked: bool) -> Process:
        key = ActivityKey(b"\1" * 16, pid, pid, execs)
        activity = Activity(
            id=activity_id(key), key=key, parent=parent.actor.id if parent else 0, started_ns=self.now()
        )
        if parent is not None and forked:
            self.pull(parent)
        actor = self.recorder.begin(activity, None if parent is None else parent.actor, forked=forked)
        assert activity.id not in self.bits
        bit = self.bits[activity.id] = self.new_bit()
        self.show_raw()
        process = Process(pid, execs, bit, actor, parent, bit)
        if parent is not None and forked:
            process.taint |= parent.taint
            process.handles = dict(parent.handles)
        self.processes.append(process)
        return process

    def execute(self, process: Process) -> Process:
        self.ends(process, by_exec=True)
        made = self._begin(process.pid, process.execs + 1, process, False)
        made.taint |= process.programs
        for handle in list(process.handles):
            if self.random.random() < 0.7:
                made.handles[handle] = None
                self.inherit(made, handle)
            self.drop(process, handle)
        return made

    def inherit(self, process: Process, handle: Handle) -> None:
        handle.known.add(process)
        self.recorder.inherit(handle.grip, process.actor)
        if handle.reads:
            self.look(process, handle.file)

    def ends(self, process: Process, *, by_exec: bool = False) -> None:
        self.pull(process)
        for other in self.processes:
            if process in other.sources:
                other.taint |= process.taint
                other.sources.remove(process)
        told = None if by_exec or process.wrote or process.fed else self.parent_of(process)
        self.recorder.end(process.actor, Ending(self.now(), None if by_exec else 0), by_exec=by_exec)
        self.show_raw()
        process.alive = False
        process.sources.clear()
        self.processes.remove(process)
        if told is not None and process.actor.known:
            told.taint |= process.taint
        if not by_exec:
            for handle in list(process.handles):
                self.drop(process, handle)

    def parent_of(self, process: Process) -> Process | None:
        parent = process.parent
        while parent is not None and parent.pid == process.pid:
            parent = parent.parent
        if parent is None:
            return None
        return next((one for one in self.processes if one.pid == parent.pid), None)

    # handles

    def opens(
        self,
        process: Process,
        file: File,
        *,
        reads: bool,
        writes: bool,
        truncates: bool = False,
        creates: bool = False,
    ) -> Handle:
        if truncates or creates:
            self.pull(process)
        place = file.place
        grip = self.recorder.open(
            process.actor,
            place,
            self.generation[place.branch],
            reads=reads,
            writes=writes,
            truncates=truncates,
            creates=creates,
        )
        handle = Handle(file, grip, reads, writes, {process})
        process.handles[handle] = None
        file.handles.add(handle)
        self.handles[handle] = None
        self.show_raw()
        if truncates or creates:
            self.empties(process, file)
            self.note_truth(file)
        elif reads:
            self.look(process, file)
        return handle

    def drop(self, process: Process, handle: Handle) -> None:
        process.handles.pop(handle, None)
        if not any(handle in one.handles for one in self.processes):
            self.recorder.close(handle.grip)
            handle.file.handles.discard(handle)
            del self.handles[handle]
            if not handle.file.handles:
                handle.file.mapped = False

    def write(self, process: Process, handle: Handle, start: int, data: bytes) -> None:
        """A WRITE through a handle that a process has, if only by a fork."""
        file = handle.file
        if process not in handle.known:
            handle.known.add(process)
            if handle.reads:
                process.taint |= file.truth
        self.pull(process)
        place = file.place
        generation = self.generation[place.branch]
        self.recorder.write(handle.grip, process.actor, generation, start, len(file.data))
        self.show_raw()
        self.writes(process, file, start, data)
        self.note_truth(file)

    def read(self, process: Process, handle: Handle) -> None:
        handle.known.add(process)
        self.recorder.read(handle.grip, process.actor)
        self.look(process, handle.file)

    def truncate(self, process: Process, file: File, size: int) -> None:
        before = len(file.data)
        if size != before:
            self.pull(process)
        place = file.place
        self.recorder.truncate(process.actor, place, self.generation[place.branch], size, before)
        self.show_raw()
        if size == 0 and before:
            self.empties(process, file)
        elif size < before:
            del file.data[size:], file.bytes_taint[size:]
            file.taint |= process.taint
            process.wrote = True
        elif size > before:
            self.writes(process, file, before, bytes(size - before))
        self.note_truth(file)

    def store(self, file: File, start: int, data: bytes) -> None:
        """Stores through a mapping come in: any of those that may write the file has made them."""
        place = file.place
        holders = [
            one
            for one in self.processes
            if any(h.file is file and h.writes and one in h.known for h in one.handles)
        ]
        if not holders:
            return
        file.mapped = True
        for process in holders:  # one after the other: a later one may have seen what an earlier one stored
            self.pull(process)
            self.recorder.mapped(place, self.generation[place.branch], [process.actor])
            self.show_raw()
            file.taint |= process.taint
            file.maker = 0
            process.wrote = True
            self.note_truth(file)
        self.writes(self.random.choice(holders), file, start, data)
        self.note_truth(file)

    def show_raw(self) -> None:
        """Mapped pages were looked at: bytes that nobody recorded made may have got their version."""
        for file in self.files.values():
            if file.raw and file.mapped:
                self.note_truth(file)

    def opens_program(self, process: Process, file: File) -> None:
        """A process opens a file to execute it; what it becomes is told by `execute`."""
        if file.place not in self.base and not file.data:
            return
        branch = file.place.branch
        grip = self.recorder.open(
            process.actor, file.place, self.generation[branch], reads=True, writes=False, executes=True
        )
        self.recorder.close(grip)
        self.note_truth(file)
        process.programs |= file.truth

    def joins(self, source: Process, sink: Process) -> None:
        if source is not sink and source not in sink.sources:
            sink.sources.append(source)
            source.fed = True
            self.recorder.connect(source.actor, sink.actor)

    def renames(self, process: Process, file: File, target: File | None) -> None:
        branch, path = file.place.branch, file.path
        to_path = b"f%d" % self.next_path if target is None else target.path
        self.next_path += 1
        place = None if target is None else target.place
        self.recorder.change(process.actor, ChangeKind.RENAME, file.place, path, to_path, place)
        del self.names[branch, path]
        self.names[branch, to_path] = file
        file.path = to_path

    def unlinks(self, process: Process, file: File) -> None:
        self.recorder.change(process.actor, ChangeKind.REMOVE, file.place, file.path)
        del self.names[file.place.branch, file.path]

    def sets_bytes(self, file: File) -> None:
        """Pfs itself sets the bytes of a file: a restore."""
        bit = self.new_bit()
        file.data = bytearray(b"set %d" % self.bit_count)
        file.bytes_taint = [bit] * len(file.data)
        file.taint, file.maker, file.raw = bit, 0, bit
        self.unknown.add(file.place)
        self.recorder.forget(file.place, self.generation[file.place.branch])

    def new_file(self, branch: int) -> File:
        place = Place(BRANCHES[branch], branch, self.next_file)
        path = b"f%d" % self.next_path
        self.next_file += 1
        self.next_path += 1
        file = self.files[place] = File(place, path)
        self.names[branch, path] = file
        return file

    def raw_file(self, branch: int) -> File:
        """A file that a commit has had from the beginning."""
        file = self.new_file(branch)
        file.data = bytearray(b"raw %d " % file.place.file_id + bytes(self.random.randrange(20)))
        file.raw = file.taint = self.new_bit()
        file.bytes_taint = [file.raw] * len(file.data)
        self.base[file.place] = self.seen(file, bytes(file.data), None)
        self.note_truth(file)
        return file

    def seen(self, file: File, data: bytes, origin: Origin | None) -> Seen:
        place = file.place
        return Seen(*place[:2], file.path, place.file_id, content_id(data), 0, len(data), self.clock, origin)

    # crashes

    def crash(self) -> None:
        """The daemon is killed and comes back; processes live on, with no handle open."""
        for commit in self.commits:  # some were durable, and the recorder was not told
            if self.random.random() < 0.5:
                commit.lands()
        self.commits.clear()
        self.handles.clear()
        for process in self.processes:
            process.handles.clear()
        for file in self.files.values():
            file.handles.clear()
            file.mapped = False
        notes, self.notes = self.notes, Notes()
        self.notes.older = notes.older + notes.records
        self.recorder = self.new_recorder()
        self.recorder.replay(notes.read())
        for branch, generation in self.stored_generation.items():
            self.recorder.reopened(branch, generation)
        for file in self.files.values():
            if file.maker and not self.recorder.newest(file.place):  # made, and not even closed: nobody's now
                file.taint, file.maker, file.raw = 0, self.new_bit(), 1 << (self.bit_count - 1)
        for process in self.processes:
            process.actor = self.recorder.begin(process.actor.activity)
            process.wrote &= process.actor.place is not None  # to have made a file counts once it is closed
            for source in process.sources:
                assert source.actor.id in process.actor.links
