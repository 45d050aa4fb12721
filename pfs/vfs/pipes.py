"""Who is at the other end of a pipe: data that goes between processes without touching the mount.

Descriptions say which pipes a process holds.  The other ends belong to its relatives: those of the same
parent, the parent itself, and who that one has the pipe from.  They are looked for when a process with pipes
is first described, while it waits for us: whoever reads from it can't have ended, though it may not have been
started yet.  A stage that never asks us anything is found this way, too; its command line is read once more
after its exec.  One that is over by then is guessed: whom the same parent had made just before.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

import trio

from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.table import Processes

PIPES_MAX = 10_000  # the least recently seen are forgotten
RELATIVES_MAX = 64
LOOKS_MAX = 12  # for an end that a process may still have to be started for
ENDED_LOOKS = 4  # for somebody who writes, where nobody is seen who could
LOOK_SECONDS = 0.001  # after the first of them; each waits longer than the one before
FORKING_NS = 20_000_000  # for so long after a fork a parent may be about to start who reads

Read = Callable[[int], Awaitable[RawDescription | None]]
Pair = tuple[Image, Image]  # who may write to a pipe, who may read from it


class _Ends:
    """Who holds the ends of one pipe; both, for who may read and write."""

    __slots__ = ("readers", "writers")

    def __init__(self) -> None:
        self.readers: dict[Image, None] = {}
        self.writers: dict[Image, None] = {}

    def hold(self, image: Image, access: int) -> None:
        if access != os.O_WRONLY:
            self.readers[image] = None
        if access != os.O_RDONLY:
            self.writers[image] = None

    def leave(self, image: Image) -> None:
        self.readers.pop(image, None)
        self.writers.pop(image, None)

    def others(self, access: int) -> Iterator[Image]:
        """Who holds the end that goes with this one."""
        if access != os.O_WRONLY:
            yield from self.writers
        if access != os.O_RDONLY:
            yield from self.readers


class Pipes:
    """The ends of pipes that are known.  Owned by the event loop."""

    def __init__(
        self,
        processes: Processes,
        read: Read,
        drain: Callable[[], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """drain: take what is known by now of processes and of what they did.  now_ns: monotonic."""
        self._processes = processes
        self._read = read
        self._drain = drain
        self._now_ns = now_ns
        self._ends: OrderedDict[int, _Ends] = OrderedDict()  # by inode
        self._held: dict[Image, dict[int, int]] = {}  # O_ACCMODE by inode
        self._guessed: set[Image] = set()  # taken for the writers of pipes that nobody saw them hold
        self._vain: set[int] = set()  # pipes whose other end is out of sight: not waited for again

    def note(self, image: Image, raw: RawDescription) -> None:
        """Take down what a process holds.

        Both ends at once in a program that was given them by exec are nothing to talk through (make's
        jobserver); in a fork they are what its parent has made for it.
        """
        held: dict[int, set[int]] = {}
        for _, target, flags in raw.fds:
            inode = pipe_inode(target)
            if inode:
                held.setdefault(inode, set()).add(flags & os.O_ACCMODE)
        forked = image.forked_from is not None
        for inode, access in held.items():
            both = len(access) > 1 or os.O_RDWR in access
            if both and not forked:
                continue
            self._hold(image, inode, os.O_RDWR if both else next(iter(access)))
            self._ends.move_to_end(inode)
        while len(self._ends) > PIPES_MAX:
            inode, ends = self._ends.popitem(last=False)
            self._vain.discard(inode)
            for other in {**ends.readers, **ends.writers}:
                known = self._held.get(other, {})
                known.pop(inode, None)
                if not known:
                    self._held.pop(other, None)
                    self._guessed.discard(other)

    def is_guess(self, image: Image) -> bool:
        """Whether nobody has seen it hold the pipe that it is taken to write to."""
        return image in self._guessed

    def peers(self, image: Image) -> tuple[list[Image], list[Image]]:
        """(those who may write to it, those who may read from it), by what it holds or held before exec."""
        sources: dict[Image, None] = {}
        sinks: dict[Image, None] = {}
        for inode, access in self._of(image).items():
            self._hold(image, inode, access)
            ends = self._ends[inode]
            if access != os.O_WRONLY:
                sources |= ends.writers
            if access != os.O_RDONLY:
                sinks |= ends.readers
        mine = image.pid
        return [one for one in sources if one.pid != mine], [one for one in sinks if one.pid != mine]

    def _of(self, image: Image) -> dict[int, int]:
        """What an image holds, and what the same process held before: an end may be closed by now."""
        found: dict[int, int] = {}
        at: Image | None = image
        while at is not None and at.pid == image.pid:
            for inode, access in self._held.get(at, {}).items():
                found.setdefault(inode, access)
            at = at.parent
        return found

    def _lacking(self, image: Image, forking: Collection[Image] = ()) -> list[int]:
        """Its pipes whose other end nobody known holds but `forking`, unless looked for in vain."""
        return [
            inode
            for inode, access in self._of(image).items()
            if inode not in self._vain
            and not any(
                other.pid != image.pid and other not in forking for other in self._ends[inode].others(access)
            )
        ]

    def _above(self, image: Image) -> Iterator[tuple[Image, bool]]:
        """Whom a process may have its pipes from, the nearest first; and whether that one may fork more.

        Farther up go only pipes that the nearer one holds as well.
        """
        pipes = self._of(image).keys()
        now_ns = self._now_ns()
        at = image
        while True:
            process = self._processes.tasks.group(at.pid)
            forks = process is not None and now_ns - process.forked_ns < FORKING_NS
            above = at.parent
            while above is not None and above.pid == at.pid:
                above = above.parent
            if above is None or above.is_own or not above.pid:
                return
            yield above, forks
            if forks or pipes.isdisjoint(self._of(above)):
                return
            at = above

    def _forking(self, image: Image) -> list[Image]:
        """Those who may hold ends for processes that they are still to start, as a shell does."""
        return [above for above, forks in self._above(image) if forks]

    async def trace(self, image: Image) -> list[Pair]:
        """Look for the other ends of an image's pipes among its relatives; who was found, to be connected."""
        looked: set[int] = {image.pid}
        gone: set[int] = set()
        before: dict[Image, dict[int, int]] = {}  # what those who were looked at held, as far as was known
        todo = [image]
        for number in range(1, LOOKS_MAX + 1):
            again: set[int] = set()  # looked at just now, to be looked at once more next time
            while todo := self._unfinished(image, before, is_late=number > ENDED_LOOKS):
                pids = self._relatives(todo, looked | again)
                if not pids:
                    break
                for pid, forks in pids.items():
                    is_sure = await self._look(pid, gone, before)
                    (again if forks or not is_sure else looked).add(pid)
            if not todo:
                break
            self._drain()
            for one in todo:
                self._guess(one, gone)
            await trio.sleep(LOOK_SECONDS * number)
            self._drain()
        else:
            self._vain.update(inode for one in todo for inode in self._lacking(one))
        forking = {above.pid for above in self._forking(image)}
        for other, held in before.items():
            if other.pid in forking:
                self._forget(other)
                for inode, access in held.items():
                    self._hold(other, inode, access)
        return self._pairs(image)

    def _unfinished(self, image: Image, seen: Collection[Image], *, is_late: bool) -> list[Image]:
        """Of an image and those seen that it talks to, but its ancestors: who lacks an end.

        is_late: no longer for somebody who writes, where nobody is seen who could.
        """
        ancestors = {above.pid for above, _ in self._above(image)}
        stages = {image: None}
        for pair in self._pairs(image):
            stages |= {one: None for one in pair if one in seen and one.pid not in ancestors}
        found = []
        for one in stages:
            lacking = self._lacking(one, self._forking(one))
            if is_late:
                ended = [inode for inode in lacking if self._is_ended(one, inode)]
                self._vain.update(ended)
                lacking = [inode for inode in lacking if inode not in ended]
            if lacking:
                found.append(one)
        return found

    def _is_ended(self, image: Image, inode: int) -> bool:
        """Whether an image only reads a pipe, and nobody seen can write to it: the input of make's jobs."""
        writers = self._ends[inode].writers
        return self._of(image)[inode] == os.O_RDONLY and all(one.pid == image.pid for one in writers)

    def _pairs(self, image: Image) -> list[Pair]:
        """All known to write to an image, through however many others, and all that it writes to."""
        found: dict[Pair, None] = {}
        for upstream in (True, False):
            todo = [image]
            seen = {image}
            while todo:
                at = todo.pop()
                sources, sinks = self.peers(at)
                for other in sources if upstream else sinks:
                    found[(other, at) if upstream else (at, other)] = None
                    if other not in seen:
                        seen.add(other)
                        todo.append(other)
        return list(found)

    async def _look(self, pid: int, gone: set[int], before: dict[Image, dict[int, int]]) -> bool:
        """See what a relative holds; whether it was seen, or will never be."""
        raw = await self._read(pid)
        other = self._processes.describe(pid, raw)
        if raw is None or raw.is_over:
            gone.add(pid)
        elif other is not None:
            before.setdefault(other, self._held.get(other, {}))
            self._forget(other)
            self.note(other, raw)
        else:
            return False  # in the middle of an exec
        return True

    def _guess(self, image: Image, gone: Collection[int]) -> None:
        """Who may have written to its standard input and is over: the stages before it in a pipeline.

        gone: processes that could not be read any more.
        """
        inode = self._standard_input(image)
        if inode not in self._lacking(image):
            return
        elder = self._processes.elder(image)
        for _ in range(RELATIVES_MAX):
            if elder is None or (elder.ended is None and elder.pid not in gone):
                break
            if not elder.is_adopted and self._processes.adopt(elder.pid, None) is not elder:
                break
            self._guessed.add(elder)
            self._join(inode, elder, image)
            image, inode = elder, -elder.pid  # a pipe without a number: nobody saw it
            elder = self._processes.elder(image)

    def _join(self, inode: int, source: Image, sink: Image) -> None:
        self._hold(source, inode, os.O_WRONLY)
        self._hold(sink, inode, os.O_RDONLY)

    def _hold(self, image: Image, inode: int, access: int) -> None:
        ends = self._ends.get(inode)
        if ends is None:
            ends = self._ends[inode] = _Ends()
        ends.hold(image, access)
        self._held.setdefault(image, {})[inode] = access

    def _standard_input(self, image: Image) -> int:
        """The pipe that a process reads, or read before its exec; 0: none."""
        at: Image | None = image
        while at is not None and at.pid == image.pid:
            for number, target, _ in () if at.description is None else at.description.fds:
                if number == 0:
                    return pipe_inode(target)
            at = at.parent
        return 0

    def _forget(self, image: Image) -> None:
        for inode in self._held.pop(image, {}):
            self._ends[inode].leave(image)

    def _relatives(self, images: Iterable[Image], looked: Collection[int]) -> dict[int, bool]:
        """Who may hold other ends, and whether that may change soon: ancestors, and then the rest."""
        above = {one.pid: forks for image in images for one, forks in self._above(image)}
        found = {pid: forks for pid, forks in above.items() if pid not in looked}
        if found:
            return found
        for pid in dict.fromkeys([*(image.pid for image in images), *above]):
            process = self._processes.tasks.group(pid)
            if process is not None:
                found |= dict.fromkeys(self._processes.siblings(process.image), False)
        return {pid: forks for pid, forks in found.items() if pid not in looked}

    def holds(self, image: Image) -> bool:
        """Whether it is known to hold any pipe."""
        return image in self._held


def pipe_inode(target: bytes) -> int:
    """The number in `pipe:[N]`; 0 for anything else."""
    return int(target[6:-1]) if target.startswith(b"pipe:[") else 0
