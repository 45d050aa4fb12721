"""The pack files of a store: their names, and reading them.

Promises: descriptors are an LRU of DESCRIPTORS_MAX, and one that a reader uses is never closed under
it; reads are preads, safe in any thread, and no lock is held over one.  Leaves to others: what the bytes
mean (record) and writing them (pack_writer).
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pfs.disk import Disk
from pfs.store.compression import decode
from pfs.store.record import Read, Record, place_seed

# Of the 1,024 descriptors that a process gets by default, the overlay needs most.
DESCRIPTORS_MAX: Final = 64
_NAME = re.compile(r"(\d{8,10})\.pack")
# What a disk with a bad sector can't give is found out at this grain.
_PAGE_BYTES: Final = 4096


class Place(NamedTuple):
    """Where a record is: number of the pack, offset of the header, bytes of header and payload."""

    pack: int
    offset: int
    length: int


class _Descriptor:
    __slots__ = ("evicted", "fd", "users")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0
        self.evicted = False


class PackFiles:
    """The packs in one directory.  Shared by all threads of a store."""

    def __init__(self, disk: Disk, directory: Path, store_uuid: bytes) -> None:
        self.disk = disk
        self.directory = directory
        self.store_uuid = store_uuid
        self._lock = threading.Lock()
        self._open: OrderedDict[int, _Descriptor] = OrderedDict()

    def path(self, number: int) -> Path:
        """The file of a pack."""
        return self.directory / f"{number:08d}.pack"

    def numbers(self) -> list[int]:
        """The numbers of all packs that have a file, in order."""
        found = (_NAME.fullmatch(name) for name in self.disk.listdir(self.directory))
        return sorted(int(match[1]) for match in found if match)

    def size(self, number: int) -> int:
        """Bytes of a pack's file."""
        return self.disk.stat(self.path(number)).st_size

    def seed(self, number: int) -> int:
        """What the header checksums of this pack begin with."""
        return place_seed(self.store_uuid, number)

    def read(self, number: int, length: int, offset: int) -> bytes:
        """Bytes of a pack, fewer at its end.  OSError: FileNotFoundError where there is no such pack."""
        descriptor = self._borrow(number)
        try:
            return self.disk.pread(descriptor.fd, length, offset)
        finally:
            self._give_back(descriptor)

    def read_payload(self, number: int, record: Record) -> bytes:
        """The verified payload of a record.  CorruptObject if it is damaged, OSError if it can't be read."""
        stored = self.read(number, record.length, record.payload_offset)
        where = self.where(number, record.offset)
        return decode(record.kind, record.codec, record.object_id, stored, where)

    def where(self, number: int, offset: int) -> str:
        """A place in words."""
        return f"{self.path(number).name} at {offset}"

    def reader(self, number: int) -> Read:
        """A function that reads this pack and gives zeros for what the disk can't read any more."""

        def read(length: int, offset: int) -> bytes:
            try:
                return self.read(number, length, offset)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
            return b"".join(
                self._read_page(number, min(_PAGE_BYTES, offset + length - at), at)
                for at in range(offset, offset + length, _PAGE_BYTES)
            )

        return read

    def forget(self, number: int) -> None:
        """Close the descriptor of a pack that is to be removed or replaced."""
        with self._lock:
            descriptor = self._open.pop(number, None)
        self._evict([] if descriptor is None else [descriptor])

    def close(self) -> None:
        """Close all descriptors."""
        with self._lock:
            evicted = list(self._open.values())
            self._open.clear()
        self._evict(evicted)

    def _read_page(self, number: int, length: int, offset: int) -> bytes:
        try:
            return self.read(number, length, offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return bytes(length)

    def _borrow(self, number: int) -> _Descriptor:
        with self._lock:
            descriptor = self._open.get(number)
            if descriptor is not None:
                descriptor.users += 1
                self._open.move_to_end(number)
                return descriptor
        mine = _Descriptor(self.disk.open(self.path(number), os.O_RDONLY))
        evicted = []
        with self._lock:
            descriptor = self._open.setdefault(number, mine)
            descriptor.users += 1
            if len(self._open) > DESCRIPTORS_MAX:
                evicted.append(self._open.popitem(last=False)[1])
        if descriptor is not mine:
            self.disk.close(mine.fd)
        self._evict(evicted)
        return descriptor

    def _give_back(self, descriptor: _Descriptor) -> None:
        with self._lock:
            descriptor.users -= 1
            unused = descriptor.evicted and not descriptor.users
        if unused:
            self.disk.close(descriptor.fd)

    def _evict(self, descriptors: list[_Descriptor]) -> None:
        for descriptor in descriptors:
            with self._lock:
                descriptor.evicted = True
                unused = not descriptor.users
            if unused:
                self.disk.close(descriptor.fd)


Progress = Callable[[int, int], None]
"""(bytes done, bytes in all) of a long walk over packs."""
