"""fsck finds what is missing or contradictory, names the place, and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pfs.disk import Disk
from pfs.objects.entry import Entry, FileType, LinkRow
from pfs.objects.file import FileReader
from pfs.objects.ids import Kind, object_id
from pfs.objects.tree import TreeReader, build, edit
from pfs.overlay.tree import Readers
from pfs.store.store import Store
from pfs.versioning.fsck import Report, fsck
from tests.repo.workshop import Workshop
from tests.versioning.trees import CACHE_BYTES, Thing, TreeMaker, folder

MANY_CHUNKS = tuple(f"chunk {number}".encode() for number in range(1100))
PATHS = {
    "d": folder(10),
    "d/small": Thing(11, (b"small",)),
    "d/large": Thing(12, MANY_CHUNKS),
    "one": Thing(13, (b"shared",)),
    "two": Thing(13, (b"shared",)),
    "long": Thing(14, target=b"t" * 300),
}


class Losing:
    """A store that has lost some objects."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lost: set[bytes] = set()

    def get(self, kind: Kind, wanted: bytes) -> bytes:
        return self._store.get(kind, b"\x01" * 32 if wanted in self.lost else wanted)

    def contains(self, wanted: bytes) -> bool:
        return wanted not in self.lost and self._store.contains(wanted)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


class Bench:
    """A repo to damage, and fsck of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.losing = Losing(store)
        self.workshop = Workshop(store)
        self.maker = TreeMaker(self.workshop)
        self.commit_id = self.maker.commit(PATHS)
        self.commit = self.workshop.repo.commits.read(self.commit_id)
        self.files = self.maker.files(PATHS)

    def run(self) -> Report:
        # Readers of its own: nothing that was lost may be in a cache.
        losing = self.losing
        readers = Readers(
            losing,  # type: ignore[arg-type]
            TreeReader(losing, Entry, CACHE_BYTES),
            TreeReader(losing, LinkRow, CACHE_BYTES),
            FileReader(losing, CACHE_BYTES),
        )
        return fsck(losing, self.workshop.repositories, readers)  # type: ignore[arg-type]

    def entry(self, path: str) -> Entry:
        return self.files.entry(path.encode())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store.open(tmp_path / "store", Disk()) as store:
        yield Bench(store)


def test_all_is_well_and_counted(bench: Bench) -> None:
    report = bench.run()
    assert report.problems == []
    assert report.checked["commits"] == 2
    assert report.checked["files"] == 4  # small, large, long, and the inode with two names
    assert report.checked["file_nodes"] > 1


LOSSES: dict[str, tuple[Callable[[Bench], bytes], str]] = {
    "chunk": (lambda bench: bench.entry("d/small").content, ":d/small"),
    "chunk of a large file": (lambda bench: object_id(Kind.CHUNK, MANY_CHUNKS[7]), ":d/large"),
    "chunk of a link": (lambda bench: bench.entry("one").content, "inode 13"),
    "long target": (lambda bench: bench.entry("long").content, ":long"),
    "file node": (lambda bench: bench.entry("d/large").content, ":d/large"),
    "directory": (lambda bench: bench.entry("d").content, ":d"),
    "root": (lambda bench: bench.commit.root.content, ":"),
    "links": (lambda bench: bench.commit.links, ": links"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_lost_object_is_reported_once_with_its_place(bench: Bench, name: str) -> None:
    lost, place = LOSSES[name]
    bench.losing.lost.add(lost(bench))
    (problem,) = bench.run().problems
    assert problem.kind == "missing"
    assert problem.where.endswith(place)


def test_everything_lost_is_reported_not_just_the_first(bench: Bench) -> None:
    bench.losing.lost.update(LOSSES[name][0](bench) for name in ("chunk", "file node", "long target"))
    assert len(bench.run().problems) == 3


def change_root(bench: Bench, **fields: object) -> None:
    root = msgspec.structs.replace(bench.commit.root, **fields)
    bench.workshop.commit("main", root=root, links=bench.commit.links, next_file_id=10_000)


def test_wrong_counts_of_a_directory(bench: Bench) -> None:
    # Another root node, as counts are looked at once a node.
    readers = bench.maker.readers
    row = Entry(b"e", 77, FileType.DIRECTORY)
    content = edit(readers.entries, bench.store, bench.commit.root.content, {b"e": row})
    change_root(bench, content=content, size=99)
    assert [problem.kind for problem in bench.run().problems] == ["counts"]


def test_name_of_an_inode_that_the_links_do_not_know(bench: Bench) -> None:
    rows = bench.maker.readers.links.scan(bench.commit.links)
    other = [msgspec.structs.replace(row, key=(99).to_bytes(8, "big")) for row in rows]
    root = msgspec.structs.replace(
        bench.commit.root,
        content=edit(
            bench.maker.readers.entries,
            bench.store,
            bench.commit.root.content,
            {b"long": None},
        ),
        size=bench.commit.root.size - 1,
    )
    links = build(bench.store, other)
    bench.workshop.commit("main", root=root, links=links, next_file_id=10_000)
    problems = bench.run().problems
    assert {problem.kind for problem in problems} == {"links"}
    assert {problem.where.rpartition(":")[2] for problem in problems} == {"one", "two"}
