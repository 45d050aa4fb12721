"""The chunk list of a file: rows, nodes, their format and cut.

A file of one chunk needs no node: its content is the chunk's id and its height 0. Else a FILE object
(msgpack): height 1 is `[1, [[chunk id, length, repeat], …]]`, up to 1,000 rows in one node, whatever they
are; a longer list is cut into nodes by a hash of the chunk id, about 128 rows each, and stands below inner
nodes `[height, [[child id, size in bytes, rows below], …]]`, cut by the child's id, until one holds it all.
A run of equal chunks is one row, never two: a hole is one row however long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Annotated, Any, NamedTuple

import msgspec

from pfs.objects.codec import Decoder, Id, Positive, corrupt, encode
from pfs.objects.ids import Kind
from pfs.objects.ports import ObjectWriter
from pfs.objects.prolly import CutRule, cut_rule

LIST_ROWS_MAX = 1000
RULE = cut_rule(128)

# What a decoded row takes beyond its encoded bytes (struct, id, integers, place in two tuples), measured.
ROW_OVERHEAD_BYTES = 150
NODE_OVERHEAD_BYTES = 300


class FileContent(NamedTuple):
    """What an entry says about a file's bytes: content, detail and size."""

    content: bytes
    height: int
    size: int


EMPTY = FileContent(b"", 0, 0)


class ChunkRow(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A run of `repeat` equal chunks of `length` bytes each."""

    chunk: Annotated[bytes, Id]
    length: Annotated[int, Positive]
    repeat: Annotated[int, Positive] = 1

    @property
    def size(self) -> int:
        """Bytes of the file that the run covers."""
        return self.length * self.repeat


class FileChild(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A row of an inner node."""

    id: Annotated[bytes, Id]
    size: Annotated[int, Positive]
    rows: Annotated[int, Positive]


class FileNode:
    """A decoded node, never mutated; `ends`: the offsets behind each row or child, from its start."""

    __slots__ = ("children", "ends", "height", "rows", "size_bytes")

    def __init__(
        self,
        height: int,
        rows: tuple[ChunkRow, ...],
        children: tuple[FileChild, ...],
        payload_bytes: int,
    ) -> None:
        self.height = height
        self.rows = rows
        self.children = children
        if height == 1:
            self.ends = (*accumulate([row.length * row.repeat for row in rows]),)
        else:
            self.ends = (*accumulate([child.size for child in children]),)
        self.size_bytes = NODE_OVERHEAD_BYTES + payload_bytes + ROW_OVERHEAD_BYTES * len(self.ends)

    @property
    def size(self) -> int:
        """Bytes of the file below this node."""
        return self.ends[-1]

    @property
    def row_count(self) -> int:
        """Rows of the file below this node."""
        return len(self.rows) if self.height == 1 else sum([child.rows for child in self.children])


_LIST = Decoder(tuple[int, tuple[ChunkRow, ...]], Kind.FILE)
_INNER = Decoder(tuple[Annotated[int, msgspec.Meta(ge=2)], tuple[FileChild, ...]], Kind.FILE)


def decode_node(payload: bytes) -> FileNode:
    """The node; CorruptObject if it is malformed."""
    rows: tuple[ChunkRow, ...] = ()
    children: tuple[FileChild, ...] = ()
    # Byte 0 is the header of the outer array, byte 1 the height.
    if payload[1:2] == b"\1":
        height, rows = _LIST.decode(payload)
    else:
        height, children = _INNER.decode(payload)
    if not rows and not children:
        raise corrupt(Kind.FILE, payload, "no rows")
    return FileNode(height, rows, children, len(payload))


class FileLayout:
    """How the levels of a long list are cut and written (`prolly.Layout`); a level is a height."""

    def __init__(
        self, writer: ObjectWriter, written: Callable[[bytes, FileNode], None] | None = None
    ) -> None:
        self._writer = writer
        self._written = written

    def rule(self, _level: int) -> CutRule:
        """About 128 rows at every height."""
        return RULE

    def seeds(self, level: int, rows: Sequence[Any]) -> list[int]:
        """The first 32 bits (little endian) of each id: it is a hash already."""
        ids = [row.chunk for row in rows] if level == 1 else [row.id for row in rows]
        return [int.from_bytes(row_id[:4], "little") for row_id in ids]

    def write(self, level: int, rows: list[Any]) -> FileChild:
        """Store a node; its row for the height above."""
        payload = encode((level, rows))
        node_id = self._writer.put(Kind.FILE, payload)
        below = tuple(rows)
        node = FileNode(level, below if level == 1 else (), () if level == 1 else below, len(payload))
        if self._written is not None:
            self._written(node_id, node)
        return FileChild(node_id, node.size, node.row_count)


def append_row(rows: list[ChunkRow], row: ChunkRow) -> None:
    """Append a row, as a longer run where it repeats the last one."""
    if rows and rows[-1].chunk == row.chunk:
        row = ChunkRow(row.chunk, row.length, rows.pop().repeat + row.repeat)
    rows.append(row)


def append_rows(rows: list[ChunkRow], more: Iterable[ChunkRow]) -> None:
    """Append rows that may repeat each other."""
    for row in more:
        append_row(rows, row)
