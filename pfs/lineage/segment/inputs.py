"""The lists of inputs of a segment's slices: to columns and back.

Most processes read what the one before them read, so of most inputs nothing is stored but when it happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Final

from pfs.lineage.facts import Input, Level
from pfs.lineage.group import Slice
from pfs.lineage.segment.columns import (
    Numbers,
    SequencesReader,
    deltas,
    unzigzag,
    within,
    write_sequences,
    zigzag,
)
from pfs.lineage.segment.names import Namer, Names
from pfs.lineage.segment.stored import INPUT_TIME_NS, Inputs

Qualities = Mapping[tuple[int, int], int]
"""(level, flags) → which of the distinct ones."""

# Codes of symbols.
_NEXT_USED = 0
_NEXT_ROW = 1
_CODES = 2  # before those that count in threes
_USED = 0
_ROW = 1
_INFORMED = 2
# All bits of pfs.lineage.facts.Flag.
_FLAGS_MAX: Final = 127


def write_inputs(slices: Sequence[Slice], names: Namer) -> Inputs:
    """The columns.  Numbers used versions in the order in which inputs name them."""
    qualities = Numbers[tuple[int, int]]()
    for piece in slices:
        for item in piece.inputs:
            _ = qualities[item.level, item.flags]
    count = len(qualities)
    watermarks = [
        names.ends[names.slices[item.source]] - item.watermark
        for piece in slices
        for item in piece.inputs
        if item.informed
    ]
    return Inputs(
        [len(piece.inputs) for piece in slices],
        [_quality(*quality)[0] for quality in qualities],
        [_quality(*quality)[1] for quality in qualities],
        write_sequences(_symbols(slices, names, qualities), step=3 * count, fixed=2 * count),
        watermarks,
        within([time for piece in slices for time in _write_times(piece)]),
    )


def _symbols(slices: Sequence[Slice], names: Namer, qualities: Qualities) -> Iterator[list[int]]:
    rows, used = names.rows, names.used
    count = len(qualities)
    row_next = 0
    for own, piece in enumerate(slices):
        symbols = []
        for item in piece.inputs:
            source = item.source
            if item.informed:
                code = _CODES + 3 * zigzag(own - names.slices[source]) + _INFORMED
            elif source in rows:
                row = rows[source]
                code = _NEXT_ROW if row == row_next else _CODES + 3 * row + _ROW
                row_next = max(row_next, row + 1)
            elif source in used:
                code = _CODES + 3 * used[source] + _USED
            else:
                code = _NEXT_USED
                _ = used[source]
            symbols.append(code * count + qualities[item.level, item.flags])
        yield symbols


def _quality(level: int, flags: int) -> tuple[int, int]:
    """The same as plain numbers.  ValueError where they mean nothing; so there are not many of them."""
    if not 0 <= flags <= _FLAGS_MAX:
        raise ValueError("an input has unknown flags")
    return int(Level(level)), int(flags)


def _write_times(piece: Slice) -> list[int]:
    start = piece.activity.started_ns // INPUT_TIME_NS
    times = [item.time_ns // INPUT_TIME_NS for item in piece.inputs]
    return deltas([start, *times])[1:]


class InputsReader:
    """Reads the inputs of one slice after the other.  Owned by the reading of one segment."""

    def __init__(self, column: Inputs, names: Names) -> None:
        self._names = names
        self._lengths = iter(column.lengths)
        self._qualities = [
            _quality(level, flags) for level, flags in zip(column.levels, column.flags, strict=True)
        ]
        if len(set(self._qualities)) != len(self._qualities):
            raise ValueError("a quality stands twice")
        count = len(self._qualities)
        self._symbols = SequencesReader(column.symbols, step=3 * count, fixed=2 * count)
        self._watermarks = iter(column.watermarks)
        self._times = iter(column.time)
        self._used_next = 0
        self._row_next = 0

    def read(self, own: int, started_ns: int) -> tuple[Input, ...]:
        """The inputs of the next slice."""
        symbols = self._symbols.read(_next(self._lengths))
        if symbols and not self._qualities:
            raise ValueError("there are inputs of no quality")
        start = started_ns // INPUT_TIME_NS
        times = accumulate(islice(self._times, len(symbols)), initial=start)
        times_ns = within([time * INPUT_TIME_NS for time in times][1:])
        inputs = []
        for symbol, time_ns in zip(symbols, times_ns, strict=True):
            code, quality = divmod(symbol, len(self._qualities))
            level, flags = self._qualities[quality]
            if code >= _CODES and (code - _CODES) % 3 == _INFORMED:
                source = self._names.slice(own - unzigzag((code - _CODES) // 3))
                watermark = self._names.ends[source] - _next(self._watermarks)
                inputs.append(Input(self._names.activities[source], True, watermark, level, flags, time_ns))
            else:
                inputs.append(Input(self._version(code), False, 0, level, flags, time_ns))
        return tuple(inputs)

    def _version(self, code: int) -> int:
        if code == _NEXT_USED:
            self._used_next += 1
            return self._names.used[self._used_next - 1]
        if code == _NEXT_ROW:
            self._row_next += 1
            return self._names.rows[self._row_next - 1]
        place, where = divmod(code - _CODES, 3)
        if where == _USED:
            return self._names.used[place]
        self._row_next = max(self._row_next, place + 1)
        return self._names.rows[place]

    def finish(self) -> None:
        """ValueError if there is more than was read."""
        self._symbols.finish()
        for column in (self._lengths, self._watermarks, self._times):
            if next(column, None) is not None:
                raise ValueError("a column of inputs is too long")


def _next(column: Iterator[int]) -> int:
    number = next(column, None)
    if number is None:
        raise ValueError("a column of inputs is too short")
    return number
