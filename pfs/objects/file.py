"""The bytes of a file as chunks: where an offset lies, appending, replacing a stretch.

Promises: one sequence of chunks has one content id, however it came about; finding an offset and replacing a
stretch cost O(log n) nodes; a hole is one row whatever its length. Offsets are bytes from the file's start.
A `FileReader` is shared by threads; `locate_cached` does no I/O and is for the event loop. The nodes'
format is in file_node.py, how a stretch is replaced in file_splice.py.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from pfs.errors import CorruptObject
from pfs.objects.cache import NodeCache
from pfs.objects.file_node import (
    EMPTY,
    LIST_ROWS_MAX,
    ChunkRow,
    FileChild,
    FileContent,
    FileLayout,
    FileNode,
    append_row,
    decode_node,
)
from pfs.objects.file_splice import Piece, part_of_run, rows_below, splice_tree
from pfs.objects.ids import Kind
from pfs.objects.ports import NOT_CACHED, NotCached, ObjectReader, ObjectWriter, cached_get
from pfs.objects.prolly import Builder

__all__ = [
    "EMPTY",
    "ChunkRow",
    "FileContent",
    "FileReader",
    "FileWriter",
    "Piece",
    "replace",
    "splice",
]


class FileReader:
    """Reads chunk lists; keeps decoded nodes, at most `cache_bytes` of memory."""

    def __init__(self, reader: ObjectReader, cache_bytes: int) -> None:
        self._reader = reader
        self._reader_cached = cached_get(reader)
        self._cache: NodeCache[FileNode] = NodeCache(cache_bytes)

    def node(self, node_id: bytes) -> FileNode:
        """The decoded node; MissingObject or CorruptObject if there is none."""
        node = self._cache.get(node_id)
        if node is None:
            node = decode_node(self._reader.get(Kind.FILE, node_id))
            self._cache.put(node_id, node)
        return node

    def remember(self, node_id: bytes, node: FileNode) -> None:
        """Keep a node that was just written: it will be read soon."""
        self._cache.put(node_id, node)

    def rows(self, content: bytes, height: int, size: int, offset: int = 0) -> Iterator[tuple[int, ChunkRow]]:
        """(start, row) from the row that covers `offset` to the end; nothing at or past the end."""
        if not 0 <= offset < size:
            return
        if not height:
            yield 0, ChunkRow(content, size)
            return
        start = 0
        path: list[tuple[FileNode, int]] = []
        node = self.node(content)
        while True:
            while node.height > 1:
                index = _index(content, node, offset - start)
                path.append((node, index + 1))
                start += node.ends[index - 1] if index else 0
                node = self.node(node.children[index].id)
            index = _index(content, node, offset - start)
            for end, row in zip(node.ends[index:], node.rows[index:], strict=True):
                yield start + end - row.length * row.repeat, row
            start += node.size
            offset = start
            while path and path[-1][1] == len(path[-1][0].children):
                path.pop()
            if not path:
                return
            parent, index = path.pop()
            path.append((parent, index + 1))
            node = self.node(parent.children[index].id)

    def locate(self, content: bytes, height: int, size: int, offset: int) -> tuple[int, ChunkRow]:
        """(start, row) of the row that covers `offset`; ValueError outside the file."""
        found = self._locate(content, height, size, offset, self.node)
        assert found is not None  # `node` never gives None
        return found

    def locate_cached(
        self, content: bytes, height: int, size: int, offset: int
    ) -> tuple[int, ChunkRow] | NotCached:
        """As `locate`, or NOT_CACHED if only I/O could tell."""
        found = self._locate(content, height, size, offset, self._node_cached)
        return NOT_CACHED if found is None else found

    def size(self, content: bytes, height: int) -> int:
        """The size that the objects themselves say, to check an entry by."""
        if height:
            return self.node(content).size
        return len(self._reader.get(Kind.CHUNK, content)) if content else 0

    def row_count(self, content: bytes, height: int) -> int:
        """How many rows the list has."""
        if height:
            return self.node(content).row_count
        return 1 if content else 0

    def nodes(
        self, content: bytes, height: int, skip: Callable[[bytes], bool] | None = None
    ) -> Iterator[bytes]:
        """The id of every node, parents first; not those that `skip` says yes to, nor what is below."""
        if not height or (skip is not None and skip(content)):
            return
        yield content
        if height > 1:
            for child in self.node(content).children:
                yield from self.nodes(child.id, height - 1, skip)

    def list_rows(self, node_id: bytes) -> Sequence[ChunkRow]:
        """The rows of a node of height 1; nothing for a higher one."""
        return self.node(node_id).rows

    def _locate(
        self,
        content: bytes,
        height: int,
        size: int,
        offset: int,
        get_node: Callable[[bytes], FileNode | None],
    ) -> tuple[int, ChunkRow] | None:
        if not 0 <= offset < size:
            raise ValueError(f"offset {offset} is outside a file of {size} bytes")
        if not height:
            return 0, ChunkRow(content, size)
        start = 0
        while True:
            node = get_node(content)
            if node is None:
                return None
            index = _index(content, node, offset - start)
            start += node.ends[index - 1] if index else 0
            if node.height == 1:
                return start, node.rows[index]
            content = node.children[index].id

    def _node_cached(self, node_id: bytes) -> FileNode | None:
        node = self._cache.get(node_id)
        if node is None:
            payload = self._reader_cached(Kind.FILE, node_id)
            if payload is not None:
                node = decode_node(payload)
                self._cache.put(node_id, node)
        return node


class FileWriter:
    """Makes a chunk list from rows in order; holds about a thousand of them. Owned by whoever fills it."""

    def __init__(
        self, writer: ObjectWriter, written: Callable[[bytes, FileNode], None] | None = None
    ) -> None:
        self._layout = FileLayout(writer, written)
        self._rows: list[ChunkRow] = []
        self._builder: Builder | None = None
        self._size = 0

    def append(self, row: ChunkRow) -> None:
        """Append a run of chunks."""
        self.extend((row,))

    def extend(self, rows: Iterable[ChunkRow]) -> None:
        """Append runs of chunks; equal neighbours become one run."""
        for row in rows:
            append_row(self._rows, row)
            self._size += row.length * row.repeat
            # The last row may still grow, so it is never handed on.
            if len(self._rows) > LIST_ROWS_MAX + 1:
                self._hand_on(self._rows[:-1])
                del self._rows[:-1]

    def finish(self) -> FileContent:
        """Content, height and size of the file; the writer is used up."""
        rows = self._rows
        if self._builder is None and len(rows) <= LIST_ROWS_MAX:
            if not rows:
                return EMPTY
            if len(rows) == 1 and rows[0].repeat == 1:
                return FileContent(rows[0].chunk, 0, self._size)
            return FileContent(self._layout.write(1, rows).id, 1, self._size)
        builder = self._hand_on(rows)
        built = builder.finish()
        assert built is not None  # there are rows
        height, child = built
        root: FileChild = child
        return FileContent(root.id, height, self._size)

    def _hand_on(self, rows: list[ChunkRow]) -> Builder:
        if self._builder is None:
            self._builder = Builder(self._layout, 1)
        self._builder.extend(rows)
        return self._builder


def splice(
    reader: FileReader, writer: ObjectWriter, old: tuple[bytes, int, int], pieces: Sequence[Piece]
) -> FileContent:
    """The file `old` (content, height, size) with rows in place of stretches, sorted and apart.

    A stretch starts and ends at chunk boundaries (ValueError else) and may be empty: rows are then put in.
    The same as writing the whole list anew, at the cost of O(log n) nodes a piece. What `writer` has taken
    must be readable through `reader`.
    """
    content, height, size = old
    last = 0
    for piece in pieces:
        if not last <= piece.start <= piece.end <= size:
            raise ValueError(f"pieces overlap or lie outside a file of {size} bytes")
        last = piece.end
    if not pieces:
        return FileContent(*old)
    if height and reader.node(content).size != size:
        raise CorruptObject(content, "file", f"it does not have {size} bytes")
    if height < 2 or _rows_least(reader, content, pieces) <= LIST_ROWS_MAX:
        # Few rows are left, so writing them all is O(1).
        file_writer = FileWriter(writer, reader.remember)
        file_writer.extend(_patched(reader, old, pieces))
        return file_writer.finish()
    layout = FileLayout(writer, reader.remember)
    content, height = splice_tree(reader, layout, content, pieces)
    change = sum(sum(row.size for row in piece.rows) - (piece.end - piece.start) for piece in pieces)
    return FileContent(content, height, size + change)


def replace(
    reader: FileReader,
    writer: ObjectWriter,
    old: tuple[bytes, int, int],
    start: int,
    end: int,
    rows: Sequence[ChunkRow],
) -> FileContent:
    """The file `old` with `rows` in place of its bytes [start, end): `splice` with one piece."""
    return splice(reader, writer, old, [Piece(start, end, rows)])


def _index(content: bytes, node: FileNode, offset: int) -> int:
    """The row or child of a node that covers this offset from its start."""
    index = bisect_right(node.ends, offset)
    if index == len(node.ends):
        raise CorruptObject(content, "file", "it is shorter than what names it says")
    return index


def _rows_least(reader: FileReader, content: bytes, pieces: Sequence[Piece]) -> int:
    """How many rows the spliced list has at least: runs may join at both ends of each piece."""
    least = reader.node(content).row_count
    for piece in pieces:
        least += sum(1 for a, b in pairwise(piece.rows) if a.chunk != b.chunk) + bool(piece.rows) - 2
        least += rows_below(reader, content, piece.start) - rows_below(reader, content, piece.end)
    return least


def _patched(reader: FileReader, old: tuple[bytes, int, int], pieces: Sequence[Piece]) -> Iterator[ChunkRow]:
    """The rows of the spliced list, neighbours not joined."""
    content, height, size = old
    position = 0
    for start, end, rows in [*pieces, Piece(size, size, ())]:
        for row_start, row in reader.rows(content, height, size, position):
            if max(row_start, position) >= start:
                break
            yield part_of_run(row, row_start, max(position, row_start), min(start, row_start + row.size))
        yield from rows
        position = end
