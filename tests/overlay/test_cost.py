"""What operations do to the disk, as exact lists, and how much a commit writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pfs.disk import RecordingDisk
from pfs.objects.entry import FileType
from pfs.overlay import files, names
from pfs.overlay.node import State
from tests.overlay.bench import Bench


def lines(disk: RecordingDisk, start: int) -> list[str]:
    """The log from `start` on: what was done, and in which part of the store."""
    parts = ("journal", "working", "packs", "refs.lmdb", "objects.lmdb")
    return [
        f"{operation.name} {next(part for part in parts if part in operation.path.parts)}"
        for operation in disk.log[start:]
    ]


def test_a_write_is_one_write(bench: Bench, disk: RecordingDisk) -> None:
    node = bench.create("f", b"x")
    start = len(disk.log)
    bench.write(node, 1, b"y" * 4096)
    assert lines(disk, start) == ["pwrite working"]
    assert disk.log[-1].length == 4096


def test_a_write_into_committed_bytes_is_journaled_once(bench: Bench, disk: RecordingDisk) -> None:
    node = bench.create("f", b"x" * 100_000)
    node.lookups += 1
    bench.commit()
    start = len(disk.log)
    bench.write(node, 8192, b"y" * 4096)
    first = ["pwrite journal", "create working", "truncate working", "pwrite journal"]
    assert lines(disk, start) == [*first, "pwrite working", "pwrite journal"]
    start = len(disk.log)
    bench.write(node, 40_960, b"y" * 4096)
    assert lines(disk, start) == ["pwrite working", "pwrite journal"]
    start = len(disk.log)
    bench.write(node, 40_960, b"z" * 4096)
    assert lines(disk, start) == ["pwrite working"]


def test_names_are_one_record_each(bench: Bench, disk: RecordingDisk) -> None:
    start = len(disk.log)
    bench.create("a")
    assert lines(disk, start) == ["pwrite journal"]
    for change in (
        lambda: bench.mkdir("d"),
        lambda: bench.rename("a", "d/b"),
        lambda: bench.link("d/b", "c"),
        lambda: bench.remove("c"),
    ):
        start = len(disk.log)
        change()
        assert lines(disk, start) == ["pwrite journal"]


def test_overwriting_a_page_of_a_huge_file_copies_nothing(bench: Bench, disk: RecordingDisk) -> None:
    node = bench.create("huge")
    node.lookups += 1
    files.truncate(bench.tree, node, 1 << 40)
    bench.commit()
    start = len(disk.log)
    bench.write(node, 1 << 39, b"p" * 4096)
    written = sum(operation.length for operation in disk.log[start:] if operation.name == "pwrite")
    assert written < 4096 + 200
    before = bench.store.statistics().objects
    bench.commit()
    assert bench.store.statistics().objects - before < 15


COMMIT = [
    "create journal",
    "pwrite journal",
    "pwrite packs",
    "fdatasync packs",
    "lmdb refs.lmdb",
    "unlink journal",
    "unlink working",
]


def test_the_first_and_the_second_commit_of_a_change(bench: Bench, disk: RecordingDisk) -> None:
    node = bench.create("f", b"x" * 1000)
    node.lookups += 1
    start = len(disk.log)
    bench.commit()
    assert lines(disk, start) == COMMIT
    bench.write(node, 0, b"y")
    start, before = len(disk.log), bench.store.statistics().objects
    bench.commit()
    assert lines(disk, start) == COMMIT
    # its only chunk, the root, the commit, the record of the refs
    assert bench.store.statistics().objects - before <= 4
    start = len(disk.log)
    assert bench.commit() is None
    assert lines(disk, start) == []


@pytest.mark.slow
def test_a_freeze_does_not_walk(bench: Bench, disk: RecordingDisk) -> None:
    """Sealing a hundred thousand changed files is one new file, and touches none of them."""
    tree = bench.tree
    for number in range(100_000):
        names.create(tree, tree.root, b"%d" % number, FileType.REGULAR, 0o644, 0, 0)
    dirty = tree.generation.dirty

    class Untouched(dict[int, State]):
        def __iter__(self) -> Iterator[int]:
            raise AssertionError("a freeze walked the changed inodes")

    guarded = Untouched()
    tree.generation.dirty, start = guarded, len(disk.log)
    sealed = tree.freeze()
    assert lines(disk, start) == ["create journal", "pwrite journal"]
    sealed.dirty = dirty


@pytest.mark.slow
def test_one_change_in_a_big_tree_writes_a_path_of_nodes(bench: Bench, disk: RecordingDisk) -> None:
    for directory in range(10):
        parent = bench.mkdir(f"d{directory}")
        for number in range(1000):
            names.create(bench.tree, parent, b"%d" % number, FileType.REGULAR, 0o644, 0, 0)
    bench.commit()
    before, size = bench.store.statistics().objects, bench.store.statistics().packs_bytes
    bench.write(bench.walk("d7/500"), 0, b"x")
    bench.commit()
    after = bench.store.statistics()
    assert after.objects - before <= 8
    assert after.packs_bytes - size < 60_000
    before = after.objects
    bench.rename("d7", "d3/moved")
    bench.commit()
    assert bench.store.statistics().objects - before <= 8
