"""The table of process images: who is behind a thread id, right now.

The proc connector tells of each fork, exec and exit before the new image can ask anything: `drain`, then
`find`.  What an image runs is read from /proc once, in a thread, while its request waits: `read`, `adopt`.
Without a connector, and for what was known before one overflowed, only a look at /proc tells whether an image
is still the one that asks: `needs_look`, `look` in a thread, then `find` with what it returned.
Leaves to others: waiting, deadlines, pipes, and what to record.  Owned by the event loop but for `read` and
`look`, which block: while a process is in execve(2), for as long as that waits for us.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from pfs import _native
from pfs.lineage.facts import ActivityKey
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.looks import Look, Timed, agrees, is_same, timed, went_on
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.tasks import Process, Tasks

STUCK_NS: Final = 1_000_000_000  # a reader that takes longer is behind a lock: no other goes there
RELATIVES_MAX: Final = 64  # read for the sake of one image
TICK_NS: Final = 10_000_000  # of start_ticks: USER_HZ is 100 wherever Linux runs
NO_UID: Final = -1
GONE: Final = "gone before it could be described"
OUTSIDE: Final = "outside of our pid namespace"
_NEVER: Final = sys.maxsize

Clock = Callable[[], int]


class EventSource(Protocol):
    """What `_native.Connector` offers."""

    def drain(self) -> tuple[Sequence[tuple[Any, ...]], bool]:
        """All events since the last call, and whether some were lost.  OSError: none come any more."""


class Processes:
    """All processes that were heard of or looked at.  Hooks are those of `tasks`."""

    def __init__(
        self,
        connector: EventSource | None,
        boot_id: bytes,
        *,
        now_ns: Clock,
        own: Iterable[int] = (),
        reader: Callable[[int], dict[str, Any] | None] = _native.proc_read,
        stat: Callable[[int], tuple[int, int, int, int] | None] = _native.proc_stat,
        monotonic_ns: Clock = time.monotonic_ns,
        boottime_ns: Clock = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self.tasks = Tasks()
        self.overflows = 0
        self.failure = ""  # why the connector was lost
        self._connector = connector
        self._boot_id = boot_id
        self._now_ns = now_ns
        self._monotonic_ns = monotonic_ns
        self._boottime_ns = boottime_ns
        self._reader = reader
        self._stat = stat
        self._doubt_ns = 0 if connector is not None else _NEVER  # what was sure before is not any more
        self._outside: dict[int, Image] = {}  # by user
        self._reading: dict[int, list[int]] = {}  # by process or thread: since when it is being read
        for pid in own:
            self.add_own(pid)

    @property
    def has_connector(self) -> bool:
        """Whether the kernel tells us."""
        return self._connector is not None

    @property
    def overflowed(self) -> bool:
        """Whether it ever told more than we took."""
        return self.overflows > 0

    def add_own(self, pid: int) -> None:
        """A process of ours: found like any other, `is_own`, never described."""
        self.tasks.heard(pid).image.is_own = True

    # on the loop

    def drain(self) -> None:
        """Take what the kernel has told since the last time.  Does not block."""
        if self._connector is None:
            return
        try:
            events, overflowed = self._connector.drain()
        except OSError as error:
            self._connector = None
            self._doubt_ns = _NEVER
            self.failure = error.strerror or str(error)
            return
        if events:
            self._take(events)
        if overflowed:
            self.overflows += 1
            self._doubt_ns = self._monotonic_ns()
            self.tasks.forget_threads()

    def _take(self, events: Sequence[tuple[Any, ...]]) -> None:
        tasks = self.tasks
        tasks.to_wall_ns = self._now_ns() - self._monotonic_ns()
        for event in events:
            kind = event[0]
            if kind == "fork":
                _, _, parent_pid, tid, pid, time_ns = event
                if tid == pid:
                    tasks.fork(parent_pid, pid, time_ns)
                else:
                    tasks.start_thread(tid, pid)
            elif kind == "exec":
                _, _, pid, time_ns = event
                tasks.exec(tasks.heard(pid), time_ns)
            else:
                _, tid, pid, code, time_ns = event
                tasks.exit(tid, pid, code, time_ns)

    def find(self, tid: int, look: Look | None = None) -> Image | None:
        """The image of a thread that waits for us, where that is surely known; else `look`, or `read` it."""
        if tid == 0:
            return self.outside(NO_UID)
        process = self.tasks.get(tid)
        if process is None:
            return None
        image = process.image
        if not (self._is_sure(process) or (image.is_own and tid == process.pid)):
            if look is None or not agrees(process, look):
                return None
            process.sure_ns = look.began_ns
        return image if image.is_adopted else None

    def acting(self, tid: int) -> Image | None:
        """`find` in a hurry: without a look, and None as well where nothing acts for the image yet."""
        process = self.tasks.get(tid)
        if process is None or process.sure_ns < self._doubt_ns or process.image.actor is None:
            return None
        return process.image

    def needs_look(self, tid: int) -> bool:
        """Whether a look may be enough where `find` found nothing."""
        process = self.tasks.get(tid)
        return process is not None and (process.image.description is not None or process.image.is_own)

    def _is_sure(self, process: Process) -> bool:
        """Whether every event since its image was known has been heard."""
        return process.sure_ns >= self._doubt_ns

    def outside(self, uid: int) -> Image:
        """Who asks where the kernel has no pid for us: somebody of this user."""
        image = self._outside.get(uid)
        if image is None:
            image = self._outside[uid] = Image(0)
            image.uid = uid
            image.reason = OUTSIDE
            image.adopted_key = ActivityKey(self._boot_id, 0, 0, uid + 1)
        return image

    def adopt(self, tid: int, description: RawDescription | None, reason: str = GONE) -> Image:
        """The image of a thread that waits for us, from now on found; without a description it is partial.

        A description that comes late is filled in, unless its image has one.  The key never changes.
        """
        self.drain()
        if tid == 0:
            return self.outside(NO_UID)
        if description is None:
            return self._partial(tid, reason)
        found = timed(description, self._monotonic_ns())
        process = self._process_of(tid, found)
        image = self._image_of(process, found)
        if image.description is None and not image.is_own:
            self._describe(process, image, found)
        return image

    def describe(self, pid: int, description: RawDescription | None) -> Image | None:
        """The same for a relative, which does not wait: None where it has gone or gone on in between."""
        self.drain()
        process = self.tasks.group(pid)
        if process is None or process.ended_ns or process.image.is_own:
            return None
        if description is None:
            if not process.forked_ns:  # so its exit may have been before we listened
                self.tasks.end(process, self._monotonic_ns(), None)
            return None
        found = timed(description, self._monotonic_ns())
        if found.tgid != pid or "stable" in found.failed or not self._is_of(process, found):
            return None
        before = process.image.before
        if before is not None and before.since_ns > found.ended_ns:
            return None  # of an image before that one
        image = self._image_of(process, found)
        if image.description is None:
            self._describe(process, image, found)
        return image

    def siblings(self, image: Image) -> list[int]:
        """Live, undescribed processes that may hold the other end of its pipes.

        Those of the same parent, the nearest in time first, then its own children.
        """
        process = self.tasks.group(image.pid)
        if process is None or process.image is not image:
            return []
        found: list[Process] = []
        if process.parent is not None:
            beside = process.parent.children.values()
            found += sorted(beside, key=lambda other: abs(other.forked_ns - process.forked_ns))
        found += process.children.values()
        pids = [other.pid for other in found if other is not process and not other.image.is_adopted]
        return pids[:RELATIVES_MAX]

    def elder(self, image: Image) -> Image | None:
        """What the process was that the same parent made just before, where nothing is known of that.

        It was alive when the other one was made, as the stage before in a pipeline is.  Its end may not have
        been told yet; one that nobody waits for shows no program any more.
        """
        process = self.tasks.group(image.pid)
        if process is None or process.image is not image or not process.elder:
            return None
        other = self.tasks.group(process.elder)
        if other is None or other.image.is_own:
            return None
        found = other.image.description
        was_alive = other.forked_ns < process.forked_ns < (other.ended_ns or _NEVER)
        return other.image if was_alive and (found is None or found.is_over) else None

    def ancestors(self, image: Image) -> list[int]:
        """Live, undescribed processes that it descends from, the nearest first: read them, then ask again."""
        process = self.tasks.group(image.pid)
        above = None if process is None else process.parent
        found: list[int] = []
        while above is not None and not above.image.is_own and len(found) < RELATIVES_MAX:
            if not above.ended_ns and not above.image.is_adopted and above.pid > 1:
                found.append(above.pid)
            above = above.parent
        return found

    # what no event tells

    def unsure(self) -> list[int]:
        """Processes whose end or exec may have been missed: `look` at each in a thread, then `settle`."""
        return [
            process.pid
            for process in self.tasks.alive()
            if not self._is_sure(process) and not process.image.is_own
        ]

    def settle(self, pid: int, look: Look | None) -> None:
        """Take in what a look has shown: the process is gone, has gone on by exec, or is what it was."""
        process = self.tasks.group(pid)
        if process is None or process.ended_ns or self._is_sure(process):
            return
        now_ns = self._wall()
        if look is None or look.tgid != pid or process.start_ticks not in (0, look.start_ticks):
            self.tasks.end(process, now_ns, None)
        elif process.image.description is not None:
            if not agrees(process, look) and look.start_stack:
                self.tasks.exec(process, look.began_ns)
            process.sure_ns = look.began_ns

    def _wall(self) -> int:
        """Now by the monotonic clock, with the other one set beside it."""
        now_ns = self._monotonic_ns()
        self.tasks.to_wall_ns = self._now_ns() - now_ns
        return now_ns

    # adoption

    def _partial(self, tid: int, reason: str) -> Image:
        process = self.tasks.get(tid) or self.tasks.heard(tid)
        image = process.image
        if not image.is_adopted:
            now_ns = self._wall()
            # nearly the start time, and unlike that of anybody else
            ticks = process.start_ticks or (image.since_ns or now_ns) // TICK_NS
            image.adopted_key = ActivityKey(self._boot_id, process.pid, ticks, image.execs)
            image.reason = reason
            image.started_ns = image.started_ns or now_ns + self.tasks.to_wall_ns
            process.sure_ns = max(process.sure_ns, now_ns)
        return image

    def _is_of(self, process: Process, found: Timed) -> bool:
        return is_same(process, found, is_sure=self._is_sure(process))

    def _process_of(self, tid: int, found: Timed) -> Process:
        """Whose thread it is; what else had one of these ids is over."""
        tasks = self.tasks
        process = tasks.group(found.tgid)
        if process is not None and not self._is_of(process, found):
            if process.forked_ns > found.ended_ns:  # what was read is over, and its id taken by another
                process = Process(found.tgid, Image(found.tgid))
                tasks.end(process, self._wall(), None)
                return process
            tasks.end(process, self._wall(), None)
            process = None
        if process is None:
            process = Process(found.tgid, Image(found.tgid))
            tasks.add(process)
        if tid != found.tgid:
            stale = tasks.group(tid)
            if stale is not None:
                tasks.end(stale, self._wall(), None)
            tasks.add_thread(tid, process)
        return process

    def _image_of(self, process: Process, found: Timed) -> Image:
        """Which image of a process it was that was read."""
        image = process.image
        if image.since_ns > found.ended_ns and image.before is not None:
            return image.before
        if not self._is_sure(process) and went_on(image, found):
            self._wall()
            image = self.tasks.exec(process, found.began_ns)
        process.sure_ns = max(process.sure_ns, found.began_ns)
        return image

    def _describe(self, process: Process, image: Image, found: Timed) -> None:
        process.start_ticks = process.start_ticks or found.start_ticks
        image.description = found
        if image.adopted_key is None:
            execs = image.execs if process.forked_ns else _uncounted(process, found)
            image.adopted_key = ActivityKey(self._boot_id, process.pid, found.start_ticks, execs)
        if not image.started_ns:
            began_ns = found.start_ticks * TICK_NS - self._boottime_ns()
            image.started_ns = self._now_ns() + began_ns
        if not process.forked_ns and not process.ended_ns:
            process.unheard = max(0, found.threads - 1 - len(process.threads))
            self._link(process, image, found)

    def _link(self, process: Process, image: Image, found: Timed) -> None:
        """Name the parent of a process whose fork was not heard."""
        if process.parent is not None or found.ppid <= 1:
            return
        parent = self.tasks.heard(found.ppid)
        if parent.ended_ns or parent is process:
            return
        process.parent = parent
        parent.children[process.pid] = process
        other = parent.image.description
        # With everything heard of, a fork that was not is older than all that the parent has done.
        forked = self._doubt_ns > 0 and other is not None and other.start_stack == found.start_stack != 0
        image.descends_from(parent.image, forked=forked)

    # in threads

    def look(self, tid: int) -> Look | None:
        """What tells images apart, read now; None: gone."""
        began_ns = self._monotonic_ns()
        try:
            found = self._stat(tid)
        except OSError:
            return None
        return None if found is None else Look(*found, began_ns)

    def read(self, tid: int) -> Timed | None:
        """What /proc says of the process of a thread; None: gone, hidden, or a reader of it is stuck."""
        process = self.tasks.get(tid)
        place = tid if process is None else process.pid
        began_ns = self._monotonic_ns()
        mine = [began_ns]
        first = self._reading.setdefault(place, mine)
        if first is not mine and began_ns - first[0] > STUCK_NS:
            return None
        try:
            found = self._reader(tid)
        except OSError:
            return None
        finally:
            if first is mine:
                del self._reading[place]
        if found is None:
            return None
        # not now: this thread may have waited for the interpreter while the process went on to another image
        found["began_ns"], found["ended_ns"] = began_ns, found.pop("read_ns", 0) or self._monotonic_ns()
        return msgspec.convert(found, Timed)


def _uncounted(process: Process, found: Timed) -> int:
    """In place of a count of execs: where the stack is, so that another daemon gives the same key."""
    number = found.start_stack
    while number in process.keys:  # no address randomisation
        number += 1
    process.keys.add(number)
    return number
