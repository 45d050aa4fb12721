"""The journal of one branch: every change of names and attributes since its base.

One file a generation, `JOURNAL/<generation, 16 hex>`.  Appending is one write
and survives the death of the daemon; durability is somebody's explicit sync.

File header, 64 bytes: magic "pfsjrnl1", branch id u64, generation u64, sequence
number of the first record u64, boot id 16 bytes, 12 bytes zero, CRC-32 of the
60 bytes before it.  All numbers little-endian.  Then framed records
(pfs.store.frames) whose payload is a msgpack array, first element the Op.  The
file is filled with zeros ahead of its end in steps, because a synced append into
allocated bytes costs a quarter of one that grows the file.
"""

from __future__ import annotations

import contextlib
import enum
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec

from pfs.disk import Disk
from pfs.errors import StoreError
from pfs.store.frames import FRAME_BYTES, framed, frames

MAGIC = b"pfsjrnl1"
_HEADER = struct.Struct("<8sQQQ16s12sI")
FIRST_FILL_BYTES = 64 * 1024
FILL_BYTES_MAX = 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Op(enum.IntEnum):
    """What a record says.  Fields after the op, in order."""

    LOCATE = 1  # file id, parent, name: where a committed inode is, before it changes
    CREATE = 2  # parent, name, file id, type, mode, uid, gid, time_ns, target, xattrs
    REMOVE = 3  # parent, name, file id, time_ns
    RENAME = 4  # old parent, old name, new parent, new name, exchange, time_ns, unsynced files that replace
    LINK = 5  # file id, parent, name, time_ns
    ATTRIBUTES = 6  # file id, mode, uid, gid, mtime_ns, atime_ns, ctime_ns
    XATTR = 7  # file id, name, value or nil, ctime_ns
    LAYER = 8  # file id, layer number, size, low: a new working file on top
    DIRTY = 9  # file id, start, end: bytes below low that the working file holds now
    LOWER = 10  # file id, size: an unfrozen top was truncated
    CUT = 11  # layer numbers from the top, end, content, height, size, the top's size and mtime_ns: see below
    MARK = 12  # file id, size, sequence number, mtime_ns: the working files of F are durable to there
    LOST = 13  # file id: the sync of F's working files failed, or no name leads to it any more


# CUT: what the stack of these layers shows of [0, end) is durable in chunks, and their working bytes may be
# gone.  Written and durable before they are punched; whatever else of a journal is believed, it is.


class Journal:
    """The writing end.  Owned by the branch's working tree, on the event loop.

    Only `sync_files` may run elsewhere: it takes what `begin_sync` returned.
    """

    def __init__(
        self, disk: Disk, directory: Path, branch_id: int, boot_id: bytes, sequence: int = 0
    ) -> None:
        self._disk = disk
        self.directory = directory
        self.boot_id = boot_id
        self.replaying = False  # while its own records are applied, nothing is written
        self._branch_id = branch_id
        self.sequence = sequence
        self.synced_sequence = sequence
        self.generation = 0
        self._fd = -1
        self._end = 0
        self._filled = 0
        self._fill_step = FIRST_FILL_BYTES
        self._unsynced: dict[int, int] = {}  # older generations to be synced with the next sync: descriptors
        self._new_name = False

    @property
    def is_open(self) -> bool:
        """Whether it can be appended to; not so once its branch is deleted."""
        return self._fd >= 0

    @property
    def size_bytes(self) -> int:
        """Length of the current generation's file up to its last record."""
        return self._end

    def start(self, generation: int) -> None:
        """Begin the file of a new generation; those before stay until `discard`."""
        fd = self._disk.create(segment_path(self.directory, generation))
        header = _HEADER.pack(
            MAGIC, self._branch_id, generation, self.sequence + 1, self.boot_id, bytes(12), 0
        )[:-4]
        header += struct.pack("<I", zlib.crc32(header))
        try:
            self._disk.pwrite(fd, header.ljust(FIRST_FILL_BYTES, b"\0"), 0)
        except OSError:
            self._disk.close(fd)
            self._disk.unlink(segment_path(self.directory, generation))
            raise
        if self._fd >= 0:
            self._unsynced[self.generation] = self._fd
        self._fd = fd
        self._end, self._filled = _HEADER.size, FIRST_FILL_BYTES
        self._fill_step = FIRST_FILL_BYTES
        self.generation = generation
        self._new_name = True

    def append(self, *record: Any) -> int:
        """Write one record and return its sequence number.  Raises OSError, then nothing was added."""
        if self.replaying:
            return self.sequence
        payload = _encode(record)
        number = self.sequence + 1
        frame = framed(number, payload)
        end = self._end + len(frame)
        if end + FRAME_BYTES > self._filled:
            self._fill(end + FRAME_BYTES)
        self._disk.pwrite(self._fd, frame, self._end)
        self._end = end
        self._filled = max(self._filled, end)
        self.sequence = number
        return number

    def reserve(self, length: int) -> None:
        """Make sure that a disk that is full does not keep out the next `length` bytes.  Raises OSError."""
        needed = self._end + length + 2 * FRAME_BYTES
        if not self.replaying and needed > self._filled:
            self._disk.pwrite(self._fd, bytes(needed - self._filled), self._filled)
            self._filled = needed

    def adopt(self, generation: int) -> None:
        """Let the next sync make an older file durable, too: a daemon that was killed left it unsynced."""
        self._unsynced[generation] = self._disk.open(segment_path(self.directory, generation))

    def begin_sync(self) -> JournalSync:
        """What has to be made durable now; pass it to `JournalSync.run` in a thread, then to `end_sync`."""
        fds = [*self._unsynced.values(), self._fd]
        return JournalSync(
            self._disk,
            [self._disk.duplicate(fd) for fd in fds],
            self.directory if self._new_name else None,
            self.sequence,
            self.generation,
            list(self._unsynced),
        )

    def end_sync(self, done: JournalSync) -> None:
        """Take note that everything up to `done.sequence` is durable."""
        self.synced_sequence = max(self.synced_sequence, done.sequence)
        if done.generation == self.generation:
            self._new_name = False
        for generation in done.older:
            self._close_older(generation)

    def discard(self, generation: int) -> None:
        """Remove the files of all generations up to `generation`: a durable batch covers them."""
        for number in segments(self._disk, self.directory):
            if number <= generation and number != self.generation:
                with contextlib.suppress(OSError):  # else the next start removes it
                    self._disk.unlink(segment_path(self.directory, number))
                self._close_older(number)

    def close(self) -> None:
        """Close the files; nothing is synced."""
        for fd in [*self._unsynced.values(), self._fd]:
            if fd >= 0:
                self._disk.close(fd)
        self._unsynced, self._fd = {}, -1

    def _close_older(self, generation: int) -> None:
        fd = self._unsynced.pop(generation, None)
        if fd is not None:
            self._disk.close(fd)

    def _fill(self, needed: int) -> None:
        """Write zeros ahead; where the disk is full the record itself may still fit."""
        step = self._fill_step = min(self._fill_step * 2, FILL_BYTES_MAX)
        target = max(needed, self._filled + step)
        try:
            self._disk.pwrite(self._fd, bytes(target - self._filled), self._filled)
        except OSError:
            self._fill_step = FIRST_FILL_BYTES
        else:
            self._filled = target


class JournalSync:
    """One sync of a journal, carried out off the loop."""

    def __init__(
        self,
        disk: Disk,
        fds: list[int],
        directory: Path | None,
        sequence: int,
        generation: int,
        older: list[int],
    ) -> None:
        self._disk = disk
        self._fds = fds
        self._directory = directory
        self.sequence = sequence
        self.generation = generation
        self.older = older

    def run(self) -> None:
        """Sync each file and, for a new one, its directory.  Raises OSError."""
        try:
            for fd in self._fds:
                self._disk.fdatasync(fd)
            if self._directory is not None:
                self._disk.sync_directory(self._directory)
        finally:
            for fd in self._fds:
                self._disk.close(fd)


class Segment:
    """One journal file as read back: its header and its whole records."""

    def __init__(
        self, generation: int, boot_id: bytes, first: int, records: list[tuple[int, list[Any]]]
    ) -> None:
        self.generation = generation
        self.boot_id = boot_id
        self.first = first  # number of the first record, were there one
        self.records = records


def segment_path(directory: Path, generation: int) -> Path:
    """Where the records of a generation are."""
    return directory / f"{generation:016x}"


def segments(disk: Disk, directory: Path) -> list[int]:
    """The generations that have a file, oldest first."""
    return sorted(int(name, 16) for name in disk.listdir(directory) if len(name) == 16)


def read_segment(disk: Disk, directory: Path, branch_id: int, generation: int) -> Segment | None:
    """Read one file back up to its torn tail; None where not even the header was written.

    Raises StoreError if the header is damaged, or of another branch or format.
    """
    path = segment_path(directory, generation)
    raw = disk.read_file(path)
    if len(raw) < _HEADER.size or not any(raw[: _HEADER.size]):
        return None
    magic, branch, number, first, boot_id, _, checksum = _HEADER.unpack_from(raw)
    if checksum != zlib.crc32(raw[: _HEADER.size - 4]):
        raise StoreError(f"{path}: its header is damaged")
    if magic != MAGIC or branch != branch_id or number != generation:
        raise StoreError(f"{path}: not the journal of branch {branch_id}, generation {generation}")
    return Segment(
        generation,
        boot_id,
        first,
        [(number, _decode(payload)) for number, payload in frames(raw, _HEADER.size, first)],
    )
