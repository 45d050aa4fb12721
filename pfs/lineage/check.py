"""What has to hold between lineage segments, and between them and trees, as findings of fsck.

That a segment is whole is its hash's matter, that nothing in it depends on itself its decoding's.  Here: what
it names in another segment is there and is what it says; an activity's inputs before a slice are in the
segment that the slice names; no version depends on itself through several segments; the row that an entry of
a tree names has the entry's bytes.  Versions whose bytes were not kept (`is_known` False) are there without
content.  No I/O: the caller gives the groups and says how to find one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias, TypeVar

from pfs.lineage.facts import Input, Version, spell_activity, spell_version
from pfs.lineage.group import Group, Origin, Slice
from pfs.objects.entry import Entry, FileType

Find: TypeAlias = Callable[[bytes], Group | None]
"""Segment → what it holds; None where it is missing or damaged."""

Node: TypeAlias = tuple[int, int]
"""A version and -1, or an activity and how many of its inputs."""

_VERSION: Final = -1

T = TypeVar("T", bound=Hashable)


class Finding(NamedTuple):
    """Something that is not as it should be.  `segment` is b"" where an entry is at fault.

    kind: missing_segment (named, but not there), missing_row, other_version (the row is another one),
    other_content (than is said of it), missing_inputs (the slice before is not where it should be), circle.
    """

    kind: str
    message: str
    segment: bytes = b""


def check_references(segment: bytes, group: Group, find: Find) -> Iterator[Finding]:
    """What one segment says of others."""
    groups: dict[bytes, Group | None] = {}

    def found(other: bytes) -> Iterator[Finding]:
        if other not in groups:
            groups[other] = find(other)
            if groups[other] is None:
                message = f"it builds on segment {_short(other)}, which can't be read"
                yield Finding("missing_segment", message, segment)

    for version, origin in group.used:
        if origin is not None:
            yield from found(origin.segment)
            other = groups[origin.segment]
            if other is not None:
                yield from _check_origin(segment, version, origin, other)
    for piece in group.slices:
        if piece.before:
            yield from found(piece.before)
            other = groups[piece.before]
            if other is not None and not _ends_there(piece, other):
                who, where = spell_activity(piece.activity.id), _short(piece.before)
                message = f"the first {piece.first} inputs of {who} are not in segment {where}"
                yield Finding("missing_inputs", message, segment)


def _check_origin(segment: bytes, version: Version, origin: Origin, other: Group) -> Iterator[Finding]:
    where = f"row {origin.row} of segment {_short(origin.segment)}"
    if origin.row >= len(other.versions):
        yield Finding("missing_row", f"there is no {where}: that has {len(other.versions)}", segment)
        return
    row = other.versions[origin.row]
    if row.id != version.id:
        message = f"{where} is {spell_version(row.id)}, not {spell_version(version.id)}"
        yield Finding("other_version", message, segment)
    elif row.is_known and version.is_known and _bytes_of(row) != _bytes_of(version):
        yield Finding("other_content", f"{where} has other bytes than are said of it", segment)


def _bytes_of(version: Version) -> tuple[bytes, int, int]:
    return version.content, version.height, version.size


def _ends_there(piece: Slice, other: Group) -> bool:
    """Whether the inputs before a slice are in a segment: some slice of the activity reaches to its begin."""
    return any(
        earlier.activity.id == piece.activity.id and earlier.first <= piece.first <= earlier.end
        for earlier in other.slices
    )


def check_entries(entries: Iterable[tuple[str, Entry]], find: Find) -> Iterator[Finding]:
    """Whether the origins of entries, each with a name for people, are rows with the same bytes."""
    for where, entry in entries:
        if entry.origin is None:
            continue
        segment, row = entry.origin
        group = find(segment)
        if group is None:
            message = f"{where}: its origin, segment {_short(segment)}, can't be read"
            yield Finding("missing_segment", message)
        elif row >= len(group.versions):
            message = f"{where}: its origin is row {row} of segment {_short(segment)}, which has "
            yield Finding("missing_row", f"{message}{len(group.versions)}")
        elif entry.type == FileType.REGULAR and _bytes_of(group.versions[row]) != (
            entry.content,
            entry.detail,
            entry.size,
        ):
            message = f"{where}: its origin, row {row} of segment {_short(segment)}, has other bytes"
            yield Finding("other_content", message)


def check_circles(groups: Iterable[tuple[bytes, Group]], find: Find) -> Iterator[Finding]:
    """Whether any version depends on itself, over all segments together.

    Names are hashes, so segments can't name each other in a circle.  But one may use a version without saying
    where it is stored, for it was not when the segment was made.  Only segments that form a circle so are
    looked at closely, and so asked for again.
    """
    segments: list[bytes] = []
    stored: dict[int, set[bytes]] = {}  # version → the segments of which it is a row
    below: dict[bytes, set[bytes]] = {}
    open_ends: list[tuple[bytes, int]] = []
    for segment, group in groups:
        segments.append(segment)
        for version in group.versions:
            stored.setdefault(version.id, set()).add(segment)
        below[segment] = {piece.before for piece in group.slices if piece.before}
        for version, origin in group.used:
            if origin is None:
                open_ends.append((segment, version.id))
            else:
                below[segment].add(origin.segment)
    for segment, used in open_ends:
        below[segment] |= stored.get(used, set()) - {segment}
    for ring in rings(segments, lambda segment: below.get(segment, set())):
        facts = _Facts(filter(None, map(find, ring)))
        for circle in rings(facts.versions(), facts.parents):
            versions = sorted(spell_version(an_id) for an_id, mark in circle if mark == _VERSION)
            message = f"{', '.join(versions)} come from each other"
            yield Finding("circle", message, min(ring))


class _Facts:
    """What depends on what, over several groups."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._records: dict[int, list[Version]] = {}
        self._inputs: dict[int, dict[int, list[Input]]] = {}  # activity → position → as each group has it
        for group in groups:
            for version in group.versions:
                self._records.setdefault(version.id, []).append(version)
            for piece in group.slices:
                inputs = self._inputs.setdefault(piece.activity.id, {})
                for position, item in enumerate(piece.inputs, piece.first):
                    inputs.setdefault(position, []).append(item)

    def versions(self) -> list[Node]:
        return [(version, _VERSION) for version in self._records]

    def parents(self, node: Node) -> list[Node]:
        """What a version or the first inputs of an activity directly depend on."""
        an_id, mark = node
        if mark == _VERSION:
            records = self._records.get(an_id, [])
            writers = [(one.activity, one.watermark) for version in records for one in version.writers]
            return writers + [(one.previous, _VERSION) for one in records if one.depends_on_previous]
        if not mark:
            return []
        inputs = self._inputs.get(an_id, {}).get(mark - 1, [])
        before = [(item.source, item.watermark if item.informed else _VERSION) for item in inputs]
        return [(an_id, mark - 1), *before]


def rings(roots: Iterable[T], below: Callable[[T], Iterable[T]]) -> Iterator[list[T]]:
    """The sets of nodes that reach each other, of two nodes or more (Tarjan 1972, without recursion)."""
    order: dict[T, int] = {}
    low: dict[T, int] = {}
    path: dict[T, None] = {}  # visited, and in no finished set
    for root in roots:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        path[root] = None
        stack = [(root, iter(below(root)))]
        while stack:
            node, rest = stack[-1]
            for child in rest:
                if child not in order:
                    order[child] = low[child] = len(order)
                    path[child] = None
                    stack.append((child, iter(below(child))))
                    break
                if child in path:
                    low[node] = min(low[node], order[child])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
                if low[node] == order[node]:
                    ring = _taken_from(path, node)
                    if len(ring) > 1:
                        yield ring


def _taken_from(path: dict[T, None], node: T) -> list[T]:
    ring: list[T] = []
    while not ring or ring[-1] != node:
        ring.append(path.popitem()[0])
    return ring


def _short(segment: bytes) -> str:
    return segment.hex()[:16]
