"""Bytes of files: faults in the middle of a change, descriptors, and what no name leads to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.errors import StoreError
from pfs.overlay import attributes, files, sync, working
from pfs.overlay.attributes import Change
from pfs.overlay.content import Layer, layers
from tests.overlay.bench import Bench, OverlayFaults


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "faulty", OverlayFaults())
    yield made
    made.close()


def arm(bench: Bench, skipped: int, letter: str = "E") -> None:
    assert isinstance(bench.disk, OverlayFaults)
    bench.disk.arm(skipped, letter)


def disarm(bench: Bench) -> None:
    assert isinstance(bench.disk, OverlayFaults)
    bench.disk.disarm()


def test_what_a_failed_write_left_past_the_end_never_shows(faults: Bench) -> None:
    node = faults.create("f", b"x" * 1000)
    arm(faults, 0, "S")
    with pytest.raises(OSError, match="No space"):
        files.write(faults.tree, node, 1000, b"y" * 1000)
    disarm(faults)
    assert faults.read(node) == b"x" * 1000
    files.truncate(faults.tree, node, 2000)
    assert faults.read(node) == b"x" * 1000 + bytes(1000)
    faults.restart()
    assert faults.read(faults.walk("f")) == b"x" * 1000 + bytes(1000)


def test_a_write_across_the_old_end_whose_record_fails(faults: Bench) -> None:
    node = faults.create("f", b"x" * 1000)
    node.lookups += 1
    faults.commit()
    faults.write(node, 0, b"a")  # the layer is there
    arm(faults, 1)
    with pytest.raises(OSError, match="No space"):
        files.write(faults.tree, node, 500, b"y" * 1000)
    disarm(faults)
    assert faults.read(node) == b"a" + b"x" * 999
    files.truncate(faults.tree, node, 1200)
    assert faults.read(node) == b"a" + b"x" * 999 + bytes(200)
    faults.restart()
    assert faults.read(faults.walk("f")) == b"a" + b"x" * 999 + bytes(200)


@pytest.mark.parametrize("skipped", range(4))
def test_a_truncation_that_fails_changes_nothing(faults: Bench, skipped: int) -> None:
    node = faults.create("f", b"x" * 1000)
    node.lookups += 1
    faults.commit()
    faults.write(node, 500, b"yy")
    tree = faults.tree
    while tree.journal.size_bytes < tree.journal._filled - 60:  # as full as it gets
        tree.journal.append(*("", b"z" * 10))
    arm(faults, skipped)
    before = faults.read(node)
    try:
        files.truncate(tree, node, 300)
    except OSError:
        assert faults.read(node) == (before[:300] if tree.broken else before)
        assert bool(tree.broken) == (skipped == 2)
    else:
        assert faults.read(node) == before[:300]


def test_a_file_without_a_name_is_not_journaled(bench: Bench) -> None:
    node = bench.create("f", b"x" * 100)
    bench.tree.open(node)
    bench.remove("f")
    before = bench.tree.journal.sequence
    bench.write(node, 50, b"y" * 100)
    files.truncate(bench.tree, node, 120)
    attributes.set_attributes(bench.tree, node, Change(mode=0o600))
    attributes.set_xattr(bench.tree, node, b"user.x", b"1")
    assert bench.tree.journal.sequence == before
    bench.commit()
    bench.write(node, 0, b"z")
    assert bench.read(node) == b"z" + b"x" * 49 + b"y" * 70
    bench.restart()  # a record about it would have nothing to stand on
    assert not bench.exists("f")


def test_a_file_without_a_name_gets_no_layer_a_commit(bench: Bench) -> None:
    node = bench.create("f", b"x" * 100)
    bench.tree.open(node)
    bench.remove("f")
    for number in range(5):
        bench.create(f"g{number}")
        bench.commit()
        bench.write(node, number, b"y")
    assert node.state is not None
    assert len(layers(node.state.content)) <= 2
    assert bench.read(node) == b"y" * 5 + b"x" * 95
    bench.tree.close(node)
    bench.sync()
    assert bench.working_names() == set()


def test_layers_do_not_pile_up_in_memory(bench: Bench) -> None:
    """A file that is written to during every commit keeps the layers of one."""
    node = bench.create("f", b"x" * 100)
    for number in range(10):
        bench.tree.freeze()
        bench.write(node, number, b"y")
        sealed, frozen = bench.build()
        bench.record(sealed, frozen)
        for _ in bench.absorb(sealed, frozen):
            pass
    assert node.state is not None
    content, depth = node.state.content, 0
    while isinstance(content, Layer):
        content, depth = content.below, depth + 1
    assert depth == 1
    assert bench.read(node) == b"y" * 10 + b"x" * 90


def test_descriptors_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "DESCRIPTORS_MAX", 4)
    nodes = [bench.create(f"f{number}", b"%d" % number) for number in range(20)]
    for number, node in enumerate(nodes):
        bench.write(node, 10, b"x")
        assert bench.read(node, 0, 10).rstrip(b"\0") == b"%d" % number
    assert len(bench.tree.working._fds) == 4


def test_a_failed_sync_is_not_tried_again(faults: Bench) -> None:
    tree = faults.tree
    node = faults.create("f", b"x" * 100)
    todo = sync.plan(tree, sync.pending(tree, node))
    arm(faults, 0)
    sync.run(faults.disk, todo)
    disarm(faults)
    sync.finish(tree, todo)
    assert node.file_id in tree.failed
    assert sync.pending(tree, node) == []
    with pytest.raises(OSError, match="EIO"):
        files.write(tree, node, 0, b"y")
    files.truncate(tree, node, 0)  # rewritten
    files.write(tree, node, 0, b"z")
    assert sync.pending(tree, node) == [node]


def test_a_mark_that_cannot_be_written_leaves_the_file_unsynced(faults: Bench) -> None:
    tree = faults.tree
    node = faults.create("f", b"x" * 100)
    todo = sync.plan(tree, sync.pending(tree, node))
    sync.run(faults.disk, todo)
    arm(faults, 0)
    with pytest.raises(OSError, match="No space"):
        sync.finish(tree, todo)
    disarm(faults)
    assert sync.pending(tree, node) == [node]


def test_a_gap_in_the_journal_of_this_boot_is_damage(bench: Bench) -> None:
    for number in range(3):
        bench.create(f"f{number}")
        bench.tree.freeze()
    bench.close()
    (bench.tree.journal.directory / f"{2:016x}").unlink()
    with pytest.raises(StoreError, match="are lost"):
        bench._open()
    bench.branches = type(bench.branches)(
        bench.readers, bench.disk, bench.path, bench.repositories, b"another boot it's", bench.clock
    )
    tree = bench.branches.open(bench.repo, bench.branch)
    assert [listed.name for listed in tree.listing(tree.root).names(0)] == [b"f0"]
    bench.tree = tree
