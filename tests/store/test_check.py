"""fsck of objects: beside writers, read-only, with progress; and a real kill -9."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pfs.disk import Disk
from pfs.objects.ids import Kind, object_id
from pfs.store.record import HEADER_BYTES
from pfs.store.store import Store
from tests.store.conftest import Open
from tests.store.faults import flip, noise, pack_path, records


def test_progress_reaches_the_total(open_store: Open) -> None:
    store = open_store(pack_bytes=20_000)
    store.put_many(Kind.CHUNK, [noise(number, 3000) for number in range(30)])
    seen: list[tuple[int, int]] = []
    assert list(store.check(lambda done, total: seen.append((done, total)))) == []
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == store.statistics().packs_bytes


def test_every_finding_is_reported(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    store.put_many(Kind.CHUNK, [noise(number, 3000) for number in range(10)])
    store.close()
    pack = pack_path(tmp_path / "store")
    whole = pack.read_bytes()
    rows = records(pack)
    for row in rows[2:7:2]:
        flip(pack, row.offset + HEADER_BYTES + 7)
    store = open_store()
    findings = list(store.check())
    assert [(finding.kind, finding.offset) for finding in findings] == [
        ("damaged_record", row.offset) for row in rows[2:7:2]
    ]
    assert all("its bytes do not match its id" in finding.message for finding in findings)
    assert list(store.check(payloads=False)) == []
    pack.write_bytes(whole)


def test_a_second_copy_is_harmless(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    found = store.put(Kind.CHUNK, noise(1, 3000))
    store.sync()
    store._submit(store._index_everything).result()
    store._damaged.add(found)
    store.put(Kind.CHUNK, noise(1, 3000))
    (finding,) = store.check()
    assert (finding.kind, finding.harmless) == ("duplicate_record", True)
    assert store.get(Kind.CHUNK, found) == noise(1, 3000)
    store.close()
    # For the fixture's own check: a store without the second copy.
    (tmp_path / "store").rename(tmp_path / "with a second copy")


def test_beside_writers(open_store: Open) -> None:
    store = open_store(pack_bytes=50_000)
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                store.put(Kind.CHUNK, noise(number, 1000))
                if number % 20 == 0:
                    store.commit_refs({b"b": b"%d" % number})
            except BaseException as error:
                failed.append(error)
                return

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(8):
        assert list(store.check()) == []
    stop.set()
    thread.join()
    assert not failed


KILLED = """
import sys
from pathlib import Path
from pfs.disk import Disk
from pfs.objects.ids import Kind
from pfs.store.store import Store
store = Store.open(Path(sys.argv[1]), Disk(), pack_bytes=200_000)
for note in store.notes:
    assert "not acknowledged" in note, note
number = int(store.refs.get(b"bnumber") or b"0")
while True:
    number += 1
    found = store.put(Kind.CHUNK, b"%d " % number * 2000)
    store.commit_refs({b"bnumber": b"%d" % number, b"c%d" % (number % 50): found})
    print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_for_real_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "store"
    for kill in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(10 + kill * 7):
                line = process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        acknowledged = int(rest[-1] if rest else line)
        with Store.open(path, Disk(), pack_bytes=200_000) as store:
            number = int(store.refs.get(b"bnumber") or b"0")
            assert acknowledged <= number <= acknowledged + 1
            for back in range(min(50, number)):
                payload = b"%d " % (number - back) * 2000
                assert store.get(Kind.CHUNK, object_id(Kind.CHUNK, payload)) == payload
            assert list(store.check()) == []
