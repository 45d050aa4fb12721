"""Appending records to packs: a buffer in memory, a group sync, sealing.

A record's way: `add` puts it into a segment in memory (it can be read from there at once) → `flush` writes
the segment to the pack → `sync` makes it durable.  A pack that has reached its size is sealed: the next
record begins a new one.  What a crash leaves between the steps is in the docstring of pfs.store.

Locks, always taken in this order: `_sync_lock` (one fdatasync at a time; who waits for it shares the
next), `_write_lock` (segments reach the file in order), `_lock` (the state; never held over I/O).
After an error of a write or a sync that is not "disk full" nothing is retried: `failed` says why.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pfs.disk import FULL
from pfs.errors import NoSpace, ReadOnly, StoreError
from pfs.objects.ids import Kind
from pfs.store.compression import compress
from pfs.store.packs import PackFiles, Place
from pfs.store.record import HEADER_BYTES, head, pack_header, seal_head, void_header

PACK_BYTES: Final = 64 * 1024 * 1024
# What waits in memory at most before somebody has to write it; also the size of one write.
BUFFER_BYTES: Final = 1024 * 1024


class Prepared(NamedTuple):
    """A record that only lacks its place: made outside all locks."""

    object_id: bytes
    head: bytes
    stored: bytes


def prepare(kind: Kind, object_id: bytes, payload: bytes | memoryview) -> Prepared:
    """Compress a payload and make the first part of its header."""
    codec, stored = compress(payload)
    return Prepared(object_id, head(kind, codec, object_id, stored), stored)


class OpenPack:
    """A pack whose records are not in `objects.lmdb` yet, or not all.  Owned by PackWriter, under its lock.

    `indexed` counts the records that are there already, `last_sequence` is that of its newest REFS record,
    `position` the writer's count of bytes after its newest record.
    """

    __slots__ = ("end", "entries", "indexed", "last_sequence", "number", "position")

    def __init__(self, number: int, end: int = 0, indexed: int = 0, last_sequence: int = 0) -> None:
        self.number = number
        self.end = end
        self.indexed = indexed
        self.last_sequence = last_sequence
        self.position = 0
        self.entries: dict[bytes, Place] = {}


class _Segment:
    """Records that follow each other in one pack and are not written yet."""

    __slots__ = ("data", "ids", "pack", "position", "seed", "start")

    def __init__(self, pack: int, start: int, seed: int, data: bytes) -> None:
        self.pack = pack
        self.start = start
        self.seed = seed
        self.data = bytearray(data)
        self.ids: list[bytes] = []
        self.position = 0


class PackWriter:
    """The end of the packs where records are added.  Shared by all threads of a store."""

    def __init__(self, files: PackFiles, packs: Sequence[OpenPack], *, pack_bytes: int = PACK_BYTES) -> None:
        """`packs`: those not indexed, in order; the last one goes on growing (`end` 0: no file yet)."""
        self._files = files
        self._disk = files.disk
        self._pack_bytes = pack_bytes
        self._sync_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._lock = threading.Lock()
        self._packs = {pack.number: pack for pack in packs}
        self._queue: deque[_Segment] = deque()
        self._unwritten: dict[bytes, tuple[_Segment, int, int]] = {}
        self._fds: dict[int, int] = {}
        self._unsynced: dict[int, int] = {}  # pack → position after the last write to it
        self._new_name = False
        # Bytes of records added since the store was opened: how far each step has come.
        self._appended = self._written = self._durable = 0
        last = packs[-1]
        self._durable_end = self._written_end = (last.number, last.end)
        self._fill = self._segment(last.number, last.end)
        self.epoch = 0  # rises when entries leave for objects.lmdb: who looked there before looks again
        self.failed: str | None = None
        self.on_sealed: Callable[[], None] = lambda: None
        self.on_full: Callable[[int], bool] = lambda _length: False  # True: there is more room, try again

    @property
    def durable_end(self) -> tuple[int, int]:
        """(pack, offset) before which everything is durable."""
        return self._durable_end

    @property
    def written_end(self) -> tuple[int, int]:
        """(pack, offset) before which everything is in the files."""
        return self._written_end

    @property
    def durable(self) -> int:
        """Position up to which records are durable."""
        return self._durable

    @property
    def unsynced_bytes(self) -> int:
        """Bytes of records that no sync covers yet."""
        return self._appended - self._durable

    def find(self, object_id: bytes) -> Place | None:
        """The place of a record that is not in `objects.lmdb` yet."""
        with self._lock:
            return self._find(object_id)

    def unwritten(self, object_id: bytes) -> bytes | None:
        """Header and payload of a record that is still in memory."""
        with self._lock:
            found = self._unwritten.get(object_id)
            if found is None:
                return None
            segment, start, end = found
            return bytes(memoryview(segment.data)[start:end])

    def add(self, records: Sequence[Prepared], epoch: int) -> bool:
        """Append those records that are not here yet.

        `epoch` is the writer's epoch before the caller looked into `objects.lmdb`; False: entries have moved
        there since, look again.  NoSpace: nothing was added.  ReadOnly: an earlier write or sync failed.
        """
        self._make_room()
        with self._lock:
            self._check()
            first = self._fill.pack
            if epoch != self.epoch:
                return False
            for record in records:
                if self._find(record.object_id) is None:
                    self._append(record)
            sealed = self._fill.pack != first
        if sealed:
            self.on_sealed()
        return True

    def add_refs(self, record: Prepared, sequence: int) -> int:
        """Append a REFS record; the position after it, to be synced.  Errors as `add`."""
        self._make_room()
        with self._lock:
            self._check()
            pack = self._packs[self._fill.pack]
            pack.last_sequence = max(pack.last_sequence, sequence)
            self._append(record)
            position = self._appended
            sealed = self._fill.pack != pack.number
        if sealed:
            self.on_sealed()
        return position

    def withdraw(self, object_id: bytes) -> bool:
        """Turn a record into a void one; False if it was written already and must stay."""
        with self._write_lock, self._lock:
            found = self._unwritten.pop(object_id, None)
            if found is None:
                return False
            segment, start, end = found
            header = void_header(end - start - HEADER_BYTES, segment.seed, segment.start + start)
            segment.data[start : start + HEADER_BYTES] = header
            del self._packs[segment.pack].entries[object_id]
            return True

    def flush(self) -> None:
        """Write what is in memory.  NoSpace: it stays there and may be tried again; StoreError: it failed."""
        with self._write_lock:
            goal = self._appended
            while (segment := self._oldest(goal)) is not None:
                self._write(segment)
                with self._lock:
                    self._queue.popleft()
                    for object_id in segment.ids:
                        self._unwritten.pop(object_id, None)
                    self._written = segment.position
                    self._written_end = (segment.pack, segment.start + len(segment.data))

    def sync(self, position: int | None = None) -> None:
        """Make all records up to a position (None: all added so far) durable.  Errors as `flush`."""
        if position is None:
            position = self._appended
        if self._durable >= position:
            return
        with self._sync_lock:
            if self._durable >= position:
                return  # the sync that this thread waited for covered it
            self._check_for_sync()
            self.flush()
            with self._lock:
                goal, end = self._written, self._written_end
                packs = sorted(self._unsynced)
            try:
                for number in packs:
                    self._disk.fdatasync(self._fds[number])
                if self._new_name:
                    self._new_name = False
                    self._disk.sync_directory(self._files.directory)
            except OSError as error:
                raise self._fail(error) from error
            self._durable, self._durable_end = goal, end
            self._settle(packs, goal)

    def sealed(self) -> list[OpenPack]:
        """Packs that get no more records and whose entries are still here, in order."""
        with self._lock:
            return [pack for number, pack in sorted(self._packs.items()) if number != self._fill.pack]

    def open_pack(self) -> OpenPack:
        """The pack that gets the next record."""
        with self._lock:
            return self._packs[self._fill.pack]

    def forget(self, pack: OpenPack) -> None:
        """Drop the entries of a pack: they are in `objects.lmdb` now."""
        with self._lock:
            pack.indexed += len(pack.entries)
            if pack.number == self._fill.pack:
                pack.entries = {}
            else:
                del self._packs[pack.number]
            self.epoch += 1

    def close(self) -> None:
        """Close the descriptors; nothing is written."""
        for fd in self._fds.values():
            self._disk.close(fd)
        self._fds.clear()

    def _find(self, object_id: bytes) -> Place | None:
        for pack in self._packs.values():
            place = pack.entries.get(object_id)
            if place is not None:
                return place
        return None

    def _make_room(self) -> None:
        if self._appended - self._written >= BUFFER_BYTES:
            self._check()
            self.flush()

    def _append(self, record: Prepared) -> None:
        segment = self._fill
        start = len(segment.data)
        offset = segment.start + start
        segment.data += record.head
        segment.data += seal_head(record.head, segment.seed, offset)
        segment.data += record.stored
        place = Place(segment.pack, offset, HEADER_BYTES + len(record.stored))
        pack = self._packs[segment.pack]
        pack.entries[record.object_id] = place
        pack.end = offset + place.length
        self._unwritten[record.object_id] = (segment, start, start + place.length)
        segment.ids.append(record.object_id)
        self._appended += place.length
        segment.position = pack.position = self._appended
        if pack.end >= self._pack_bytes:
            self._queue.append(segment)
            self._packs[segment.pack + 1] = OpenPack(segment.pack + 1)
            self._fill = self._segment(segment.pack + 1, 0)

    def _segment(self, pack: int, start: int) -> _Segment:
        header = pack_header(self._files.store_uuid, pack) if start == 0 else b""
        return _Segment(pack, start, self._files.seed(pack), header)

    def _oldest(self, goal: int) -> _Segment | None:
        """The next segment to write, as long as one begins before `goal`."""
        with self._lock:
            if self._written >= goal:
                return None
            if not self._queue:
                segment = self._fill
                self._queue.append(segment)
                self._fill = self._segment(segment.pack, segment.start + len(segment.data))
            return self._queue[0]

    def _write(self, segment: _Segment) -> None:
        self._check_for_sync()
        fd = self._fds.get(segment.pack)
        if fd is None:
            fd = self._fds[segment.pack] = self._open(segment)
        while (error := self._try_to_write(fd, segment)) is not None:
            if not self.on_full(len(segment.data)):
                raise NoSpace(f"{self._files.path(segment.pack)}: {error.strerror}") from error
        with self._lock:
            self._unsynced[segment.pack] = segment.position

    def _try_to_write(self, fd: int, segment: _Segment) -> OSError | None:
        """Write a segment; an error that took nothing away comes back, after any part of it was cut off."""
        try:
            self._disk.pwrite(fd, segment.data, segment.start)
        except OSError as error:
            if error.errno not in FULL:
                raise self._fail(error) from error
            try:
                self._disk.truncate(fd, segment.start)
            except OSError as second:
                raise self._fail(second) from second
            return error
        return None

    def _open(self, segment: _Segment) -> int:
        """Open the pack of a segment.  An error here took nothing away: the store does not fail."""
        path = self._files.path(segment.pack)
        try:
            if segment.start:
                return self._disk.open(path, os.O_RDWR)
            fd = self._disk.create(path)
        except OSError as error:
            if error.errno in FULL:
                raise NoSpace(f"{path}: {error.strerror}") from error
            raise StoreError(f"{path}: {error.strerror}") from error
        self._new_name = True
        return fd

    def _settle(self, packs: list[int], goal: int) -> None:
        """Take note of what a sync covered; close packs that get no more writes."""
        finished = []
        with self._lock:
            for number in packs:
                if self._unsynced[number] <= goal:
                    del self._unsynced[number]
                    if number < self._fill.pack and not any(s.pack == number for s in self._queue):
                        finished.append(self._fds.pop(number))
        for fd in finished:
            self._disk.close(fd)

    def _check(self) -> None:
        if self.failed is not None:
            raise ReadOnly(
                f"the store is read-only since an error: {self.failed}",
                hint="see to the disk, then mount again",
            )

    def _check_for_sync(self) -> None:
        if self.failed is not None:
            raise StoreError(f"what was not durable before an error can't be made so: {self.failed}")

    def _fail(self, error: OSError) -> StoreError:
        self.failed = f"{error.strerror or error} ({self._files.directory})"
        return StoreError(f"{self.failed}; the store is read-only from now on")
