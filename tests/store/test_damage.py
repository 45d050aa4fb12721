"""Damage: what is done (delete, cut, flip, zero) × where.  Found always, never more lost than was hit."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pfs.disk import Disk
from pfs.errors import CorruptObject, MissingObject
from pfs.objects.ids import Kind, object_id
from pfs.store.record import HEADER_BYTES, PACK_HEADER_BYTES, Record
from pfs.store.store import Store
from tests.store.faults import flip, noise, pack_path, records

PACK_BYTES = 20_000
PAYLOADS = {object_id(Kind.CHUNK, noise(number, 3000)): noise(number, 3000) for number in range(20)}
REFS = [(b"b%d" % number, b"%d" % number) for number in range(5)]


def make(path: Path) -> None:
    """Four packs or so, the last one not full, closed properly."""
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        for number, payload in enumerate(PAYLOADS.values()):
            store.put(Kind.CHUNK, payload)
            if number % 4 == 3:
                store.commit_refs(dict([REFS[number // 4]]))


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "intact"
    make(path)
    return path


@pytest.fixture
def path(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "store"))


def readable(store: Store) -> set[bytes]:
    found = set()
    for wanted, payload in PAYLOADS.items():
        try:
            assert store.get(Kind.CHUNK, wanted) == payload
        except CorruptObject:
            continue
        found.add(wanted)
    return found


def check_all_there(path: Path) -> list[str]:
    """Open, expect everything, write something, open again."""
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        notes = list(store.notes)
        assert readable(store) == set(PAYLOADS)
        assert store.refs.scan(b"b") == REFS
        assert list(store.check()) == []
        store.put(Kind.CHUNK, b"after the damage")
        store.commit_refs({b"c": b"after"})
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert list(store.notes) == []
        assert store.refs.get(b"c") == b"after"
        assert list(store.check()) == []
    return notes


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def cut_one_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def zero_metas(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(bytes(8192) + raw[8192:])


def zero_pages(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:8192] + bytes(len(raw) - 8192))


def other_bytes(path: Path) -> None:
    path.write_bytes(noise(1, path.stat().st_size))


def delete_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


DAMAGES = [delete, empty, cut, cut_one_byte, zero_metas, zero_pages, other_bytes, delete_directory]


@pytest.mark.parametrize("environment", ["objects.lmdb", "refs.lmdb"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_lmdb_is_rebuilt(path: Path, environment: str, damage: Callable[[Path], None]) -> None:
    damage(path / environment / "data.mdb")
    notes = check_all_there(path)
    assert [note.split(":")[0] for note in notes] == [f"{environment} was rebuilt from the packs"]


@pytest.mark.parametrize(
    "names", [["objects.lmdb", "refs.lmdb"], ["objects.lmdb", "refs.lmdb", "clean", "lock"]]
)
def test_everything_but_the_packs_is_deleted(path: Path, names: list[str]) -> None:
    for name in names:
        shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink()
    assert len(check_all_there(path)) == 2


@pytest.mark.parametrize("name", ["format", "lock", "clean"])
@pytest.mark.parametrize("damage", [delete, empty, other_bytes], ids=lambda damage: damage.__name__)
def test_small_files(path: Path, name: str, damage: Callable[[Path], None]) -> None:
    if (name, damage) == ("format", delete):
        # With other things in it, a directory without it is none of ours; with the packs alone it is.
        for other in set(path.iterdir()) - {path / "packs", path / "lock"}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    else:
        damage(path / name)
    check_all_there(path)


@pytest.mark.parametrize("environment", ["objects.lmdb", "refs.lmdb"])
def test_a_flipped_bit_anywhere_in_lmdb_costs_nothing(path: Path, tmp_path: Path, environment: str) -> None:
    data = path / environment / "data.mdb"
    whole = data.read_bytes()
    choice = random.Random(environment)
    for _ in range(120):
        data.write_bytes(whole)
        flip(data, choice.randrange(len(whole)), choice.randrange(8))
        copy = Path(shutil.copytree(path, tmp_path / "copy"))
        with Store.open(copy, Disk(), pack_bytes=PACK_BYTES) as store:
            assert readable(store) == set(PAYLOADS)
            assert store.refs.scan(b"b") == REFS
            for finding in store.check():
                assert finding.kind == "wrong_entry", finding
            store.repair_index()
            assert list(store.check()) == []
        shutil.rmtree(copy)


def test_any_entry_of_the_object_index_may_be_wrong_or_gone(path: Path) -> None:
    """An entry that leads elsewhere is noticed by the id, mended by one walk, and read all the same."""
    ids = list(PAYLOADS)
    store = Store.open(path, Disk(), pack_bytes=PACK_BYTES)
    first, second, gone = (store._index.find(found) for found in ids[:3])
    assert first is not None
    assert second is not None
    store._submit(lambda: store._index.remove([ids[2]])).result()
    store._submit(lambda: store._index.add({ids[0]: second, ids[1]: first._replace(offset=7)}, {})).result()
    kinds = sorted((finding.kind, finding.object_id) for finding in store.check())
    assert kinds == sorted([("wrong_entry", ids[0]), ("wrong_entry", ids[1]), ("not_indexed", ids[2])])
    assert readable(store) == set(PAYLOADS)
    assert list(store.check()) == []
    assert store._index.find(ids[2]) == gone
    store.close()


def test_a_flipped_bit_anywhere_in_a_pack_costs_one_object(path: Path, tmp_path: Path) -> None:
    """Properly closed before: found by fsck and by reading, and by nothing else; never cut off."""
    pack = pack_path(path, 2)
    whole = pack.read_bytes()
    rows = [row for row in records(pack) if isinstance(row, Record)]
    offsets = [0, 20, *(row.offset + add for row in rows for add in (0, 5, 8, 10, 20, 49, 50))]
    offsets += [row.end - 1 for row in rows]
    for offset in offsets:
        pack.write_bytes(whole)
        flip(pack, offset, offset % 8)
        hit = [row for row in rows if row.offset <= offset < row.end]
        with Store.open(
            Path(shutil.copytree(path, tmp_path / "copy")), Disk(), pack_bytes=PACK_BYTES
        ) as store:
            assert store.refs.scan(b"b") == REFS
            findings = list(store.check())
            assert findings, offset
            if not hit:
                assert {finding.kind for finding in findings} == {"damaged_pack_header"}
                assert readable(store) == set(PAYLOADS)
            else:
                lost = {row.object_id for row in hit}
                assert readable(store) == set(PAYLOADS) - lost
                assert {(row.pack, row.offset) for row in findings} == {(2, hit[0].offset)}
                assert (
                    {"damaged_record"} <= {row.kind for row in findings} <= {"damaged_record", "wrong_entry"}
                )
        assert pack_path(tmp_path / "copy", 2).read_bytes() == pack.read_bytes()
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("damage", [delete, empty, cut, cut_one_byte], ids=lambda damage: damage.__name__)
def test_a_lost_pack_is_reported_and_costs_its_objects(
    path: Path, number: int, damage: Callable[[Path], None]
) -> None:
    pack = pack_path(path, number)
    assert pack.exists()
    before = {row.object_id: row for row in records(pack) if isinstance(row, Record)}
    damage(pack)
    size = pack.stat().st_size if pack.exists() else 0
    lost = {found for found, row in before.items() if row.end > size} & set(PAYLOADS)
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert any(f"{number:08d}.pack" in note for note in store.notes)
        assert readable(store) == set(PAYLOADS) - lost
        assert store.refs.scan(b"b") == REFS
        kinds = {finding.kind for finding in store.check()}
        assert kinds >= {delete: {"missing_pack"}, empty: {"damaged_pack_header"}}.get(damage, set())
        # What is stored from now on neither takes the place of what is gone nor is taken for it.
        new = store.put(Kind.CHUNK, b"new")
        store.commit_refs({b"c": b"after"})
        for wanted in lost:
            store.put(Kind.CHUNK, PAYLOADS[wanted])
        store.sync()
        assert readable(store) == set(PAYLOADS)
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert store.get(Kind.CHUNK, new) == b"new"
        assert readable(store) == set(PAYLOADS)
        assert store.refs.get(b"c") == b"after"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_a_lost_pack_held_is_stored_again_by_whoever_has_it(path: Path, number: int) -> None:
    """Without anybody reading first: nothing is taken for known because an index entry is left."""
    pack_path(path, number).unlink()
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        for payload in PAYLOADS.values():
            store.put(Kind.CHUNK, payload)
        store.sync()
        assert readable(store) == set(PAYLOADS)


def test_a_lost_pack_that_comes_back_is_read_again(path: Path) -> None:
    whole = pack_path(path, 1).read_bytes()
    pack_path(path, 1).unlink()
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert len(store.notes) == 2
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert list(store.notes) == []
        assert [finding.kind for finding in store.check()] == ["missing_pack"]
    pack_path(path, 1).write_bytes(whole)
    check_all_there(path)


def test_putting_a_damaged_object_again_heals_it(path: Path) -> None:
    row = next(
        row for row in records(pack_path(path, 2)) if isinstance(row, Record) and row.object_id in PAYLOADS
    )
    flip(pack_path(path, 2), row.payload_offset)
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        with pytest.raises(CorruptObject) as caught:
            store.get(Kind.CHUNK, row.object_id)
        assert caught.value.where == f"00000002.pack at {row.offset}"
        store.put(Kind.CHUNK, PAYLOADS[row.object_id])
        store.sync()
        assert store.get(Kind.CHUNK, row.object_id) == PAYLOADS[row.object_id]
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert store.get(Kind.CHUNK, row.object_id) == PAYLOADS[row.object_id]
        assert [finding.kind for finding in store.check()] == ["damaged_record"]


def test_a_missing_object_is_searched_for_once(path: Path) -> None:
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        for number in range(3):
            with pytest.raises(MissingObject):
                store.get(Kind.CHUNK, bytes([number]) * 32)


def test_damage_in_a_change_of_refs_costs_that_change_when_refs_are_rebuilt(path: Path) -> None:
    row = next(
        row for row in records(pack_path(path, 1)) if isinstance(row, Record) and row.kind == Kind.REFS
    )
    flip(pack_path(path, 1), row.payload_offset + 3)
    shutil.rmtree(path / "refs.lmdb")
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert store.refs.scan(b"b") == REFS[1:]
        assert any("a change of refs is lost" in note for note in store.notes)


def unclean(path: Path) -> None:
    (path / "clean").unlink()


@pytest.mark.parametrize(
    "junk", [b"\0" * 5000, b"junk" * 2000, b"PfsR" * 100, b"x"], ids=["zeros", "junk", "magic", "byte"]
)
def test_a_torn_tail_is_cut_off(path: Path, junk: bytes) -> None:
    unclean(path)
    pack = pack_path(path, len(list((path / "packs").iterdir())))
    whole = pack.read_bytes()
    pack.write_bytes(whole + junk)
    (note,) = check_all_there(path)
    assert note == f"{pack.name} at {len(whole)}: no record header: not acknowledged, removed"
    assert pack.read_bytes()[: len(whole)] == whole


def test_damage_before_the_synced_end_is_never_cut_off(path: Path) -> None:
    """After an unclean stop too: what a commit made durable is lost, not torn."""
    unclean(path)
    number = len(list((path / "packs").iterdir()))
    pack = pack_path(path, number)
    row = records(pack)[-1]
    assert isinstance(row, Record)
    flip(pack, row.offset)
    damaged = pack.read_bytes()
    with Store.open(path, Disk(), pack_bytes=PACK_BYTES) as store:
        assert store.refs.scan(b"b") == REFS
        assert [finding.kind for finding in store.check()] == ["damaged_record", "wrong_entry"]
    assert pack.read_bytes()[: len(damaged)] == damaged


def test_sizes_of_the_format() -> None:
    assert HEADER_BYTES + PACK_HEADER_BYTES == 86
