"""Changing a tree: many rows at once, in one pass a level.

Promises: the result is what `build` makes of the same rows, and only nodes whose rows changed, or
that a moved cut touches, are written: O(edits × log n). Level by level from the leaves: the changes of
a level are keyed rows, the nodes they make are the keyed changes of the level above. Where an edit adds or
removes no key, no cut moves and the node is simply written again; else cutting goes on from the start of
the node until a new cut falls on the end of an old node, behind which nothing can differ.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeAlias

from pfs.errors import CorruptObject
from pfs.objects.prolly import Builder, cut_and_write
from pfs.objects.tree_node import Child, Node, Row, TreeLayout

# Sorted by key; None takes the row away.
Changes: TypeAlias = Sequence[tuple[bytes, Any]]


class NodeSource(Protocol[Row]):
    """Gives decoded nodes."""

    def node(self, node_id: bytes, /) -> Node[Row]:
        """The decoded node of that id."""


def apply_changes(source: NodeSource[Row], layout: TreeLayout[Row], root: bytes, changes: Changes) -> bytes:
    """The root of the tree with these changes; `root` must not be empty."""
    top = source.node(root)
    for level in range(top.level):
        changes = _change_level(layout, _Cursor(source, top, level), changes)
    _, rows = _merge(top, changes)
    if rows is None:
        return root
    if not rows:
        return b""
    if top.level and len(rows) == 1:
        return _lowest_root(source, rows[0].id)
    builder = Builder(layout, top.level)
    builder.extend(rows)
    built = builder.finish()
    assert built is not None  # there are rows
    child: Child = built[1]
    return child.id


def _lowest_root(source: NodeSource[Row], node_id: bytes) -> bytes:
    """Below nodes with a single child: the root is the lowest node that holds everything."""
    while len((node := source.node(node_id)).children) == 1:
        node_id = node.children[0].id
    return node_id


def _change_level(layout: TreeLayout[Row], cursor: _Cursor[Row], changes: Changes) -> Changes:
    """Apply the changes to one level; the changes of the level above."""
    level = cursor.level
    above: dict[bytes, Child | None] = {}
    keys = [key for key, _ in changes]
    done = 0
    while done < len(keys):
        cursor.seek(keys[done])
        end = len(keys) if cursor.is_last else bisect_right(keys, cursor.node.keys[-1], done)
        same_keys, rows = _merge(cursor.node, changes[done:end])
        done = end
        if rows is None:
            continue
        if same_keys:
            above[cursor.node.keys[-1]] = layout.write(level, rows)
            continue
        while True:
            above[cursor.node.keys[-1]] = None
            parents, rest = cut_and_write(layout, level, rows, final=cursor.is_last)
            above.update((parent.last_key, parent) for parent in parents)
            if not rest:
                break
            cursor.next()
            end = len(keys) if cursor.is_last else bisect_right(keys, cursor.node.keys[-1], done)
            _, changed = _merge(cursor.node, changes[done:end])
            rows = [*rest, *(_rows_of(cursor.node) if changed is None else changed)]
            done = end
    return sorted(above.items())


def _rows_of(node: Node[Row]) -> Sequence[Any]:
    return node.children if node.level else node.rows


def _merge(node: Node[Row], changes: Changes) -> tuple[bool, list[Any] | None]:
    """(whether the keys stay, the rows with the changes, or None if none of them changes anything)."""
    rows: dict[bytes, Any] = dict(zip(node.keys, _rows_of(node), strict=True))
    same_keys, changed = True, False
    for key, row in changes:
        old = rows.get(key)
        if row == old:
            continue
        changed = True
        if row is None:
            del rows[key]
        else:
            rows[key] = row
        same_keys = same_keys and row is not None and old is not None
    if not changed:
        return True, None
    return same_keys, list(rows.values()) if same_keys else [rows[key] for key in sorted(rows)]


class _Cursor(Generic[Row]):
    """Walks the nodes of one level forward, reading only what it passes."""

    def __init__(self, source: NodeSource[Row], root: Node[Row], level: int) -> None:
        self.level = level
        # The root until the first `seek`.
        self.node = root
        self._source = source
        self._root = root
        # (inner node, index of the child that the path takes), from the root down.
        self._path: list[tuple[Node[Row], int]] = []

    @property
    def is_last(self) -> bool:
        """Whether no node of this level follows."""
        return all(index == len(node.children) - 1 for node, index in self._path)

    def seek(self, key: bytes) -> None:
        """Move forward to the node that holds the key, or would: the last one, if it is behind all."""
        if self.node.level == self.level and key <= self.node.keys[-1]:
            return
        start = self._root
        while self._path:
            start, _ = self._path.pop()
            if key <= start.keys[-1]:
                break
        self._descend(start, key)

    def next(self) -> None:
        """Move to the next node; there must be one."""
        node, index = self._path.pop()
        while index + 1 == len(node.children):
            node, index = self._path.pop()
        self._path.append((node, index + 1))
        self._descend(self._child(node, index + 1), b"")

    def _descend(self, node: Node[Row], key: bytes) -> None:
        while node.level > self.level:
            index = min(bisect_left(node.keys, key), len(node.keys) - 1)
            self._path.append((node, index))
            node = self._child(node, index)
        self.node = node

    def _child(self, node: Node[Row], index: int) -> Node[Row]:
        child = self._source.node(node.children[index].id)
        if child.level != node.level - 1:
            raise CorruptObject(node.children[index].id, "tree", "a node of another level")
        return child
