"""What a file consists of: committed chunks, and layers of working files over them.

`Committed` is immutable.  A `Layer` is one sparse working file on the local
disk: it holds every byte at or past `low`, and below `low` just its dirty
ranges; whatever else is below `low` shows from `below`.  Only the top layer of
the current generation is written to; a closed layer never changes again.

A closed layer is cut from the front: once [0, cut_end) of what it shows is
durable in chunks, `cut` shows it and the working bytes may be punched out.
`ready` is the whole of it as chunks that may not be durable yet; with the
commit it becomes `done`, which replaces the layer.  `cut` and `done` are set on
the whole stack *before* bytes go away: who finds them unchanged has read the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pfs.overlay.ranges import RangeSet


@dataclass(frozen=True, slots=True)
class Committed:
    """A file at rest: content id, height of its file tree (0: a single chunk), size in bytes."""

    content: bytes
    height: int
    size: int


EMPTY = Committed(b"", 0, 0)


class Layer:
    """One working file of one inode.  Written by the event loop while open, then only by the cutter."""

    __slots__ = (
        "below",
        "closed",
        "cut",
        "cut_end",
        "dirty",
        "discarded",
        "done",
        "generation",
        "holds",
        "low",
        "mtime_ns",
        "number",
        "ready",
        "size",
    )

    def __init__(self, number: int, generation: int, size: int, low: int, below: Committed | Layer) -> None:
        self.number = number
        self.generation = generation
        self.size = size
        self.low = low
        self.dirty = RangeSet()
        self.below = below
        self.closed = False
        self.holds = 0  # versions that lineage still has to store
        self.discarded = False  # nothing but such a version shows it any more
        self.mtime_ns: int | None = None  # None: the working file's own
        self.cut: Committed | None = None
        self.cut_end = 0
        self.ready: Committed | None = None
        self.done: Committed | None = None


Content = Committed | Layer


class Piece(NamedTuple):
    """A stretch [start, end) of a file, and where its bytes are (None: they are zeros)."""

    source: Content | None
    start: int
    end: int


def resolve(content: Content) -> Content:
    """The content itself, or the chunks that have replaced it."""
    if isinstance(content, Layer) and content.done is not None:
        return content.done
    return content


def pieces(content: Content, start: int, end: int) -> list[Piece]:
    """Where the bytes [start, end) are, in order; `end` beyond the size is cut off.

    A piece whose source is a Layer is to be read from that layer's working file.
    """
    out: list[Piece] = []
    _collect(content, start, min(end, content.size), out)
    return out


def _collect(content: Content, start: int, end: int, out: list[Piece]) -> None:
    content = resolve(content)
    if start >= end:
        return
    if isinstance(content, Committed):
        inside = min(end, content.size)
        if start < inside:
            out.append(Piece(content, start, inside))
        if max(start, inside) < end:
            out.append(Piece(None, max(start, inside), end))
        return
    if content.cut is not None and start < content.cut_end:
        stop = min(end, content.cut_end)
        out.append(Piece(content.cut, start, stop))
        start = stop
    if start < content.low:
        stop = min(end, content.low)
        for first, last, dirty in content.dirty.segments(start, stop):
            if dirty:
                out.append(Piece(content, first, last))
            else:
                _collect(content.below, first, last, out)
        start = max(start, stop)
    if start < end:
        inside = max(start, min(end, content.size))
        if start < inside:
            out.append(Piece(content, start, inside))
        if inside < end:
            out.append(Piece(None, inside, end))


def layers(content: Content) -> list[Layer]:
    """The layers of a stack, top first, down to what is committed."""
    out: list[Layer] = []
    content = resolve(content)
    while isinstance(content, Layer):
        out.append(content)
        content = resolve(content.below)
    return out


def committed_below(content: Content) -> Committed:
    """The committed content that a stack stands on."""
    content = resolve(content)
    while isinstance(content, Layer):
        content = resolve(content.below)
    return content


def changed(content: Content) -> list[tuple[int, int]]:
    """The ranges in which a stack may differ from what is committed below, merged and in order.

    The end of the last one is the size, where the size differs or the end was rewritten.
    """
    ranges = RangeSet()
    floor = content.size
    for layer in layers(content):
        for start, end in layer.dirty:
            ranges.add(start, min(end, floor))
        floor = min(floor, layer.low)
    ranges.add(floor, content.size)
    return list(ranges)
