"""Which process image did what an event beyond the mount tells, and what each process has done so far.

Events and what the connector tells come by two roads, without times.  What the connector has told is known
before events are taken; an exec shows among the events as files that are executed, so what stands before
those is of the image before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from pfs.lineage.outside.done import Done, Fact
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.table import Processes
from pfs.lineage.processes.tasks import Process

PIDS_MAX: Final = 4_096  # processes of which anything is kept
KEPT_MAX: Final = 50_000  # facts, 15 MB
MARKS_OF_TWO: Final = 4  # executed files of two execs: each program and its loader


class OutsideWho:
    """The table.  Owned by the event loop."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._done: OrderedDict[int, Done] = OrderedDict()
        self._count = 0  # facts in it, or more
        self._ahead: dict[int, int] = {}  # pid → files that it is still to execute, of the events at hand

    def foresee(self, pids: Iterable[int]) -> None:
        """Of the events that follow, these processes are to execute a file, once for each time named."""
        self._ahead.clear()
        for pid in pids:
            self._ahead[pid] = self._ahead.get(pid, 0) + 1

    def executes(self, pid: int) -> Done:
        """A process executes one of those files."""
        done = self.of(pid)
        self._ahead[pid] -= 1
        if not done.in_exec:
            done.begin_exec()
        return done

    def who(self, pid: int) -> Done:
        """Who did what is told just now: its `image`, None where that is not known; it may be over."""
        done = self.of(pid)
        process, ahead = done.process, self._ahead.get(pid, 0)
        image = None if process is None else process.image
        if done.in_exec and ahead:
            done.go_on(None)
        elif done.in_exec:
            if process is not None and image is done.image:
                self._processes.drain()  # now the exec has been heard, or it had failed
                image = process.image
            done.go_on(image)
        elif not ahead:
            self.meets(done, image)
        elif done.image is None and image is not None:
            done.go_on(image if image.execs == 0 else _before(image, ahead))
        return done  # else the exec was heard, maybe, and comes after this

    def of(self, pid: int) -> Done:
        """What a process has done."""
        tasks = self._processes.tasks
        process = tasks.group(pid)
        if process is None and self._processes.has_connector:
            self._processes.drain()
            process = tasks.heard(pid)
        done = self._done.get(pid)
        if done is None or (done.process is not None and done.process is not process):
            done = self._done[pid] = Done(process, is_fork=_was_fork(process, self._ahead.get(pid, 0)))
            if len(self._done) > PIDS_MAX:
                self._forget_one()
        done.process = process
        self._done.move_to_end(pid)
        return done

    def found(self, image: Image) -> Done | None:
        """What an image has done, if it is what its process is now."""
        done, process = self._done.get(image.pid), self._processes.tasks.group(image.pid)
        if done is None or process is None or process.image is not image:
            return None
        if done.process is not None and done.process is not process:
            return None
        self.meets(done, image)
        return done

    def meets(self, done: Done, image: Image | None) -> None:
        """An image is met: maybe after an exec that no executed file has told of."""
        if image is done.image and not done.in_exec:
            return
        if done.image is not None and not done.in_exec:
            done.begin_exec()
        done.go_on(image)

    def forked_from(self, image: Image) -> list[tuple[Done, list[Fact]]]:
        """What those read that do not act and whose memory an image has, the farthest first."""
        found: list[tuple[Done, list[Fact]]] = []
        at, process = image, self._processes.tasks.group(image.pid)
        while process is not None and process.parent is not None and is_fork(at):
            parent = process.parent
            went_on = parent.image.since_ns > at.since_ns
            if parent.image.actor is not None and not went_on:
                break
            done = self._done.get(parent.pid)
            if done is not None and done.process is parent:
                if not went_on:
                    self.meets(done, parent.image)
                found.append((done, done.lasting() if went_on else done.reads()))
            if went_on:
                break
            at, process = parent.image, parent
        return found[::-1]

    def left_open(self, image: Image) -> list[Fact]:
        """What the image before it, or else its parent, may have had open when it began."""
        process = self._processes.tasks.group(image.pid)
        mine = self.found(image)
        left = [] if mine is None else mine.left
        if left or process is None or process.parent is None:
            return left
        above = self._done.get(process.parent.pid)
        return above.may_have_open() if above is not None and above.process is process.parent else []

    def keep(self, done: Done, fact: Fact) -> None:
        """Keep a fact of somebody who does not act."""
        if done.add(fact):
            self._count += 1
        while self._count > KEPT_MAX and len(self._done) > 1:
            self._forget_one()

    def sweep(self, is_alive: Callable[[int], bool]) -> None:
        """Forget who has ended.  `is_alive` is asked where nobody tells of exits."""
        for pid in list(self._done):
            process = self._processes.tasks.group(pid)
            if not is_alive(pid) if process is None else process.ended_ns:
                del self._done[pid]
        self._count = sum(map(len, self._done.values()))

    def _forget_one(self) -> None:
        _, done = self._done.popitem(last=False)
        self._count -= len(done)


def is_fork(image: Image) -> bool:
    """Whether it is what a fork made, as was heard, and no exec since."""
    return image.execs == 0 and image.since_ns > 0


def _was_fork(process: Process | None, ahead: int) -> bool:
    """Whether a process was still what its fork made when it did the first thing that is told of it."""
    if process is None:
        return True
    image = process.image
    if not process.forked_ns or image.execs == 0 or not ahead:
        return process.forked_ns > 0 and image.execs == 0
    before = _before(image, ahead)
    return before is None or before.execs == 0


def _before(image: Image, ahead: int) -> Image | None:
    """What a process was before it executed what it is still to execute; None where that was long ago."""
    return None if ahead >= MARKS_OF_TWO else image.before
