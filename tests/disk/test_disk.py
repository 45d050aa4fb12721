"""The disk seam against real files, and its two fakes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pfs.disk import Disk, FaultyDisk, Operation, RecordingDisk, write_durably


def test_writes_and_reads_back(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "f")
    disk.pwrite(fd, b"hello", 3)
    os.lseek(fd, 0, os.SEEK_END)
    disk.append(fd, bytearray(b" world"))
    assert disk.pread(fd, 100, 0) == b"\0\0\0hello world"
    assert disk.pread(fd, 100, 100) == b""
    disk.truncate(fd, 5)
    disk.utime(fd, 1, 2)
    disk.fsync(fd)
    disk.fdatasync(fd)
    disk.syncfs(fd)
    assert disk.fstat(fd).st_mtime_ns == 2
    copy = disk.duplicate(fd)
    assert not os.get_inheritable(copy)
    disk.close(copy)
    disk.close(fd)
    assert disk.read_file(tmp_path / "f") == b"\0\0\0he"
    assert disk.stat(tmp_path / "f").st_mode & 0o777 == 0o600


def test_create_never_takes_over_a_file(tmp_path: Path) -> None:
    disk = Disk()
    disk.close(disk.create(tmp_path / "f"))
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "f")


def test_names(tmp_path: Path) -> None:
    disk = Disk()
    disk.mkdir(tmp_path / "d")
    disk.close(disk.create(tmp_path / "d" / "b"))
    disk.rename(tmp_path / "d" / "b", tmp_path / "d" / "a")
    disk.sync_directory(tmp_path / "d")
    assert disk.listdir(tmp_path / "d") == ["a"]
    disk.unlink(tmp_path / "d" / "a")
    disk.rmdir(tmp_path / "d")
    assert disk.listdir(tmp_path) == []
    assert disk.statvfs(tmp_path).f_bsize > 0


def test_holes(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "f")
    disk.pwrite(fd, b"x" * (1 << 20), 0)
    disk.punch(fd, 0, 1 << 19)
    assert disk.fstat(fd).st_size == 1 << 20
    assert disk.pread(fd, 4, 0) == bytes(4)
    assert disk.seek_data(fd, 0) == 1 << 19
    assert disk.seek_hole(fd, 0) == 0
    assert disk.seek_data(fd, 1 << 20) is None
    assert disk.seek_hole(fd, (1 << 20) + 1) is None
    disk.close(fd)


def test_reserving_does_not_change_the_size(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "f")
    disk.fallocate_keep(fd, 0, 1 << 20)
    assert disk.fstat(fd).st_size == 0
    assert disk.fstat(fd).st_blocks * 512 >= 1 << 20
    disk.fallocate(fd, 0, 1 << 19)
    assert disk.fstat(fd).st_size == 1 << 19
    with pytest.raises(OSError, match="Invalid"):
        disk.fallocate_keep(fd, 0, -1)
    disk.close(fd)


def test_reading_without_waiting(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "f")
    disk.pwrite(fd, b"in the page cache", 0)
    assert disk.preadv_nowait(fd, 2, 3) in {b"th", None}
    assert disk.preadv_nowait(fd, 100, 3) in {b"the page cache", None}
    disk.close(fd)
    with pytest.raises(OSError, match="Bad file"):
        disk.preadv_nowait(fd, 2, 3)


def test_lock_is_between_open_files(tmp_path: Path) -> None:
    disk = Disk()
    first = disk.create(tmp_path / "f")
    second = disk.open(tmp_path / "f")
    assert disk.lock(first, exclusive=False)
    assert disk.lock(second, exclusive=False)
    assert not disk.lock(second, exclusive=True)
    disk.close(first)
    assert disk.lock(second, exclusive=True)
    disk.close(second)


def test_ids_of_the_kernel() -> None:
    disk = Disk()
    assert len(disk.boot_id()) == 16
    assert disk.boot_id() == disk.boot_id()
    assert len(disk.new_uuid()) == 16
    assert disk.new_uuid() != disk.new_uuid()


def test_recording(tmp_path: Path) -> None:
    disk = RecordingDisk(reads=True)
    write_durably(disk, tmp_path / "f", b"old")
    start = len(disk.log)
    write_durably(disk, tmp_path / "f", b"new")
    assert disk.names(start) == [
        "create f.new",
        "pwrite f.new",
        "fsync f.new",
        "rename f.new",
        f"sync_directory {tmp_path.name}",
    ]
    assert disk.log[1] == Operation("pwrite", tmp_path / "f.new", 0, 3, b"old")
    assert disk.log[3] == Operation("rename", tmp_path / "f.new", target=tmp_path / "f")
    start = len(disk.log)
    fd = disk.open(tmp_path / "f")
    disk.append(fd, b"er")
    disk.preadv_nowait(fd, 1, 2)
    assert disk.log[start:] == [
        Operation("append", tmp_path / "f", 0, 2, b"er"),
        Operation("preadv_nowait", tmp_path / "f", 2, 1),
    ]
    disk.close(fd)


def test_recording_follows_open_files_through_renames(tmp_path: Path) -> None:
    disk = RecordingDisk()
    disk.mkdir(tmp_path / "d")
    fd = disk.create(tmp_path / "d" / "f")
    disk.rename(tmp_path / "d", tmp_path / "e")
    disk.fsync(fd)
    assert disk.log[-1] == Operation("fsync", tmp_path / "e" / "f")
    disk.close(fd)


def test_a_leftover_of_a_crash_does_not_hinder_write_durably(tmp_path: Path) -> None:
    (tmp_path / "f.new").write_bytes(b"left over and longer")
    write_durably(Disk(), tmp_path / "f", b"whole")
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_faults_follow_the_script(tmp_path: Path) -> None:
    disk = FaultyDisk(".ES", errno.ENOSPC, names=frozenset({"pwrite"}))
    fd = disk.create(tmp_path / "f")
    disk.pwrite(fd, b"first ", 0)
    with pytest.raises(OSError, match="No space"):
        disk.pwrite(fd, b"second", 6)
    assert disk.pread(fd, 100, 0) == b"first "
    with pytest.raises(OSError, match="No space"):
        disk.pwrite(fd, b"second", 6)
    assert disk.pread(fd, 100, 0) == b"first sec"
    disk.pwrite(fd, b"second", 6)
    assert disk.pread(fd, 100, 0) == b"first second"
    assert disk.done == 4
    disk.close(fd)


def test_faults_of_every_change(tmp_path: Path) -> None:
    disk = FaultyDisk("", errno.EIO)
    disk.mkdir(tmp_path / "d")
    fd = disk.create(tmp_path / "d" / "f")
    changes = [
        lambda: disk.create(tmp_path / "g"),
        lambda: disk.pwrite(fd, b"x", 0),
        lambda: disk.append(fd, b"x"),
        lambda: disk.truncate(fd, 1),
        lambda: disk.fallocate(fd, 0, 1),
        lambda: disk.fallocate_keep(fd, 0, 1),
        lambda: disk.punch(fd, 0, 1),
        lambda: disk.mkdir(tmp_path / "g"),
        lambda: disk.rmdir(tmp_path / "d"),
        lambda: disk.rename(tmp_path / "d", tmp_path / "e"),
        lambda: disk.unlink(tmp_path / "d" / "f"),
        lambda: disk.fdatasync(fd),
        lambda: disk.fsync(fd),
        lambda: disk.sync_directory(tmp_path),
        lambda: disk.syncfs(fd),
    ]
    disk.script = ".." + "E" * len(changes)
    for change in changes:
        with pytest.raises(OSError, match="Input/output"):
            change()
    assert disk.done == 2 + len(changes)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["d", "f"]
    disk.close(fd)
