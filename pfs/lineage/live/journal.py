"""The lineage journal of a store: what was learned and no commit holds yet.

Files `JOURNAL/<number, 16 hex>`, played back in the order of their numbers.  Appending is one write and
survives the death of the daemon; what power loss must not take is somebody's explicit `sync`.

File header, 64 bytes: magic "pfslinj1", number of the file u64, sequence number of the first record u64, boot
id 16 bytes, 20 bytes zero, CRC-32 of the 60 bytes before it.  All numbers little-endian.  Then framed records
(pfs.store.frames) whose payload is a msgpack array of notes (pfs.lineage.live.notes).  The file is filled
with zeros ahead of its end in steps, because a synced append into allocated bytes costs a quarter of one that
grows the file.  Every daemon begins a file of its own.

Compaction: a new file is begun, all that is live is written to it, in slices and mixed with what happens
meanwhile, then the files before it go.  Notes are states, so a crash in between only leaves more to play
back. The removal, after the new file is durable, is the commit point.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pfs.disk import Disk
from pfs.store.frames import FRAME_BYTES, framed, frames

MAGIC: Final = b"pfslinj1"
_HEADER = struct.Struct("<8sQQ16s20sI")
FIRST_FILL_BYTES: Final = 64 * 1024
FILL_BYTES_MAX: Final = 1024 * 1024
# What a full disk keeps out waits in memory for room, up to this; then the oldest goes.
BACKLOG_BYTES_MAX: Final = 16 * 1024 * 1024
# A compaction begins when there is this much, and twice what the last one left.
COMPACT_BYTES_MIN: Final = 4 * 1024 * 1024
COMPACT_FILES_MAX: Final = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Journal:
    """The writing end.  Owned by the event loop, but for `sync`, which may run in a thread."""

    def __init__(self, disk: Disk, directory: Path, boot_id: bytes) -> None:
        """`start` begins to write; before, `read` what older files hold.  The directory exists."""
        self._disk = disk
        self.directory = directory
        self._boot_id = boot_id
        self.sequence = 0
        self.lost_records = 0  # that found no room, ever
        self._lost_before = 0  # the compaction began
        self._number = 0
        self._fd = -1
        self._end = 0
        self._filled = 0
        self._fill_step = FIRST_FILL_BYTES
        self._older = files(disk, directory)  # numbers of the files before ours
        self._older_bytes = sum(disk.stat(_path(directory, number)).st_size for number in self._older)
        self._live_bytes = 0  # what the last compaction left
        self._surplus: list[int] = []  # files that a compaction has made superfluous
        self._named = 0  # number of the newest file whose name is durable
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._syncing = threading.Lock()  # one thread at a time runs `sync`
        self._swapping = threading.Lock()  # held only while a descriptor is taken or replaced

    @property
    def size_bytes(self) -> int:
        """Length of all that would be played back."""
        return self._older_bytes + self._end

    @property
    def is_bloated(self) -> bool:
        """Whether a compaction is worth its while."""
        if self._surplus:
            return False
        return (
            len(self._older) >= COMPACT_FILES_MAX
            or self.size_bytes > COMPACT_BYTES_MIN + 2 * self._live_bytes
        )

    def read(self) -> Iterator[list[Any]]:
        """The notes of older files, record by record, each file up to its torn tail."""
        for number in self._older:
            raw = self._disk.read_file(_path(self.directory, number))
            for sequence, notes in _records(raw, number):
                self.sequence = max(self.sequence, sequence)
                yield notes

    def start(self) -> None:
        """Begin a file of our own.  Raises OSError."""
        self._begin_file(max(self._older, default=0) + 1)

    def append(self, records: Sequence[Sequence[Any]]) -> None:
        """Write the notes of one call as one record; where the disk is full they wait for room."""
        payload = _encode(records)
        if self._backlog:
            self._write_backlog()
        if not self._backlog:
            try:
                self._write(payload)
            except OSError:
                self._wait(payload)
        else:
            self._wait(payload)

    def begin_compaction(self) -> None:
        """From now on to a new file.  Raises OSError, then nothing has changed."""
        number, fd, end = self._number, self._fd, self._end
        self._lost_before = self.lost_records
        with self._swapping:
            self._begin_file(number + 1)
        self._disk.close(fd)
        self._older.append(number)
        self._older_bytes += end

    def end_compaction(self) -> None:
        """All that is live was appended: the next `sync` removes older files, unless some found no room."""
        if self._backlog or self.lost_records != self._lost_before:
            return
        self._surplus, self._older = self._older, []
        self._older_bytes, self._live_bytes = 0, self._end

    def sync(self) -> None:
        """Make durable what was appended, then remove what a compaction left over.  Raises OSError."""
        with self._syncing:
            with self._swapping:
                surplus, number = self._surplus, self._number
                fd = self._disk.duplicate(self._fd)
            try:
                self._disk.fdatasync(fd)
            finally:
                self._disk.close(fd)
            if number > self._named:
                self._disk.sync_directory(self.directory)
                self._named = number
            for number in surplus:
                with contextlib.suppress(FileNotFoundError):
                    self._disk.unlink(_path(self.directory, number))
            if surplus:
                self._surplus = []

    def close(self) -> None:
        """Close the file; nothing is synced."""
        if self._fd >= 0:
            self._disk.close(self._fd)
            self._fd = -1

    def _begin_file(self, number: int) -> None:
        path = _path(self.directory, number)
        fd = self._disk.create(path)
        first = self.sequence + 1
        header = _HEADER.pack(MAGIC, number, first, self._boot_id, bytes(20), 0)[:-4]
        header += struct.pack("<I", zlib.crc32(header))
        try:
            self._disk.pwrite(fd, header.ljust(FIRST_FILL_BYTES, b"\0"), 0)
        except OSError:
            self._disk.close(fd)
            self._disk.unlink(path)
            raise
        self._fd, self._number = fd, number
        self._end, self._filled, self._fill_step = _HEADER.size, FIRST_FILL_BYTES, FIRST_FILL_BYTES

    def _write(self, payload: bytes) -> None:
        number = self.sequence + 1
        frame = framed(number, payload)
        end = self._end + len(frame)
        if end + FRAME_BYTES > self._filled:
            self._fill(end + FRAME_BYTES)
        self._disk.pwrite(self._fd, frame, self._end)
        self.sequence, self._end = number, end
        if end > self._filled:
            self._filled = end

    def _write_backlog(self) -> None:
        """See whether there is room again."""
        with contextlib.suppress(OSError):
            while self._backlog:
                self._write(self._backlog[0])
                self._backlog_bytes -= len(self._backlog.popleft())

    def _wait(self, payload: bytes) -> None:
        """Keep a record until there is room."""
        self._backlog.append(payload)
        self._backlog_bytes += len(payload)
        while self._backlog_bytes > BACKLOG_BYTES_MAX:
            self._backlog_bytes -= len(self._backlog.popleft())
            self.lost_records += 1

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


def files(disk: Disk, directory: Path) -> list[int]:
    """The numbers of the files of a journal, in order."""
    return sorted(int(name, 16) for name in disk.listdir(directory) if len(name) == 16)


def _path(directory: Path, number: int) -> Path:
    return directory / f"{number:016x}"


def _records(raw: bytes, number: int) -> Iterator[tuple[int, list[Any]]]:
    """Whole records of one file; none where its header is damaged: what it held is lost, the rest is not."""
    if len(raw) < _HEADER.size:
        return
    magic, found, expected, _, _, checksum = _HEADER.unpack_from(raw)
    if checksum != zlib.crc32(raw[: _HEADER.size - 4]) or magic != MAGIC or found != number:
        return
    for sequence, payload in frames(raw, _HEADER.size, expected):
        yield sequence, _decode(payload)
