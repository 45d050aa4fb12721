"""The one seam to the disk: every change of a file of the store goes through a Disk.

Promises: each method is one system call (or a loop over short ones) and raises OSError as the kernel
says it; nothing is cached, retried or hidden.  Leaves to others: what to write, in which order, and
what an error means.  Next to the real Disk stand two fakes for tests, here so that they cannot lag
behind it: RecordingDisk keeps a log of what was done, FaultyDisk fails where a script says so.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

try:
    from pfs._native import syncfs as _syncfs
except ImportError:  # not built: the coarser call does the same and more

    def _syncfs(_fd: int, /) -> None:
        os.sync()


Buffer = bytes | bytearray | memoryview

# Errors of a write that took nothing away and may pass: disk, quota, RLIMIT_FSIZE.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
# Linux: a write or read of one call moves at most 2^31 - 4096 bytes; the loops below go on.
_KEEP_SIZE = 0x01  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
_PUNCH_HOLE = 0x02  # FALLOC_FL_PUNCH_HOLE
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_UUID = "/proc/sys/kernel/random/uuid"


class Disk:
    """Files as the kernel has them.  Stateless; safe in any thread."""

    # Descriptors

    def open(self, path: Path, flags: int = os.O_RDWR) -> int:
        """Open an existing file; the descriptor is not inherited by children."""
        return os.open(path, flags | os.O_CLOEXEC)

    def open_read(self, path: Path) -> int:
        """Open an existing file or directory for reading."""
        return self.open(path, os.O_RDONLY)

    def create(self, path: Path) -> int:
        """Make a new file, readable and writable by its owner; FileExistsError if there is one."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)

    def duplicate(self, fd: int) -> int:
        """A second descriptor of the same open file."""
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)

    def close(self, fd: int) -> None:
        """Give a descriptor back."""
        os.close(fd)

    # Reading

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only where the file ends."""
        data = os.pread(fd, length, offset)
        if len(data) == length or not data:
            return data
        parts = [data]
        done = len(data)
        while done < length and (data := os.pread(fd, length - done, offset + done)):
            parts.append(data)
            done += len(data)
        return b"".join(parts)

    def preadv_nowait(self, fd: int, length: int, offset: int) -> bytes | None:
        """What the page cache holds of a range, or None where reading it would block.

        May be shorter than `length` where only the beginning is cached (RWF_NOWAIT, preadv2(2)).
        """
        buffer = bytearray(length)
        try:
            count = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
                return None
            raise
        return bytes(buffer) if count == length else bytes(memoryview(buffer)[:count])

    def read_file(self, path: Path) -> bytes:
        """All bytes of a small file."""
        fd = self.open(path, os.O_RDONLY)
        try:
            return self.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            self.close(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Attributes of an open file."""
        return os.fstat(fd)

    def stat(self, path: Path) -> os.stat_result:
        """Attributes of a path, links not followed."""
        return os.lstat(path)

    def statvfs(self, path: Path) -> os.statvfs_result:
        """Numbers of the filesystem below a path."""
        return os.statvfs(path)

    def listdir(self, path: Path) -> list[str]:
        """The names in a directory, sorted."""
        return sorted(os.listdir(path))

    def seek_data(self, fd: int, offset: int) -> int | None:
        """Where the next written byte at or after `offset` is; None if only a hole follows."""
        try:
            return os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise

    def seek_hole(self, fd: int, offset: int) -> int | None:
        """Where the next hole at or after `offset` begins; None past the end of the file."""
        try:
            return os.lseek(fd, offset, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise

    # Writing

    def pwrite(self, fd: int, data: Buffer, offset: int) -> None:
        """Write all of `data` at `offset`; after an error any part of it may be written."""
        count = os.pwrite(fd, data, offset)
        if count < len(data):
            view = memoryview(data)
            while count < len(data):
                count += os.pwrite(fd, view[count:], offset + count)

    def append(self, fd: int, data: Buffer) -> None:
        """Write all of `data` at the descriptor's position; after an error any part may be written."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += os.write(fd, view[done:])

    def truncate(self, fd: int, length: int) -> None:
        """Set the length of a file; a longer one ends in a hole."""
        os.ftruncate(fd, length)

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        """Reserve disk for a range, which reads as zeros; the file grows to its end (fallocate(2))."""
        _fallocate(fd, 0, offset, length)

    def fallocate_keep(self, fd: int, offset: int, length: int) -> None:
        """Reserve disk for a range, also past the end, without changing the size (fallocate(2))."""
        _fallocate(fd, _KEEP_SIZE, offset, length)

    def punch(self, fd: int, offset: int, length: int) -> None:
        """Turn a range into a hole and give its disk back; the size stays."""
        _fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, length)

    def utime(self, fd: int, atime_ns: int, mtime_ns: int) -> None:
        """Set the times of an open file."""
        os.utime(fd, ns=(atime_ns, mtime_ns))

    # Names

    def mkdir(self, path: Path) -> None:
        """Make a directory that only its owner may enter."""
        os.mkdir(path, DIRECTORY_MODE)

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, replacing what had it; durable only with `sync_directory`."""
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        os.unlink(path)

    # Making durable

    def fdatasync(self, fd: int) -> None:
        """Bytes and size of the file are on stable storage when it returns."""
        os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        """Bytes and all attributes of the file are on stable storage when it returns."""
        os.fsync(fd)

    def sync_directory(self, path: Path) -> None:
        """The names in a directory are on stable storage when it returns."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def syncfs(self, fd: int) -> None:
        """Everything on the filesystem of the descriptor is on stable storage when it returns."""
        _syncfs(fd)

    def lmdb_committed(self, path: Path) -> None:
        """LMDB, which writes by itself, has just made this data file durable: for the log of a fake."""

    # What is neither

    def lock(self, fd: int, *, exclusive: bool) -> bool:
        """Take the flock of an open file without waiting; False if another open file has it."""
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def boot_id(self) -> bytes:
        """16 bytes that are the same until the machine starts anew: does the page cache still stand?"""
        return bytes.fromhex(_read_line(_BOOT_ID).replace("-", ""))

    def new_uuid(self) -> bytes:
        """16 random bytes from the kernel."""
        return bytes.fromhex(_read_line(_UUID).replace("-", ""))


def write_durably(disk: Disk, path: Path, data: bytes) -> None:
    """Replace a small file so that after a crash either all of the old or all of the new is there.

    Commit point: the rename.  A crash before it leaves `path.new`, which the next call overwrites.
    """
    aside = path.with_name(path.name + ".new")
    try:
        fd = disk.create(aside)
    except FileExistsError:
        disk.unlink(aside)
        fd = disk.create(aside)
    try:
        disk.pwrite(fd, data, 0)
        disk.fsync(fd)
    finally:
        disk.close(fd)
    disk.rename(aside, path)
    disk.sync_directory(path.parent)


class Operation(NamedTuple):
    """One change of the disk: the method's name, the path it concerns, and what else it was given.

    `offset` and `length` are bytes (-1: does not apply), `data` what was written, `target` the second path.
    """

    name: str
    path: Path
    offset: int = -1
    length: int = -1
    data: bytes = b""
    target: Path | None = None


class _WatchedDisk(Disk):
    """Calls `before` ahead of each change, with descriptors turned into paths, and `after` behind it."""

    def __init__(self) -> None:
        self._paths: dict[int, Path] = {}

    def before(self, operation: Operation) -> None:
        """Look at a change that is about to be made; raise OSError to prevent it."""

    def after(self, operation: Operation) -> None:
        """Look at a change that was made."""

    def _do(self, operation: Operation, change: Callable[[], None]) -> None:
        self.before(operation)
        change()
        self.after(operation)

    def open(self, path: Path, flags: int = os.O_RDWR) -> int:
        fd = super().open(path, flags)
        self._paths[fd] = path
        return fd

    def create(self, path: Path) -> int:
        operation = Operation("create", path)
        self.before(operation)
        fd = super().create(path)
        self._paths[fd] = path
        self.after(operation)
        return fd

    def duplicate(self, fd: int) -> int:
        copy = super().duplicate(fd)
        self._paths[copy] = self._paths[fd]
        return copy

    def rename(self, old: Path, new: Path) -> None:
        change = functools.partial(super().rename, old, new)
        self._do(Operation("rename", old, target=new), change)
        for fd, path in self._paths.items():
            if path == old or old in path.parents:
                self._paths[fd] = new / path.relative_to(old)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> None:
        copy = bytes(data)
        change = functools.partial(super().pwrite, fd, copy, offset)
        self._do(Operation("pwrite", self._paths[fd], offset, len(copy), copy), change)

    def append(self, fd: int, data: Buffer) -> None:
        copy = bytes(data)
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        change = functools.partial(super().append, fd, copy)
        self._do(Operation("append", self._paths[fd], offset, len(copy), copy), change)

    def truncate(self, fd: int, length: int) -> None:
        self._do(
            Operation("truncate", self._paths[fd], length=length),
            functools.partial(super().truncate, fd, length),
        )

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        change = functools.partial(super().fallocate, fd, offset, length)
        self._do(Operation("fallocate", self._paths[fd], offset, length), change)

    def fallocate_keep(self, fd: int, offset: int, length: int) -> None:
        change = functools.partial(super().fallocate_keep, fd, offset, length)
        self._do(Operation("fallocate_keep", self._paths[fd], offset, length), change)

    def punch(self, fd: int, offset: int, length: int) -> None:
        change = functools.partial(super().punch, fd, offset, length)
        self._do(Operation("punch", self._paths[fd], offset, length), change)

    def mkdir(self, path: Path) -> None:
        self._do(Operation("mkdir", path), functools.partial(super().mkdir, path))

    def rmdir(self, path: Path) -> None:
        self._do(Operation("rmdir", path), functools.partial(super().rmdir, path))

    def unlink(self, path: Path) -> None:
        self._do(Operation("unlink", path), functools.partial(super().unlink, path))

    def fdatasync(self, fd: int) -> None:
        self._do(Operation("fdatasync", self._paths[fd]), functools.partial(super().fdatasync, fd))

    def fsync(self, fd: int) -> None:
        self._do(Operation("fsync", self._paths[fd]), functools.partial(super().fsync, fd))

    def sync_directory(self, path: Path) -> None:
        self._do(Operation("sync_directory", path), functools.partial(super().sync_directory, path))

    def syncfs(self, fd: int) -> None:
        self._do(Operation("syncfs", self._paths[fd]), functools.partial(super().syncfs, fd))


class RecordingDisk(_WatchedDisk):
    """A Disk that keeps a log of all changes, each after it was made; with `reads` of all reads, too.

    LMDB's writes are its own; at each of its commits the log takes the whole data file ("lmdb").
    """

    def __init__(self, *, reads: bool = False) -> None:
        super().__init__()
        self.log: list[Operation] = []
        self._reads = reads
        self._lock = threading.Lock()

    def after(self, operation: Operation) -> None:
        """Log the change."""
        with self._lock:
            self.log.append(operation)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        """Read, and log it if asked to."""
        if self._reads:
            self.after(Operation("pread", self._paths[fd], offset, length))
        return super().pread(fd, length, offset)

    def preadv_nowait(self, fd: int, length: int, offset: int) -> bytes | None:
        """Read, and log it if asked to."""
        if self._reads:
            self.after(Operation("preadv_nowait", self._paths[fd], offset, length))
        return super().preadv_nowait(fd, length, offset)

    def lmdb_committed(self, path: Path) -> None:
        """Log the data file as it is now."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
        self.after(Operation("lmdb", path, 0, len(data), data))

    def names(self, start: int = 0) -> list[str]:
        """The log from `start` on as short lines: "pwrite 00000001.pack"."""
        return [f"{operation.name} {operation.path.name}" for operation in self.log[start:]]


class FaultyDisk(_WatchedDisk):
    """A Disk that fails as a script says: one letter for each change whose name is in `names`.

    "." is done, "E" fails and does nothing, "S" (for writes) writes half of it and then fails; after the
    end of the script everything is done.  `done` counts the changes seen, `script` may be set at any time.
    """

    def __init__(self, script: str, error: int, *, names: frozenset[str] | None = None) -> None:
        super().__init__()
        self.script = script
        self.error = error
        self.done = 0
        self._names = names

    def before(self, operation: Operation) -> None:
        """Take the next letter of the script, if this change is one that counts."""
        if self._names is not None and operation.name not in self._names:
            return
        letter = self.script[self.done : self.done + 1] or "."
        self.done += 1
        if letter == "S":
            self._write_half(operation)
        if letter != ".":
            raise OSError(self.error, os.strerror(self.error), str(operation.path))

    def _write_half(self, operation: Operation) -> None:
        fd = os.open(operation.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, operation.data[: operation.length // 2], operation.offset)
        finally:
            os.close(fd)


def _fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    if _libc_fallocate()(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@functools.cache
def _libc_fallocate() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).fallocate
    function.restype = ctypes.c_int
    return function


def _read_line(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 128).decode().strip()
    finally:
        os.close(fd)
