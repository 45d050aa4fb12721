"""Where a sequence of rows is cut into nodes, and nodes above nodes (a prolly tree).

The cut after a row depends on a hash of that row's key and on its position in the node alone, so the
same rows give the same nodes whatever the order of the changes that led to them, and a change moves only
cuts near it. Trees and files share this; what a row and a node are is theirs (`Layout`).
Part of the format: every constant here; changing one changes every id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

# One odd multiplier a level, unrelated ones, so that a key that cuts below says nothing about above.
# The primes of xxHash32, then multipliers of MurmurHash3 and lowbias32. Above the last they start over.
_MULTIPLIERS = (
    0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1,
    0xCC9E2D51, 0x1B873593, 0x7FEB352D, 0x846CA68B,
)  # fmt: skip
_MASK = 0xFFFFFFFF

# Rows that `Builder` gathers before it cuts, so that it need not look at the rest of a node twice.
_BATCH_ROWS = 1024


class CutRule(NamedTuple):
    """Bounds (numbers of rows) and thresholds (of a 32-bit hash) of a node."""

    rows_min: int
    rows_dense: int
    rows_max: int
    sparse: int
    dense: int


def cut_rule(k: int) -> CutRule:
    """The rule for nodes of about `k` rows.

    No cut before k/4 rows; few (1 in 4k) before 0.9k; many (4 in k) after; one at 3k at the latest.
    """
    return CutRule(k // 4, -(-9 * k // 10), 3 * k, 2**32 // (4 * k), 4 * 2**32 // k)


def cut(seeds: Sequence[int], level: int, rule: CutRule) -> list[int]:
    """Ends (exclusive) of the nodes that rows with these 32-bit seeds form, starting at a node's start.

    What lies behind the last end is not decided without more rows.
    """
    rows_min, rows_dense, rows_max, sparse, dense = rule
    multiplier = _MULTIPLIERS[level % len(_MULTIPLIERS)]
    ends: list[int] = []
    start = 0
    total = len(seeds)
    while start + rows_min <= total:
        end = 0
        first = start + rows_min - 1
        for index, seed in enumerate(seeds[first : start + rows_max - 1], first):
            mixed = (seed * multiplier ^ seed >> 15) & _MASK
            if mixed < dense and (mixed < sparse or index - start + 1 >= rows_dense):
                end = index + 1
                break
        else:
            if start + rows_max > total:
                break
            end = start + rows_max
        ends.append(end)
        start = end
    return ends


class Layout(Protocol):
    """What the rows and nodes of one kind of tree are, level by level."""

    def rule(self, level: int, /) -> CutRule:
        """The cut rule of that level."""

    def seeds(self, level: int, rows: Sequence[Any], /) -> list[int]:
        """32 bits of each row's key."""

    def write(self, level: int, rows: list[Any], /) -> Any:
        """Store a node; the row that stands for it one level up."""


def cut_and_write(layout: Layout, level: int, rows: list[Any], *, final: bool) -> tuple[list[Any], list[Any]]:
    """(rows of the level above, undecided rest) of these rows; no rest when they are the `final` ones."""
    parents: list[Any] = []
    start = 0
    for end in cut(layout.seeds(level, rows), level, layout.rule(level)):
        parents.append(layout.write(level, rows[start:end]))
        start = end
    rest = rows[start:]
    if final and rest:
        parents.append(layout.write(level, rest))
        rest = []
    return parents, rest


class Builder:
    """Makes a tree from the rows of its lowest level, or of any level; holds a few nodes per level."""

    def __init__(self, layout: Layout, level: int) -> None:
        self._layout = layout
        self._level = level
        self._pending: list[list[Any]] = [[]]

    def extend(self, rows: Iterable[Any]) -> None:
        """Append rows in order."""
        iterator = iter(rows)
        while batch := list(islice(iterator, _BATCH_ROWS)):
            self._add(0, batch, _BATCH_ROWS)

    def finish(self) -> tuple[int, Any] | None:
        """(level of the root, the row that would stand for it one level up); None without rows."""
        depth = 0
        while True:
            parents, _ = cut_and_write(self._layout, self._level + depth, self._pending[depth], final=True)
            depth += 1
            if parents:
                self._add(depth, parents, len(parents))
            if depth == len(self._pending):
                return None
            alone = depth + 1 == len(self._pending) and len(self._pending[depth]) == 1
            if alone:
                return self._level + depth - 1, self._pending[depth][0]

    def _add(self, depth: int, rows: list[Any], batch: int) -> None:
        if depth == len(self._pending):
            self._pending.append([])
        pending = self._pending[depth]
        pending.extend(rows)
        level = self._level + depth
        if len(pending) >= max(batch, self._layout.rule(level).rows_max):
            parents, self._pending[depth] = cut_and_write(self._layout, level, pending, final=False)
            if parents:
                self._add(depth + 1, parents, 1)
