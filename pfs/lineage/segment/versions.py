"""The versions of a segment, used ones and rows: to columns and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from pfs.lineage.facts import OUTSIDE, Level, Relation, Version, Writer, raw_version_id, version_id
from pfs.lineage.group import Origin
from pfs.lineage.segment import columns
from pfs.lineage.segment.columns import Numbers, deltas, sums, unzigzag, within, zigzag
from pfs.lineage.segment.names import Namer, Names
from pfs.lineage.segment.stored import CONTENT_BYTES, Shapes, Versions

Used = tuple[Version, Origin | None]

# How the id of a version is stored; from FROM_WRITER on the signed difference of its ordinal to the next one.
_EXPLICIT: Final = 0
_FROM_CONTENT: Final = 1
_FROM_WRITER: Final = 2
# How many ordinals are tried for the first version of an activity (half as many after each time in vain), and
# for one that follows another.
_TRIES: Final = 4096
_TRIES_NEAR: Final = 64


def bare_used(version: Version, origin: Origin | None) -> Version:
    """What is stored of a used version: which bytes it was, not how they were made."""
    kept = replace(version, relation=Relation.RAW, previous=0, writers=(), focus=None, rest=Level.OBSERVED)
    return kept if origin is None else replace(kept, time_ns=0, imported="")


def write_versions(used: Sequence[Used], rows: Sequence[Version], names: Namer) -> Versions:
    """The columns."""
    versions = [*(bare_used(*pair) for pair in used), *rows]
    origins = [origin for _, origin in used]
    shapes = Numbers[tuple[int, ...]]()
    shape = [shapes[_shape(version, names)] for version in versions]
    parts = [list(part) for part in zip(*shapes, strict=True)] or [[] for _ in Shapes.__struct_fields__]
    rule, explicit = _write_ids(versions)
    contents = Numbers[bytes]()
    content = [_content(version.content, contents) for version in versions]
    times = within([version.time_ns for version in versions])
    mtimes = within([version.mtime_ns for version in versions])
    return Versions(
        len(used),
        Shapes(*map(within, parts)),
        shape,
        rule,
        columns.write_ids(explicit),
        within(deltas(version.file_id for version in versions)),
        deltas(names.words[version.path] for version in versions),
        columns.write_digests(contents, CONTENT_BYTES),
        content,
        columns.write_wide(within([version.size for version in versions])),
        columns.write_wide(deltas(times[: len(used)]) + deltas(times[len(used) :])),
        columns.write_wide(
            deltas(mtimes[: len(used)])
            + [mtime - time for mtime, time in zip(mtimes, times, strict=True)][len(used) :]
        ),
        [0 if origin is None else names.segment(origin.segment) for origin in origins],
        within(deltas(origin.row for origin in origins if origin is not None)),
    )


def _shape(version: Version, names: Namer) -> tuple[int, ...]:
    return (
        version.repo,
        version.branch,
        int(Relation(version.relation)),
        version.height,
        int(version.is_known),
        int(Level(version.rest)),
        names.text(version.imported),
    )


def _content(content: bytes, contents: Numbers[bytes]) -> int:
    if not content:
        return 0
    count = len(contents)
    place = contents[content]
    return 1 if place == count else 1 + count - place


class _Ordinals:
    """Which version each activity begins next, as far as can be told.  Owned by one writing or reading."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._tries: dict[int, int] = {}

    def find(self, version: Version) -> int | None:
        """How far the ordinal of a version is from the next one; None if its id can't be made from it."""
        activity = version.writers[0].activity
        expected = self._next.get(activity)
        tries = self._tries.get(activity, _TRIES)
        # The nearest first: versions end in another order than they began.
        for distance in range(tries if expected is None else min(tries, _TRIES_NEAR)):
            ordinal = (expected or 0) + unzigzag(distance)
            if ordinal >= 0 and version_id(activity, ordinal) == version.id:
                self._next[activity] = ordinal + 1
                return unzigzag(distance)
        self._tries[activity] = tries // 2
        return None

    def take(self, activity: int, difference: int) -> int:
        """The id of the version whose ordinal is so far from the next one."""
        ordinal = self._next.get(activity, 0) + difference
        if ordinal < 0:
            raise ValueError("a version has a negative ordinal")
        self._next[activity] = ordinal + 1
        return version_id(activity, ordinal)


def _raw_id(version: Version) -> int:
    # The place of a raw version is its file id, outside its path.
    place = version.path if version.repo == OUTSIDE else version.file_id.to_bytes(8, "little")
    return raw_version_id(version.repo, place, version.content)


def _write_ids(versions: Sequence[Version]) -> tuple[list[int], list[int]]:
    """The rules, and the ids of those that need theirs stored."""
    ordinals = _Ordinals()
    rules, explicit = [], []
    for version in versions:
        difference = ordinals.find(version) if version.writers else None
        if difference is not None:
            rules.append(_FROM_WRITER + zigzag(difference))
        elif not version.writers and _raw_id(version) == version.id:
            rules.append(_FROM_CONTENT)
        else:
            rules.append(_EXPLICIT)
            explicit.append(version.id)
    return rules, explicit


def read_versions(
    part: Versions, writers: Sequence[tuple[Writer, ...]], names: Names
) -> tuple[list[Used], list[Version]]:
    """Used versions and rows, with their writers, but without what came before them.  Fills their names."""
    used = part.used
    writers = [*[()] * used, *writers]
    shapes = _read_shapes(part.shapes, names)
    times = columns.read_wide(part.time)
    times = sums(times[:used]) + sums(times[used:])
    mtimes = columns.read_wide(part.mtime)
    mtimes = sums(mtimes[:used]) + [
        mtime + time for mtime, time in zip(mtimes[used:], times[used:], strict=True)
    ]
    parts = zip(
        part.shape,
        _unsigned(sums(part.file_id)),
        columns.read_places(part.path),
        _read_contents(part),
        within(columns.read_wide(part.size)),
        times,
        within(mtimes),
        writers,
        strict=True,
    )
    versions = [
        replace(
            shapes[shape],
            file_id=file_id,
            path=names.words[path],
            content=content,
            size=size,
            time_ns=time_ns,
            mtime_ns=mtime_ns,
            writers=written,
        )
        for shape, file_id, path, content, size, time_ns, mtime_ns, written in parts
    ]
    versions = [
        replace(version, id=an_id) for version, an_id in zip(versions, _read_ids(part, versions), strict=True)
    ]
    names.used = [version.id for version in versions[:used]]
    names.rows = [version.id for version in versions[used:]]
    return list(zip(versions[:used], _read_origins(part, names), strict=True)), versions[used:]


def _unsigned(numbers: list[int]) -> list[int]:
    if any(number < 0 or number >> 64 for number in numbers):
        raise ValueError("an id is no unsigned number of 64 bits")
    return numbers


def _read_shapes(part: Shapes, names: Names) -> list[Version]:
    """Versions of which only the common part is set."""
    parts = zip(*(getattr(part, name) for name in part.__struct_fields__), strict=True)
    shapes = []
    for repo, branch, relation, height, known, rest, imported in parts:
        _unsigned([repo, branch])
        if known > 1:
            raise ValueError("a version is neither known nor not")
        shapes.append(
            Version(
                id=0,
                repo=repo,
                branch=branch,
                path=b"",
                relation=int(Relation(relation)),
                height=height,
                is_known=bool(known),
                rest=int(Level(rest)),
                imported=names.text(imported),
            )
        )
    return shapes


def _read_contents(part: Versions) -> Iterator[bytes]:
    contents = columns.read_digests(part.contents, CONTENT_BYTES)
    count = 0
    for code in part.content:
        if code > 1 + count:
            raise ValueError("a content id refers to one before the first")
        count += code == 1
        yield b"" if not code else contents[count - max(1, code - 1)]
    if count != len(contents):
        raise ValueError("there are content ids of no version")


def _read_ids(part: Versions, versions: Sequence[Version]) -> list[int]:
    explicit = iter(columns.read_ids(part.ids))
    ordinals = _Ordinals()
    ids = []
    for rule, version in zip(part.rule, versions, strict=True):
        if rule >= _FROM_WRITER:
            if not version.writers:
                raise ValueError("the id of a version is made of a writer that it has not")
            ids.append(ordinals.take(version.writers[0].activity, unzigzag(rule - _FROM_WRITER)))
        else:
            ids.append(_raw_id(version) if rule == _FROM_CONTENT else next(explicit, 0))
    if next(explicit, None) is not None:
        raise ValueError("there are ids of no version")
    return ids


def _read_origins(part: Versions, names: Names) -> Iterator[Origin | None]:
    rows = iter(columns.read_places(part.origin_row))
    for number in part.origin:
        if number:
            row = next(rows, None)
            if row is None:
                raise ValueError("an origin has no row")
            yield Origin(names.segment(number), row)
        else:
            yield None
    if next(rows, None) is not None:
        raise ValueError("there are rows of no origin")
