"""A machine that does what a test says, as far as files beyond the mount go; it notes what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pfs.lineage.facts import Activity, Level, activity_id
from pfs.lineage.live.state import Actor
from pfs.lineage.outside.done import Fact
from pfs.lineage.outside.told import EXECUTED, Event
from pfs.lineage.outside.watch import OutsideWatch
from pfs.lineage.processes.exits_last import ExitsLast
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.table import Processes

NOW = 10**18
LONG_AGO = NOW - 10**15
DEVICE = 1


class Scene:
    """A machine that does what a test says, and a recorder that only notes it."""

    def __init__(self, *, connector: bool = True, listener: bool = True) -> None:
        self.now = NOW
        self.told: list[tuple[Any, ...]] = []
        self.events: list[Event] = []
        self.overflowed = False
        self.log: list[tuple[Any, ...]] = []
        self.learned: list[Fact] = []
        self.described: list[int] = []
        exits = ExitsLast(Connector(self)) if connector else None
        self.table = Processes(
            exits,
            b"boot",
            now_ns=lambda: self.now,
            reader=lambda pid: None,
            stat=lambda pid: None,
            monotonic_ns=lambda: self.now,
        )
        self.table.tasks.on_exit = lambda image: self.log.append(("exit", image.pid))
        source = Listener(self) if listener else None
        self.watch = OutsideWatch(
            source,
            self.table,
            self,
            lambda path: path.startswith(b"/usr/"),
            lambda: self.now,
            exits,
            lambda: not (self.told or self.events or self.overflowed),
        )
        self.watch.promote = self.promote
        self.watch.describe = self.described.append
        self.watch.learned = self.learned.append

    # what is recorded

    def outside_read(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, *, level: int = Level.OBSERVED
    ) -> None:
        self.log.append(("read", actor.activity.key.pid, path, size, *([level] if level else [])))

    def outside_write(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, *, is_new: bool = False
    ) -> None:
        self.log.append(("write", actor.activity.key.pid, path, size, is_new))

    def describe(self, actor: Actor, activity: Activity) -> None:
        actor.activity = activity

    def promote(self, image: Image) -> Actor | None:
        return self.begin(self.table.adopt(image.pid, None, "never asked"))

    def begin(self, image: Image) -> Actor:
        actor = Actor(Activity(id=activity_id(image.key), key=image.key), None, 0)
        image.actor = actor
        self.watch.began(image, actor)
        return actor

    # what happens

    def fork(self, parent: int, child: int) -> None:
        self.now += 1000
        self.told.append(("fork", parent, parent, child, child, self.now))

    def execute(self, pid: int, program: bytes = b"/usr/bin/x", *, told: bool = True) -> None:
        self.now += 1000
        for path in (program, b"/usr/lib64/ld-linux-x86-64.so.2"):
            self.event(pid, EXECUTED, path)
        if told:
            self.told.append(("exec", pid, pid, self.now))

    def exit(self, pid: int) -> None:
        self.told.append(("exit", pid, pid, 0, self.now))

    def event(
        self, pid: int, bits: int, path: bytes, size: int = 5, mtime_ns: int = LONG_AGO, inode: int = 0
    ) -> None:
        self.events.append((pid, bits, path, size, mtime_ns, DEVICE, inode or hash(path)))

    def act(self, pid: int, description: RawDescription | None = None) -> Actor:
        """A request comes from a process."""
        self.watch.drain()
        image = self.table.adopt(pid, description)
        if image.actor is None:
            self.begin(image)
        assert isinstance(image.actor, Actor)
        return image.actor

    def drained(self) -> list[tuple[Any, ...]]:
        """What is noted of all that has happened since."""
        self.watch.drain()
        log, self.log = self.log, []
        return log


class Connector:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def drain(self) -> tuple[Sequence[tuple[Any, ...]], bool]:
        told, self.scene.told = self.scene.told, []
        return told, False


class Listener:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def drain(self, limit: int, /) -> tuple[Sequence[Event], bool]:
        events, self.scene.events = self.scene.events, []
        return events, self.scene.overflowed
