"""What differs between two trees.

Promises: reads only nodes that one of the trees has and the other has not. Both sides are expanded level by
level in step; a node that both have (same id, hence same keys) is a fixed point that splits what lies
around it into smaller pairs of stretches, so rows come in key order while the rest is still unread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pfs.objects.tree_edit import NodeSource
from pfs.objects.tree_node import Row


def diff_roots(source: NodeSource[Row], a: bytes, b: bytes) -> Iterator[tuple[bytes, Row | None, Row | None]]:
    """(key, row in a, row in b) of every key whose rows differ, in key order."""
    if a == b:
        return
    nodes_a = [source.node(a)] if a else []
    nodes_b = [source.node(b)] if b else []
    level_a = nodes_a[0].level if nodes_a else 0
    level_b = nodes_b[0].level if nodes_b else 0
    yield from _descend(source, [a] if a else [], level_a, [b] if b else [], level_b)


def _descend(
    source: NodeSource[Row], a: Sequence[bytes], level_a: int, b: Sequence[bytes], level_b: int
) -> Iterator[tuple[bytes, Row | None, Row | None]]:
    """The differences of two stretches of nodes that have none in common."""
    if not level_a and not level_b:
        yield from _compare(_rows(source, a), _rows(source, b))
        return
    step_a, step_b = level_a >= level_b, level_b >= level_a
    below_a = [child.id for node in a for child in source.node(node).children] if step_a else a
    below_b = [child.id for node in b for child in source.node(node).children] if step_b else b
    for part_a, part_b in _split(below_a, below_b):
        yield from _descend(source, part_a, level_a - step_a, part_b, level_b - step_b)


def _split(a: Sequence[bytes], b: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], Sequence[bytes]]]:
    """The stretches between the nodes that both have; keys are unique in a tree, so ids are, too."""
    place = {node_id: index for index, node_id in enumerate(b)}
    start_a = start_b = 0
    for index_a, node_id in enumerate(a):
        index_b = place.get(node_id)
        if index_b is None:
            continue
        if start_a < index_a or start_b < index_b:
            yield a[start_a:index_a], b[start_b:index_b]
        start_a, start_b = index_a + 1, index_b + 1
    if start_a < len(a) or start_b < len(b):
        yield a[start_a:], b[start_b:]


def _rows(source: NodeSource[Row], leaves: Sequence[bytes]) -> Iterator[tuple[bytes, Row]]:
    for leaf in leaves:
        node = source.node(leaf)
        yield from zip(node.keys, node.rows, strict=True)


def _compare(
    a: Iterator[tuple[bytes, Row]], b: Iterator[tuple[bytes, Row]]
) -> Iterator[tuple[bytes, Row | None, Row | None]]:
    head_a, head_b = next(a, None), next(b, None)
    while head_a is not None and head_b is not None:
        if head_a[0] == head_b[0]:
            if head_a[1] != head_b[1]:
                yield head_a[0], head_a[1], head_b[1]
            head_a, head_b = next(a, None), next(b, None)
        elif head_a[0] < head_b[0]:
            yield head_a[0], head_a[1], None
            head_a = next(a, None)
        else:
            yield head_b[0], None, head_b[1]
            head_b = next(b, None)
    while head_a is not None:
        yield head_a[0], head_a[1], None
        head_a = next(a, None)
    while head_b is not None:
        yield head_b[0], None, head_b[1]
        head_b = next(b, None)
