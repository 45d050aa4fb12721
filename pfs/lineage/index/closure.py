"""What versions came from, and what came from them, through any number of activities.

Upstream, an activity counts up to the watermark of what it wrote, or told others; downstream, from the
position of what it used on.  Where a version has a focus, its writer's other inputs count at the level
`rest`.  What an interactive program had learned reaches those whom it informed as `ambient`.  Edges weaker
than `level_max` are not followed, only counted.

Two ways to one answer: in Python over any `Source`, and in C over the blocks of an index (native/closure.h),
which takes what is live on top of it where the answer is large.
"""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from pfs import _native
from pfs.lineage.facts import Level, Source
from pfs.lineage.index.both import Both
from pfs.lineage.index.database import Index
from pfs.lineage.index.graph import Graph, lacking
from pfs.lineage.index.walk import Closure, Downstream, Edge, Question, Upstream, Walk
from pfs.lineage.index.writer import GraphWriter

_NO_DEPTH: Final = (1 << 32) - 1
_EDGE: Final = struct.Struct("=I4xQQII")
# Blocks given to C at a time, once an answer turns out to be large.
_BLOCKS_MAX: Final = 64
# Steps in Python before it is asked whether C would be cheaper.  A step takes about as long as putting one
# live fact on top of the index.
_STEPS_MIN: Final = 200


def upstream(
    source: Source,
    roots: Sequence[int],
    *,
    level_max: int = Level.UNOBSERVED,
    depth: int | None = None,
    edges: bool = True,
) -> Closure:
    """What versions came from.  `depth` counts from version to version, None: no limit."""
    return _closure(source, roots, Question(False, level_max, depth, edges))


def downstream(
    source: Source,
    roots: Sequence[int],
    *,
    level_max: int = Level.UNOBSERVED,
    depth: int | None = None,
    edges: bool = True,
) -> Closure:
    """What came from versions.  Who used something and led to nothing is left out."""
    return _closure(source, roots, Question(True, level_max, depth, edges))


def _closure(source: Source, roots: Sequence[int], question: Question) -> Closure:
    if isinstance(source, Index):
        return _in_c(source, roots, question, None)
    if not isinstance(source, Both) or not isinstance(source.index, Index):
        found = _in_python(source, roots, question, None)
    else:
        found = _in_python(source, roots, question, _STEPS_MIN)
        live = source.live_facts() if found is None else 0
        if found is None and live > _STEPS_MIN:
            found = _in_python(source, roots, question, live)
        if found is None:
            return _in_c(source.index, roots, question, source.put_live)
    assert found is not None
    return found


def _in_python(
    source: Source, roots: Sequence[int], question: Question, steps_max: int | None
) -> Closure | None:
    walk: Walk = (Downstream if question.down else Upstream)(source, roots, question)
    return walk.run(steps_max)


# In C


def _in_c(
    index: Index, roots: Sequence[int], question: Question, more: Callable[[GraphWriter], None] | None
) -> Closure:
    with index.graph(more) as graph:
        numbers = {root: graph.find(b"v", root) for root in roots}
        found = _native.closure(
            _Blocks(graph).fetch,
            array("I", filter(None, numbers.values())),
            question.down,
            question.level_max,
            _NO_DEPTH if question.depth is None else question.depth,
            question.edges,
        )
    versions, depths, activities = array("Q"), array("I"), array("Q", found[2])
    unknown = [root for root, number in numbers.items() if not number]
    versions.extend(unknown)
    depths.extend([0] * len(unknown))
    versions.frombytes(found[0])
    depths.frombytes(found[1])
    edges = list(map(Edge._make, _EDGE.iter_unpack(found[3])))
    left_out = {level: count for level, count in enumerate(found[4]) if count}
    return Closure(versions, depths, activities, edges, left_out)


class _Blocks:
    """Hands blocks to C: one at a time, then more and more that lie together."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._handed: tuple[set[int], ...] = (set(), set(), set())

    def fetch(self, kind: int, block: int) -> tuple[int, list[bytes]]:
        """(number of the first, blocks): this block, and some on both sides that were not handed out."""
        handed = self._handed[kind]
        wing = min(_BLOCKS_MAX, len(handed) // 4) // 2
        found: deque[bytes] = deque()
        for number in range(block, block + wing + 1):
            data = None if number in handed else self._graph.raw(kind, number)
            if data is None:
                break
            found.append(data)
        if not found:
            raise lacking(kind, block)
        end = block + len(found)
        for number in range(block - 1, block - 1 - wing, -1):
            data = None if number < 0 or number in handed else self._graph.raw(kind, number)
            if data is None:
                break
            found.appendleft(data)
        handed.update(range(end - len(found), end))
        return end - len(found), list(found)
