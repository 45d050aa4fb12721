"""Who is at the other end of a pipe: data that goes between processes without touching the mount.

Descriptions say which pipes a process holds.  The other ends belong to its relatives: those of the same
parent, the parent itself.  They are looked for when a process with pipes is first described, while it waits
for us: whoever reads from it can't have ended, though it may not have been started yet.  A stage that never
asks us anything is found this way, too; its command line is read once more after its exec.  One that is over
by then is guessed: whom the same parent had made just before.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable

import trio

from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.table import Processes

PIPES_MAX = 10_000  # the least recently seen are forgotten
RELATIVES_MAX = 64
LOOKS_MAX = 12  # for an end that a process may still have to be started for
FORKING_LOOKS = 5  # for so long a parent may be about to start the one that reads
LOOK_SECONDS = 0.001  # after the first of them; each waits longer than the one before

Read = Callable[[int], Awaitable[RawDescription | None]]


class Pipes:
    """The ends of pipes that are known.  Owned by the event loop."""

    def __init__(self, processes: Processes, read: Read, drain: Callable[[], None]) -> None:
        """drain: take what is known by now of processes and of what they did."""
        self._processes = processes
        self._read = read
        self._drain = drain
        self._ends: OrderedDict[int, dict[Image, int]] = OrderedDict()  # by inode: who holds it, by O_ACCMODE
        self._held: dict[Image, dict[int, int]] = {}
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
            for other in ends:
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
            for other, theirs in self._ends[inode].items():
                if other.pid == image.pid:
                    continue
                if access != os.O_WRONLY and theirs != os.O_RDONLY:
                    sources[other] = None
                if access != os.O_RDONLY and theirs != os.O_WRONLY:
                    sinks[other] = None
        return list(sources), list(sinks)

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
        found = []
        for inode, access in self._of(image).items():
            others = [
                theirs
                for other, theirs in self._ends.get(inode, {}).items()
                if other.pid != image.pid and other not in forking
            ]
            if inode not in self._vain and not any(one != access or one == os.O_RDWR for one in others):
                found.append(inode)
        return found

    async def trace(self, image: Image) -> list[Image]:
        """Look for the other ends of an image's pipes among its relatives; who was found, to be connected.

        A shell that is still starting the stages of a pipeline holds ends that are for the next ones: what a
        parent holds counts only where it goes on holding it.
        """
        found: dict[Image, None] = {}
        todo = [image]
        looked: set[int] = {image.pid}
        gone: set[int] = set()
        for number in range(1, LOOKS_MAX + 1):
            parents = self._parents(todo)
            forking = parents if number <= FORKING_LOOKS else ()
            todo = [one for one in todo if self._lacking(one, forking)]
            if not todo:
                break
            for pid in self._relatives(todo, looked):
                raw = await self._read(pid)
                other = self._processes.describe(pid, raw)
                if raw is None or not raw.exe:
                    gone.add(pid)
                if other is None or raw is None or not raw.exe:
                    looked.add(pid)
                    continue
                self._forget(other)
                self.note(other, raw)
                found[other] = None
                if all(other.pid != above.pid for above in parents):
                    looked.add(pid)
                    todo.append(other)
            self._drain()
            for one in todo:
                found |= dict.fromkeys(self._guess(one, gone))
            await trio.sleep(LOOK_SECONDS * number)
            self._drain()
        else:
            self._vain.update(inode for one in todo for inode in self._lacking(one))
        return list(found)

    def _guess(self, image: Image, gone: Collection[int]) -> list[Image]:
        """Who may have written to its standard input and is over: the stages before it in a pipeline.

        gone: processes that could not be read any more.
        """
        inode = self._standard_input(image)
        if inode not in self._lacking(image):
            return []
        found: list[Image] = []
        elder = self._processes.elder(image)
        while elder is not None and len(found) < RELATIVES_MAX:
            if elder.ended is None and elder.pid not in gone:
                break
            if not elder.is_adopted and self._processes.adopt(elder.pid, None) is not elder:
                break
            self._guessed.add(elder)
            self._join(inode, elder, image)
            found.append(elder)
            image, inode = elder, -elder.pid  # a pipe without a number: nobody saw it
            elder = self._processes.elder(image)
        return found

    def _join(self, inode: int, source: Image, sink: Image) -> None:
        self._hold(source, inode, os.O_WRONLY)
        self._hold(sink, inode, os.O_RDONLY)

    def _hold(self, image: Image, inode: int, access: int) -> None:
        self._ends.setdefault(inode, {})[image] = access
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

    def _parents(self, images: Iterable[Image]) -> list[Image]:
        found: dict[Image, None] = {}
        for image in images:
            parent = image.parent
            while parent is not None and parent.pid == image.pid:
                parent = parent.parent
            if parent is not None and not parent.is_own and parent.pid:
                found[parent] = None
        return list(found)

    def _forget(self, image: Image) -> None:
        for inode in self._held.pop(image, {}):
            self._ends.get(inode, {}).pop(image, None)

    def _relatives(self, images: Iterable[Image], looked: set[int]) -> list[int]:
        pids = {parent.pid: None for parent in self._parents(images)}
        for image in images:
            for pid in self._processes.siblings(image)[:RELATIVES_MAX]:
                pids[pid] = None
        return [pid for pid in pids if pid not in looked and pid]

    def holds(self, image: Image) -> bool:
        """Whether it is known to hold any pipe."""
        return image in self._held


def pipe_inode(target: bytes) -> int:
    """The number in `pipe:[N]`; 0 for anything else."""
    return int(target[6:-1]) if target.startswith(b"pipe:[") else 0
