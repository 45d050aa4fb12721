"""Replacing stretches of a long chunk list, in one pass a height.

Promises: the result is what a `FileWriter` makes of the same rows, and only nodes around the stretches are
read and written: O(log n) each. From height 1 up: the stretches of a height replace rows by byte offsets of
the old file; the nodes that they make replace the old nodes over the same offsets in the height above.
Cutting goes on until a new cut falls on the end of an old node, behind which nothing can differ.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pfs.errors import CorruptObject
from pfs.objects.file_node import ChunkRow, FileChild, FileLayout, FileNode, append_row, append_rows
from pfs.objects.prolly import Builder, cut_and_write


class Piece(NamedTuple):
    """Rows in place of bytes [start, end) of the old file; both must be chunk boundaries."""

    start: int
    end: int
    rows: Sequence[Any]


class NodeSource(Protocol):
    """Gives decoded nodes."""

    def node(self, node_id: bytes, /) -> FileNode:
        """The decoded node of that id."""


def splice_tree(
    source: NodeSource, layout: FileLayout, content: bytes, pieces: Sequence[Piece]
) -> tuple[bytes, int]:
    """(content, height) with the pieces, sorted and apart, put in; more than 1,000 rows before and after."""
    top = source.node(content)
    for height in range(1, top.height):
        pieces = _Pass(source, layout, top, height, pieces).run()
    rows: list[Any] = []
    position = 0
    for piece in pieces:
        _copy(top, 0, position, piece.start, rows)
        rows += piece.rows
        position = piece.end
    _copy(top, 0, position, top.size, rows)
    if len(rows) == 1:
        return _lowest_root(source, rows[0])
    builder = Builder(layout, top.height)
    builder.extend(rows)
    built = builder.finish()
    assert built is not None  # there are rows
    child: FileChild = built[1]
    return child.id, built[0]


def _lowest_root(source: NodeSource, child: FileChild) -> tuple[bytes, int]:
    node = source.node(child.id)
    while len(node.children) == 1:
        child = node.children[0]
        node = source.node(child.id)
    return child.id, node.height


class _Pass:
    """The splices of one height; `run` gives those of the height above."""

    def __init__(
        self, source: NodeSource, layout: FileLayout, top: FileNode, height: int, pieces: Sequence[Piece]
    ) -> None:
        self._layout = layout
        self._height = height
        self._cursor = _Cursor(source, top, height)
        self._pieces = pieces
        self._next = 0

    def run(self) -> list[Piece]:
        above = []
        while self._next < len(self._pieces):
            start = self._pieces[self._next].start
            # A run may go on across the end of a node: look at the row before the stretch, too.
            self._cursor.seek(max(start - 1, 0) if self._height == 1 else start)
            above.append(self._region())
        return above

    def _region(self) -> Piece:
        """From the start of the cursor's node to the first end of an old node that is also a new one."""
        cursor = self._cursor
        region_start = position = cursor.start
        rows: list[Any] = []
        parents: list[Any] = []
        while True:
            position, at_old_row = self._take(position, rows)
            if self._height == 1 and not at_old_row and position < cursor.size:
                # The last row may grow by the row behind the stretch: no cut before that is known.
                cursor.seek(position)
                continue
            if position > cursor.end:
                cursor.seek(position - 1)
                continue
            more, rows = cut_and_write(self._layout, self._height, rows, final=position == cursor.size)
            parents += more
            if not rows:
                return Piece(region_start, position, parents)
            cursor.seek(position)

    def _take(self, position: int, rows: list[Any]) -> tuple[int, bool]:
        """Append what the cursor's node and its pieces hold from `position` on.

        Returns the old offset reached (at or past the node's end), and whether an old row came last.
        """
        cursor = self._cursor
        at_old_row = False
        while self._next < len(self._pieces):
            piece = self._pieces[self._next]
            # A stretch that starts at the node's end belongs to it at height 1 (its rows may join a run).
            if piece.start > cursor.end or (piece.start == cursor.end and self._height > 1):
                break
            _copy(cursor.node, cursor.start, position, piece.start, rows)
            if self._height == 1:
                append_rows(rows, piece.rows)
            else:
                rows += piece.rows
            position = piece.end
            self._next += 1
        if position < cursor.end:
            _copy(cursor.node, cursor.start, position, cursor.end, rows)
            position = cursor.end
            at_old_row = True
        return position, at_old_row


def _copy(node: FileNode, node_start: int, start: int, end: int, rows: list[Any]) -> None:
    """Append the node's rows over [start, end), offsets of the file; a run is split at chunk boundaries."""
    if start >= end:
        return
    start, end = start - node_start, end - node_start
    first, last = bisect_right(node.ends, start), bisect_left(node.ends, end)
    if node.height > 1:
        rows += node.children[first : last + 1]
        return
    for index in (first,) if first == last else (first, last):
        if index == last and first != last:
            rows += node.rows[first + 1 : last]
        row = node.rows[index]
        row_end = node.ends[index]
        row_start = row_end - row.size
        append_row(rows, part_of_run(row, row_start, max(start, row_start), min(end, row_end)))


def part_of_run(row: ChunkRow, row_start: int, start: int, end: int) -> ChunkRow:
    """The part [start, end) of a run; ValueError if they are not chunk boundaries."""
    if (start - row_start) % row.length or (end - row_start) % row.length:
        raise ValueError(f"offsets {start} and {end} are not both chunk boundaries")
    return ChunkRow(row.chunk, row.length, (end - start) // row.length)


def rows_below(source: NodeSource, content: bytes, offset: int) -> int:
    """How many rows start before this offset, which may be the file's size."""
    count = 0
    node = source.node(content)
    while node.height > 1:
        index = bisect_left(node.ends, offset)
        count += sum([child.rows for child in node.children[:index]])
        if index == len(node.children):
            return count
        offset -= node.ends[index - 1] if index else 0
        node = source.node(node.children[index].id)
    # Row i starts where row i - 1 ends: rows that start before are the ends before, and the first.
    return count + (min(bisect_left(node.ends, offset) + 1, len(node.ends)) if offset > 0 else 0)


class _Cursor:
    """Walks the nodes of one height forward by offset, reading only what it passes."""

    def __init__(self, source: NodeSource, top: FileNode, height: int) -> None:
        self.size = top.size
        self._source = source
        self._height = height
        # The top until the first `seek`.
        self.node, self.start = top, 0
        # (inner node, its start), from the top down.
        self._path = [(top, 0)]

    @property
    def end(self) -> int:
        """Offset behind the node."""
        return self.start + self.node.size

    def seek(self, offset: int) -> None:
        """Move to the node that holds this offset, which must not lie before the present node's start."""
        while offset >= self._path[-1][1] + self._path[-1][0].size:
            self._path.pop()
        node, start = self._path[-1]
        while node.height > self._height:
            index = bisect_right(node.ends, offset - start)
            start += node.ends[index - 1] if index else 0
            child = self._source.node(node.children[index].id)
            if child.height != node.height - 1 or child.size != node.children[index].size:
                raise CorruptObject(node.children[index].id, "file", "not what the node above it says")
            node = child
            if node.height > self._height:
                self._path.append((node, start))
        self.node, self.start = node, start
