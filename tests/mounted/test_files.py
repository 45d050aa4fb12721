"""The bytes of files on a mount: holes, truncation, append, mmap, locks, unlinked but open."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounted.mounting import Mount, python, run, start, wait_all

MIB = 1 << 20


def test_a_sparse_file_reads_zeros_and_costs_nothing(shared_mount: Mount, tree: Path) -> None:
    size = 8 << 30
    with (tree / "sparse").open("wb") as file:
        file.truncate(size)
        file.seek(5 << 30)
        file.write(b"island")
    assert (tree / "sparse").stat().st_size == size
    shared_mount.commit(tree)
    for path in (tree / "sparse", Path(f"{tree}@~0/sparse")):
        with path.open("rb") as file:
            assert file.read(MIB) == bytes(MIB)
            file.seek((5 << 30) - 3)
            assert file.read(12) == b"\0\0\0island\0\0\0"
            file.seek(size - 5)
            assert file.read() == bytes(5)
    used = run("du", "-sk", shared_mount.store / "packs").stdout.split()[0]
    assert int(used) < 4096


def test_truncating_and_growing_shows_zeros(shared_mount: Mount, tree: Path) -> None:
    path = tree / "file"
    path.write_bytes(b"x" * 300_000)
    shared_mount.commit(tree)
    os.truncate(path, 100_000)
    os.truncate(path, 200_000)
    expected = b"x" * 100_000 + bytes(100_000)
    assert path.read_bytes() == expected
    shared_mount.commit(tree)
    with path.open("r+b") as file:
        file.truncate(50_000)
        file.seek(60_000)
        file.write(b"y")
    expected = b"x" * 50_000 + bytes(10_000) + b"y"
    assert path.read_bytes() == expected
    shared_mount.remount()
    assert path.read_bytes() == expected
    assert Path(f"{tree}@~1/file").read_bytes() == b"x" * 300_000
    shared_mount.commit(tree)
    assert Path(f"{tree}@~0/file").read_bytes() == expected
    path.write_bytes(b"")
    assert path.stat().st_size == 0
    assert path.read_bytes() == b""


def test_an_unlinked_file_lives_until_its_last_close(shared_mount: Mount, tree: Path) -> None:
    path = tree / "file"
    path.write_bytes(b"committed" * 10_000)
    shared_mount.commit(tree)
    with path.open("r+b") as file, path.open("rb") as reader:
        path.unlink()
        assert not path.exists()
        assert os.fstat(file.fileno()).st_nlink == 0
        file.seek(3)
        file.write(b"still here")
        file.flush()
        shared_mount.commit(tree)
        assert reader.read() == b"comstill here" + (b"committed" * 10_000)[13:]
        file.truncate(5)
        assert os.fstat(reader.fileno()).st_size == 5
        path.write_text("another")
        assert os.fstat(file.fileno()).st_ino != path.stat().st_ino
        file.seek(0)
        assert file.read() == b"comst"
    assert path.read_text() == "another"
    assert not Path(f"{tree}@~0/file").exists()
    assert Path(f"{tree}@~1/file").stat().st_size == 90_000


def test_a_replaced_file_stays_readable_through_its_handle(shared_mount: Mount, tree: Path) -> None:
    (tree / "file").write_text("old")
    with (tree / "file").open() as reader:
        (tree / "new").write_text("new")
        (tree / "new").rename(tree / "file")
        shared_mount.commit(tree)
        assert reader.read() == "old"
    assert (tree / "file").read_text() == "new"


def test_overlapping_writes_read_back_as_written(shared_mount: Mount, tree: Path) -> None:
    expected = bytearray(os.urandom(700_000))
    path = tree / "file"
    path.write_bytes(expected)
    with path.open("r+b", buffering=0) as file:
        for turn, (at, length) in enumerate(
            [(0, 1), (4095, 2), (65_536, 100_000), (699_999, 5), (300_000, 1)]
        ):
            data = bytes([turn + 1]) * length
            os.pwrite(file.fileno(), data, at)
            expected[at : at + length] = data
            if turn % 2:
                shared_mount.commit(tree)
            assert os.pread(file.fileno(), 1 << 20, 0) == bytes(expected)
    shared_mount.remount()
    assert path.read_bytes() == bytes(expected)


APPEND = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(300):
    os.write(fd, f"{sys.argv[2]} {number:04}\\n".encode())
"""


def test_two_processes_append_without_losing_a_line(tree: Path) -> None:
    (tree / "log").touch()
    wait_all([start(sys.executable, "-c", APPEND, tree / "log", who) for who in ("a", "b")])
    lines = (tree / "log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{who} {number:04}" for who in "ab" for number in range(300))
    for who in "ab":
        assert [line for line in lines if line[0] == who] == sorted(line for line in lines if line[0] == who)


# Mapped files are touched by processes of their own: a page fault holds Python's lock, and so the test's.

STORE_AND_COMMIT = """
import mmap, sys
tree, path = sys.argv[1:]
with open(path, "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as view:
        view[10:16] = b"stored"
        view[100_000:100_006] = b"second"
        with open(tree + "/.pfs/ctl", "w") as ctl:
            ctl.write("commit with the mapping open")
        view[10:16] = b"later!"
"""


def test_a_commit_holds_what_was_stored_through_a_mapping(tree: Path) -> None:
    path = tree / "file"
    path.write_bytes(bytes(200_000))
    python(STORE_AND_COMMIT, tree, path)
    committed = Path(f"{tree}@~0/file").read_bytes()
    assert committed[10:16] == b"stored"
    assert committed[100_000:100_006] == b"second"
    assert path.read_bytes()[10:16] == b"later!"


UNLINKED_MAPPING = """
import mmap, os, sys
tree, path = sys.argv[1:]
fd = os.open(path, os.O_RDWR)
os.unlink(path)
with mmap.mmap(fd, 0) as view:
    os.close(fd)
    view[0:4] = b"kept"
    with open(tree + "/.pfs/ctl", "w") as ctl:
        ctl.write("commit with an unlinked mapping")
    view[4:8] = b"more"
    view.flush()
    print(view[0:8].decode())
"""


def test_an_unlinked_file_may_stay_mapped(tree: Path) -> None:
    (tree / "file").write_bytes(bytes(100_000))
    assert python(UNLINKED_MAPPING, tree, tree / "file") == "keptmore\n"


SHARED = """
import mmap, os, sys, time
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
    turn = int(sys.argv[2])
    deadline = time.monotonic() + 30
    for number in range(turn, 200, 2):
        while view[0] != number:
            assert time.monotonic() < deadline, number
        view[0] = number + 1
"""


def test_two_processes_see_each_others_stores(tree: Path) -> None:
    (tree / "file").write_bytes(bytes(4096))
    wait_all([start(sys.executable, "-c", SHARED, tree / "file", turn) for turn in (0, 1)])
    assert (tree / "file").read_bytes()[0] == 200


def test_mappings_reads_and_writes_agree(tree: Path) -> None:
    script = """
import mmap, os, sys
with open(sys.argv[1], "w+b", buffering=0) as file:
    file.truncate(10_000)
    with mmap.mmap(file.fileno(), 0) as view, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as private:
        view[5000:5003] = b"abc"
        assert os.pread(file.fileno(), 3, 5000) == b"abc"
        os.pwrite(file.fileno(), b"xyz", 6000)
        assert view[6000:6003] == b"xyz"
        private[0:3] = b"own"
        view.flush()
        assert os.pread(file.fileno(), 3, 0) == bytes(3)
        file.truncate(20_000)
        view.resize(20_000)
        view[19_997:] = b"end"
with open(sys.argv[1], "rb") as file:
    data = file.read()
assert len(data) == 20_000 and data.endswith(b"end") and data[5000:5003] == b"abc", data
"""
    python(script, tree / "file")


LOCK = """
import errno, fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("taken")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""

Lock = Callable[[int, int], None]


@pytest.mark.parametrize(("name", "lock"), [("flock", fcntl.flock), ("lockf", fcntl.lockf)])
def test_locks_hold_between_processes(tree: Path, name: str, lock: Lock) -> None:
    path = tree / "file"
    path.touch()
    with path.open("r+b") as file:
        lock(file.fileno(), fcntl.LOCK_EX)
        assert python(LOCK, path, name).strip() in ("EAGAIN", "EACCES")
        lock(file.fileno(), fcntl.LOCK_UN)
        assert python(LOCK, path, name) == "taken\n"


def test_statfs_has_the_numbers_of_the_disk_below(shared_mount: Mount, tree: Path) -> None:
    below, shown = os.statvfs(shared_mount.store), os.statvfs(tree)
    assert shown.f_frsize == below.f_frsize
    assert shown.f_blocks == below.f_blocks
    assert shown.f_namemax == 255
    assert 0 < shown.f_bavail <= below.f_blocks


def test_st_blocks_make_du_say_something(tree: Path) -> None:
    (tree / "file").write_bytes(bytes(3 * MIB))
    assert int(run("du", "-k", tree / "file").stdout.split()[0]) == 3 * 1024


def test_fsync_answers_for_files_and_directories(tree: Path) -> None:
    with (tree / "file").open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    fd = os.open(tree, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_opening_with_every_flag(tree: Path) -> None:
    path = tree / "file"
    for flags in (os.O_SYNC, os.O_DSYNC, os.O_NOATIME, os.O_NONBLOCK, os.O_DIRECT):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | flags)
        page = mmap.mmap(-1, 4096)  # O_DIRECT may want it aligned
        page.write(b"z" * 4096)
        assert os.pwritev(fd, [page], 0) == 4096
        assert os.preadv(fd, [page], 0) == 4096
        os.close(fd)
    assert path.read_bytes() == b"z" * 4096
    fd = os.open(path, os.O_PATH)
    assert os.fstat(fd).st_size == 4096
    os.close(fd)
    with pytest.raises(FileExistsError):
        os.open(path, os.O_CREAT | os.O_EXCL)


def test_copy_file_range_and_sendfile_copy(tree: Path) -> None:
    data = os.urandom(500_000)
    (tree / "source").write_bytes(data)
    with (tree / "source").open("rb") as source, (tree / "copy").open("wb") as copy:
        left = len(data)
        while left:
            left -= os.copy_file_range(source.fileno(), copy.fileno(), left)
    with (tree / "source").open("rb") as source, (tree / "sent").open("wb") as sent:
        at = 0
        while at < len(data):
            at += os.sendfile(sent.fileno(), source.fileno(), at, len(data) - at)
    assert (tree / "copy").read_bytes() == data
    assert (tree / "sent").read_bytes() == data


def test_seek_data_and_hole(tree: Path) -> None:
    """Without LSEEK requests the kernel says that all is data, which is always right."""
    with (tree / "file").open("wb") as file:
        file.truncate(MIB)
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == MIB
