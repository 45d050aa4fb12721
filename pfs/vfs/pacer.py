"""Wakes the event loop for what is queued beyond the mount, where no request drains it soon.

On a busy machine files are opened all the time, and requests drain what was told of them: to wake the loop
for each event would cost more than all else that is done about it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Final, Protocol

import trio

# How long something may wait for a request that drains it; and for a while after a write that counts.
PAUSE_NS: Final = 5_000_000
HURRIED_PAUSE_NS: Final = 300_000
HURRY_NS: Final = 30_000_000


class Unattended(Protocol):
    """What `_native.Outside` offers beside `drain`."""

    def hurry(self, duration_ns: int, /) -> None:
        """From now on, for so long, `unattended` makes short pauses."""

    def unattended(self, end: int, usual_ns: int, hurried_ns: int, /) -> bool:
        """Wait until something is queued and nobody takes it (True), or `end` is readable (False)."""


class Pacer:
    """A thread that waits without the interpreter, and what it says to the loop."""

    def __init__(self, source: Unattended) -> None:
        self._source = source
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._end = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._watch, name="pacer", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Something was written that counts: readers may follow who never ask us anything."""
        self._source.hurry(HURRY_NS)

    async def wait(self, seconds_max: float) -> None:
        """Return when there is something to drain, or so late."""
        with trio.move_on_after(seconds_max):
            await trio.lowlevel.wait_readable(self._wake)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def _watch(self) -> None:
        while self._source.unattended(self._end, PAUSE_NS, HURRIED_PAUSE_NS):
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """End the thread.  Before the source is closed."""
        os.eventfd_write(self._end, 1)
        self._thread.join()
        os.close(self._wake)
        os.close(self._end)
