"""LMDB kept within what it bears, and the thread that owns its writes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import lmdb
import pytest

from pfs.disk import Disk, FaultyDisk
from pfs.errors import NoSpace, StoreError
from pfs.store import environment
from pfs.store.environment import (
    RESERVE_BYTES,
    DamagedEnvironment,
    Environment,
    Transaction,
    build,
    find_damage,
)
from pfs.store.writer_thread import WriterThread


def fill(env: Environment) -> None:
    def change(transaction: Transaction) -> None:
        for number in range(500):
            transaction.put(b"key %d" % number, b"x" * 100)

    env.write(change)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    build(Disk(), tmp_path / "env", fill)
    return tmp_path / "env"


def test_the_old_engine_and_a_large_map(path: Path) -> None:
    env = Environment(Disk(), path)
    assert env._env.lib_version()[:2] == (0, 9)
    assert env._env.info()["map_size"] == 1 << 40
    flags = env._env.flags()
    assert (flags["sync"], flags["metasync"], flags["writemap"]) == (True, True, False)
    env.close()


def test_the_map_is_halved_where_address_space_is_short(path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from pfs.disk import Disk\n"
        "from pfs.store.environment import Environment\n"
        "resource.setrlimit(resource.RLIMIT_AS, (20 << 30, 20 << 30))\n"
        "env = Environment(Disk(), Path(sys.argv[1])); assert env.entries() == 500\n"
        "assert 1 << 30 <= env._env.info()['map_size'] < 20 << 30; env.close()"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_disk_is_reserved_behind_the_last_page(path: Path) -> None:
    env = Environment(Disk(), path)
    stat = (path / "data.mdb").stat()
    assert stat.st_blocks * 512 >= stat.st_size + RESERVE_BYTES // 2
    reserved = env._reserved_to
    env.write(lambda transaction: transaction.put(b"large", bytes(3 << 20)))
    assert env._reserved_to > reserved
    env.close()


def test_building_is_all_or_nothing(path: Path) -> None:
    def broken(env: Environment) -> None:
        fill(env)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        build(Disk(), path, broken)
    assert find_damage(Disk(), path, thorough=True) is None
    assert path.with_name("env.new").exists()
    build(Disk(), path, fill)
    assert not path.with_name("env.new").exists()


def test_damage_is_found_before_opening(path: Path) -> None:
    data = path / "data.mdb"
    whole = data.read_bytes()
    for raw in (b"", whole[:100], whole[:5000], whole[:-4096], bytes(len(whole)), b"x" + whole[1:][::-1]):
        data.write_bytes(raw)
        assert find_damage(Disk(), path, thorough=False), len(raw)
    data.write_bytes(whole)
    assert find_damage(Disk(), path, thorough=False) is None
    data.unlink()
    assert find_damage(Disk(), path, thorough=False) == "missing"


def test_an_environment_of_the_other_engine_is_refused(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path / "env"), lib_version=1).close()
    assert find_damage(Disk(), tmp_path / "env", thorough=False)


def test_a_large_file_is_verified_when_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "VERIFY_BYTES_MAX", 0)
    data = path / "data.mdb"
    raw = bytearray(data.read_bytes())
    raw[5 * 4096 : 6 * 4096] = bytes(4096)
    data.write_bytes(raw)
    assert find_damage(Disk(), path, thorough=False) is None
    assert find_damage(Disk(), path, thorough=True)


class DataReadFails(Disk):
    def pread(self, fd: int, length: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def test_a_file_that_can_not_be_read_is_damaged(path: Path) -> None:
    assert find_damage(DataReadFails(), path, thorough=False) == "Input/output error"


class FullDisk(Disk):
    free = 0

    def statvfs(self, path: Path) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1, self.free, self.free, 1, 1, 1, 0, 255))


def lmdb_error(code: int) -> lmdb.Error:
    """As the binding raises it: made in C, the number is an attribute."""
    error = lmdb.Error("what")
    vars(error)["code"] = code
    return error


@pytest.mark.parametrize(
    ("error", "free", "expected"),
    [
        (lmdb_error(errno.ENOSPC), 1, NoSpace),
        (lmdb_error(errno.EIO), 0, NoSpace),
        (lmdb_error(errno.EIO), 1, StoreError),
        (lmdb.Error("by the binding itself"), 1, StoreError),
        (lmdb.MapFullError("map"), 1, NoSpace),
        (lmdb.CorruptedError("page"), 1, DamagedEnvironment),
    ],
)
def test_errors_of_lmdb(path: Path, error: lmdb.Error, free: int, expected: type[Exception]) -> None:
    disk = FullDisk()
    disk.free = free
    env = Environment(disk, path)

    def change(_: Transaction) -> None:
        raise error

    with pytest.raises(expected) as caught:
        env.write(change)
    assert type(caught.value) is expected
    with pytest.raises(expected), env.read():
        raise error
    env.write(lambda transaction: transaction.put(b"next", b"works"))
    env.close()


def test_a_full_disk_does_not_hinder_opening(path: Path) -> None:
    env = Environment(FaultyDisk("E" * 9, errno.ENOSPC), path)
    assert env.entries() == 500
    env.close()


def test_jobs_run_in_order_on_one_thread_and_errors_come_back() -> None:
    thread = WriterThread("writer")
    seen: list[tuple[int, str]] = []

    def job(number: int) -> int:
        seen.append((number, threading.current_thread().name))
        if number == 3:
            raise ValueError(number)
        return number * 2

    futures = [thread.submit(lambda number=number: job(number)) for number in range(6)]  # type: ignore[misc]
    thread.close()
    assert seen == [(number, "writer") for number in range(6)]
    assert [future.result() for future in futures if future.exception() is None] == [0, 2, 4, 8, 10]
    with pytest.raises(ValueError, match="3"):
        futures[3].result()
