"""Nodes of a tree: their format, decoded form and cut.

Format (TREE object, msgpack): a leaf is `[0, [row, …]]`, rows in ascending order of their keys, each once;
an inner node is `[level, [[last key, child id, rows below, subdirectories below], …]]`, level 1 and up.
A level is cut by crc32 of the row's key (inner: of the last key), about 32 rows a leaf, 64 above. The
root is the lowest node that holds everything; an empty tree has no node and the id b"".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter, lt
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar
from zlib import crc32

import msgspec

from pfs.objects.codec import Decoder, Id, NotNegative, Positive, corrupt, encode
from pfs.objects.ids import Kind
from pfs.objects.ports import ObjectWriter
from pfs.objects.prolly import CutRule, cut_rule

LEAF_RULE = cut_rule(32)
INNER_RULE = cut_rule(64)

# What decoded rows take beyond their encoded bytes, measured with tracemalloc on rows of ordinary files.
ROW_OVERHEAD_BYTES = 440
CHILD_OVERHEAD_BYTES = 140
NODE_OVERHEAD_BYTES = 300


class TreeRow(Protocol):
    """A row that a tree can hold: Entry or LinkRow."""

    KEY_FIELD: ClassVar[str]

    @staticmethod
    def count_directories(rows: Sequence[Any], /) -> int:
        """How many of these rows are directories."""


Row = TypeVar("Row", bound=TreeRow)


class Child(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A row of an inner node."""

    last_key: bytes
    id: Annotated[bytes, Id]
    entries: Annotated[int, Positive]
    subdirectories: Annotated[int, NotNegative]


class Node(Generic[Row]):
    """A decoded node: `rows` in a leaf (level 0), `children` above; `keys` of either. Never mutated.

    Tuples, because the garbage collector soon stops visiting those, but never lists.
    """

    __slots__ = ("_counts", "children", "keys", "level", "rows", "size_bytes")

    def __init__(
        self,
        level: int,
        keys: tuple[bytes, ...],
        rows: tuple[Row, ...],
        children: tuple[Child, ...],
        payload_bytes: int,
    ) -> None:
        self.level = level
        self.keys = keys
        self.rows = rows
        self.children = children
        overhead = CHILD_OVERHEAD_BYTES if level else ROW_OVERHEAD_BYTES
        self.size_bytes = NODE_OVERHEAD_BYTES + payload_bytes + overhead * len(keys)
        self._counts: tuple[int, int] | None = None

    def counts(self) -> tuple[int, int]:
        """(entries, subdirectories) below this node."""
        if self._counts is None:
            if self.level:
                self._counts = (
                    sum([child.entries for child in self.children]),
                    sum([child.subdirectories for child in self.children]),
                )
            else:
                self._counts = len(self.rows), self.rows[0].count_directories(self.rows)
        return self._counts


_INNER = Decoder(tuple[Annotated[int, Positive], tuple[Child, ...]], Kind.TREE)
_LAST_KEYS: Callable[[Child], bytes] = attrgetter("last_key")


class NodeDecoder(Generic[Row]):
    """Payloads to nodes of one type of row."""

    def __init__(self, row_type: type[Row]) -> None:
        self._leaf: Decoder[tuple[int, tuple[Row, ...]]] = Decoder(
            tuple[Annotated[int, msgspec.Meta(ge=0, le=0)], tuple[row_type, ...]],  # type: ignore[valid-type]
            Kind.TREE,
        )
        self._key: Callable[[Row], bytes] = attrgetter(row_type.KEY_FIELD)

    def decode(self, payload: bytes) -> Node[Row]:
        """The node; CorruptObject if it is malformed."""
        rows: tuple[Row, ...] = ()
        children: tuple[Child, ...] = ()
        # Byte 0 is the header of the outer array, byte 1 the level.
        if payload[1:2] == b"\0":
            level, rows = self._leaf.decode(payload)
            keys = (*map(self._key, rows),)
        else:
            level, children = _INNER.decode(payload)
            keys = (*map(_LAST_KEYS, children),)
        if not keys or not keys[0] or not all(map(lt, keys, islice(keys, 1, None))):
            raise corrupt(Kind.TREE, payload, "keys are missing or not in order")
        return Node(level, keys, rows, children, len(payload))


class TreeLayout(Generic[Row]):
    """How the levels of a tree are cut and written (`prolly.Layout`)."""

    def __init__(
        self,
        writer: ObjectWriter,
        key: Callable[[Row], bytes],
        written: Callable[[bytes, Node[Row]], None] | None = None,
    ) -> None:
        self._writer = writer
        self._keys: tuple[Callable[[Any], bytes], Callable[[Any], bytes]] = (key, _LAST_KEYS)
        self._written = written

    def rule(self, level: int) -> CutRule:
        """About 32 rows in a leaf, 64 above."""
        return INNER_RULE if level else LEAF_RULE

    def seeds(self, level: int, rows: Sequence[Any]) -> list[int]:
        """crc32 of each key."""
        return [*map(crc32, map(self._keys[level > 0], rows))]

    def write(self, level: int, rows: list[Any]) -> Child:
        """Store a node; its row for the level above."""
        payload = encode((level, rows))
        node_id = self._writer.put(Kind.TREE, payload)
        node: Node[Row] = Node(
            level,
            (*map(self._keys[level > 0], rows),),
            () if level else tuple(rows),
            tuple(rows) if level else (),
            len(payload),
        )
        if self._written is not None:
            self._written(node_id, node)
        entries, subdirectories = node.counts()
        return Child(node.keys[-1], node_id, entries, subdirectories)
