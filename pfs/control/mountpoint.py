"""The bare directory below a mount: made safe, so that nothing is written beside the store.

While nothing is mounted it has mode 0555 and, made by root, the immutable flag. fusermount3 wants
it writable to mount there, so the daemon opens it first, makes it writable (`prepare`), mounts over
it, and hardens what is now covered through the descriptor (`harden`). `pfs umount` takes the flag
away (`soften`), or its owner could not remove the directory.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

BARE_MODE = 0o555
_WRITABLE_MODE = 0o755
# ioctl_iflags(2); the argument is an int whatever the size in the number says.
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_IMMUTABLE_FL = 0x10


def prepare(path: Path) -> int:
    """Open the directory and make it fit to be mounted on; the descriptor outlives the mount above it."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _set_immutable(directory, False)
        if not os.access(path, os.W_OK):
            os.fchmod(directory, _WRITABLE_MODE)
    except BaseException:
        os.close(directory)
        raise
    return directory


def harden(directory: int) -> None:
    """Let nobody write into the directory of `prepare`; where that can't be had, it stays as it is."""
    with suppress(OSError):
        os.fchmod(directory, BARE_MODE)
    if os.geteuid() == 0:
        _set_immutable(directory, True)


def soften(path: Path) -> None:
    """Take the immutable flag away after a deliberate unmount; the mode stays."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _set_immutable(directory, False)
    finally:
        os.close(directory)


def _set_immutable(directory: int, immutable: bool) -> None:
    """Where the filesystem has no such flag, or we no right to it, nothing is lost but this guard."""
    with suppress(OSError):
        (flags,) = struct.unpack("i", fcntl.ioctl(directory, _FS_IOC_GETFLAGS, bytes(4)))
        wanted = flags | _FS_IMMUTABLE_FL if immutable else flags & ~_FS_IMMUTABLE_FL
        if wanted != flags:
            fcntl.ioctl(directory, _FS_IOC_SETFLAGS, struct.pack("i", wanted))
