"""The kernel as far as files beyond the mount go, and a recorder that knows only who may know of what.

The kernel's two queues are played as they are: the connector's in order, fanotify's with the events of one
process about one file merged into the first, states of files as they are when an event is taken.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from pfs.lineage.facts import Activity, activity_id
from pfs.lineage.live.state import Actor
from pfs.lineage.outside.told import EXECUTED, OPENED, READ, WROTE, Event
from pfs.lineage.outside.watch import OutsideWatch
from pfs.lineage.processes.exits_last import ExitsLast
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.table import Processes

Taint = frozenset[int]
NOTHING: Taint = frozenset()
TICK_NS = 50_000_000
SHELL = 10
STEPS = ["fork", "exec", "exit", "open", "open", "open", "write", "close", "close", "take", "put", "drain"]


@dataclass(eq=False)
class File:
    inode: int
    path: bytes
    size: int = 0
    mtime_ns: int = 0
    taint: Taint = NOTHING
    writers: int = 0


@dataclass(eq=False)
class Handle:
    file: File
    writes: bool
    close_on_exec: bool


@dataclass(eq=False)
class Truth:
    """A process as it is."""

    pid: int
    taint: Taint = NOTHING
    handles: list[Handle] = field(default_factory=list)
    is_fork: bool = True


class World:
    """The kernel, and a recorder that keeps nothing but who may know of what."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 10**18
        self.told: list[tuple[Any, ...]] = []
        self.queue: dict[tuple[int, File], int] = {}  # merged, in order of the first
        self.files = [File(number, b"/tmp/%d" % number) for number in range(1, 6)]
        self.processes: dict[int, Truth] = {SHELL: Truth(SHELL, is_fork=False)}
        self.next_pid = 100
        self.sources = 0
        self.known: dict[Actor, Taint] = {}
        self.versions: dict[tuple[bytes, int, int], Taint] = {}
        self.extra = 0
        self.seen = 0
        exits = ExitsLast(self)
        self.table = Processes(
            exits,
            b"boot",
            now_ns=lambda: self.now,
            reader=lambda pid: None,
            stat=lambda pid: None,
            monotonic_ns=lambda: self.now,
        )
        self.table.tasks.on_fork = self.forked
        self.watch = OutsideWatch(
            Kernel(self),
            self.table,
            self,
            lambda path: path.startswith(b"/usr/"),
            lambda: self.now,
            exits,
            lambda: not (self.told or self.queue),
        )
        self.watch.promote = self.promote
        self.table.adopt(SHELL, None)

    # what the watch is given

    def drain(self) -> tuple[list[tuple[Any, ...]], bool]:
        told, self.told = self.told, []
        return told, False

    def outside_read(self, actor: Actor, path: bytes, size: int, mtime_ns: int, *, level: int = 0) -> None:
        self.known[actor] |= self.versions.get((path, size, mtime_ns), NOTHING)

    def outside_write(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, *, is_new: bool = False
    ) -> None:
        last = [version for version in self.versions if version[0] == path]
        before = NOTHING if is_new or not last else self.versions[last[-1]]
        self.versions.pop((path, size, mtime_ns), None)
        self.versions[path, size, mtime_ns] = before | self.known[actor]

    def describe(self, actor: Actor, activity: Activity) -> None:
        pass

    def forked(self, parent: Image, child: Image) -> None:
        actor = parent.actor
        child.inherited = self.known[actor] if actor is not None else parent.inherited

    def promote(self, image: Image) -> Actor | None:
        process = self.table.tasks.group(image.pid)
        if process is None or process.image is not image or self.table.adopt(image.pid, None) is not image:
            return None
        return self.act(image)

    def act(self, image: Image) -> Actor:
        if image.actor is None:
            actor = Actor(Activity(id=activity_id(image.key), key=image.key), None, 0)
            self.known[actor] = self.inherited(image)
            image.actor = actor
            self.watch.began(image, actor)
            return actor
        assert isinstance(image.actor, Actor)
        return image.actor

    def inherited(self, image: Image) -> Taint:
        """What a fork knows of its parent: all up to the fork, or all where that had not been met by then."""
        if image.forked_from is None:
            return NOTHING
        taint: Any = image.inherited
        above = image.parent
        while taint is None and above is not None:
            actor = above.actor
            taint = None if actor is None else self.known[actor]
            above = above.parent
        return NOTHING if taint is None else taint

    # what happens

    def step(self) -> None:
        self.now += self.random.choice([1000, 100_000, TICK_NS])
        process = self.random.choice(list(self.processes.values()))
        name = self.random.choice(
            [
                "fork",
                "exec",
                "exit",
                "open",
                "open",
                "open",
                "write",
                "close",
                "close",
                "take",
                "put",
                "drain",
            ]
        )
        getattr(self, f"do_{name}")(process)

    def event(self, process: Truth, file: File, bits: int) -> None:
        key = process.pid, file
        self.queue[key] = self.queue.get(key, 0) | bits

    def do_fork(self, parent: Truth) -> None:
        if len(self.processes) >= 6:
            return
        pid, self.next_pid = self.next_pid, self.next_pid + 1
        self.told.append(("fork", parent.pid, parent.pid, pid, pid, self.now))
        self.processes[pid] = Truth(pid, parent.taint)

    def do_exec(self, process: Truth) -> None:
        written = [one for one in process.handles if one.writes and one.file.size]
        if process.pid == SHELL or any(not one.close_on_exec for one in written):
            return  # who writes and leaves it to another image to close the file is not found
        # What close-on-exec closes is told after the exec has begun; nobody leaves what it writes to that.
        for handle in [one for one in process.handles if one.close_on_exec and one.writes]:
            self.close(process, handle)
        if any(pid == process.pid and bits & WROTE for (pid, _), bits in self.queue.items()):
            self.watch.drain()  # nor who writes and is another before anybody knew of it
        self.now += 1000
        for number, path in enumerate((b"/usr/bin/x", b"/usr/lib/ld-linux-x86-64.so.2")):
            self.event(process, File(1000 * self.now + number, path, 5, 5), EXECUTED)
        self.told.append(("exec", process.pid, process.pid, self.now))
        for handle in [one for one in process.handles if one.close_on_exec]:
            self.close(process, handle)
        # redirections: what is still open may be read now
        process.taint = NOTHING.union(*(one.file.taint for one in process.handles if not one.writes))
        process.is_fork = False

    def do_exit(self, process: Truth) -> None:
        if process.pid == SHELL:
            return
        for handle in list(process.handles):
            self.close(process, handle)
        self.told.append(("exit", process.pid, process.pid, 0, self.now))
        del self.processes[process.pid]

    def do_open(self, process: Truth) -> None:
        file = self.random.choice(self.files)
        writes = self.random.random() < 0.5
        if file.writers or any(one.file is file for one in process.handles):
            return
        if writes:
            if any(one.file is file for other in self.processes.values() for one in other.handles):
                return
            if any(other is file and bits & WROTE for (_, other), bits in self.queue.items()):
                self.watch.drain()  # a file that is empty again when it is looked at is not known
            file.writers += 1
            file.taint, file.size, file.mtime_ns = NOTHING, 0, self.now
        elif self.queue.get((process.pid, file), 0) & WROTE:
            return  # merged into its own write
        else:
            process.taint |= file.taint
        self.event(process, file, OPENED)
        process.handles.append(Handle(file, writes, close_on_exec=not process.is_fork))

    def do_write(self, process: Truth) -> None:
        for handle in process.handles:
            if handle.writes:
                handle.file.size += self.random.randrange(1, 9)
                handle.file.mtime_ns = self.now
                handle.file.taint |= process.taint

    def do_close(self, process: Truth) -> None:
        if process.handles and not process.is_fork:
            self.close(process, self.random.choice(process.handles))

    def close(self, process: Truth, handle: Handle) -> None:
        process.handles.remove(handle)
        if handle.writes:
            self.do_write_last(process, handle)
            handle.file.writers -= 1
        self.event(process, handle.file, WROTE if handle.writes else READ)

    def do_write_last(self, process: Truth, handle: Handle) -> None:
        handle.file.size += 1
        handle.file.mtime_ns = self.now
        handle.file.taint |= process.taint

    def do_drain(self, process: Truth) -> None:
        self.watch.drain()

    def do_take(self, process: Truth) -> None:
        """Read something in the mount."""
        actor = self.request(process)
        self.sources += 1
        process.taint |= {self.sources}
        self.known[actor] |= {self.sources}

    def do_put(self, process: Truth) -> None:
        """Write something in the mount: what is recorded then is what counts."""
        known = self.known[self.request(process)]
        assert process.taint <= known, f"{process.pid} lacks {set(process.taint - known)}"
        self.seen += len(known)
        self.extra += len(known - process.taint)

    def request(self, process: Truth) -> Actor:
        self.watch.drain()
        return self.act(self.table.adopt(process.pid, None))


class Kernel:
    """Fanotify's queue."""

    def __init__(self, world: World) -> None:
        self.world = world

    def drain(self, limit: int, /) -> tuple[list[Event], bool]:
        queue, self.world.queue = self.world.queue, {}
        return [
            (pid, bits, file.path, file.size, file.mtime_ns, 1, file.inode)
            for (pid, file), bits in queue.items()
        ], False
