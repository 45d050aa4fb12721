"""Errors of the disk while the store works: full, and broken."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pfs.disk import Disk, FaultyDisk
from pfs.errors import CorruptObject, NoSpace, ReadOnly, StoreError
from pfs.objects.ids import Kind
from pfs.store.pack_writer import BUFFER_BYTES
from pfs.store.store import Store
from tests.store.conftest import Open
from tests.store.faults import noise, pack_path, records

WRITES = frozenset({"pwrite"})
SYNCS = frozenset({"fdatasync", "sync_directory"})


def faulty(open_store: Open, error: int, names: frozenset[str]) -> tuple[FaultyDisk, Store]:
    """A store with something in it, whose disk can be told to fail from now on."""
    disk = FaultyDisk("", error, names=names)
    store = open_store(disk)
    store.put(Kind.CHUNK, b"before" * 9)
    store.commit_refs({b"b": b"before"})
    return disk, store


def fail_next(disk: FaultyDisk, letters: str) -> None:
    disk.script = "." * disk.done + letters


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("letter", ["E", "S"])
def test_a_full_disk_takes_nothing_away(open_store: Open, tmp_path: Path, error: int, letter: str) -> None:
    disk, store = faulty(open_store, error, WRITES)
    size = pack_path(tmp_path / "store").stat().st_size
    payloads = [noise(number, 2000) for number in range(20)]
    ids = store.put_many(Kind.CHUNK, payloads)
    fail_next(disk, letter * 3)
    with pytest.raises(NoSpace):
        store.sync()
    assert pack_path(tmp_path / "store").stat().st_size == size
    assert [store.get(Kind.CHUNK, found) for found in ids] == payloads
    with pytest.raises(NoSpace):
        store.commit_refs({b"b": b"lost"})
    assert store.refs.get(b"b") == b"before"
    ids.append(store.put(Kind.CHUNK, b"meanwhile" * 9))
    with pytest.raises(NoSpace):
        store.sync()
    assert store.failed is None
    store.commit_refs({b"b": b"after"})
    assert [store.get(Kind.CHUNK, found) for found in ids] == [*payloads, b"meanwhile" * 9]
    assert list(store.check()) == []
    store.close()
    for path in ("objects.lmdb", "refs.lmdb"):
        (tmp_path / "store" / path / "data.mdb").unlink()
    store = open_store()
    assert store.refs.scan(b"b") == [(b"b", b"after")]


def test_a_refused_commit_does_not_come_back(open_store: Open, tmp_path: Path) -> None:
    disk, store = faulty(open_store, errno.ENOSPC, WRITES)
    fail_next(disk, "E")
    with pytest.raises(NoSpace):
        store.commit_refs({b"refused": b"1"})
    store.commit_refs({b"b": b"after"})
    store.close()
    (tmp_path / "store" / "refs.lmdb" / "data.mdb").unlink()
    assert open_store().refs.scan(b"") == [(b"b", b"after")]


def test_memory_stays_bounded_on_a_full_disk(open_store: Open) -> None:
    disk, store = faulty(open_store, errno.ENOSPC, WRITES)
    fail_next(disk, "E" * 1000)
    stored: list[tuple[bytes, int]] = []

    def put_much() -> None:
        for number in range(100):
            stored.append((store.put(Kind.CHUNK, noise(number, 65_536)), number))

    with pytest.raises(NoSpace):
        put_much()
    assert store.statistics().unsynced_bytes <= BUFFER_BYTES + 2 * 65_586
    with pytest.raises(NoSpace):
        store.put(Kind.CHUNK, b"small")
    fail_next(disk, "")
    store.put(Kind.CHUNK, b"small")
    for found, number in stored:
        assert store.get(Kind.CHUNK, found) == noise(number, 65_536)


def test_a_full_disk_at_a_new_pack(open_store: Open) -> None:
    disk = FaultyDisk("", errno.ENOSPC, names=frozenset({"create"}))
    store = open_store(disk, pack_bytes=5000)
    fail_next(disk, "E")
    found = store.put(Kind.CHUNK, noise(1, 3000))
    with pytest.raises(NoSpace):
        store.sync()
    store.sync()
    store.verify(Kind.CHUNK, found)


def test_closing_on_a_full_disk_closes(open_store: Open) -> None:
    disk, store = faulty(open_store, errno.ENOSPC, WRITES)
    store.put(Kind.CHUNK, b"not durable" * 9)
    fail_next(disk, "E")
    with pytest.raises(NoSpace):
        store.close()
    assert open_store().refs.get(b"b") == b"before"


def check_failed(store: Store) -> None:
    assert store.failed is not None
    assert store.statistics().failed == store.failed
    with pytest.raises(ReadOnly, match="read-only since"):
        store.put(Kind.CHUNK, b"later")
    with pytest.raises(ReadOnly):
        store.commit_refs({b"b": b"later"})
    with pytest.raises(StoreError):
        store.sync()
    assert store.refs.get(b"b") == b"before"


@pytest.mark.parametrize("letter", ["E", "S"])
def test_a_failed_write_makes_the_store_read_only(open_store: Open, letter: str) -> None:
    disk, store = faulty(open_store, errno.EIO, WRITES)
    found = store.put(Kind.CHUNK, b"after" * 999)
    fail_next(disk, letter)
    with pytest.raises(StoreError, match="read-only from now on"):
        store.commit_refs({b"b": b"after"})
    check_failed(store)
    assert store.get(Kind.CHUNK, found) == b"after" * 999
    count = disk.done
    store.close()
    assert disk.done == count
    store = open_store()
    assert store.refs.get(b"b") == b"before"
    store.put(Kind.CHUNK, b"later")


def test_a_failed_sync_is_never_tried_again(open_store: Open) -> None:
    disk, store = faulty(open_store, errno.EIO, SYNCS)
    found = store.put(Kind.CHUNK, b"after" * 999)
    fail_next(disk, "E")
    with pytest.raises(StoreError, match="read-only from now on"):
        store.commit_refs({b"b": b"after"})
    count = disk.done
    check_failed(store)
    store.verify(Kind.CHUNK, found)
    store.close()
    assert disk.done == count
    assert open_store().refs.get(b"b") == b"before"


def test_a_failed_sync_of_the_directory(open_store: Open) -> None:
    disk = FaultyDisk("", errno.EIO, names=SYNCS)
    store = open_store(disk)
    store.put(Kind.CHUNK, b"x" * 99)
    fail_next(disk, ".E")
    with pytest.raises(StoreError):
        store.sync()
    assert store.failed is not None


def test_after_a_failed_sync_the_next_start_writes_the_tail_again(open_store: Open, tmp_path: Path) -> None:
    """The page cache counts the pages as written; dedup against them would lose what is put next."""
    disk, store = faulty(open_store, errno.EIO, SYNCS)
    payload = noise(1, 5000)
    store.put(Kind.CHUNK, payload)
    settled = pack_path(tmp_path / "store").stat().st_size
    fail_next(disk, "E")
    with pytest.raises(StoreError):
        store.sync()
    store.close()
    disk = FaultyDisk("", errno.EIO, names=WRITES | SYNCS)
    written = []
    disk.after = written.append  # type: ignore[method-assign]
    store = open_store(disk)
    tail = [operation for operation in written if operation.path.name == "00000001.pack"]
    assert [operation.name for operation in tail] == ["pwrite", "fdatasync"]
    assert tail[0].offset == settled
    assert tail[0].length == 5050
    assert store.contains(store.put(Kind.CHUNK, payload))


def test_a_failed_index_transaction_is_made_up_for(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(pack_bytes=5000)
    real = store._index.add
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise NoSpace("objects.lmdb: full")

        patch.setattr(store._index, "add", full)
        ids = [store.put(Kind.CHUNK, noise(number, 3000)) for number in range(4)]
        store.commit_refs({b"b": b"1"})
        assert all(store.contains(found) for found in ids)
    assert store._index.add == real
    ids += [store.put(Kind.CHUNK, noise(number, 3000)) for number in range(4, 8)]
    store.sync()
    assert list(store.check()) == []


def test_a_failed_refs_transaction_reaches_the_caller(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    with monkeypatch.context() as patch:

        def broken(*_: object) -> None:
            raise StoreError("refs.lmdb: broken")

        patch.setattr(store.refs, "apply", broken)
        with pytest.raises(StoreError, match="broken"):
            store.commit_refs({b"b": b"1"})
    assert store.refs.get(b"b") is None
    store.commit_refs({b"b": b"2"})
    store.close()
    assert not (store.path / "clean").exists()
    assert open_store().refs.get(b"b") == b"2"


class UnreadableDisk(Disk):
    """Gives EIO for reads that touch one page of a pack."""

    bad: tuple[int, int] | None = None

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        if self.bad is not None and offset < self.bad[1] and offset + length > self.bad[0]:
            raise OSError(errno.EIO, "Input/output error")
        return super().pread(fd, length, offset)


def test_a_bad_sector_costs_the_objects_on_it(open_store: Open, tmp_path: Path) -> None:
    disk = UnreadableDisk()
    store = open_store(disk)
    ids = store.put_many(Kind.CHUNK, [noise(number, 10_000) for number in range(8)])
    store.sync()
    disk.bad = (36_864, 40_960)
    hit = [row for row in records(pack_path(tmp_path / "store")) if row.offset < 40_960 and row.end > 36_864]
    assert len(hit) == 2
    lost = {row.object_id for row in hit}  # type: ignore[union-attr]
    findings = list(store.check())
    assert {finding.object_id for finding in findings if finding.object_id} <= lost
    assert {(finding.kind, finding.pack) for finding in findings} == {("damaged_record", 1)}
    for number, found in enumerate(ids):
        if found in lost:
            with pytest.raises(CorruptObject, match="Input/output"):
                store.get(Kind.CHUNK, found)
        else:
            assert store.get(Kind.CHUNK, found) == noise(number, 10_000)
    disk.bad = None


def test_real_file_size_limit(open_store: Open, tmp_path: Path) -> None:
    """RLIMIT_FSIZE: a short write first, then EFBIG (Python ignores SIGXFSZ)."""
    import resource

    store = open_store()
    store.put_many(Kind.CHUNK, [noise(number, 10_000) for number in range(8)])
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, old[1]))
    try:
        with pytest.raises(NoSpace, match="too large"):
            store.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert pack_path(tmp_path / "store").stat().st_size == 0
    store.sync()
    assert list(store.check()) == []
