"""Which process a thread belongs to and which image that process is, kept by fork, exec and exit.

Whoever feeds in every event in order has the truth.  Processes that began before are noted when they are
first heard of.  What is over is kept for a while, for requests that come late, and then forgotten.  Knows
nothing of where events come from or what an image runs.  Owned by one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from pfs.lineage.facts import Ending
from pfs.lineage.processes.image import Image

ENDED_KEPT_MAX: Final = 10_000  # processes and threads that are over


class Process:
    """One thread group, with the image it is now.  Changed by Tasks and by what fills in its description."""

    __slots__ = (
        "children",
        "elder",
        "ended_ns",
        "forked_ns",
        "image",
        "keys",
        "leads",
        "parent",
        "pid",
        "start_ticks",
        "sure_ns",
        "threads",
        "unheard",
        "youngest",
    )

    def __init__(self, pid: int, image: Image, parent: Process | None = None, forked_ns: int = 0) -> None:
        self.pid = pid
        self.image = image
        self.parent = parent  # while this is alive
        self.children: dict[int, Process] = {}  # alive
        self.youngest = 0  # the child made last, alive or not: its id
        self.elder = 0  # the one that its parent made just before it: its id
        self.threads: set[int] = set()  # alive and heard of, but the first
        self.unheard = 0  # other threads alive
        self.leads = True  # the first thread is alive
        self.forked_ns = forked_ns  # by the monotonic clock; 0: not heard of
        self.sure_ns = forked_ns  # when `image` was surely right
        self.start_ticks = 0  # 0: not read yet
        self.ended_ns = 0
        self.keys: set[int] = set()  # of images whose execs were not counted
        if parent is not None:
            parent.children[pid] = self


class Tasks:
    """Processes by thread id.  Hooks are called for images of which something is known."""

    def __init__(self) -> None:
        self._by_id: dict[int, Process] = {}
        self._over: deque[tuple[int, Process]] = deque()
        self.to_wall_ns = 0  # add to the monotonic clock
        self.on_fork: Callable[[Image, Image], None] | None = None  # parent, child
        self.on_exec: Callable[[Image, Image], None] | None = None  # old, new
        self.on_exit: Callable[[Image], None] | None = None

    def get(self, tid: int) -> Process | None:
        """The process of a thread, if that was heard of; it may have ended."""
        return self._by_id.get(tid)

    def group(self, pid: int) -> Process | None:
        """The process of this id."""
        process = self._by_id.get(pid)
        return process if process is not None and process.pid == pid else None

    def heard(self, pid: int) -> Process:
        """The process of this id; one that began before anything was heard of it is noted now."""
        process = self._by_id.get(pid)
        if process is None or process.pid != pid:
            process = self._by_id[pid] = Process(pid, Image(pid))
        return process

    def add(self, process: Process) -> None:
        """Note a process in place of whatever had its id."""
        self._by_id[process.pid] = process

    def add_thread(self, tid: int, process: Process) -> None:
        """Note a thread that was met, not heard of."""
        if tid == process.pid or process.ended_ns or tid in process.threads:
            return
        process.threads.add(tid)
        process.unheard = max(0, process.unheard - 1)
        self._by_id[tid] = process

    def alive(self) -> Iterator[Process]:
        """Every process whose end was not heard of."""
        return (
            process for tid, process in self._by_id.items() if tid == process.pid and not process.ended_ns
        )

    def forget_threads(self) -> None:
        """Take back what was heard of threads: their ends may have been missed."""
        for process in set(self._by_id.values()):
            if process.threads:
                process.unheard += len(process.threads)
                process.threads.clear()
        self._by_id = {tid: process for tid, process in self._by_id.items() if tid == process.pid}

    # events, in order

    def fork(self, parent_pid: int, pid: int, time_ns: int) -> None:
        """A process made another one."""
        old = self._by_id.get(pid)
        if old is not None and old.pid == pid:
            self.end(old, time_ns, None)
        parent = self.heard(parent_pid)
        above = parent.image
        above.shorten()
        image = Image(pid, parent=above, forked=True, since_ns=time_ns, started_ns=time_ns + self.to_wall_ns)
        self._by_id[pid] = process = Process(pid, image, parent, time_ns)
        process.elder, parent.youngest = parent.youngest, pid
        if self.on_fork is not None and above.is_known:
            self.on_fork(above, image)

    def start_thread(self, tid: int, pid: int) -> None:
        """A process has one more thread."""
        process = self.heard(pid)
        process.threads.add(tid)
        self._by_id[tid] = process

    def exec(self, process: Process, time_ns: int) -> Image:
        """A process has a new image.  Its other threads are gone, whichever of them asked for it."""
        old = process.image
        wall_ns = time_ns + self.to_wall_ns
        new = Image(process.pid, parent=old, execs=old.execs + 1, since_ns=time_ns, started_ns=wall_ns)
        new.is_own = old.is_own
        if old.ended is None:
            old.ended = Ending(wall_ns)
        old.before = None
        new.before = old
        process.image = new
        process.leads = True
        process.ended_ns = process.unheard = 0
        for tid in process.threads:
            self._keep(tid, process)
        process.threads.clear()
        if self.on_exec is not None and old.is_known:
            self.on_exec(old, new)
        return new

    def exit(self, tid: int, pid: int, code: int, time_ns: int) -> None:
        """A thread ended; with the last one its process."""
        process = self._by_id.get(pid)
        if process is None or process.pid != pid or process.ended_ns:
            return
        if tid == pid:
            process.leads = False
        elif tid in process.threads:
            process.threads.remove(tid)
            self._keep(tid, process)
        elif process.unheard:
            process.unheard -= 1
        if not (process.leads or process.threads or process.unheard):
            self.end(process, time_ns, code)

    def end(self, process: Process, time_ns: int, code: int | None) -> None:
        """A process ended; `code` as in wait(2), None where it is not known."""
        if process.ended_ns:
            return
        image = process.image
        process.ended_ns = time_ns
        image.ended = Ending(time_ns + self.to_wall_ns, code)
        image.before = None
        if process.parent is not None:
            process.parent.children.pop(process.pid, None)
            process.parent = None
        for tid in process.threads:
            self._keep(tid, process)
        process.threads.clear()
        self._keep(process.pid, process)
        if self.on_exit is not None and image.is_known:
            self.on_exit(image)

    def _keep(self, tid: int, process: Process) -> None:
        """Keep what is over for a while, and let go of what has been over for long."""
        self._over.append((tid, process))
        while len(self._over) > ENDED_KEPT_MAX:
            old_tid, old = self._over.popleft()
            is_over = old.ended_ns if old_tid == old.pid else old_tid not in old.threads
            if is_over and self._by_id.get(old_tid) is old:
                del self._by_id[old_tid]
