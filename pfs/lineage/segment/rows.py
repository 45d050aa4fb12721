"""How the rows of a segment were made: to columns and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from msgspec.structs import replace

from pfs.lineage.facts import Version, Writer
from pfs.lineage.segment import columns
from pfs.lineage.segment.columns import deltas, within
from pfs.lineage.segment.names import Namer, Names
from pfs.lineage.segment.stored import Rows


def write_rows(rows: Sequence[Version], names: Namer) -> Rows:
    """The columns."""
    writers = [writer for version in rows for writer in version.writers]
    slices = [names.slices[writer.activity] for writer in writers]
    marks = [names.ends[place] - writer.watermark for place, writer in zip(slices, writers, strict=True)]
    focused = [row for row, version in enumerate(rows) if version.focus is not None]
    focuses = [rows[row].focus or () for row in focused]
    return Rows(
        columns.write_optional(names.version(version.previous) for version in rows),
        [len(version.writers) for version in rows],
        deltas(slices),
        marks,
        within([int(writer.flags) for writer in writers]),
        deltas(focused),
        [len(focus) for focus in focuses],
        deltas(position for focus in focuses for position in focus),
    )


def read_writers(part: Rows, names: Names) -> list[tuple[Writer, ...]]:
    """The writers of all rows; of `names` only the activities are needed."""
    slices = columns.read_places(part.writer)
    writers = iter(
        [
            Writer(names.activities[place], names.ends[place] - mark, flags)
            for place, mark, flags in zip(slices, part.watermark, part.flags, strict=True)
        ]
    )
    if sum(part.writer_counts) != len(slices):
        raise ValueError("the writers do not match their rows")
    return [tuple(islice(writers, count)) for count in part.writer_counts]


def read_rows(part: Rows, rows: Sequence[Version], names: Names) -> list[Version]:
    """The rows with what came before them and what they focus on."""
    previous = columns.read_optional(part.previous)
    made = [
        replace(version, previous=names.version(number))
        for version, number in zip(rows, previous, strict=True)
    ]
    positions = iter(columns.read_places(part.focus))
    if sum(part.focus_lengths) != len(part.focus):
        raise ValueError("the positions in focus do not match their rows")
    for row, length in zip(columns.read_places(part.focus_of), part.focus_lengths, strict=True):
        made[row] = replace(made[row], focus=tuple(islice(positions, length)))
    return made
