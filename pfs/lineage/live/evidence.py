"""What equal bytes say about where an output came from.

Where one process made several outputs, an output that equals exactly one of its inputs is a copy of that one:
the others become unlikely.  What an interactive program wrote came from what was at that path, from what was
open meanwhile (the recorder knows both) and from inputs of equal content; the rest is ambient.  Nothing is
ever deleted by this.  Not below `COPY_BYTES_MIN`, not where two inputs share the content, and not for a
process with a single output: `filter --drop bad` with nothing to drop does depend on `bad`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from pfs.lineage.facts import Input, Level, Version
from pfs.lineage.group import Group

COPY_BYTES_MIN: Final = 64  # shorter files are equal by chance: flags, counters, empty lines


def weigh(group: Group) -> Group:
    """A group with what the contents of its versions say.

    A version of a process whose `rest` is UNLIKELY and that has no focus is one that may be a copy; whether
    it is, is decided here: it gets a focus, or loses the `rest`.
    """
    contents = {version.id: version.content for version in group.versions if _counts(version)}
    contents.update({version.id: version.content for version, _ in group.used if _counts(version)})
    inputs = {piece.activity.id: (piece.first, piece.inputs) for piece in group.slices}
    equals: dict[int, dict[bytes, list[int]]] = {}
    for number, version in enumerate(group.versions):
        if version.rest == Level.OBSERVED:
            continue
        writer = version.writers[0]
        if writer.activity not in equals:
            equals[writer.activity] = _positions(*inputs.get(writer.activity, (0, ())), contents)
        positions = equals[writer.activity].get(version.content, []) if _counts(version) else []
        equal = positions[: bisect_left(positions, writer.watermark)]
        if version.rest == Level.AMBIENT:
            focus = tuple(sorted({*(version.focus or ()), *equal}))
            group.versions[number] = replace(version, focus=focus)
        elif len(equal) == 1:
            group.versions[number] = replace(version, focus=(equal[0],))
        else:
            group.versions[number] = replace(version, focus=None, rest=int(Level.OBSERVED))
    return group


def may_be_copy(size: int) -> bool:
    """Whether a file is large enough for equal bytes to mean something."""
    return size >= COPY_BYTES_MIN


def of_interactive(
    beside: Iterable[int] | None, equal: Sequence[int], watermark: int
) -> tuple[tuple[int, ...], int]:
    """Focus and the level of the rest for what an interactive program wrote."""
    positions = {position for position in beside or () if position < watermark}
    return tuple(sorted(positions.union(equal))), int(Level.AMBIENT)


def _counts(version: Version) -> bool:
    return version.is_known and bool(version.content) and may_be_copy(version.size)


def _positions(first: int, inputs: Sequence[Input], contents: dict[int, bytes]) -> dict[bytes, list[int]]:
    """Content → where it stands among these inputs."""
    found: dict[bytes, list[int]] = {}
    for position, one in enumerate(inputs, first):
        content = None if one.informed else contents.get(one.source)
        if content is not None:
            found.setdefault(content, []).append(position)
    return found
