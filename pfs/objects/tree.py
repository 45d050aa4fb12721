"""Trees of rows with a bytes key: look up, list, count, compare, edit, build.

Promises: one set of rows has one root, whatever the order of edits that made it; look-ups, positions
and edits cost O(log n) nodes. A `TreeReader` is shared by threads; its `…_cached` methods do no I/O and are
for the event loop. The nodes' format is in tree_node.py, how an edit works in tree_edit.py. Keys are never
empty.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Generic

from pfs.objects.cache import NodeCache
from pfs.objects.ids import Kind
from pfs.objects.ports import NOT_CACHED, NotCached, ObjectReader, ObjectWriter, cached_get
from pfs.objects.prolly import Builder
from pfs.objects.tree_diff import diff_roots
from pfs.objects.tree_edit import apply_changes
from pfs.objects.tree_node import Node, NodeDecoder, Row, TreeLayout

__all__ = ["NOT_CACHED", "NotCached", "ObjectReader", "ObjectWriter", "TreeReader", "build", "edit"]


class TreeReader(Generic[Row]):
    """Reads trees of one type of row; keeps decoded nodes, at most `cache_bytes` of memory."""

    def __init__(self, reader: ObjectReader, row_type: type[Row], cache_bytes: int) -> None:
        self._reader = reader
        self._reader_cached = cached_get(reader)
        self._decoder = NodeDecoder(row_type)
        self._cache: NodeCache[Node[Row]] = NodeCache(cache_bytes)
        self.row_key: Callable[[Row], bytes] = attrgetter(row_type.KEY_FIELD)

    def node(self, node_id: bytes) -> Node[Row]:
        """The decoded node; MissingObject or CorruptObject if there is none."""
        node = self._cache.get(node_id)
        if node is None:
            node = self._decoder.decode(self._reader.get(Kind.TREE, node_id))
            self._cache.put(node_id, node)
        return node

    def remember(self, node_id: bytes, node: Node[Row]) -> None:
        """Keep a node that was just written: it will be read soon."""
        self._cache.put(node_id, node)

    def get(self, root: bytes, key: bytes) -> Row | None:
        """The row of that key."""
        young = self._cache.young
        while root:
            node = young.get(root) or self.node(root)
            keys = node.keys
            index = bisect_left(keys, key)
            if index == len(keys):
                return None
            if not node.level:
                return node.rows[index] if keys[index] == key else None
            root = node.children[index].id
        return None

    def get_cached(self, root: bytes, key: bytes) -> tuple[bool, Row | None] | NotCached:
        """(whether there is a row of that key, the row), or NOT_CACHED if only I/O could tell."""
        young = self._cache.young
        while root:
            node = young.get(root) or self._node_cached(root)
            if node is None:
                return NOT_CACHED
            keys = node.keys
            index = bisect_left(keys, key)
            if index == len(keys):
                break
            if not node.level:
                return (True, node.rows[index]) if keys[index] == key else (False, None)
            root = node.children[index].id
        return False, None

    def counts(self, root: bytes) -> tuple[int, int]:
        """(entries, subdirectories) of the tree."""
        return self.node(root).counts() if root else (0, 0)

    def counts_cached(self, root: bytes) -> tuple[int, int] | NotCached:
        """As `counts`, or NOT_CACHED if only I/O could tell."""
        if not root:
            return 0, 0
        node = self._node_cached(root)
        return NOT_CACHED if node is None else node.counts()

    def rank(self, root: bytes, key: bytes) -> int:
        """How many rows have a key that is at most this one: the position of the first that is greater."""
        position = 0
        while root:
            node = self.node(root)
            if not node.level:
                return position + bisect_right(node.keys, key)
            index = bisect_left(node.keys, key)
            position += sum([child.entries for child in node.children[:index]])
            if index == len(node.keys):
                break
            root = node.children[index].id
        return position

    def scan(self, root: bytes, after: bytes = b"", *, start: int = 0) -> Iterator[Row]:
        """The rows whose key is greater than `after`, in key order, without the first `start` of them."""
        if not root:
            return
        path, node, index = self._place(root, after, start)
        while True:
            yield from node.rows[index:] if index else node.rows
            while path and not (siblings := path[-1]):
                path.pop()
            if not path:
                return
            node = self.node(siblings.pop())
            index = 0
            while node.level:
                path.append([child.id for child in reversed(node.children)])
                node = self.node(path[-1].pop())

    def diff(self, a: bytes, b: bytes) -> Iterator[tuple[bytes, Row | None, Row | None]]:
        """(key, row in a, row in b) of every key whose rows differ, in key order; skips what both share."""
        return diff_roots(self, a, b)

    def nodes(self, root: bytes, skip: Callable[[bytes], bool] | None = None) -> Iterator[bytes]:
        """The id of every node, parents first; not those that `skip` says yes to, nor what is below."""
        if not root or (skip is not None and skip(root)):
            return
        yield root
        node = self.node(root)
        for child in node.children:
            if node.level > 1:
                yield from self.nodes(child.id, skip)
            elif skip is None or not skip(child.id):
                yield child.id

    def leaf_rows(self, node_id: bytes) -> Sequence[Row]:
        """The rows of a leaf; nothing for an inner node."""
        return self.node(node_id).rows

    def _node_cached(self, node_id: bytes) -> Node[Row] | None:
        node = self._cache.get(node_id)
        if node is None:
            payload = self._reader_cached(Kind.TREE, node_id)
            if payload is not None:
                node = self._decoder.decode(payload)
                self._cache.put(node_id, node)
        return node

    def _place(self, root: bytes, after: bytes, start: int) -> tuple[list[list[bytes]], Node[Row], int]:
        """(per level the ids that follow, last first; a leaf; an index in it) where a scan begins."""
        position = (self.rank(root, after) if after else 0) + start if start else 0
        path: list[list[bytes]] = []
        node = self.node(root)
        while node.level:
            if start:
                index = 0
                while index < len(node.children) - 1 and position >= node.children[index].entries:
                    position -= node.children[index].entries
                    index += 1
            else:
                index = min(bisect_right(node.keys, after), len(node.keys) - 1)
            path.append([child.id for child in reversed(node.children[index + 1 :])])
            node = self.node(node.children[index].id)
        return path, node, position if start else bisect_right(node.keys, after)


def edit(
    reader: TreeReader[Row], writer: ObjectWriter, root: bytes, edits: Mapping[bytes, Row | None]
) -> bytes:
    """The root of the tree with these rows put in place (None: taken out, if there); b"" if none is left.

    What `writer` has taken must be readable through `reader`. The cost is O(edits × log n) nodes.
    """
    changes = sorted(edits.items(), key=_first)
    key = reader.row_key
    if changes and not changes[0][0]:
        raise ValueError("a key is empty")
    if any(row is not None and key(row) != name for name, row in changes):
        raise ValueError("a row stands under another key than its own")
    if not root:
        return build(writer, (row for _, row in changes if row is not None))
    return apply_changes(reader, TreeLayout(writer, key, reader.remember), root, changes)


def build(writer: ObjectWriter, rows: Iterable[Row]) -> bytes:
    """The root of a tree of these rows, which come in ascending order of their keys; b"" for none."""
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return b""
    key: Callable[[Row], bytes] = attrgetter(type(first).KEY_FIELD)
    builder = Builder(TreeLayout(writer, key), 0)
    builder.extend(_ascending(chain([first], iterator), key))
    built = builder.finish()
    assert built is not None  # there is a first row
    root: bytes = built[1].id
    return root


def _ascending(rows: Iterable[Row], key: Callable[[Row], bytes]) -> Iterator[Row]:
    last = b""
    for row in rows:
        row_key = key(row)
        if row_key <= last:
            raise ValueError(f"rows must come in ascending order of their keys: {row_key!r} after {last!r}")
        last = row_key
        yield row


def _first(pair: tuple[bytes, object]) -> bytes:
    return pair[0]
