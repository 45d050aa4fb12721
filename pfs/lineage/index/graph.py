"""The graph of the lineage index: nodes with dense numbers, and lists of edges, in blocks that C can walk.

Format.  A block is an LMDB value of u32 words in the machine's byte order.  A *number* names a node: block
`number >> 7`, slot `number & 127` (< 127), 8 words each; 0 is nobody.  A *ref* names a place in one of two
append-only arenas: block `ref >> 10`, word `ref & 1023` (< 1020); 0 is an empty list.

    node of a version    id u64, writer, watermark, previous number, consumers ref, revisions ref, flags
    node of an activity  id u64, inputs ref, end of the inputs, outputs ref, informed ref, focus ref, flags
    flags                bits 0-1: kind, 1 version, 2 activity; bit 2: a version that depends on its previous,
                         an interactive activity; bit 3: `writer` is a ref of the forward arena, else a
                         number; bits 4-6: rest level

A list is a chain of pieces, the newest first, none of which crosses the end of a block: ref of the piece
before (always smaller, so every chain ends), tag << 16 | count of entries, entries.

    forward   writers    tag 0: number, watermark; tag 1: positions in focus, all below the watermark
    inverse   consumers  activity, level << 29 | position           outputs  version, rest << 29 | watermark
              informed   activity, level << 29 | position, watermark of ours
              focus      position, version                          revisions  version

A piece of a list of inputs (forward): ref of the piece before, jump ref, ordinal, first position, informed
<< 16 | count, time_ns u64 of the first; `count` entries of source number, level | informed << 3 | flags << 4;
the watermarks of the informed ones; length << 1 | is_ms and bytes of msgpack: differences of the times, in ms
or else in ns.  Pieces ascend by position and do not overlap.  `jump` is that of a skew-binary list (Myers,
"An applicative random-access stack", 1983): any position is found in logarithmic time.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from pfs.lineage.facts import NOTHING, Input, Level
from pfs.store.environment import DamagedEnvironment, Environment

Get = Callable[[bytes], bytes | None]
Words = Sequence[int]

# Kinds of blocks, as native/closure.h numbers them, and their tags in keys.
NODES: Final = 0
FORWARD: Final = 1
INVERSE: Final = 2
TAGS: Final = (b"n", b"f", b"i")

VERSION: Final = 1
ACTIVITY: Final = 2
KIND_MASK: Final = 3
DEPENDS: Final = 4
INTERACTIVE: Final = 4
CHAINED: Final = 8
REST_SHIFT: Final = 4

# With LMDB's header of 16 bytes a block fills one page.
BLOCK_WORDS: Final = 1020
NODE_SLOTS: Final = 127
NODE_WORDS: Final = 8
WORD_MAX: Final = (1 << 32) - 1
# The upper three bits of such a word are a level.
LEVEL_SHIFT: Final = 29
POSITION_MAX: Final = (1 << LEVEL_SHIFT) - 1
INPUTS_HEADER_WORDS: Final = 7
MS_NS: Final = 1_000_000

WRITERS_TAG: Final = 0
FOCUS_TAG: Final = 1

# In place of an input that is in no segment.
GAP: Final = Input(NOTHING, level=Level.UNOBSERVED)

_times = msgspec.msgpack.Decoder(list[int])


class Piece(NamedTuple):
    """The head of a piece of a list of inputs."""

    ref: int
    previous: int
    jump: int
    ordinal: int
    first: int
    length: int


def block_key(kind: int, block: int) -> bytes:
    """The key of a block."""
    return TAGS[kind] + block.to_bytes(4, "big")


def id_key(tag: bytes, identifier: int) -> bytes:
    """The key of an id: of a version (`v`) or an activity (`a`)."""
    return tag + identifier.to_bytes(8, "big")


class Graph:
    """Reads nodes and lists through `get`, all of one transaction.  Blocks that were read are kept."""

    def __init__(self, get: Get) -> None:
        self.get = get
        self._blocks: tuple[dict[int, array[int]], ...] = ({}, {}, {})

    def find(self, tag: bytes, identifier: int) -> int:
        """The number of a version (`v`) or activity (`a`); 0 if it has none."""
        return int.from_bytes(self.get(id_key(tag, identifier)) or b"", "big")

    def raw(self, kind: int, block: int) -> bytes | None:
        """The bytes of a block."""
        return self.get(block_key(kind, block))

    def block(self, kind: int, block: int) -> array[int]:
        """A block; DamagedEnvironment if there is none."""
        words = self._blocks[kind].get(block)
        if words is None:
            data = self.get(block_key(kind, block))
            if data is None or len(data) % 4 or len(data) > 4 * BLOCK_WORDS:
                raise lacking(kind, block)
            words = self._blocks[kind][block] = array("I", data)
        return words

    def node(self, number: int) -> Words:
        """The 8 words of a node."""
        at = (number & 127) * NODE_WORDS
        words = self.block(NODES, number >> 7)[at : at + NODE_WORDS]
        if len(words) < NODE_WORDS:
            raise DamagedEnvironment(f"the lineage index lacks node {number}")
        return words

    def ids(self, numbers: Iterable[int]) -> list[int]:
        """The ids of nodes."""
        found = []
        for number in numbers:
            words, at = self.block(NODES, number >> 7), (number & 127) * NODE_WORDS
            found.append(words[at] | words[at + 1] << 32)
        return found

    def entries(self, kind: int, ref: int, stride: int, tag: int = 0) -> array[int]:
        """The words of all entries of a list, in order; of the pieces with one tag."""
        pieces = []
        while ref:
            words, at = self.block(kind, ref >> 10), ref & 1023
            head = words[at + 1]
            if head >> 16 == tag:
                pieces.append(words[at + 2 : at + 2 + (head & 0xFFFF) * stride])
            ref = before(ref, words[at])
        found = array("I")
        for piece in reversed(pieces):
            found += piece
        return found

    # Inputs

    def inputs(self, ref: int) -> list[Input]:
        """All inputs of the list at `ref`; GAP where none is known."""
        found: list[Input] = []
        for first, piece in self.input_pieces(ref):
            found += [GAP] * (first - len(found)) + piece
        return found

    def input_pieces(self, ref: int) -> list[tuple[int, list[Input]]]:
        """(first position, inputs) of all pieces, in order."""
        return [(piece.first, self._inputs_in(piece)) for piece in self.pieces(ref)][::-1]

    def pieces(self, ref: int) -> Iterator[Piece]:
        """The heads of the pieces of inputs, the newest first."""
        while ref:
            piece = self.piece(ref)
            yield piece
            ref = before(ref, piece.previous)

    def piece(self, ref: int) -> Piece:
        """The head of one piece of inputs."""
        words, at = self.block(FORWARD, ref >> 10), ref & 1023
        previous, jump, ordinal, first, head = words[at : at + 5]
        return Piece(ref, previous, jump, ordinal, first, head & 0xFFFF)

    def _inputs_in(self, piece: Piece) -> list[Input]:
        words, at = self.block(FORWARD, piece.ref >> 10), piece.ref & 1023
        head, low, high = words[at + 4 : at + INPUTS_HEADER_WORDS]
        entries = at + INPUTS_HEADER_WORDS
        marks_at = entries + 2 * piece.length
        times_at = marks_at + (head >> 16)
        marks = iter(words[marks_at:times_at])
        length, unit_ns = words[times_at] >> 1, MS_NS if words[times_at] & 1 else 1
        differences = _times.decode(words[times_at + 1 : times_at + 1 + (length + 3) // 4].tobytes()[:length])
        sources, metas = words[entries:marks_at:2], words[entries + 1 : marks_at : 2]
        time_ns = low | high << 32
        found = []
        for source, meta, difference in zip(self.ids(sources), metas, differences, strict=True):
            time_ns += difference * unit_ns
            informed = bool(meta & 8)
            found.append(
                Input(source, informed, next(marks) if informed else 0, meta & 7, meta >> 4, time_ns)
            )
        return found


@contextmanager
def explained(environment: Environment) -> Iterator[None]:
    """What can't be read is damage."""
    try:
        yield
    except (IndexError, KeyError, ValueError, struct.error, msgspec.MsgspecError) as error:
        raise DamagedEnvironment(f"{environment.path}: {error!r}") from error


def lacking(kind: int, block: int) -> DamagedEnvironment:
    """The error of a block that is not there, or too long."""
    return DamagedEnvironment(f"the lineage index lacks block {TAGS[kind].decode()} {block}")


def before(ref: int, previous: int) -> int:
    """The ref of the piece before; refs that do not descend are damage."""
    if previous >= ref:
        raise DamagedEnvironment("a list of the lineage index goes in a circle")
    return previous
