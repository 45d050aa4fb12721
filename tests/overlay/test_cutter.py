"""Cutting a changed file again gives what cutting it from scratch gives, at the cost of what changed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs import chunker
from pfs.disk import RecordingDisk
from pfs.objects.file import ChunkRow, FileWriter
from pfs.objects.ids import Kind
from pfs.overlay import cutter, files
from pfs.overlay.content import Committed, Layer
from pfs.overlay.cutter import Cutter
from pfs.overlay.node import Node
from tests.overlay.bench import Bench

KIB = 1024


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("cutter") / "store")
    yield made
    made.close()


def from_scratch(bench: Bench, data: bytes) -> Committed:
    writer = FileWriter(bench.store)
    start = 0
    for end in chunker.cut(data):
        writer.append(ChunkRow(bench.store.put(Kind.CHUNK, data[start:end]), end - start))
        start = end
    return Committed(*writer.finish())


def random_bytes(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def old_cuts(data: bytes) -> list[int]:
    return [0, *chunker.cut(data)]


numbers = itertools.count()


def new_file(bench: Bench, data: bytes) -> Node:
    return bench.create(f"f{next(numbers)}", data)


def frozen_top(bench: Bench, node: Node) -> Layer:
    """The file's stack, closed."""
    bench.tree.freeze()
    state = node.state
    assert state is not None
    top = state.content
    assert isinstance(top, Layer)
    top.mtime_ns = 1
    return top


class Interrupted(Exception):
    """The cutter was stopped."""


class Progress:
    """What `CutProgress` does, without a journal; stops the cutter after some stretches."""

    def __init__(self, stop_after: int = 1 << 30) -> None:
        self.ends: list[int] = []
        self._stop_after = stop_after

    def __call__(self, layer: Layer, end: int, cut: Committed) -> None:
        if len(self.ends) == self._stop_after:
            raise Interrupted
        self.ends.append(end)
        layer.cut, layer.cut_end = cut, end


def cut(bench: Bench, top: Layer, progress: Progress | None = None) -> Committed:
    return Cutter(bench.readers, bench.disk, bench.tree.working, progress or Progress()).cut(top)


def committed_file(bench: Bench, data: bytes) -> Node:
    node = new_file(bench, data)
    bench.commit()
    return node


changes = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "truncate", "freeze", "boundary"]),
        st.integers(0, 700 * KIB),
        st.integers(1, 200 * KIB),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(0, 700 * KIB),
    seed=st.integers(0, 3),
    steps=changes,
    stretch=st.sampled_from([64 * KIB, 150 * KIB, 1 << 30]),
    stop_after=st.integers(0, 3),
)
def test_recutting_equals_cutting_from_scratch(
    bench: Bench, size: int, seed: int, steps: list[tuple[str, int, int, int]], stretch: int, stop_after: int
) -> None:
    data = bytes(size) if seed == 3 else random_bytes(seed, size)
    node, model = committed_file(bench, data), bytearray(data)
    for what, offset, length, kind in steps:
        if what == "write":
            part = bytes(length) if kind == 5 else random_bytes(kind, length)
            model.extend(bytes(max(0, offset - len(model))))
            model[offset : offset + length] = part
            bench.write(node, offset, part)
        elif what == "freeze":
            bench.tree.freeze()
        else:
            cuts = old_cuts(bytes(model))
            to = offset if what == "truncate" else cuts[kind % len(cuts)]
            model = model[:to].ljust(to, b"\0")
            files.truncate(bench.tree, node, to)
    if not isinstance(node.state and node.state.content, Layer):
        return
    top, expected = frozen_top(bench, node), from_scratch(bench, bytes(model))
    before, cutter.STRETCH_BYTES = cutter.STRETCH_BYTES, stretch
    try:
        while True:
            try:
                result = cut(bench, top, Progress(stop_after))
            except Interrupted:
                assert bench.read(node) == model
                stop_after += 1  # goes on from where it stopped
            else:
                break
    finally:
        cutter.STRETCH_BYTES = before
    assert result == expected
    assert bench.read(node) == model


@pytest.mark.parametrize("index", range(6))
def test_truncating_to_an_old_cut_point(bench: Bench, index: int) -> None:
    data = random_bytes(7, 500 * KIB)
    to = old_cuts(data)[index]
    node = committed_file(bench, data)
    files.truncate(bench.tree, node, to)
    assert cut(bench, frozen_top(bench, node)) == from_scratch(bench, data[:to])


def test_a_change_whose_cuts_meet_late_goes_on_after_a_stop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal bytes everywhere are cut at MAX_BYTES: shifted by one cut they meet only at multiples."""
    monkeypatch.setattr(cutter, "STRETCH_BYTES", 64 * KIB)
    data = random_bytes(1, 100 * KIB) + b"x" * 2_000_000 + random_bytes(2, 300 * KIB)
    node = committed_file(bench, data)
    new = random_bytes(3, 130 * KIB) + data[130 * KIB :]
    bench.write(node, 0, new[: 130 * KIB])
    top = frozen_top(bench, node)
    for stop_after in range(1, 40):
        try:
            result = cut(bench, top, Progress(stop_after - top.cut_end * 0))
        except Interrupted:
            assert bench.read(node) == new
        else:
            assert result == from_scratch(bench, new)
            return
        if stop_after > 30:
            raise AssertionError("it never came to an end")


def test_a_sparse_file_is_cut_at_the_cost_of_its_bytes(bench: Bench) -> None:
    node = new_file(bench, b"")
    files.truncate(bench.tree, node, 20 << 30)
    bench.write(node, 10 << 30, b"p" * 4096)
    before = bench.store.statistics().objects
    top = frozen_top(bench, node)
    result = cut(bench, top)
    assert result.size == 20 << 30
    assert bench.store.statistics().objects - before < 12
    rows = list(bench.readers.files.rows(result.content, result.height, result.size))
    assert len(rows) < 8
    page = bench.read(node, (10 << 30) - 10, 4116)
    assert page == bytes(10) + b"p" * 4096 + bytes(10)


def test_working_bytes_are_given_back_while_their_chunks_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutter, "STRETCH_BYTES", 1 << 20)
    disk = RecordingDisk()
    bench = Bench(tmp_path / "store", disk)
    node = bench.create("f", random_bytes(1, 8 << 20))
    bench.tree.freeze()
    start = len(disk.log)
    bench.build()
    log = disk.log[start:]
    punched = [operation.length for operation in log if operation.name == "punch"]
    assert len(punched) >= 6
    assert punched == sorted(punched)
    for number, operation in enumerate(log):
        if operation.name != "punch":
            continue
        earlier = [other for other in log[:number] if other.name in ("pwrite", "fdatasync", "append")]
        kinds = [
            f"{other.name} {other.path.parts[-3]}" for other in earlier if "packs" not in other.path.parts
        ]
        assert kinds[-3:] == ["pwrite journal", "fdatasync journal", "fdatasync journal"] or kinds[-2:] == [
            "pwrite journal",
            "fdatasync journal",
        ]
        record = max(
            at for at, other in enumerate(earlier) if other.name == "pwrite" and "journal" in other.path.parts
        )
        packs = [other.name for other in earlier[:record] if "packs" in other.path.parts]
        assert packs[-1] == "fdatasync"
    assert bench.read(node) == random_bytes(1, 8 << 20)
    bench.restart()
    assert bench.read(bench.walk("f")) == random_bytes(1, 8 << 20)
    bench.close()
