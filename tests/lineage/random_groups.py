"""Random groups that have an order, with every field that facts have, and what a segment keeps of one.

Unlike `drawn`, which tells plausible stories for the index, this one draws odd values: ids that follow from
nothing, times before 1970, names that are no UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import assume
from hypothesis import strategies as st
from msgspec.structs import replace

from pfs.lineage.facts import (
    OUTSIDE,
    Activity,
    ActivityKey,
    Change,
    ChangeKind,
    Ending,
    Input,
    Level,
    Relation,
    Version,
    Writer,
    activity_id,
    raw_version_id,
    version_id,
)
from pfs.lineage.group import Group, Origin, Slice

IDS = st.integers(1, 2**64 - 1)
DIGESTS = st.binary(min_size=32, max_size=32) | st.sampled_from([bytes([n]) * 32 for n in range(3)])
TIMES = st.integers(-(2**62), 2**62) | st.integers(10**18, 10**18 + 10**10)
SIZES = st.integers(0, 2**62) | st.integers(0, 300)
SMALL = st.integers(0, 2**31)
WORDS = st.sampled_from([b"", b"a", b"b/a.o", b"b/.a.o.d", b"-I../x", b"/", b"..", b"\xff.c"]) | st.binary(
    max_size=9
)
TEXTS = WORDS.map(lambda word: word.decode("utf-8", "surrogateescape")) | st.text(max_size=4).filter(
    lambda text: not any(0xD800 <= ord(letter) < 0xE000 for letter in text)
)
FLAGS = st.integers(0, 127)
BOOTS = st.sampled_from([b"boot number one.", b"boot number two."])
ENVIRONMENTS = st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple)


@st.composite
def activities(draw: st.DrawFn, known: list[Activity]) -> Activity:
    key = ActivityKey(draw(BOOTS), draw(SMALL), draw(SMALL), draw(st.integers(0, 3)))
    parents = [0, draw(IDS), *(activity.id for activity in known)]
    return Activity(
        id=draw(st.just(int(activity_id(key))) | IDS),
        key=key,
        parent=draw(st.sampled_from(parents)),
        argv=tuple(draw(st.lists(WORDS, max_size=4))),
        exe=draw(WORDS),
        cwd=draw(WORDS),
        environment=draw(ENVIRONMENTS),
        uid=draw(st.integers(-1, 2**32)),
        user=draw(TEXTS),
        host=draw(TEXTS),
        cgroup=draw(WORDS),
        pid_namespace=draw(SMALL),
        sid=draw(SMALL),
        group=draw(SMALL),
        terminal=draw(st.booleans()),
        pipes=tuple(draw(st.lists(st.tuples(SMALL, SMALL, st.booleans()), max_size=2))),
        files=tuple(draw(st.lists(st.tuples(SMALL, WORDS, st.booleans()), max_size=2))),
        started_ns=draw(TIMES),
        interactive=draw(st.booleans()),
        reason=draw(TEXTS),
    )


@st.composite
def bytes_of_a_file(draw: st.DrawFn, an_id: int = 0) -> Version:
    """A version that nobody wrote."""
    repo = draw(st.sampled_from([OUTSIDE, 1, 7]))
    version = Version(
        id=an_id,
        repo=repo,
        branch=draw(st.integers(0, 2)),
        file_id=draw(st.integers(0, 2**45)),
        path=draw(WORDS),
        time_ns=draw(TIMES),
        content=draw(st.just(b"") | DIGESTS),
        height=draw(st.integers(0, 2)),
        size=draw(SIZES),
        mtime_ns=draw(TIMES),
        is_known=draw(st.booleans()),
        imported=draw(TEXTS),
    )
    if an_id:
        return version
    place = version.path if repo == OUTSIDE else version.file_id.to_bytes(8, "little")
    raw = raw_version_id(repo, place, version.content)
    return replace(version, id=draw(st.just(int(raw)) | IDS))


@dataclass
class Growing:
    """One activity and what it has learned so far."""

    activity: Activity
    first: int
    before: bytes
    inputs: list[Input]
    made: int = 0

    @property
    def end(self) -> int:
        return self.first + len(self.inputs)


@st.composite
def groups(draw: st.DrawFn, steps_max: int = 24) -> Group:
    """What happens, one thing after the other: so nothing depends on what came later."""
    known: list[Growing] = []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.sampled_from([0, 0, 0, 1, 5, 2**33]))
        before = draw(st.sampled_from([b"", bytes([9]) * 32])) if first else b""
        activity = draw(activities([one.activity for one in known]))
        known.append(Growing(activity, first, before, []))
    used = draw(st.lists(bytes_of_a_file(), max_size=5, unique_by=lambda version: version.id))
    versions: list[Version] = []
    for _ in range(draw(st.integers(0, steps_max))):
        one = draw(st.sampled_from(known))
        what = draw(st.sampled_from("rrriw"))
        level, flags, time_ns = draw(st.sampled_from(Level)), draw(FLAGS), draw(TIMES)
        if what == "r" and (used or versions):
            source = draw(st.sampled_from([*used, *versions])).id
            one.inputs.append(Input(source, False, 0, level, flags, time_ns))
        elif what == "i":
            other = draw(st.sampled_from(known))
            mark = draw(st.integers(0, other.end))
            one.inputs.append(Input(other.activity.id, True, mark, level, flags, time_ns))
        elif what == "w":
            versions.append(draw(_written(known, used, versions)))
    programs = [0, draw(IDS), *(version.id for version in [*used, *versions])]
    slices = [
        Slice(
            replace(one.activity, exe_version=draw(st.sampled_from(programs))),
            one.first,
            tuple(one.inputs),
            draw(st.none() | st.builds(Ending, TIMES, st.none() | st.integers(-5, 2**16))),
            one.before,
        )
        for one in known
    ]
    origins = st.none() | st.builds(Origin, DIGESTS, SMALL)
    ids = [thing.id for thing in (*used, *versions, *(one.activity for one in known))]
    assume(len(set(ids)) == len(ids))
    rest = [(version, draw(origins)) for version in used]
    changes = draw(st.lists(_changes(known, [*used, *versions]), max_size=4))
    return Group(slices, versions, rest, changes, tuple(draw(st.lists(DIGESTS, max_size=2, unique=True))))


@st.composite
def _written(draw: st.DrawFn, known: list[Growing], used: list[Version], rows: list[Version]) -> Version:
    writers: list[Growing] = draw(
        st.lists(st.sampled_from(known), max_size=3, unique_by=lambda one: one.activity.id)
    )
    marks = [draw(st.integers(0, one.end)) for one in writers]
    version = draw(bytes_of_a_file(draw(IDS)))
    if draw(st.booleans()) and writers:
        writers[0].made += draw(st.sampled_from([0, 0, 0, 2, 100]))
        version = replace(version, id=int(version_id(writers[0].activity.id, writers[0].made)))
        writers[0].made += 1
    before = [0, *(one.id for one in [*used, *rows])]
    relation = draw(st.sampled_from(Relation))
    if relation not in (Relation.IN_PLACE, Relation.APPENDED):
        before.append(draw(IDS))
    mark = max(marks, default=0)
    focus = draw(st.none() | st.lists(st.integers(0, max(0, mark - 1)), max_size=3 if mark else 0).map(tuple))
    return replace(
        version,
        relation=int(relation),
        previous=draw(st.sampled_from(before)),
        writers=tuple(
            Writer(one.activity.id, mark, draw(FLAGS)) for one, mark in zip(writers, marks, strict=True)
        ),
        focus=focus,
        rest=int(draw(st.sampled_from(Level))),
    )


@st.composite
def _changes(draw: st.DrawFn, known: list[Growing], versions: list[Version]) -> Change:
    return Change(
        draw(TIMES),
        draw(st.sampled_from([0, draw(IDS), *(one.activity.id for one in known)])),
        int(draw(st.sampled_from(ChangeKind))),
        draw(SMALL),
        draw(SMALL),
        draw(WORDS),
        draw(WORDS),
        draw(SIZES),
        draw(st.sampled_from([0, draw(IDS), *(version.id for version in versions)])),
    )


def kept(group: Group) -> Group:
    """What is left of a group in a segment, in the slow and obvious way.

    Times of inputs in ms; of used versions those that something refers to, in that order, and only what says
    which bytes they were.
    """
    slices = [
        replace(
            piece,
            inputs=tuple(
                replace(item, level=int(item.level), time_ns=item.time_ns // 1_000_000 * 1_000_000)
                for item in piece.inputs
            ),
        )
        for piece in group.slices
    ]
    by_id = {version.id: (version, origin) for version, origin in group.used}
    order = [an_id for an_id in dict.fromkeys(_references(group)) if an_id in by_id]
    used = [(_bare(*by_id[an_id]), by_id[an_id][1]) for an_id in order]
    named = {origin.segment for _, origin in used if origin} | {piece.before for piece in slices}
    after = tuple(one for one in group.after if one not in named)
    return Group(slices, group.versions, used, group.changes, after)


def _references(group: Group) -> Iterator[int]:
    yield from (item.source for piece in group.slices for item in piece.inputs if not item.informed)
    yield from (version.previous for version in group.versions)
    yield from (piece.activity.exe_version for piece in group.slices)
    yield from (change.version for change in group.changes)


def _bare(version: Version, origin: Origin | None) -> Version:
    kept = replace(version, relation=0, previous=0, writers=(), focus=None, rest=0)
    return kept if origin is None else replace(kept, time_ns=0, imported="")
