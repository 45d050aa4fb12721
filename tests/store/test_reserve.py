"""Disk held back for packs, on a disk of which somebody else takes the rest."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pfs.disk import Buffer, Disk
from pfs.errors import NoSpace
from pfs.objects.ids import Kind
from pfs.store.reserve import Reserve
from pfs.store.store import Store
from tests.store.faults import noise

MIB = 1 << 20


class SmallDisk(Disk):
    """A disk of so many bytes, counted over packs, `reserve` and what others took."""

    def __init__(self, base: Path, size_bytes: int) -> None:
        self._base = base
        self._size_bytes = size_bytes
        self.taken = 0

    def _need(self, length: int) -> None:
        used = sum(path.stat().st_size for path in self._base.rglob("*.pack"))
        used += sum(path.stat().st_size for path in self._base.rglob("reserve"))
        if used + self.taken + length > self._size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def pwrite(self, fd: int, data: Buffer, offset: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".pack"):
            self._need(offset + len(data) - os.fstat(fd).st_size)
        super().pwrite(fd, data, offset)

    def fallocate(self, fd: int, offset: int, length: int) -> None:
        self._need(length)
        super().fallocate(fd, offset, length)


def fill(store: Store, count: int) -> None:
    for number in range(count):
        store.put(Kind.CHUNK, noise(count + number, MIB))
        store.commit_refs({b"b": b"%d" % number})


def test_commits_go_on_when_others_have_filled_the_disk(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path, 40 * MIB)
    with Store.open(tmp_path / "store", disk, reserve_bytes=16 * MIB) as store:
        disk.taken = 24 * MIB
        fill(store, 10)
        assert (tmp_path / "store" / "reserve").stat().st_size == 4 * MIB
        with pytest.raises(NoSpace):
            fill(store, 20)
        assert store.failed is None
        assert (tmp_path / "store" / "reserve").stat().st_size == 0
        disk.taken = 0
        store.look_after()
        assert (tmp_path / "store" / "reserve").stat().st_size == 16 * MIB
        assert list(store.check()) == []


def test_a_small_disk_gives_what_it_can(tmp_path: Path) -> None:
    reserve = Reserve(SmallDisk(tmp_path, 10 * MIB), tmp_path / "reserve", 100 * MIB)
    reserve.replenish()
    assert reserve.size_bytes == 8 * MIB
    assert reserve.give(1)
    assert reserve.give(5 * MIB)
    assert reserve.size_bytes == 0
    assert not reserve.give(1)
    reserve.close()


def test_less_may_be_wanted_later(tmp_path: Path) -> None:
    for wanted in (12 * MIB, 5 * MIB, 6 * MIB):
        reserve = Reserve(Disk(), tmp_path / "reserve", wanted)
        reserve.replenish()
        assert (tmp_path / "reserve").stat().st_size == wanted
        assert (tmp_path / "reserve").stat().st_blocks * 512 >= wanted
        reserve.close()
