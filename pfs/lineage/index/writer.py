"""Adds facts to the graph of the lineage index (format: pfs.lineage.index.graph), in memory.

Promises: what is known is not added twice; numbers, nodes and inputs are there at once, the lists of what led
where after `settle`.  Leaves to others: storing `changes()`, `new_ids` and `counters` in one transaction.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from pfs.errors import StoreError
from pfs.lineage.facts import Input, Version
from pfs.lineage.index.graph import (
    ACTIVITY,
    BLOCK_WORDS,
    CHAINED,
    DEPENDS,
    FOCUS_TAG,
    FORWARD,
    INPUTS_HEADER_WORDS,
    INTERACTIVE,
    INVERSE,
    KIND_MASK,
    LEVEL_SHIFT,
    MS_NS,
    NODE_SLOTS,
    NODE_WORDS,
    NODES,
    POSITION_MAX,
    REST_SHIFT,
    VERSION,
    WORD_MAX,
    WRITERS_TAG,
    Get,
    Graph,
    block_key,
    id_key,
)

# A piece is not begun in less room than this, unless all of it fits.
_ROOM_WORDS_MIN: Final = 64
# A list of time differences in msgpack: its length, its head, and the most that one takes (9 bytes).
_TIMES_WORDS_MAX: Final = 3
_INPUT_QUARTERS_MAX: Final = 4 * 2 + 9

# Words of a node.
_WRITER, _WATERMARK, _PREVIOUS, _CONSUMERS, _REVISIONS = range(2, 7)
_INPUTS, _INPUTS_END, _OUTPUTS, _INFORMED, _FOCUS = range(2, 7)
_FLAGS = 7
_STRIDES: Final = {
    VERSION: {_CONSUMERS: 2, _REVISIONS: 1},
    ACTIVITY: {_OUTPUTS: 2, _INFORMED: 3, _FOCUS: 2},
}


class Counters(msgspec.Struct, array_like=True):
    """What is given out next: numbers, refs of the two arenas, changes."""

    number: int = 1
    forward: int = 1
    inverse: int = 1
    change: int = 0


class GraphWriter(Graph):
    """A graph with facts added on top.  Used by one thread."""

    def __init__(self, get: Get, counters: Counters) -> None:
        super().__init__(get)
        self.counters = counters
        self.new_ids: dict[bytes, int] = {}  # key of an id → number
        self._dirty: tuple[set[int], ...] = (set(), set(), set())
        self._versions: dict[int, int] = {}
        self._activities: dict[int, int] = {}
        self._pending: dict[tuple[int, int], list[int]] = defaultdict(list)  # (number, word) → entries

    def changes(self) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every block that changed."""
        for kind, blocks in enumerate(self._dirty):
            for block in blocks:
                yield block_key(kind, block), self._blocks[kind][block].tobytes()

    def find(self, tag: bytes, identifier: int) -> int:
        """The number of a version or activity, new ones among them."""
        return self.new_ids.get(id_key(tag, identifier)) or super().find(tag, identifier)

    def raw(self, kind: int, block: int) -> bytes | None:
        """The bytes of a block as it is now."""
        is_changed = block in self._dirty[kind]
        return self._blocks[kind][block].tobytes() if is_changed else super().raw(kind, block)

    # Numbers

    def versions(self, ids: Iterable[int]) -> dict[int, int]:
        """Numbers of versions, these among them: given where they have none."""
        return self._numbered(self._versions, b"v", VERSION, ids)

    def activities(self, ids: Iterable[int]) -> dict[int, int]:
        """Numbers of activities, these among them."""
        return self._numbered(self._activities, b"a", ACTIVITY, ids)

    def _numbered(self, known: dict[int, int], tag: bytes, kind: int, ids: Iterable[int]) -> dict[int, int]:
        for identifier in [one for one in ids if one not in known]:
            if identifier in known:
                continue
            number = self.find(tag, identifier)
            if not number:
                number = self.new_ids[id_key(tag, identifier)] = self._new_node(kind, identifier)
            known[identifier] = number
        return known

    def _new_node(self, kind: int, identifier: int) -> int:
        number = self.counters.number
        if number > WORD_MAX:
            raise StoreError("the lineage index has no number left")
        slot = number & 127
        self.counters.number = number + 1 if slot + 1 < NODE_SLOTS else (number | 127) + 1
        if slot == 0 or number == 1:
            self._blocks[NODES][number >> 7] = array("I", [0] * (NODE_WORDS * slot))
        words = self._writable(NODES, number >> 7)
        words.extend((identifier & WORD_MAX, identifier >> 32, 0, 0, 0, 0, 0, kind))
        return number

    def _writable(self, kind: int, block: int) -> array[int]:
        words = self.block(kind, block)
        self._dirty[kind].add(block)
        return words

    def _set(self, number: int, word: int, value: int) -> None:
        self._writable(NODES, number >> 7)[(number & 127) * NODE_WORDS + word] = value

    # Versions

    def add_version(self, version: Version) -> int:
        """What a version came from, unless that is known; its number."""
        number = self.versions((version.id,))[version.id]
        node = self.node(number)
        flags = node[_FLAGS]
        if version.previous and not node[_PREVIOUS]:
            previous = self.versions((version.previous,))[version.previous]
            self._set(number, _PREVIOUS, previous)
            self._pending[previous, _REVISIONS].append(number)
        if version.depends_on_previous:
            flags |= DEPENDS
        if version.writers and not node[_WRITER]:
            flags |= self._add_writers(number, version)
        if flags != node[_FLAGS]:
            self._set(number, _FLAGS, flags)
        return number

    def _add_writers(self, number: int, version: Version) -> int:
        numbers = self.activities(writer.activity for writer in version.writers)
        pairs = [(numbers[writer.activity], _position(writer.watermark)) for writer in version.writers]
        # A focus is about the inputs of one writer; where several wrote, all that they knew counts.
        focus = version.focus if len(pairs) == 1 and version.rest else None
        rest = 0 if focus is None else version.rest
        for activity, watermark in pairs:
            self._pending[activity, _OUTPUTS] += (number, rest << LEVEL_SHIFT | watermark)
        if focus is None and len(pairs) == 1:
            self._set(number, _WRITER, pairs[0][0])
            self._set(number, _WATERMARK, pairs[0][1])
            return 0
        ref = self._append(FORWARD, 0, [word for pair in pairs for word in pair], 2, WRITERS_TAG)
        if focus is not None:
            activity, watermark = pairs[0]
            followed = sorted({position for position in focus if 0 <= position < watermark})
            ref = self._append(FORWARD, ref, followed, 1, FOCUS_TAG)
            for position in followed:
                self._pending[activity, _FOCUS] += (position, number)
        self._set(number, _WRITER, ref)
        return CHAINED | rest << REST_SHIFT

    # Activities

    def add_activity(self, activity: int, *, interactive: bool) -> int:
        """What kind of activity it is; its number."""
        number = self.activities((activity,))[activity]
        flags = self.node(number)[_FLAGS]
        if interactive and not flags & INTERACTIVE:
            self._set(number, _FLAGS, flags | INTERACTIVE)
        return number

    def add_inputs(self, activity: int, first: int, inputs: Sequence[Input]) -> int:
        """A piece of an activity's inputs, which may overlap what is known; the activity's number."""
        number = self.activities((activity,))[activity]
        node = self.node(number)
        ref, known_end = node[_INPUTS], node[_INPUTS_END]
        end = _position(first + len(inputs))
        if not inputs:
            return number
        self.versions(item.source for item in inputs if item.source and not item.informed)
        self.activities(item.source for item in inputs if item.informed)
        if known_end <= first:
            self._append_inputs(number, ref, first, inputs)
        elif not self._is_known(ref, first, min(known_end, end)):
            self._put_in_order(number, ref, first, inputs)
        elif known_end < end:
            self._append_inputs(number, ref, known_end, inputs[known_end - first :])
        return number

    def _is_known(self, ref: int, first: int, end: int) -> bool:
        """Whether all positions in [first, end) are in a list."""
        for piece in self.pieces(ref):
            if piece.first < end:
                if piece.first + piece.length < end:
                    return False
                end = piece.first
            if end <= first:
                return True
        return False

    def _append_inputs(self, number: int, ref: int, first: int, inputs: Sequence[Input]) -> None:
        self._invert(number, enumerate(inputs, first))
        self._set(number, _INPUTS, self._write_inputs(ref, first, inputs))
        self._set(number, _INPUTS_END, first + len(inputs))

    def _put_in_order(self, number: int, ref: int, first: int, inputs: Sequence[Input]) -> None:
        """Rare: a piece comes after a later one.  The list is written anew; its old pieces stay behind."""
        known: dict[int, Input] = {}
        for at, piece in self.input_pieces(ref):
            known.update(enumerate(piece, at))
        self.versions(item.source for item in known.values() if item.source and not item.informed)
        self.activities(item.source for item in known.values() if item.informed)
        late = {at: item for at, item in enumerate(inputs, first) if at not in known}
        self._invert(number, late.items())
        known.update(late)
        runs: list[tuple[int, list[Input]]] = []
        for at in sorted(known):
            if not runs or at != runs[-1][0] + len(runs[-1][1]):
                runs.append((at, []))
            runs[-1][1].append(known[at])
        ref = 0
        for at, run in runs:
            ref = self._write_inputs(ref, at, run)
        self._set(number, _INPUTS, ref)
        self._set(number, _INPUTS_END, max(known) + 1)

    def _invert(self, number: int, inputs: Iterable[tuple[int, Input]]) -> None:
        pending, versions, activities = self._pending, self._versions, self._activities
        for at, item in inputs:
            if item.informed:
                entry = (number, item.level << LEVEL_SHIFT | at, _position(item.watermark))
                pending[activities[item.source], _INFORMED] += entry
            elif item.source:
                pending[versions[item.source], _CONSUMERS] += (number, item.level << LEVEL_SHIFT | at)

    def settle(self) -> None:
        """Write the lists of consumers, outputs, informed, focus and revisions."""
        for (number, word), entries in sorted(self._pending.items()):
            node = self.node(number)
            stride = _STRIDES[node[_FLAGS] & KIND_MASK][word]
            self._set(number, word, self._append(INVERSE, node[word], entries, stride))
        self._pending.clear()

    # Arenas

    def _append(self, kind: int, ref: int, entries: Sequence[int], stride: int, tag: int = 0) -> int:
        """Append entries to the list at `ref`; the ref of its newest piece."""
        at = 0
        while at < len(entries):
            words = self._room(kind, 2 + len(entries) - at)
            count = min(BLOCK_WORDS - len(words) - 2, len(entries) - at) // stride
            place = self._end(kind)
            words.extend((ref, tag << 16 | count))
            words.extend(entries[at : at + count * stride])
            self._advance(kind, words)
            ref, at = place, at + count * stride
        return ref

    def _write_inputs(self, ref: int, first: int, inputs: Sequence[Input]) -> int:
        """Append inputs whose sources have numbers to the list at `ref`; the ref of its newest piece."""
        at = 0
        while at < len(inputs):
            rest = inputs[at:]
            words = self._room(FORWARD, _ROOM_WORDS_MIN if len(rest) > 8 else _words_at_most(rest))
            piece = _fitting(rest, BLOCK_WORDS - len(words))
            place = self._end(FORWARD)
            marks = [item.watermark for item in piece if item.informed]
            start_ns = piece[0].time_ns
            words.extend((ref, *self._jump(ref), first + at, len(marks) << 16 | len(piece)))
            words.extend((start_ns & WORD_MAX, start_ns >> 32))
            words.extend(self._entries_of(piece))
            words.extend(marks)
            words.extend(_packed_times([item.time_ns for item in piece]))
            self._advance(FORWARD, words)
            ref, at = place, at + len(piece)
        return ref

    def _entries_of(self, inputs: Sequence[Input]) -> array[int]:
        versions, activities = self._versions, self._activities
        sources = [
            activities[item.source] if item.informed else versions[item.source] if item.source else 0
            for item in inputs
        ]
        found = array("I", bytes(8 * len(inputs)))
        found[::2] = array("I", sources)
        found[1::2] = array("I", [item.level | item.informed << 3 | item.flags << 4 for item in inputs])
        return found

    def _jump(self, ref: int) -> tuple[int, int]:
        """(jump, ordinal) of a piece that comes after the one at `ref`."""
        if not ref:
            return 0, 0
        last = self.piece(ref)
        if last.jump:
            middle = self.piece(last.jump)
            far = self.piece(middle.jump) if middle.jump else middle
            if last.ordinal - middle.ordinal == middle.ordinal - far.ordinal:
                return far.ref, last.ordinal + 1
        return ref, last.ordinal + 1

    def _room(self, kind: int, wanted_words: int) -> array[int]:
        """The last block of an arena, or a new one if too little fits into it."""
        end = self._end(kind)
        room_words = BLOCK_WORDS - (end & 1023)
        if end == 1:
            self._blocks[kind][0] = array("I", [0])
        elif room_words < min(wanted_words, _ROOM_WORDS_MIN):
            end = ((end >> 10) + 1) << 10
            if end > WORD_MAX:
                raise StoreError("the lineage index has no room left")
            self._blocks[kind][end >> 10] = array("I")
            self._set_end(kind, end)
        return self._writable(kind, end >> 10)

    def _end(self, kind: int) -> int:
        return self.counters.forward if kind == FORWARD else self.counters.inverse

    def _advance(self, kind: int, words: array[int]) -> None:
        self._set_end(kind, self._end(kind) >> 10 << 10 | len(words))

    def _set_end(self, kind: int, end: int) -> None:
        if kind == FORWARD:
            self.counters.forward = end
        else:
            self.counters.inverse = end


def _position(position: int) -> int:
    if position > POSITION_MAX:
        raise StoreError(f"an activity with more than {POSITION_MAX} inputs can't be indexed")
    return position


def _packed_times(times: Sequence[int]) -> array[int]:
    differences = [b - a for a, b in zip((times[0], *times), times, strict=False)]
    is_ms = not any(difference % MS_NS for difference in differences)
    packed = msgspec.msgpack.encode([it // MS_NS for it in differences] if is_ms else differences)
    return array("I", [len(packed) << 1 | is_ms]) + array("I", packed + bytes(-len(packed) % 4))


def _words_at_most(inputs: Sequence[Input]) -> int:
    marks = sum(item.informed for item in inputs)
    return INPUTS_HEADER_WORDS + _TIMES_WORDS_MAX + marks + (_INPUT_QUARTERS_MAX * len(inputs) + 3) // 4


def _fitting(inputs: Sequence[Input], room_words: int) -> Sequence[Input]:
    """As many as surely fit; at least one."""
    count = min(len(inputs), 4 * (room_words - INPUTS_HEADER_WORDS - _TIMES_WORDS_MAX) // _INPUT_QUARTERS_MAX)
    while _words_at_most(inputs[:count]) > room_words:
        count = (count * 7 + 7) // 8 - 1 if count > 8 else count - 1
    return inputs[:count]
