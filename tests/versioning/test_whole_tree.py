"""Trees that are wrong as a whole, each node of them being right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pfs.objects.commit import Commit
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.tree import edit
from pfs.versioning.fsck import fsck
from pfs.versioning.whole_tree import check_whole_tree
from tests.overlay.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "store")
    made.mkdir("d")
    made.create("d/a", b"x")
    made.link("d/a", "b")
    made.create("c", b"y")
    made.commit()
    yield made
    made.close()


def commit_of(bench: Bench) -> Commit:
    return bench.repo.commits.read(bench.branch.head)


def problems(bench: Bench, commit: Commit) -> list[str]:
    return [f"{path}: {message}" for path, message in check_whole_tree(bench.readers, commit)]


def with_root(bench: Bench, edits: dict[bytes, Entry | None]) -> Commit:
    commit = commit_of(bench)
    root = edit(bench.readers.entries, bench.store, commit.root.content, edits)
    return msgspec.structs.replace(commit, root=msgspec.structs.replace(commit.root, content=root))


def with_links(bench: Bench, edits: dict[bytes, LinkRow | None]) -> Commit:
    commit = commit_of(bench)
    return msgspec.structs.replace(commit, links=edit(bench.readers.links, bench.store, commit.links, edits))


def entry(bench: Bench, name: bytes) -> Entry:
    found = bench.readers.entries.get(commit_of(bench).root.content, name)
    assert found is not None
    return found


def test_a_right_tree_has_no_problem(bench: Bench) -> None:
    assert problems(bench, commit_of(bench)) == []
    report = fsck(bench.store, bench.repositories, bench.readers)
    assert report.problems == []
    assert report.checked["trees"] == 1


def test_a_file_id_stands_for_one_inode(bench: Bench) -> None:
    twin = msgspec.structs.replace(entry(bench, b"c"), name=b"twin")
    assert problems(bench, with_root(bench, {b"twin": twin})) == [
        f"twin: file id {twin.file_id} is also that of c"
    ]


def test_a_missing_name_of_a_link(bench: Bench) -> None:
    file_id = entry(bench, b"b").file_id
    assert problems(bench, with_root(bench, {b"b": None})) == [
        f"d/a: inode {file_id} has 1 names, its row 2, or others"
    ]


def test_a_link_without_a_row(bench: Bench) -> None:
    file_id = entry(bench, b"b").file_id
    found = problems(bench, with_links(bench, {link_key(file_id): None}))
    assert [line.partition(": ")[2] for line in found] == [f"the links tree has no row for inode {file_id}"]


def test_a_row_that_nothing_links_to(bench: Bench) -> None:
    plain = entry(bench, b"c")
    row = LinkRow(link_key(plain.file_id), msgspec.structs.replace(plain, name=b""), ((1, b"c"), (1, b"x")))
    assert problems(bench, with_links(bench, {row.key: row})) == [
        f": the links tree has a row for inode {plain.file_id}, which is no link"
    ]


def test_a_directory_that_is_elsewhere(bench: Bench) -> None:
    directory = entry(bench, b"d")
    row = LinkRow(
        link_key(directory.file_id),
        Entry(b"", directory.file_id, int(FileType.DIRECTORY)),
        ((directory.file_id, b"d"),),
    )
    assert problems(bench, with_links(bench, {row.key: row})) == [
        f": the links tree does not say where directory {directory.file_id} is"
    ]
