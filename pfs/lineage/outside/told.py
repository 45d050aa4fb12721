"""What is told of files beyond the mount, by whom, and what is made of it: the seams of the watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from pfs.lineage.facts import Activity, Level
from pfs.lineage.live.state import Actor

OPENED: Final = 0x20  # bits of fanotify(7)
EXECUTED: Final = 0x1000
WROTE: Final = 0x8  # closed, having been open for writing
READ: Final = 0x10  # closed, having been open for reading only

Event = tuple[int, int, bytes, int, int, int, int]  # pid, bits, path, size, mtime_ns, device, inode


class Source(Protocol):
    """What `_native.Outside` offers."""

    def drain(self, limit: int, /) -> tuple[Sequence[Event], bool]:
        """What is queued, and whether some of it was lost."""


class Exits(Protocol):
    """What `ExitsLast` offers."""

    forked: dict[int, None]

    @property
    def is_settled(self) -> bool:
        """Whether no exit is held back and `forked` is empty."""

    def waiting(self) -> int:
        """How many exits are held back."""

    def release(self, count: int) -> None:
        """Let the oldest of them be told."""


class Facts(Protocol):
    """What the recorder takes."""

    def outside_read(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, *, level: int = Level.OBSERVED
    ) -> None:
        """A file was read."""

    def outside_write(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, *, is_new: bool = False
    ) -> None:
        """A file was written and closed.  Raises OSError."""

    def describe(self, actor: Actor, activity: Activity) -> None:
        """More is known of who acts."""


class Written(NamedTuple):
    """A file as its last writer has left it."""

    path: bytes
    size: int
    mtime_ns: int
    pid: int
    is_recorded: bool

    def is_left(self, size: int, mtime_ns: int) -> bool:
        """Whether it is still so.  Times set to the past (`cp -p`, rsync) are set after the last write."""
        return size == self.size and mtime_ns <= self.mtime_ns
