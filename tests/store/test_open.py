"""Opening: what is refused, with which error, and what is left as it was."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pfs.disk import Disk, FaultyDisk
from pfs.errors import Busy, Denied, NoSpace, NotFound, ReadOnly, StoreError, UnsupportedFormat
from pfs.objects.ids import Kind
from pfs.store.store import Store
from tests.store.conftest import Open
from tests.store.faults import pack_path


def test_makes_missing_parents(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a" / "b" / "store", Disk()) as store:
        store.commit_refs({b"b": b"1"})
    assert (tmp_path / "a" / "b" / "store").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_no_store(tmp_path: Path, options: dict[str, bool]) -> None:
    with pytest.raises(NotFound, match="there is no store"):
        Store.open(tmp_path / "store", Disk(), **options)
    assert not (tmp_path / "store").exists()


def test_a_directory_with_other_things_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(StoreError, match="not a store"):
        Store.open(tmp_path, Disk())
    assert os.listdir(tmp_path) == ["letter"]


def test_a_file_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(StoreError, match="Not a directory"):
        Store.open(tmp_path / "file", Disk())


def edit_format(store: Path, **changes: object) -> None:
    known = json.loads((store / "format").read_text())
    (store / "format").write_text(json.dumps({**known, **changes}))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"format": 2}, "2.1"),
        ({"chunker": 9}, "1.9"),
        ({"features": ["later", "new"]}, "with later, new"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_format_is_refused(
    tmp_path: Path, changes: dict[str, object], found: str, read_only: bool
) -> None:
    Store.open(tmp_path / "store", Disk()).close()
    edit_format(tmp_path / "store", needs="3.7", **changes)
    with pytest.raises(UnsupportedFormat) as caught:
        Store.open(tmp_path / "store", Disk(), read_only=read_only)
    assert caught.value.found == found
    assert caught.value.hint == "use pfs 3.7 or newer"


def test_fields_that_later_versions_add_do_no_harm(open_store: Open, tmp_path: Path) -> None:
    open_store().close()
    edit_format(tmp_path / "store", note="x")
    open_store()


def test_damaged_format_file(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    found = store.put(Kind.CHUNK, b"payload")
    store.close()
    (tmp_path / "store" / "format").write_text("{")
    assert open_store().get(Kind.CHUNK, found) == b"payload"


def test_damaged_format_file_and_no_pack_to_ask(tmp_path: Path) -> None:
    Store.open(tmp_path / "store", Disk()).close()
    good = (tmp_path / "store" / "format").read_text()
    (tmp_path / "store" / "format").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path / "store", Disk())
    (tmp_path / "store" / "format").write_text(good)
    Store.open(tmp_path / "store", Disk()).close()


def test_second_opening_in_this_process(store: Store, open_store: Open) -> None:
    for options in ({}, {"read_only": True}):
        with pytest.raises(Busy, match=f"in use by process {os.getpid()}"):
            open_store(**options)


def test_second_opening_by_another_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pfs.disk import Disk; from pfs.store.store import Store\n"
        "store = Store.open(Path(sys.argv[1]), Disk()); print('open', flush=True)\n"
        "sys.stdin.read(); store.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(Busy, match=f"process {other.pid}"):
            Store.open(tmp_path / "store", Disk())
        other.communicate("")
    Store.open(tmp_path / "store", Disk()).close()


def test_many_readers_and_no_writer(tmp_path: Path) -> None:
    Store.open(tmp_path / "store", Disk()).close()
    with Store.open(tmp_path / "store", Disk(), read_only=True), pytest.raises(Busy):
        Store.open(tmp_path / "store", Disk())


class ErrnoDisk(Disk):
    """Fails every `create`, as a directory does that is read-only, foreign or full."""

    def __init__(self, error: int) -> None:
        self.error = error

    def create(self, path: Path) -> int:
        raise OSError(self.error, os.strerror(self.error), str(path))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errno.EACCES, Denied),
        (errno.EPERM, Denied),
        (errno.EROFS, ReadOnly),
        (errno.ENOSPC, NoSpace),
        (errno.EIO, StoreError),
    ],
)
def test_errors_of_the_directory_say_what_to_do(
    tmp_path: Path, error: int, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match=os.strerror(error)):
        Store.open(tmp_path, ErrnoDisk(error))


def test_creation_fails_at_any_step_and_works_later(tmp_path: Path) -> None:
    """Disk full at the n-th change of a creation: an error that says so, and a second try succeeds."""
    for step in range(60):
        path = tmp_path / str(step)
        disk = FaultyDisk("." * step + "E", errno.ENOSPC)
        try:
            store = Store.open(path, disk)
        except NoSpace:
            store = Store.open(path, Disk())
        if step == disk.done:
            store.close()
            return
        store.commit_refs({b"b": b"1"})
        assert list(store.check()) == []
        store.close()
    pytest.fail("a creation of more than 60 changes")


def test_an_existing_store_opens_on_a_full_disk(open_store: Open) -> None:
    open_store().close()
    store = open_store(FaultyDisk("E" * 99, errno.ENOSPC, names=frozenset({"create", "fallocate_keep"})))
    assert store.refs.get(b"b") is None
    store.close()
    assert open_store().notes == []


def test_an_opening_that_fails_leaves_nothing_open(open_store: Open, tmp_path: Path) -> None:
    """LMDB refuses to open an environment twice in a process: that must not look like damage."""
    store = open_store()
    store.commit_refs({b"b": b"1"})
    store._claim.release()
    with pytest.raises(StoreError, match="already open"):
        open_store()
    store.close()
    (tmp_path / "store" / "clean").unlink()
    with pack_path(tmp_path / "store").open("ab") as pack:
        pack.write(b"torn")
    with pytest.raises(NoSpace) as caught:
        open_store(FaultyDisk("E", errno.ENOSPC, names=frozenset({"truncate"})))
    store = open_store()
    assert caught.value is not None  # its traceback holds on to whatever that opening left
    assert store.notes == ["00000001.pack at 97: no record header: not acknowledged, removed"]
    assert store.refs.get(b"b") == b"1"


def test_read_only_needs_whole_lmdb_environments(tmp_path: Path) -> None:
    Store.open(tmp_path / "store", Disk()).close()
    (tmp_path / "store" / "refs.lmdb" / "data.mdb").unlink()
    with pytest.raises(StoreError, match=r"refs\.lmdb: missing") as caught:
        Store.open(tmp_path / "store", Disk(), read_only=True)
    assert "for writing once" in str(caught.value.hint)


def test_packs_that_lie_about_their_number_are_left_alone(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    store.put(Kind.CHUNK, b"payload")
    store.close()
    packs = tmp_path / "store" / "packs"
    (packs / "00000007.pack").write_bytes((packs / "00000001.pack").read_bytes())
    store = open_store()
    assert store.notes == ["00000007.pack belongs to another store or number"]
    store.put(Kind.CHUNK, b"new")
    store.sync()
    assert (packs / "00000008.pack").exists()
    store.close()
    (packs / "00000007.pack").unlink()
