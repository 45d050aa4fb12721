"""What runs beside the requests for files beyond the mount: listening, describing, hashing, new mounts.

Each request drains what is queued itself; here it is drained soon after it came, because a process that never
asks us anything can be described only while it lives.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog
import trio

from pfs.lineage.live.state import Actor
from pfs.lineage.outside.done import Fact
from pfs.lineage.outside.mount_table import Mounts, MountTable, open_mount
from pfs.lineage.outside.watch import OutsideWatch
from pfs.lineage.outside.words import DescribeFiles
from pfs.lineage.processes.image import Image
from pfs.vfs.capture import NEVER_ASKED, Capture
from pfs.vfs.outside_content import content_of
from pfs.vfs.pacer import Pacer, Unattended

IDLE_SECONDS: Final = 0.05  # the connector is drained at least so often: its buffer never fills
LOOK_SECONDS: Final = 1.0  # between two looks at what is mounted and which processes have ended
LOOK_AGAIN_SECONDS: Final = 0.0003
LOOKS_MAX: Final = 5  # at one process: the first may come in the middle of an exec
DESCRIBERS: Final = 2
DESCRIBED_MAX: Final = 1_000  # processes waiting to be described
HASHED_MAX: Final = 1_000  # files waiting to be hashed
HASH_BYTES_MAX: Final = 64 * 1024 * 1024  # of one file
SEEN_MAX: Final = 10_000  # files that need not be hashed again

_log = structlog.get_logger("outside")


class Listener(Unattended, Protocol):
    """What `_native.Outside` offers beside `drain`."""

    def watch(self, fd: int, /) -> None:
        """Listen to one more file system.  Raises OSError."""


class OutsideFiles:
    """The tasks.  Owned by the event loop."""

    def __init__(
        self,
        capture: Capture,
        watch: OutsideWatch,
        listener: Listener | None,
        mounts: Mounts,
        given: DescribeFiles,
        leave_out: Callable[[bytes], bool],
    ) -> None:
        self._capture = capture
        self._watch = watch
        self._listener = listener
        self._mounts = mounts
        self._given = given
        self._leave_out = leave_out
        self._table = mounts.table()
        self._to_describe, self._described = trio.open_memory_channel[int](DESCRIBED_MAX)
        self._to_hash, self._hashed = trio.open_memory_channel[Fact](HASHED_MAX)
        self._seen: OrderedDict[Fact, None] = OrderedDict()
        watch.promote = self._promote
        watch.describe = self._ask_for
        watch.learned = self._learned
        capture.outside = watch
        if listener is not None:
            self.listen_to(listener, self._table)

    def background_tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs beside the requests."""
        return [self._listen, self._look_around, self._describe, self._hash]

    async def _listen(self) -> None:
        if self._listener is None:
            while True:
                await trio.sleep(IDLE_SECONDS)
                self._watch.drain()
        pacer = Pacer(self._listener)
        self._watch.wrote = pacer.hurry
        try:
            while True:
                await pacer.wait(IDLE_SECONDS)
                self._watch.drain()
        finally:
            self._watch.wrote = None
            pacer.close()

    async def _look_around(self) -> None:
        """Listen to what is mounted meanwhile; forget who has ended."""
        while True:
            table = self._mounts.table()
            if self._listener is not None and table is not self._table:
                await trio.to_thread.run_sync(self.listen_to, self._listener, table)
                self._table = table
            self._watch.sweep(is_alive)
            await trio.sleep(LOOK_SECONDS)

    def listen_to(self, listener: Listener, table: MountTable) -> None:
        """Hear of all file systems that may be listened to.  Looking up a mount point may wait for a disk."""
        devices: set[int] = set()
        unheard = set(table.unheard)
        for point, number in table.listened_to.items():
            if self._leave_out(point.rstrip(b"/") + b"/"):
                continue
            try:
                fd = open_mount(point, number)
                try:
                    listener.watch(fd)
                    devices.add(os.fstat(fd).st_dev)
                finally:
                    os.close(fd)
            except OSError as error:
                _log.info("not listened to", path=os.fsdecode(point), why=error.strerror)
                unheard.add(point)
        self._given.told_devices = frozenset(devices)
        self._given.all_told = all(self._leave_out(point.rstrip(b"/") + b"/") for point in unheard)

    # those who never ask

    def _promote(self, image: Image) -> Actor | None:
        """Have an image recorded, though nothing is known of what it runs; that is read as soon as may be."""
        processes = self._capture.processes
        process = processes.tasks.group(image.pid)
        if process is None or process.image is not image:
            return None
        if not image.is_adopted and processes.adopt(image.pid, None, NEVER_ASKED) is not image:
            return None
        self._ask_for(image.pid)
        return self._capture.actor_of(image)

    def _ask_for(self, pid: int) -> None:
        with suppress(trio.WouldBlock):
            self._to_describe.send_nowait(pid)

    async def _describe(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(DESCRIBERS):
                nursery.start_soon(self._describe_some)

    async def _describe_some(self) -> None:
        async for pid in self._described:
            for _ in range(LOOKS_MAX):
                if await self._capture.describe_late(pid) or not is_alive(pid):
                    break
                await trio.sleep(LOOK_AGAIN_SECONDS)

    # content

    def _learned(self, fact: Fact) -> None:
        """A file was read whose content id is not known."""
        if fact.size > HASH_BYTES_MAX or fact in self._seen:
            return
        with suppress(trio.WouldBlock):
            self._to_hash.send_nowait(fact)
            self._seen[fact] = None
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)

    async def _hash(self) -> None:
        async for fact in self._hashed:
            if self._mounts.table().is_untouchable(fact.path):
                continue  # as it is named in another mount namespace
            found = await trio.to_thread.run_sync(content_of, fact)
            if found is not None:
                self._capture.recorder.outside_content(fact.path, fact.size, fact.mtime_ns, *found[:2])


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id; without a look at /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
