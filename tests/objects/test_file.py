"""Chunk lists against a plain list of chunks."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import CorruptObject
from pfs.objects.codec import encode
from pfs.objects.file import (
    EMPTY,
    ChunkRow,
    FileContent,
    FileReader,
    FileWriter,
    Piece,
    replace,
    splice,
)
from pfs.objects.ids import Kind, object_id
from tests.objects.fakes import MemoryObjects, WarmObjects

CACHE_BYTES = 64 << 20
ZERO_CHUNK = object_id(Kind.CHUNK, bytes(98304))
GIB = 1 << 30


def chunk(number: int, repeat: int = 1) -> ChunkRow:
    return ChunkRow(object_id(Kind.CHUNK, b"%d" % number), 32768 + number % 7 * 1000, repeat)


def zeros(size: int) -> list[ChunkRow]:
    """A hole as the cutter makes it: whole chunks of zeros, then what is left."""
    repeat, rest = divmod(size, 98304)
    rows = [ChunkRow(ZERO_CHUNK, 98304, repeat)] if repeat else []
    return [*rows, ChunkRow(object_id(Kind.CHUNK, bytes(rest)), rest)] if rest else rows


def single_chunks(rows: Iterable[ChunkRow]) -> list[ChunkRow]:
    return [ChunkRow(row.chunk, row.length) for row in rows for _ in range(row.repeat)]


def runs(rows: Iterable[ChunkRow]) -> list[ChunkRow]:
    joined: list[ChunkRow] = []
    for row in rows:
        if joined and joined[-1].chunk == row.chunk:
            row = ChunkRow(row.chunk, row.length, row.repeat + joined.pop().repeat)
        joined.append(row)
    return joined


def starts(rows: Sequence[ChunkRow]) -> list[int]:
    return [0, *accumulate(row.size for row in rows)]


def write(objects: MemoryObjects, rows: Iterable[ChunkRow]) -> FileContent:
    writer = FileWriter(objects)
    writer.extend(rows)
    return writer.finish()


def random_rows(rng: random.Random, count: int, space: int) -> list[ChunkRow]:
    return [chunk(rng.randrange(space), rng.choice([1, 1, 1, 2, 5])) for _ in range(count)]


class File:
    """A file and the list of single chunks that it should equal."""

    def __init__(self, rows: Iterable[ChunkRow], objects: MemoryObjects | None = None) -> None:
        self.objects = objects or MemoryObjects()
        self.reader = FileReader(self.objects, CACHE_BYTES)
        self.chunks = single_chunks(rows)
        self.content = write(self.objects, self.chunks)
        self.objects.forget_calls()

    def splice(self, ranges: Sequence[tuple[int, int, list[ChunkRow]]]) -> None:
        """Replace ranges of chunks, given by index."""
        offsets = starts(self.chunks)
        pieces = [Piece(offsets[start], offsets[end], rows) for start, end, rows in ranges]
        self.content = splice(self.reader, self.objects, self.content, pieces)
        for start, end, rows in reversed(ranges):
            self.chunks[start:end] = single_chunks(rows)

    def cold(self) -> FileReader:
        self.objects.forget_calls()
        return FileReader(self.objects, CACHE_BYTES)


def splices(
    rng: random.Random, chunks: Sequence[ChunkRow], space: int
) -> list[tuple[int, int, list[ChunkRow]]]:
    """Up to five ranges; new rows often continue the run before or behind them."""
    count = rng.choice([1, 1, 2, 5])
    edges = sorted(rng.randrange(len(chunks) + 1) for _ in range(2 * count))
    if count == 1:
        edges[1] = rng.choice([edges[1], len(chunks), min(edges[0] + 2, len(chunks))])
        edges[0] = rng.choice([edges[0], edges[0], 0])
    ranges = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        rows = random_rows(rng, rng.choice([0, 1, 3, 2000]), space)
        if start and rng.random() < 0.4:
            rows.insert(0, chunks[start - 1])
        if end < len(chunks) and rng.random() < 0.4:
            rows.append(chunks[end])
        ranges.append((start, end, rows))
    return ranges


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.sampled_from([0, 1, 5, 600, 1001, 3000, 12_000]),
    st.sampled_from([2, 3, 100, 100_000]),
    st.integers(1, 5),
)
def test_splicing_gives_what_writing_gives(seed: int, count: int, space: int, steps: int) -> None:
    rng = random.Random(seed)
    file = File(random_rows(rng, count, space))
    for _ in range(steps):
        file.splice(splices(rng, file.chunks, space))
        content = file.content
        assert content == write(file.objects, file.chunks)
        rows = runs(file.chunks)
        offsets = starts(rows)
        assert content.size == offsets[-1]
        assert list(file.reader.rows(*content)) == list(zip(offsets, rows, strict=False))
        assert file.reader.row_count(content.content, content.height) == len(rows)
        if content.height:
            assert file.reader.size(content.content, content.height) == content.size
        if rows:
            index = rng.randrange(len(rows))
            offset = rng.randrange(offsets[index], offsets[index + 1])
            assert file.reader.locate(*content, offset) == (offsets[index], rows[index])
            tail = list(zip(offsets, rows, strict=False))[index:]
            assert list(file.reader.rows(*content, offset)) == tail


def test_small_files_need_no_node() -> None:
    objects = MemoryObjects()
    reader = FileReader(objects, CACHE_BYTES)
    assert write(objects, []) == EMPTY == (b"", 0, 0)
    one = chunk(5)
    content = write(objects, [one])
    assert content == (one.chunk, 0, one.length)
    assert objects.writes == []
    assert list(reader.rows(*content, 3)) == [(0, one)]
    assert reader.locate(*content, one.length - 1) == (0, one)
    assert reader.row_count(*content[:2]) == 1
    assert not list(reader.nodes(*content[:2]))
    stored = objects.put(Kind.CHUNK, b"12345")
    assert reader.size(stored, 0) == 5
    assert not list(reader.rows(*EMPTY))
    assert reader.size(b"", 0) == reader.row_count(b"", 0) == 0
    assert write(objects, [one, one]).height == 1


def test_outside_the_file() -> None:
    file = File([chunk(1), chunk(2)])
    for offset in (-1, file.content.size):
        assert not list(file.reader.rows(*file.content, offset))
        with pytest.raises(ValueError, match="outside"):
            file.reader.locate(*file.content, offset)
        with pytest.raises(ValueError, match="outside"):
            file.reader.locate_cached(*file.content, offset)


@pytest.mark.parametrize(("count", "height", "nodes"), [(1000, 1, 1), (1001, 2, None)])
def test_up_to_a_thousand_rows_are_one_list(count: int, height: int, nodes: int | None) -> None:
    file = File(chunk(number) for number in range(count))
    assert file.content.height == height
    if nodes:
        assert len(list(file.reader.nodes(*file.content[:2]))) == nodes
    # Across the limit and back.
    grown = File(chunk(number) for number in range(count - 10))
    grown.splice([(count - 10, count - 10, [chunk(number) for number in range(count - 10, count)])])
    assert grown.content == file.content
    grown.splice([(0, 500, [])])
    assert grown.content == write(file.objects, grown.chunks)
    assert grown.content.height == 1


def test_a_hole_is_one_row_and_everything_on_it_is_constant() -> None:
    objects = MemoryObjects()
    hole = zeros(20 * GIB // 98304 * 98304)
    content = write(objects, hole)
    assert (content.height, content.size) == (1, hole[0].size)
    assert len(objects.writes) == 1
    reader = FileReader(objects, CACHE_BYTES)
    assert list(reader.rows(*content, 7 * GIB)) == [(0, hole[0])]
    assert reader.locate(*content, content.size - 1) == (0, hole[0])

    # A write into the middle splits the run; overwritten with zeros it is whole again.
    middle = 1000 * 98304
    written = replace(reader, objects, content, middle, middle + 2 * 98304, [chunk(1), chunk(2)])
    rows = [row for _, row in reader.rows(*written)]
    assert rows == [
        ChunkRow(ZERO_CHUNK, 98304, 1000),
        chunk(1),
        chunk(2),
        ChunkRow(ZERO_CHUNK, 98304, hole[0].repeat - 1002),
    ]
    stretch = chunk(1).length + chunk(2).length
    back = replace(reader, objects, written, middle, middle + stretch, [ChunkRow(ZERO_CHUNK, 98304, 2)])
    assert back == content
    assert len(objects.writes) == 2
    shorter = replace(reader, objects, content, 98304 * 5, content.size, [])
    assert [row for _, row in reader.rows(*shorter)] == [ChunkRow(ZERO_CHUNK, 98304, 5)]
    assert replace(reader, objects, content, 0, content.size, []) == EMPTY


def test_cutting_a_run_between_chunk_boundaries_is_refused() -> None:
    objects = MemoryObjects()
    reader = FileReader(objects, CACHE_BYTES)
    small = write(objects, [chunk(0, repeat=4), chunk(1)])
    large = write(objects, [row for number in range(3000) for row in (chunk(0, repeat=4), chunk(number))])
    for content in (small, large):
        with pytest.raises(ValueError, match="boundaries"):
            replace(reader, objects, content, 100, 32768, [])
        with pytest.raises(ValueError, match="boundaries"):
            replace(reader, objects, content, 0, 32768 + 5, [chunk(9)])
        with pytest.raises(ValueError, match="outside"):
            replace(reader, objects, content, 0, content.size + 1, [])
        with pytest.raises(ValueError, match="overlap"):
            splice(reader, objects, content, [Piece(0, 65536, []), Piece(32768, 65536, [])])


def test_a_run_that_reaches_over_the_end_of_a_node_stays_one_row() -> None:
    rng = random.Random(8)
    file = File(chunk(number) for number in range(20_000))
    ends = []
    position = 0
    for node_id in file.reader.nodes(*file.content[:2]):
        if rows := file.reader.list_rows(node_id):
            position += len(rows)
            ends.append(position)
    for end in rng.sample(ends[1:-1], 20):
        copy = File(file.chunks)
        # The new last row of one node repeats the first row of the next, and the other way round.
        copy.splice([(end - 1, end, [copy.chunks[end]])])
        assert copy.content == write(copy.objects, copy.chunks)
        copy = File(file.chunks)
        copy.splice([(end, end + 1, [copy.chunks[end - 1]])])
        assert copy.content == write(copy.objects, copy.chunks)


def hundred_gib(objects: MemoryObjects) -> FileContent:
    """A file of 100 GiB, of 64 KiB chunks whose ids stand for nothing."""
    rng = random.Random(1)

    def rows() -> Iterator[ChunkRow]:
        for _ in range(100 * GIB // 65536):
            yield ChunkRow(rng.randbytes(32), 65536)

    return write(objects, rows())


@pytest.fixture(scope="module")
def huge() -> tuple[MemoryObjects, FileContent]:
    objects = MemoryObjects()
    return objects, hundred_gib(objects)


def test_a_change_in_100_gib_writes_one_node_a_height(huge: tuple[MemoryObjects, FileContent]) -> None:
    objects, content = huge
    assert content.size == 100 * GIB
    assert content.height == 3
    rng = random.Random(2)
    written, read = [], []
    for _ in range(100):
        index = rng.randrange(1, 100 * GIB // 65536 - 3)
        start, end = index * 65536, (index + 2) * 65536
        objects.forget_calls()
        reader = FileReader(objects, CACHE_BYTES)
        rows = [ChunkRow(rng.randbytes(32), 70_000), ChunkRow(rng.randbytes(32), 61_072)]
        changed = replace(reader, objects, content, start, end, rows)
        written.append(len(objects.writes))
        read.append(len(objects.reads))
        assert changed.size == content.size
        assert reader.locate(*changed, start + 70_000) == (start + 70_000, rows[1])
    # Where no cut moves, one node a height: nine in ten.
    assert min(written) == min(read) == 3
    assert sum(written) / len(written) < 4
    assert max(written) <= 16
    assert sum(read) / len(read) < 4
    assert set(objects.writes) <= set(reader.nodes(*changed[:2]))


def test_appending_truncating_and_looking_in_100_gib(huge: tuple[MemoryObjects, FileContent]) -> None:
    objects, content = huge
    reader = FileReader(objects, CACHE_BYTES)
    objects.forget_calls()
    assert reader.locate(*content, 77 * GIB + 5)[0] == 77 * GIB
    assert len(objects.reads) == content.height
    objects.forget_calls()
    longer = replace(reader, objects, content, content.size, content.size, [chunk(1)])
    assert len(objects.writes) <= 8
    objects.forget_calls()
    assert replace(reader, objects, longer, content.size, longer.size, []) == content
    assert objects.writes == []
    half = replace(reader, objects, content, 50 * GIB, content.size, [])
    assert len(objects.writes) <= 8
    assert half.size == 50 * GIB
    objects.forget_calls()
    few = replace(reader, objects, content, 30 * 65536, content.size, [])
    assert (few.height, few.size) == (1, 30 * 65536)
    assert len(objects.writes) == 1
    # All but a stretch becomes a hole: nothing in between is read.
    objects.forget_calls()
    reader = FileReader(objects, CACHE_BYTES)
    replace(reader, objects, content, 1 * GIB, 99 * GIB, zeros(98 * GIB))
    assert len(objects.reads) + len(objects.writes) < 40


def test_many_pieces_share_their_nodes(huge: tuple[MemoryObjects, FileContent]) -> None:
    objects, content = huge
    rng = random.Random(4)
    reader = FileReader(objects, CACHE_BYTES)
    base = 1 << 20  # within one gibibyte
    indexes = sorted(rng.sample(range(base, base + 16_384), 500))
    pieces = [Piece(i * 65536, (i + 1) * 65536, [ChunkRow(rng.randbytes(32), 65536)]) for i in indexes]
    objects.forget_calls()
    at_once = splice(reader, objects, content, pieces)
    written = len(objects.writes)
    assert written < 16_384 / 128 * 1.6
    one_by_one = content
    for piece in pieces[::-1]:
        one_by_one = replace(reader, objects, one_by_one, *piece)
    assert one_by_one == at_once


def test_nodes_skips_what_is_known(huge: tuple[MemoryObjects, FileContent]) -> None:
    objects, content = huge
    reader = FileReader(objects, CACHE_BYTES)
    known = set(reader.nodes(*content[:2]))
    changed = replace(reader, objects, content, 5 * GIB, 5 * GIB + 65536, [chunk(3)])
    new = list(reader.nodes(*changed[:2], known.__contains__))
    assert len(new) == len(set(new)) <= 12
    assert not known & set(new)


def test_locate_cached_does_no_reading() -> None:
    objects = WarmObjects()
    file = File([chunk(number) for number in range(5000)], objects)
    offset = starts(file.chunks)[1234] + 5
    reader = file.cold()
    assert reader.locate_cached(*file.content, offset) is not reader.locate(*file.content, offset)
    reader = file.cold()
    assert not isinstance(reader.locate_cached(*file.content, offset), tuple)
    assert objects.reads == []
    found = reader.locate(*file.content, offset)
    assert found == (offset - 5, file.chunks[1234])
    assert reader.locate_cached(*file.content, offset) == found
    objects.warm.update(reader.nodes(*file.content[:2]))
    reader = file.cold()
    assert reader.locate_cached(*file.content, offset) == found
    assert objects.reads == []
    assert reader.locate_cached(chunk(1).chunk, 0, 5, 3) == (0, ChunkRow(chunk(1).chunk, 5))


def test_a_writer_streams() -> None:
    objects = MemoryObjects()
    writer = FileWriter(objects)
    for number in range(10_000):
        writer.append(chunk(number))
    assert len(objects.writes) > 50
    assert writer.finish() == write(MemoryObjects(), [chunk(number) for number in range(10_000)])


ROW = [b"i" * 32, 100, 1]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        encode([0, [ROW]]),
        encode([1, []]),
        encode([2, []]),
        encode([1, [[b"i" * 31, 100, 1]]]),
        encode([1, [[b"i" * 32, 0, 1]]]),
        encode([1, [[b"i" * 32, 100, 0]]]),
        encode([1, [[*ROW, 4]]]),
        encode([1, [ROW], 3]),
        encode([1, [ROW]]) + b"x",
        encode([2, [[b"i" * 32, -5, 1]]]),
        encode([2, [[b"i" * 32, 5, 0]]]),
        encode([-1, [ROW]]),
    ],
)
def test_a_malformed_node_is_a_corrupt_object(payload: bytes) -> None:
    objects = MemoryObjects()
    content = objects.put(Kind.FILE, payload)
    with pytest.raises(CorruptObject) as caught:
        FileReader(objects, CACHE_BYTES).locate(content, 1, 100, 0)
    assert caught.value.object_id == content


@given(st.data())
def test_no_damage_escapes_as_another_error(data: st.DataObject) -> None:
    file = File(chunk(number) for number in range(20))
    payload = bytearray(file.objects.payloads[Kind.FILE, file.content.content])
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = file.objects.put(Kind.FILE, bytes(payload))
    with contextlib.suppress(CorruptObject):
        list(file.reader.rows(damaged, 1, file.content.size))


def test_a_node_that_contradicts_its_parent_is_found() -> None:
    file = File(chunk(number) for number in range(3000))
    child = file.reader.node(file.content.content).children[0]
    for wrong in ([child.id, child.size + 1, child.rows], [file.content.content, file.content.size, 3000]):
        root = file.objects.put(Kind.FILE, encode([2, [wrong, [chunk(1).chunk, 5, 1000]]]))
        with pytest.raises(CorruptObject, match="above"):
            replace(file.reader, file.objects, (root, 2, wrong[1] + 5), 0, 32768, [chunk(7)])


def test_a_file_shorter_than_its_entry_says_is_found() -> None:
    for count in (10, 3000):
        file = File(chunk(number) for number in range(count))
        content, height, size = file.content
        for call in (file.reader.locate, file.reader.locate_cached):
            with pytest.raises(CorruptObject, match="shorter"):
                call(content, height, size + 10, size + 5)
        with pytest.raises(CorruptObject):
            list(file.reader.rows(content, height, size + 10, size + 5))
    with pytest.raises(CorruptObject, match="does not have"):
        replace(file.reader, file.objects, (content, height, size + 10), 0, 32768, [])
