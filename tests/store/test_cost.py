"""What things cost, as the exact list of disk operations: a slip in speed is a failing test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pfs.disk import RecordingDisk
from pfs.objects.ids import Kind
from tests.store.conftest import Open
from tests.store.faults import noise


def test_creating_a_store(open_store: Open) -> None:
    disk = RecordingDisk()
    open_store(disk)
    environment = ["mkdir {}.new", "fallocate_keep data.mdb", "lmdb data.mdb", "sync_directory {}.new"]
    environment += ["rename {}.new", "sync_directory store", "fallocate_keep data.mdb"]
    assert disk.names(2) == [
        "create lock",
        "pwrite lock",
        "create format.new",
        "pwrite format.new",
        "fsync format.new",
        "rename format.new",
        "sync_directory store",
        "mkdir packs",
        "sync_directory store",
        *(line.format("objects.lmdb") for line in environment),
        *(line.format("refs.lmdb") for line in environment),
    ]


def test_first_and_second_commit(open_store: Open) -> None:
    disk = RecordingDisk()
    store = open_store(disk)
    start = len(disk.log)
    store.put(Kind.CHUNK, b"one" * 99)
    assert disk.names(start) == []
    store.commit_refs({b"b": b"1"})
    assert disk.names(start) == [
        "create 00000001.pack",
        "pwrite 00000001.pack",
        "fdatasync 00000001.pack",
        "sync_directory packs",
        "lmdb data.mdb",
    ]
    start = len(disk.log)
    store.put(Kind.CHUNK, b"two" * 99)
    store.put(Kind.CHUNK, b"one" * 99)
    store.commit_refs({b"b": b"2"})
    assert disk.names(start) == ["pwrite 00000001.pack", "fdatasync 00000001.pack", "lmdb data.mdb"]


def test_sync(open_store: Open) -> None:
    disk = RecordingDisk()
    store = open_store(disk)
    store.put(Kind.CHUNK, b"one")
    store.sync()
    start = len(disk.log)
    store.sync()
    store.put(Kind.CHUNK, b"one")
    store.sync()
    assert disk.names(start) == []
    store.put(Kind.CHUNK, b"two")
    store.sync()
    assert disk.names(start) == ["pwrite 00000001.pack", "fdatasync 00000001.pack"]


def test_closing_and_opening(open_store: Open) -> None:
    disk = RecordingDisk()
    store = open_store(disk)
    store.put(Kind.CHUNK, b"one")
    start = len(disk.log)
    store.close()
    assert disk.names(start) == [
        "create 00000001.pack",
        "pwrite 00000001.pack",
        "fdatasync 00000001.pack",
        "sync_directory packs",
        "lmdb data.mdb",
        "create clean.new",
        "pwrite clean.new",
        "fsync clean.new",
        "rename clean.new",
        "sync_directory store",
    ]
    start = len(disk.log)
    store = open_store(disk)
    reserves = ["fallocate_keep data.mdb", "fallocate_keep data.mdb"]
    assert disk.names(start) == ["pwrite lock", "unlink clean", "sync_directory store", *reserves]
    start = len(disk.log)
    store.close()
    assert "lmdb data.mdb" not in disk.names(start)


def test_many_puts_are_few_writes(open_store: Open) -> None:
    disk = RecordingDisk()
    store = open_store(disk)
    start = len(disk.log)
    for number in range(64):
        store.put(Kind.CHUNK, noise(number, 65_536))
    store.sync()
    writes = [operation for operation in disk.log[start:] if operation.name == "pwrite"]
    assert len(writes) == 4
    assert disk.names(start).count("fdatasync 00000001.pack") == 1


def test_sealing_costs_one_sync_and_one_transaction(open_store: Open) -> None:
    disk = RecordingDisk()
    store = open_store(disk, pack_bytes=30_000)
    start = len(disk.log)
    for number in range(10):
        store.put(Kind.CHUNK, noise(number, 3000))
    store.put(Kind.CHUNK, b"in the next pack")
    store.sync()
    store.close()
    lines = disk.names(start)
    assert lines.count("fdatasync 00000001.pack") == 1
    assert lines.count("lmdb data.mdb") == 2
    assert lines.count("fdatasync 00000002.pack") == 1


class GateDisk(RecordingDisk):
    """Holds fdatasync back until the gate is open, and says when one has come."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()

    def fdatasync(self, fd: int) -> None:
        self.arrived.set()
        assert self.gate.wait(30)
        super().fdatasync(fd)


def run_beside_a_sync(open_store: Open, work: Callable[[object, int], None], threads: int) -> GateDisk:
    disk = GateDisk()
    store = open_store(disk)
    store.put(Kind.CHUNK, b"first")
    disk.gate.clear()
    disk.arrived.clear()
    first = threading.Thread(target=store.sync)
    first.start()
    assert disk.arrived.wait(30)
    started = threading.Barrier(threads + 1)

    def one(number: int) -> None:
        store.put(Kind.CHUNK, b"by thread %d" % number)
        started.wait()
        work(store, number)

    others = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in others:
        thread.start()
    started.wait()
    disk.gate.set()
    for thread in [first, *others]:
        thread.join()
    return disk


def test_callers_share_a_sync(open_store: Open) -> None:
    disk = run_beside_a_sync(open_store, lambda store, _: store.sync(), 8)  # type: ignore[attr-defined]
    assert disk.names().count("fdatasync 00000001.pack") == 2


def test_put_and_get_do_not_wait_for_a_sync(open_store: Open, tmp_path: Path) -> None:
    disk = GateDisk()
    store = open_store(disk)
    old = store.put(Kind.CHUNK, b"old" * 99)
    store.sync()
    store.put(Kind.CHUNK, b"unsynced")
    disk.gate.clear()
    disk.arrived.clear()
    syncing = threading.Thread(target=store.sync)
    syncing.start()
    assert disk.arrived.wait(30)
    new = store.put(Kind.CHUNK, b"new" * 99)
    assert store.get(Kind.CHUNK, new) == b"new" * 99
    assert store.get(Kind.CHUNK, old) == b"old" * 99
    assert store.contains(new)
    assert store.refs.get(b"b") is None
    disk.gate.set()
    syncing.join()


def test_commits_of_many_threads_share_syncs_and_transactions(open_store: Open) -> None:
    disk = GateDisk()
    store = open_store(disk)
    store.put(Kind.CHUNK, b"first")
    disk.gate.clear()
    disk.arrived.clear()
    threads = [
        threading.Thread(target=store.commit_refs, args=({b"b%d" % number: b"x"},)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    assert disk.arrived.wait(30)
    disk.gate.set()
    for thread in threads:
        thread.join()
    assert len(store.refs.scan(b"b")) == 8
    assert disk.names().count("fdatasync 00000001.pack") <= 8
