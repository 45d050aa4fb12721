"""Objects and refs through the whole store: round trips, dedup, sealing, threads, opening again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pfs.disk import Disk, RecordingDisk
from pfs.errors import CorruptObject, MissingObject, ReadOnly
from pfs.objects.ids import Kind, object_id
from pfs.store.compression import PAYLOAD_BYTES_MAX
from pfs.store.store import Store
from tests.store.conftest import Open
from tests.store.faults import noise

PAYLOADS = [b"", b"x", bytes(100_000), noise(1, 63), noise(2, 64), noise(3, 98_304), b"text " * 9999]


def test_round_trip_from_buffer_file_and_after_reopening(open_store: Open) -> None:
    store = open_store()
    ids = [store.put(Kind.CHUNK, payload) for payload in PAYLOADS]
    assert ids == [object_id(Kind.CHUNK, payload) for payload in PAYLOADS]
    assert [store.get(Kind.CHUNK, found) for found in ids] == PAYLOADS
    store.close()
    store = open_store()
    assert store.notes == []
    assert [store.get(Kind.CHUNK, found) for found in ids] == PAYLOADS


def test_reads_do_not_depend_on_how_far_the_writer_is(open_store: Open) -> None:
    store = open_store(pack_bytes=50_000)
    expected = {}
    for number in range(60):
        payload = noise(number, 3000)
        expected[store.put(Kind.TREE, payload)] = payload
        if number % 7 == 0:
            store.sync()
    for found, payload in expected.items():
        store.verify(Kind.TREE, found)
        assert store.get(Kind.TREE, found) == payload
    assert store.statistics().packs > 3


def test_the_cache_answers_without_io(open_store: Open) -> None:
    disk = RecordingDisk(reads=True)
    store = open_store(disk)
    found = store.put(Kind.CHUNK, noise(1, 1000))
    store.sync()
    assert store.get_cached(Kind.CHUNK, found) is None
    start = len(disk.log)
    store.get(Kind.CHUNK, found)
    assert disk.names(start) == ["pread 00000001.pack"]
    assert disk.log[-1].length == 1050
    start = len(disk.log)
    assert store.get(Kind.CHUNK, found) == store.get_cached(Kind.CHUNK, found) == noise(1, 1000)
    assert disk.names(start) == []


def test_equal_payloads_are_stored_once(open_store: Open) -> None:
    store = open_store()
    assert store.put_many(Kind.CHUNK, [b"same" * 50] * 5 + [b"other" * 50]) == [
        *[object_id(Kind.CHUNK, b"same" * 50)] * 5,
        object_id(Kind.CHUNK, b"other" * 50),
    ]
    store.close()
    store = open_store()
    store.put(Kind.CHUNK, b"same" * 50)
    assert store.statistics().objects == 2
    assert [found.kind for found in store.objects()] == [Kind.CHUNK, Kind.CHUNK]


def test_kinds_do_not_mix(store: Store) -> None:
    chunk, tree = store.put(Kind.CHUNK, b"same"), store.put(Kind.TREE, b"same")
    assert chunk != tree
    with pytest.raises(CorruptObject, match="it is no tree"):
        store.get(Kind.TREE, chunk)
    store.get(Kind.CHUNK, chunk)
    with pytest.raises(CorruptObject, match="it is no tree"):
        store.get(Kind.TREE, chunk)
    assert store.get_cached(Kind.TREE, chunk) is None


def test_what_is_not_there(store: Store) -> None:
    assert not store.contains(bytes(32))
    with pytest.raises(MissingObject):
        store.get(Kind.CHUNK, bytes(32))
    assert store.get_cached(Kind.CHUNK, bytes(32)) is None
    assert store.put_many(Kind.CHUNK, []) == []


def test_too_large_an_object_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="limited"):
        store.put(Kind.CHUNK, bytes(PAYLOAD_BYTES_MAX + 1))


def test_refs(store: Store) -> None:
    store.commit_refs({b"b1": b"one", b"b2": b"", b"c": b"x" * 10_000})
    store.commit_refs({b"b1": None, b"b3": b"three", b"absent": None})
    assert store.refs.get(b"b1") is None
    assert store.refs.get(b"c") == b"x" * 10_000
    assert store.refs.scan(b"b") == [(b"b2", b""), (b"b3", b"three")]
    assert [key for key, _ in store.refs.scan(b"")] == [b"b2", b"b3", b"c"]
    assert store.refs.scan(b"\xff") == []


def test_the_last_key_with_a_prefix(store: Store) -> None:
    assert store.refs.last(b"l") is None
    assert store.refs.last(b"") is None
    store.commit_refs({b"l1": b"1", b"l3": b"3", b"l\xff": b"f", b"m": b"m", b"\xff\xff": b"end"})
    assert store.refs.last(b"l") == (b"l\xff", b"f")
    assert store.refs.last(b"l", b"l3") == (b"l3", b"3")
    assert store.refs.last(b"l", b"l2\xff") == (b"l1", b"1")
    assert store.refs.last(b"l", b"l0") is None
    assert store.refs.last(b"\xff") == (b"\xff\xff", b"end")
    assert store.refs.last(b"k") is None
    assert store.refs.last(b"\xff", b"\xff\xff\xff") == (b"\xff\xff", b"end")


@pytest.mark.parametrize("key", [b"", b"\0", b"k" * 512])
def test_keys_that_can_not_be(store: Store, key: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        store.commit_refs({b"fine": b"1", key: b"2"})
    assert store.refs.get(b"fine") is None


def test_threads_put_the_same_objects_once(open_store: Open) -> None:
    store = open_store(pack_bytes=100_000)
    payloads = [noise(number, 2000) for number in range(300)]
    start = threading.Barrier(6)

    def work(thread: int) -> None:
        start.wait()
        for number in range(300):
            payload = payloads[(number * 7 + thread * 50) % 300]
            found = store.put(Kind.CHUNK, payload)
            assert store.get(Kind.CHUNK, found) == payload
            if number % 100 == 50:
                store.commit_refs({b"b%d" % thread: b"%d" % number})

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, thread) for thread in range(6)]:
            done.result()
    store.sync()
    kinds = [found.kind for found in store.objects()]
    assert kinds.count(Kind.CHUNK) == 300
    assert kinds.count(Kind.REFS) == 18
    assert store.refs.scan(b"b") == [(b"b%d" % thread, b"250") for thread in range(6)]


def test_deleting_both_lmdb_environments_loses_nothing(open_store: Open, tmp_path: Path) -> None:
    store = open_store(pack_bytes=20_000)
    ids = [store.put(Kind.CHUNK, noise(number, 3000)) for number in range(20)]
    for number in range(10):
        store.commit_refs({b"b%d" % number: b"x", b"last": b"%d" % number, b"b%d" % (number - 3): None})
    before = store.refs.scan(b"")
    store.close()
    for name in ("objects.lmdb", "refs.lmdb"):
        for path in (tmp_path / "store" / name).iterdir():
            path.unlink()
    store = open_store(pack_bytes=20_000)
    assert store.notes == [
        "refs.lmdb was rebuilt from the packs: missing",
        "objects.lmdb was rebuilt from the packs: missing",
    ]
    assert store.refs.scan(b"") == before
    assert [store.get(Kind.CHUNK, found) for found in ids] == [noise(number, 3000) for number in range(20)]
    store.commit_refs({b"last": b"after"})
    store.close()
    assert open_store().refs.get(b"last") == b"after"


def test_a_copy_of_the_packs_is_a_whole_store(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    found = store.put(Kind.CHUNK, b"payload" * 9)
    store.commit_refs({b"b": b"1"})
    copy = tmp_path / "copy"
    (copy / "packs").mkdir(parents=True)
    source = tmp_path / "store" / "packs" / "00000001.pack"
    (copy / "packs" / source.name).write_bytes(source.read_bytes())
    with Store.open(copy, Disk()) as other:
        assert other.get(Kind.CHUNK, found) == b"payload" * 9
        assert other.refs.get(b"b") == b"1"
        assert list(other.check()) == []


def test_read_only(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    found = store.put(Kind.CHUNK, b"payload" * 9)
    store.commit_refs({b"b": b"1"})
    store.close()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    first = open_store(read_only=True)
    assert first.get(Kind.CHUNK, found) == b"payload" * 9
    assert first.refs.get(b"b") == b"1"
    assert list(first.check()) == []
    assert first.statistics().objects == 2
    with pytest.raises(ReadOnly):
        first.put(Kind.CHUNK, b"new")
    with pytest.raises(ReadOnly):
        first.commit_refs({b"b": b"2"})
    first.sync()
    first.close()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")} == before


def test_read_only_sees_what_a_crash_left_unindexed(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    found = store.put(Kind.CHUNK, b"payload" * 9)
    store.commit_refs({b"b": b"1"})
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for path in sorted((tmp_path / "store").rglob("*")):
        copy = crashed / path.relative_to(tmp_path / "store")
        copy.mkdir() if path.is_dir() else copy.write_bytes(path.read_bytes())
    with Store.open(crashed, Disk(), read_only=True) as other:
        assert other.get(Kind.CHUNK, found) == b"payload" * 9
        assert list(other.check()) == []


def test_usage_and_statistics(store: Store) -> None:
    store.put(Kind.CHUNK, noise(1, 50_000))
    assert store.statistics().unsynced_bytes == 50_050
    store.sync()
    figures = store.statistics()
    assert figures.packs == 1
    assert figures.packs_bytes == 50_086
    assert figures.objects == 1
    assert figures.unsynced_bytes == 0
    assert figures.failed is None
    assert store.disk_usage().packs_bytes >= 50_086
    assert store.disk_usage().refs_lmdb_bytes >= 4 << 20
    store.look_after()
