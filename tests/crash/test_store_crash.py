"""Every prefix of a store's disk operations, after a kill or a power cut: what was acknowledged is there.

Each state is opened, compared, checked, written to and opened again; with LMDB as its commits left it, and
with LMDB gone, when all of it is rebuilt from the packs.  In the latter case nothing says any more how far
the packs were synced: what a power cut tore between whole records can't be told from damage, and is
reported as such.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pfs.disk import Disk, FaultyDisk, RecordingDisk
from pfs.errors import CorruptObject, NoSpace
from pfs.objects.ids import Kind, object_id
from pfs.store.store import Store
from tests.crash.replay import DiskState, prefixes
from tests.store.faults import noise

PACK_BYTES = 6_000
SEEDS = range(4)
NONE: frozenset[str] = frozenset()
TORN = frozenset({"damaged_record"})


class QuickDisk(Disk):
    """Leaves out the syncs: the states are looked at, not kept."""

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


class Promise(NamedTuple):
    """After so many operations these objects and refs had been acknowledged."""

    operations: int
    objects: dict[bytes, bytes]
    refs: dict[bytes, bytes]


class Workload:
    """Drives a store and writes down what it promised."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.disk = RecordingDisk()
        self.store = Store.open(base / "store", self.disk, pack_bytes=PACK_BYTES)
        self.objects: dict[bytes, bytes] = {}
        self.refs: dict[bytes, bytes] = {}
        self.promises = [Promise(0, {}, {})]
        self.states: list[dict[bytes, bytes]] = [{}]

    def put(self, payload: bytes) -> None:
        self.objects[self.store.put(Kind.CHUNK, payload)] = payload

    def commit(self, **changes: str | None) -> None:
        encoded = {key.encode(): None if value is None else value.encode() for key, value in changes.items()}
        for key, value in encoded.items():
            if value is None:
                self.refs.pop(key, None)
            else:
                self.refs[key] = value
        self.states.append(dict(self.refs))
        self.store.commit_refs(encoded)
        self._promise()

    def sync(self) -> None:
        self.store.sync()
        self._promise()

    def reopen(self) -> None:
        self.store.close()
        self._promise()
        self.store = Store.open(self.base / "store", self.disk, pack_bytes=PACK_BYTES)
        assert self.store.notes == []

    def wait_for_index(self) -> None:
        """The writer thread's operations have no fixed place in the log unless somebody waits for them."""
        self.store._submit(lambda: None).result()

    def _promise(self) -> None:
        self.promises.append(Promise(len(self.disk.log), dict(self.objects), dict(self.refs)))


def small_commits(work: Workload) -> None:
    for number in range(4):
        work.put(b"text %d " % number * 40)
        work.commit(head=str(number), **{f"log{number}": "x"})
    work.commit(head=None)
    work.reopen()
    work.put(b"after reopening" * 9)
    work.commit(head="again")


def sealing(work: Workload) -> None:
    for number in range(9):
        work.put(noise(number, 1700))
        if number % 3 == 2:
            work.commit(head=str(number))
        elif number % 3 == 1:
            work.sync()
        work.wait_for_index()
    work.reopen()


def many_before_a_commit(work: Workload) -> None:
    for number in range(12):
        work.put(noise(number, 1700))
    work.commit(head="many")
    for number in range(12, 16):
        work.put(noise(number, 700))
    work.store._writer.flush()
    work.put(b"unwritten")


WORKLOADS = [small_commits, sealing, many_before_a_commit]


def check_state(
    path: Path, operations: int, work: Workload, how: str, allowed: frozenset[str] = NONE
) -> None:
    """Open what a crash left, and hold it against what had been promised by then."""
    promised = [promise for promise in work.promises if promise.operations <= operations][-1]
    with Store.open(path, QuickDisk(), pack_bytes=PACK_BYTES) as store:
        refs = dict(store.refs.scan(b""))
        first = work.states.index(promised.refs)
        assert refs in work.states[first : first + 2], how
        for found, payload in promised.objects.items():
            assert store.get(Kind.CHUNK, found) == payload, how
        assert {finding.kind for finding in store.check()} <= allowed, how
        # Everything is put again: what is taken for known must be readable, too.
        for found, payload in work.objects.items():
            assert store.put(Kind.CHUNK, payload) == found
        store.commit_refs({b"after": b"crash"})
        for found, payload in work.objects.items():
            assert store.get(Kind.CHUNK, found) == payload, how
    with Store.open(path, QuickDisk(), pack_bytes=PACK_BYTES) as store:
        assert store.notes == [], how
        assert dict(store.refs.scan(b"")) == {**refs, b"after": b"crash"}, how
        assert {finding.kind for finding in store.check()} <= allowed, how


def forget_lmdb(path: Path) -> None:
    for name in ("objects.lmdb", "refs.lmdb"):
        if (path / name).exists():
            shutil.rmtree(path / name)


def crash_everywhere(
    tmp_path: Path, workload: Callable[[Workload], None], leave: Callable[[DiskState, Path], None], how: str
) -> int:
    work = Workload(tmp_path)
    workload(work)
    log = list(work.disk.log)
    work.store.close()
    count = 0
    for operations, state in prefixes(log, tmp_path):
        for without_lmdb in (False, True):
            target = tmp_path / "crashed"
            leave(state, target)
            path = target / "store"
            if without_lmdb:
                forget_lmdb(path)
            torn = TORN if without_lmdb and how != "killed" else NONE
            where = f"{how}, {operations} operations, LMDB gone: {without_lmdb}"
            check_state(path, operations, work, where, torn)
            shutil.rmtree(target)
            count += 1
    return count


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.__name__)
def test_killed_after_any_operation(tmp_path: Path, workload: Callable[[Workload], None]) -> None:
    assert crash_everywhere(tmp_path, workload, lambda state, target: state.killed(target), "killed") > 60


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.__name__)
def test_power_cut_after_any_operation(
    tmp_path: Path, workload: Callable[[Workload], None], seed: int
) -> None:
    def leave(state: DiskState, target: Path) -> None:
        state.power_cut(target, seed)

    assert crash_everywhere(tmp_path, workload, leave, f"power cut {seed}") > 60


@pytest.mark.slow
def test_a_second_crash_while_the_first_is_mended(tmp_path: Path) -> None:
    """The operations of an opening that mends are cut off at every place, too."""
    base = tmp_path / "base"
    base.mkdir()
    work = Workload(base)
    many_before_a_commit(work)
    log = list(work.disk.log)
    work.store.close()
    for seed in range(1, 9):
        state = DiskState(base)
        for operation in log:
            state.apply(operation)
        target = tmp_path / f"first {seed}"
        state.power_cut(target, seed)
        for step in range(40):
            second = tmp_path / f"second {seed} {step}"
            shutil.copytree(target, second)
            disk = FaultyDisk("." * step + "E" * 999, errno.ENOSPC)
            try:
                store = Store.open(second / "store", disk, pack_bytes=PACK_BYTES)
            except NoSpace:
                check_state(second / "store", len(log), work, f"seed {seed}, step {step}")
                shutil.rmtree(second)
            else:
                store._claim.release()
                store._index.environment.close()
                store.refs.environment.close()
                shutil.rmtree(second)
                break
        shutil.rmtree(target)


def test_the_harness_notices_a_store_that_forgets_to_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that can't fail is a defect: leave out one fdatasync, or the directory's sync, and it fails."""
    for forgotten in ("fdatasync", "sync_directory"):
        base = tmp_path / forgotten
        base.mkdir()
        work = Workload(base)
        with monkeypatch.context() as patch:
            patch.setattr(work.disk, forgotten, lambda _: None)
            work.put(noise(1, 3000))
            work.commit(head="promised")
        state = DiskState(base)
        for operation in work.disk.log:
            state.apply(operation)
        state.power_cut(base / "crashed", 0)
        with pytest.raises((AssertionError, CorruptObject)):
            check_state(base / "crashed" / "store", len(work.disk.log), work, forgotten)
        work.store.close()


def test_an_unknown_object_stays_unknown_after_a_crash(tmp_path: Path) -> None:
    """What was only in memory is gone, and says so."""
    work = Workload(tmp_path)
    work.put(b"unwritten")
    state = DiskState(tmp_path)
    for operation in work.disk.log:
        state.apply(operation)
    state.killed(tmp_path / "crashed")
    work.store.close()
    with Store.open(tmp_path / "crashed" / "store", QuickDisk()) as store:
        assert not store.contains(object_id(Kind.CHUNK, b"unwritten"))
    assert os.listdir(tmp_path / "crashed" / "store" / "packs") == []
