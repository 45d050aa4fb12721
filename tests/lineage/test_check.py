"""fsck of stored lineage: what is sound gives no finding, each kind of damage its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pfs.lineage.check import check_circles, check_entries, check_references, rings
from pfs.lineage.facts import Activity, ActivityKey, Input, Relation, Version, Writer
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.segment import decode, encode, stored
from pfs.objects.entry import Entry, FileType
from pfs.objects.ids import Kind, object_id
from tests.lineage import workloads
from tests.lineage.random_groups import groups

STORE = b"a store's uuid.."
Segments = dict[bytes, Group]


def cut(group: Group, size: int) -> Segments:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "SEGMENT_BYTES", size)
        payloads = [payload for payload, _ in encode(group, store=STORE)]
    return {object_id(Kind.LINEAGE, payload): decode(payload) for payload in payloads}


def kinds(segments: Segments) -> list[str]:
    find = segments.get
    found = [one.kind for name, group in segments.items() for one in check_references(name, group, find)]
    return found + [one.kind for one in check_circles(segments.items(), find)]


def nothing_earlier(group: Group) -> Group:
    """All that was made before this group is raw to it: there is no segment below."""
    return replace(group, used=[(version, None) for version, _ in group.used])


def build() -> Segments:
    segments = cut(nothing_earlier(workloads.make(60)), 6_000)
    assert len(segments) > 5
    return segments


def test_what_was_cut_is_sound() -> None:
    assert kinds(build()) == []


@settings(deadline=None, max_examples=40)
@given(groups(steps_max=40), st.integers(1, 1_500))
def test_random_groups_are_sound(group: Group, size: int) -> None:
    slices = [replace(piece, before=b"") for piece in group.slices]
    try:
        segments = cut(nothing_earlier(replace(group, slices=slices)), size)
    except ValueError as error:
        assume("twice" not in str(error) and "both made and used" not in str(error))
        raise
    assert kinds(segments) == []


def spoil_last(segments: Segments, change: Callable[[Group], Group]) -> Segments:
    last = list(segments)[-1]
    return {**segments, last: change(segments[last])}


def with_origins(group: Group, change: Callable[[Version, Origin], tuple[Version, Origin]]) -> Group:
    used = [pair if pair[1] is None else change(pair[0], pair[1]) for pair in group.used]
    return replace(group, used=used)


def without_first(segments: Segments) -> Segments:
    return {name: group for number, (name, group) in enumerate(segments.items()) if number}


def with_rows(segments: Segments, **facts: object) -> Segments:
    """All rows are spoilt, but not what others say of them."""
    return {
        name: replace(group, versions=[replace(version, **facts) for version in group.versions])
        for name, group in segments.items()
    }


SPOILT: list[tuple[str, Callable[[Segments], Segments]]] = [
    ("missing_segment", without_first),
    (
        "missing_row",
        lambda s: spoil_last(s, lambda g: with_origins(g, lambda v, o: (v, o._replace(row=o.row + 10_000)))),
    ),
    ("other_version", lambda s: spoil_last(s, lambda g: with_origins(g, lambda v, o: (replace(v, id=7), o)))),
    ("other_content", lambda s: with_rows(s, content=bytes(32))),
    ("other_content", lambda s: with_rows(s, height=9)),
    ("other_content", lambda s: with_rows(s, size=9)),
    (
        "missing_inputs",
        lambda s: spoil_last(
            s, lambda g: replace(g, slices=[replace(one, first=one.first + 500) for one in g.slices])
        ),
    ),
]


@pytest.mark.parametrize(("kind", "spoil"), SPOILT, ids=[kind for kind, _ in SPOILT])
def test_each_damage_is_found(kind: str, spoil: Callable[[Segments], Segments]) -> None:
    assert set(kinds(spoil(build()))) == {kind}


def test_a_missing_segment_is_told_once_by_each_that_builds_on_it() -> None:
    segments = build()
    first = next(iter(segments))
    above = [
        name
        for name, group in segments.items()
        if first in {origin.segment for _, origin in group.used if origin}
        or first in {piece.before for piece in group.slices}
    ]
    left = without_first(segments)
    found = [one for name, group in left.items() for one in check_references(name, group, left.get)]
    assert [one.segment for one in found] == above
    assert all(first.hex()[:16] in one.message for one in found)


def test_bytes_that_were_not_kept_are_not_missed() -> None:
    assert kinds(with_rows(build(), content=b"", is_known=False)) == []


# Circles.

A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))
P = Activity(id=11, key=ActivityKey(b"boot number one.", 1, 1, 1))
Q = Activity(id=12, key=ActivityKey(b"boot number one.", 2, 2, 2))


def version(number: int, *writers: Writer, relation: int = 0, previous: int = 0) -> Version:
    return Version(id=number, repo=1, path=b"f", relation=relation, previous=previous, writers=writers)


def made(number: int, by: Activity, out_of: int, origin: Origin | None = None) -> Group:
    """An activity has made one version out of one that comes from elsewhere."""
    return Group(
        [Slice(by, 0, (Input(out_of),))], [version(number, Writer(by.id, 1))], [(version(out_of), origin)], []
    )


def test_two_versions_that_come_from_each_other() -> None:
    assert kinds({A: made(1, P, 2), B: made(2, Q, 1)}) == ["circle"]
    assert kinds({A: made(1, P, 2), B: made(2, Q, 1, Origin(A, 0))}) == ["circle"]
    segments = {A: made(1, P, 2), B: made(2, Q, 1)}
    (found,) = check_circles(segments.items(), segments.get)
    assert found.segment == A
    assert found.message == "v:0000000000000001, v:0000000000000002 come from each other"


def test_a_version_that_another_segment_stores_later_is_no_circle() -> None:
    assert kinds({A: made(1, P, 2), B: made(2, Q, 3), C: made(4, Q, 1, Origin(A, 0))}) == []


def test_a_version_that_two_segments_store_is_no_circle() -> None:
    """Two repos keep what a file beyond the mount came from, each for itself."""
    both = Group(
        [Slice(P, 0, (Input(2), Input(1)))],
        [version(1, Writer(P.id, 1)), version(3, Writer(P.id, 2))],
        [(version(2), None)],
        [],
    )
    assert kinds({A: both, B: made(1, P, 2), C: made(5, Q, 1)}) == []


def test_segments_that_use_each_other_need_not_be_a_circle() -> None:
    """Each uses what the other stores, but not for what the other uses."""
    first = Group(
        [Slice(P, 0, (Input(9),)), Slice(Q, 0, (Input(2),))],
        [version(1, Writer(P.id, 1)), version(5, Writer(Q.id, 1))],
        [(version(9), None), (version(2), None)],
        [],
    )
    assert kinds({A: first, B: made(2, replace(P, id=13), 1)}) == []


def test_a_circle_through_what_came_before_at_a_path() -> None:
    def on_top(number: int, of: int) -> Group:
        row = version(number, relation=Relation.IN_PLACE, previous=of)
        return Group([], [row], [(version(of), None)], [])

    assert kinds({A: on_top(1, 2), B: on_top(2, 1)}) == ["circle"]
    replaced = Group([], [version(1, relation=Relation.REPLACED, previous=2)], [(version(2), None)], [])
    assert kinds({A: replaced, B: on_top(2, 1)}) == []


def test_a_circle_through_inputs_of_another_segment_and_a_pipe() -> None:
    """P read 2 (stored in A), told Q in B, which wrote 2 there."""
    first = Group([Slice(P, 0, (Input(2),))], [version(1, Writer(P.id, 1))], [(version(2), None)], [])
    told = [Slice(P, 1, (), None, A), Slice(Q, 0, (Input(P.id, True, 1),))]
    assert kinds({A: first, B: Group(told, [version(2, Writer(Q.id, 1))], [], [])}) == ["circle"]
    in_time = Group(told, [version(2, Writer(Q.id, 0))], [], [])
    assert kinds({A: first, B: in_time}) == []


@given(st.integers(1, 7), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=16))
def test_rings_against_reachability(count: int, edges: set[tuple[int, int]]) -> None:
    inside = sorted(edge for edge in edges if max(edge) < count)
    below = {node: [end for start, end in inside if start == node] for node in range(count)}
    reach = {node: set(ends) for node, ends in below.items()}
    for _ in range(count):
        for ends in reach.values():
            ends |= {far for near in list(ends) for far in reach[near]}
    expected = {
        frozenset({node, *(other for other in reach[node] if node in reach[other])}) for node in range(count)
    }
    assert {frozenset(ring) for ring in rings(range(count), below.__getitem__)} == {
        ring for ring in expected if len(ring) > 1
    }


# Entries.


def entry(of: Version, row: int, **facts: object) -> Entry:
    size, content, height = of.size, of.content, of.height
    file = Entry(b"f", 5, FileType.REGULAR, size=size, content=content, detail=height, origin=(A, row))
    return replace(file, **facts)


def test_entries_lead_to_rows_with_their_bytes() -> None:
    group = nothing_earlier(workloads.make(5))
    rows = group.versions
    sound = [(f"f{row}", entry(version, row)) for row, version in enumerate(rows)]
    sound.append(("raw", entry(rows[0], 0, origin=None, size=1)))
    sound.append(("link", entry(rows[0], 0, type=FileType.SYMLINK, size=1)))
    assert list(check_entries(sound, {A: group}.get)) == []
    wrong = [
        ("a", entry(rows[0], 1)),
        ("b", entry(rows[0], 0, size=5)),
        ("c", entry(rows[0], 0, detail=1)),
        ("d", entry(rows[0], len(rows))),
        ("e", entry(rows[0], 0, origin=(B, 0))),
    ]
    found = list(check_entries(wrong, {A: group}.get))
    assert [(one.message[0], one.kind) for one in found] == [
        ("a", "other_content"),
        ("b", "other_content"),
        ("c", "other_content"),
        ("d", "missing_row"),
        ("e", "missing_segment"),
    ]
