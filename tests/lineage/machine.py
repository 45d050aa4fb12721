"""A machine for tests: processes that fork, exec and exit, as the connector and /proc would tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pfs.lineage.processes.image import Image
from pfs.lineage.processes.table import Processes

BOOT = bytes(range(16))
OWN = 2
WALL_NS = 1_700_000_000 * 10**9  # at the start of the monotonic clock
TICK_NS = 10_000_000
SHELL = 100
STEP_NS = 1_000

Hooks = list[tuple[str, Image, Image | None]]


@dataclass
class Task:
    """A process as /proc shows it."""

    pid: int
    parent: int
    start_ticks: int
    stack: int
    argv: bytes = b"sh\0"
    threads: set[int] = field(default_factory=set)


class Machine:
    """Also the connector: what happened since the last drain, unless it was lost."""

    def __init__(self) -> None:
        self.now = 50 * 10**9
        self.tasks: dict[int, Task] = {}
        self.queue: list[tuple[Any, ...]] = []
        self.overflowed = False
        self.deaf = False  # nothing is told
        self.broken = False
        self.stacks = 0x7FFC_0000_0000
        self.looks: list[tuple[str, int]] = []
        for pid, parent in ((1, 0), (OWN, 1), (SHELL, 1)):
            self.tasks[pid] = Task(pid, parent, pid, self._stack())

    def _stack(self) -> int:
        self.stacks += 4096
        return self.stacks

    def _tell(self, *event: Any) -> None:
        self.now += STEP_NS
        if not self.deaf:
            self.queue.append((*event, self.now))

    # what happens

    def fork(self, parent: int, pid: int) -> int:
        old = self.tasks[parent]
        ticks = self.now // TICK_NS
        self.tasks[pid] = Task(pid, parent, ticks, old.stack, old.argv)
        self._tell("fork", parent, parent, pid, pid)
        return pid

    def thread(self, pid: int, tid: int) -> int:
        self.tasks[pid].threads.add(tid)
        self._tell("fork", 1, 1, tid, pid)
        return tid

    def exec(self, pid: int, argv: bytes = b"cat\0", *, stack: int = 0) -> int:
        task = self.tasks[pid]
        task.stack = stack or self._stack()
        task.argv = argv
        task.threads.clear()
        self._tell("exec", pid, pid)
        return pid

    def exit(self, pid: int, code: int = 0) -> None:
        for tid in sorted(self.tasks[pid].threads):
            self.end_thread(pid, tid)
        del self.tasks[pid]
        self._tell("exit", pid, pid, code)

    def end_thread(self, pid: int, tid: int) -> None:
        self.tasks[pid].threads.discard(tid)
        self._tell("exit", tid, pid, 0)

    def spawn(self, parent: int, pid: int, argv: bytes = b"cat\0") -> int:
        return self.exec(self.fork(parent, pid), argv)

    # the connector

    def drain(self) -> tuple[Sequence[tuple[Any, ...]], bool]:
        if self.broken:
            raise OSError(107, "not told any more")
        events, self.queue = self.queue, []
        overflowed, self.overflowed = self.overflowed, False
        self.now += STEP_NS
        return events, overflowed

    def lose(self) -> None:
        """What is queued is lost."""
        self.queue.clear()
        self.overflowed = True

    # /proc

    def _of(self, tid: int) -> Task | None:
        for task in self.tasks.values():
            if tid == task.pid or tid in task.threads:
                return task
        return None

    def stat(self, tid: int) -> tuple[int, int, int, int] | None:
        self.now += STEP_NS
        self.looks.append(("stat", tid))
        task = self._of(tid)
        return None if task is None else (task.pid, task.parent, task.start_ticks, task.stack)

    def read(self, tid: int) -> dict[str, Any] | None:
        self.now += STEP_NS
        self.looks.append(("read", tid))
        task = self._of(tid)
        if task is None:
            return None
        return {
            "tgid": task.pid,
            "ppid": task.parent,
            "start_ticks": task.start_ticks,
            "start_stack": task.stack,
            "cmdline": task.argv,
            "exe": b"/bin/" + task.argv.split(b"\0")[0],
            "threads": 1 + len(task.threads),
            "fds": [(2, b"/dev/null", 1)],
            "failed": [],
        }

    def processes(self, *, connector: bool = True) -> Processes:
        return Processes(
            self if connector else None,
            BOOT,
            now_ns=lambda: WALL_NS + self.now,
            own=[OWN],
            reader=self.read,
            stat=self.stat,
            monotonic_ns=lambda: self.now,
            boottime_ns=lambda: self.now,
        )


def ask(processes: Processes, tid: int) -> Image:
    """What a request of a thread does."""
    processes.drain()
    image = processes.find(tid)
    if image is None and processes.needs_look(tid):
        image = processes.find(tid, processes.look(tid))
    return image if image is not None else processes.adopt(tid, processes.read(tid))


def argv(image: Image | None) -> bytes:
    assert image is not None
    assert image.description is not None
    return image.description.cmdline


def hooked(processes: Processes) -> Hooks:
    said: Hooks = []
    processes.tasks.on_fork = lambda parent, child: said.append(("fork", parent, child))
    processes.tasks.on_exec = lambda old, new: said.append(("exec", old, new))
    processes.tasks.on_exit = lambda image: said.append(("exit", image, None))
    return said
