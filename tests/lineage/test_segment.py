"""Lineage segments: what goes in comes out, nothing else is believed, and how small it is."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfs.errors import CorruptObject
from pfs.lineage.facts import (
    Activity,
    ActivityKey,
    Change,
    ChangeKind,
    Input,
    Relation,
    Version,
    Writer,
    activity_id,
    raw_version_id,
    version_id,
)
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.segment import decode, decode_canonical, encode, segments_below, store_of
from pfs.objects.ids import Kind, object_id
from pfs.store.compression import compress
from tests.lineage.drawn import Drawn, facts

STORE = b"a store's uuid.."
SECOND_NS = 10**9
BOOT = b"boot number one."
BYTES_PER_EDGE_MAX = 1.0
BUILD_BYTES_MAX = 1_000_000


def encodable(drawn: Drawn) -> list[Group]:
    """The groups of a random story that have an order: the others no recorder makes."""
    found = []
    for group in drawn.groups:
        try:
            encode(group, store=STORE)
        except ValueError:
            continue
        found.append(group)
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(facts(whole=True))
def test_what_goes_in_comes_out(drawn: Drawn) -> None:
    for group in encodable(drawn):
        for payload, rows in encode(group, store=STORE):
            back = decode_canonical(payload)
            assert back.versions == [version for version in group.versions if version.id in rows]
            assert [version.id for version in back.versions] == rows
            assert store_of(payload) == STORE
            assert [version for version, _ in back.used] == [
                version for version, _ in group.used if version.id in {one.id for one, _ in back.used}
            ] or len(back.used) <= len(group.used)


def build(processes: int) -> Group:
    """A make of many compilers: each reads a source and thirty headers, and writes one object."""
    headers = [raw(b"include/h%03d.h" % number, number) for number in range(200)]
    slices, versions, used = [], [], list(headers)
    make = process(1, 0, b"make", b"-j4")
    slices.append(Slice(make, 0, ()))
    for number in range(processes):
        source = raw(b"src/module%d/file%d.c" % (number % 40, number), 1_000 + number)
        used.append(source)
        words = (b"gcc", b"-O2", b"-Iinclude", b"-c", source.path, b"-o", source.path[:-1] + b"o")
        activity = process(2 + number, make.id, *words)
        read = [source, *(headers[(number * 7 + step * 3) % 200] for step in range(30))]
        distinct = list(dict.fromkeys(version.id for version in read))
        at_ns = activity.started_ns
        inputs = tuple(Input(version, time_ns=at_ns + 40_000 * n) for n, version in enumerate(distinct))
        slices.append(Slice(activity, 0, inputs))
        versions.append(
            Version(
                id=version_id(activity.id, 0),
                repo=1,
                branch=1,
                file_id=50_000 + number,
                path=source.path[:-1] + b"o",
                relation=Relation.CREATED,
                writers=(Writer(activity.id, len(inputs)),),
                time_ns=at_ns + 9_000_000,
                content=object_id(Kind.CHUNK, b"object %d" % number),
                size=3_000 + number % 977,
                mtime_ns=at_ns + 9_000_000,
            )
        )
    changes = [Change(SECOND_NS, make.id, ChangeKind.MAKE_DIRECTORY, 1, 1, b"out")]
    return Group(slices, versions, [(version, None) for version in used], changes)


def raw(path: bytes, file_id: int) -> Version:
    content = object_id(Kind.CHUNK, path)
    return Version(
        id=raw_version_id(1, file_id.to_bytes(8, "little"), content),
        repo=1,
        branch=1,
        file_id=file_id,
        path=path,
        content=content,
        size=len(path) * 100,
        mtime_ns=SECOND_NS * file_id,
    )


def process(number: int, parent: int, *argv: bytes) -> Activity:
    key = ActivityKey(BOOT, 4_000 + number, 77_000 + number * 3, 1)
    return Activity(
        id=activity_id(key),
        key=key,
        parent=parent,
        argv=argv,
        exe=b"/usr/bin/" + argv[0],
        cwd=b"/home/alice/pfs/project",
        environment=((b"LANG", b"C"), (b"PATH", b"/usr/bin:/bin")),
        uid=1000,
        user="alice",
        host="node7",
        started_ns=1_767_225_600 * SECOND_NS + number * 11_000_000,
    )


def test_a_build_takes_little(capsys: pytest.CaptureFixture[str]) -> None:
    group = build(2_000)
    edges = sum(len(piece.inputs) for piece in group.slices)
    segments = encode(group, store=STORE)
    bare = encode(build_without_inputs(group), store=STORE)
    packed, packed_bare = (sum(len(compress(one.payload)[1]) for one in some) for some in (segments, bare))
    per_edge = (packed - packed_bare - 32 * len(group.used)) / edges  # versions take a content id each
    with capsys.disabled():
        sys.stdout.write(
            f"\nlineage segments: {packed / len(group.slices):.0f} bytes a process, {per_edge:.2f} an edge\n"
        )
    assert per_edge <= BYTES_PER_EDGE_MAX
    ids = 32 * (len(group.used) + len(group.versions))  # nothing makes these smaller
    assert (packed - ids) * 10_000 / len(group.slices) <= BUILD_BYTES_MAX


def build_without_inputs(group: Group) -> Group:
    slices = [Slice(piece.activity) for piece in group.slices]
    versions = [
        type(version)(**{**struct(version), "writers": (Writer(version.writers[0].activity, 0),)})
        for version in group.versions
    ]
    return Group(slices, versions, [], group.changes)


def struct(version: Version) -> dict[str, object]:
    return {name: getattr(version, name) for name in version.__struct_fields__}


def test_what_does_not_fit_goes_into_more_segments() -> None:
    group = build(9_000)
    segments = encode(group, store=STORE)
    assert len(segments) > 1
    assert all(len(one.payload) <= 1 << 20 for one in segments)
    known = {}
    seen: list[int] = []
    for payload, rows in segments:
        segment = object_id(Kind.LINEAGE, payload)
        assert set(segments_below(payload)) <= set(known)
        for version, origin in decode(payload).used:
            if origin is not None:
                assert known[origin.segment][origin.row] == version.id
        known[segment] = rows
        seen += rows
    assert seen == [version.id for version in group.versions]


def test_a_version_stored_before_is_named_by_its_row() -> None:
    group = build(3)
    origin = Origin(object_id(Kind.LINEAGE, b"before"), 7)
    used = [(version, origin if number == 0 else None) for number, (version, _) in enumerate(group.used)]
    ((payload, _),) = encode(Group(group.slices, group.versions, used, []), store=STORE)
    assert (used[0][0], origin) in [(version, where) for version, where in decode(payload).used]
    assert segments_below(payload) == (origin.segment,)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_damage_is_believed(data: st.DataObject) -> None:
    ((payload, _),) = encode(build(4), store=STORE)
    at = data.draw(st.integers(0, len(payload) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(payload)
    damaged[at] ^= 1 << bit
    try:
        group = decode_canonical(bytes(damaged))
    except CorruptObject:
        return
    assert group != decode(payload) or store_of(bytes(damaged)) != STORE


def test_a_circle_is_refused() -> None:
    group = build(2)
    first, second = group.versions
    inputs = [(Input(second.id),), (Input(first.id),)]
    slices = [Slice(piece.activity, 0, mine) for piece, mine in zip(group.slices[1:], inputs, strict=True)]
    versions = [
        type(version)(**{**struct(version), "writers": (Writer(version.writers[0].activity, 1),)})
        for version in group.versions
    ]
    with pytest.raises(ValueError, match="before it is made"):
        encode(Group(slices, versions, [], []), store=STORE)


@pytest.mark.parametrize("time_ns", [0, -(2**62), 8_589_934_592 * SECOND_NS, 2**63 - 1, -(2**63)])
def test_any_time_that_a_file_can_have(time_ns: int) -> None:
    group = build(2)
    versions = [
        type(version)(**{**struct(version), "mtime_ns": time})
        for version, time in zip(
            group.versions, (time_ns, -time_ns if time_ns > -(2**63) else 0), strict=True
        )
    ]
    ((payload, _),) = encode(Group(group.slices, versions, group.used, []), store=STORE)
    assert decode_canonical(payload).versions == versions
