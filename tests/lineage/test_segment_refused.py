"""What segments refuse: facts that do not hang together, and payloads that would unfold to a flood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from pfs.errors import CorruptObject
from pfs.lineage.facts import Flag, Input, Relation, Version, Writer
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.segment import decode, decode_canonical, encode, segments_below, stored
from pfs.lineage.segment.columns import Literals, Sequences, Wide
from pfs.objects.codec import encode as canonical
from tests.lineage import workloads

STORE = b"a store's uuid.."


def small() -> Group:
    """make, three compilers and ld."""
    return workloads.make(3)


def with_inputs(group: Group, number: int, *more: Input, before: int = 0) -> Group:
    """One slice has further inputs, and its version depends on them."""
    slices = list(group.slices)
    piece = slices[number]
    slices[number] = replace(piece, inputs=(*piece.inputs[:before], *more, *piece.inputs[before:]))
    versions = [
        replace(version, writers=(Writer(piece.activity.id, slices[number].end),))
        if version.writers[0].activity == piece.activity.id
        else version
        for version in group.versions
    ]
    return replace(group, slices=slices, versions=versions)


def with_version(group: Group, row: int, **facts: object) -> Group:
    versions = list(group.versions)
    versions[row] = replace(versions[row], **facts)
    return replace(group, versions=versions)


def informs(group: Group, source: int, mark: int) -> Input:
    return Input(group.slices[source].activity.id, True, mark)


def circle_of_informs(group: Group) -> Group:
    group = with_inputs(group, 1, informs(group, 2, 1))
    return with_inputs(group, 2, informs(group, 1, 1))


REFUSED: list[tuple[str, Callable[[Group], Group]]] = [
    ("before it is made", lambda g: with_inputs(g, 1, Input(g.versions[0].id))),
    ("before it is made", lambda g: with_inputs(g, 1, Input(g.versions[2].id))),
    ("neither made here nor used", lambda g: with_inputs(g, 1, Input(12345))),
    ("in a circle", circle_of_informs),
    ("does not have 99 inputs", lambda g: with_inputs(g, 1, informs(g, 2, 99))),
    ("does not have -1 inputs", lambda g: with_inputs(g, 1, informs(g, 2, -1))),
    ("has no slice", lambda g: with_inputs(g, 1, Input(777, True, 0))),
    ("has no slice", lambda g: with_version(g, 0, writers=(Writer(777, 0),))),
    ("does not have 99 inputs", lambda g: with_version(g, 0, writers=(Writer(g.slices[1].activity.id, 99),))),
    ("has no watermark", lambda g: with_inputs(g, 1, Input(g.used[0][0].id, False, 3))),
    ("neither made here nor used", lambda g: with_version(g, 0, previous=5, relation=Relation.IN_PLACE)),
    (
        "before it is made",
        lambda g: with_version(g, 0, previous=g.versions[1].id, relation=Relation.IN_PLACE),
    ),
    ("focus beyond its inputs", lambda g: with_version(g, 0, focus=(99,))),
    ("zero or stands twice", lambda g: with_version(g, 0, id=g.versions[1].id)),
    ("zero or stands twice", lambda g: with_version(g, 0, id=0)),
    ("zero or stands twice", lambda g: replace(g, slices=[*g.slices, g.slices[0]])),
    ("zero or stands twice", lambda g: replace(g, used=[*g.used, g.used[0]])),
    ("both made and used", lambda g: replace(g, used=[*g.used, (g.versions[0], None)])),
    ("begins before", lambda g: replace(g, slices=[replace(g.slices[0], before=bytes(32)), *g.slices[1:]])),
    ("begins before", lambda g: replace(g, slices=[replace(g.slices[0], first=-1), *g.slices[1:]])),
    ("does not have 32 bytes", lambda g: with_version(g, 0, content=b"short")),
    ("does not fit 64 bits", lambda g: with_version(g, -1, id=1 << 64)),
    ("out of range", lambda g: with_version(g, -1, time_ns=1 << 64)),
    ("out of range", lambda g: with_version(g, -1, mtime_ns=-(1 << 63) - 1)),
    ("out of range", lambda g: with_version(g, -1, size=1 << 64)),
    ("out of range", lambda g: with_version(g, -1, file_id=1 << 70)),
    ("out of range", lambda g: replace(g, changes=[replace(g.changes[0], time_ns=1 << 64)])),
    ("unknown flags", lambda g: with_inputs(g, 1, Input(g.used[0][0].id, flags=128))),
    ("not a valid Level", lambda g: with_inputs(g, 1, Input(g.used[0][0].id, level=7))),
    ("not a valid Relation", lambda g: with_version(g, 0, relation=6)),
    ("not a valid ChangeKind", lambda g: replace(g, changes=[replace(g.changes[0], kind=0)])),
]


@pytest.mark.parametrize(("says", "spoil"), REFUSED, ids=[says for says, _ in REFUSED])
def test_facts_that_do_not_hang_together(says: str, spoil: Callable[[Group], Group]) -> None:
    assert encode(small(), store=STORE)
    with pytest.raises(ValueError, match=says):
        encode(spoil(small()), store=STORE)


def test_what_an_activity_told_itself_is_no_circle() -> None:
    group = small()
    group = with_inputs(group, 1, informs(group, 1, 2), before=2)
    ((payload, _),) = encode(group, store=STORE)
    assert decode_canonical(payload).slices[1].inputs[2].watermark == 2


def test_a_long_chain_of_pipes_takes_no_time() -> None:
    group = workloads.make(4_000)
    slices = list(group.slices)
    for number in range(2, len(slices)):
        told = Input(slices[number - 1].activity.id, True, slices[number - 1].end, flags=Flag.PIPE)
        slices[number] = replace(slices[number], inputs=(told,))
    last = replace(group.versions[-1], writers=(Writer(slices[-1].activity.id, 1),))
    chain = Group(slices, [last], group.used, [])
    assert sum(len(decode(payload).slices) for payload, _ in encode(chain, store=STORE)) >= len(slices)


def test_very_many_writers_of_one_version_need_no_cut_amid_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make > log` with the log in the mount: all its children may write it, at once."""
    monkeypatch.setattr(stored, "SEGMENT_BYTES", 50_000)
    group = workloads.make(2_000)
    writers = tuple(Writer(piece.activity.id, piece.end, Flag.SHARED) for piece in group.slices)
    log = replace(group.versions[-1], id=4_711, path=b"log", writers=writers)
    segments = encode(replace(group, versions=[*group.versions, log]), store=STORE)
    assert all(len(payload) <= stored.SEGMENT_BYTES for payload, _ in segments[:-1])
    assert len(segments[-1].payload) > stored.SEGMENT_BYTES
    last = decode(segments[-1].payload)
    assert last.versions == [log]
    assert encode(last, store=STORE) == [segments[-1]]


def test_the_largest_numbers_that_files_have_come_back() -> None:
    group = small()
    for low, high in [(-(1 << 63), (1 << 64) - 1), ((1 << 64) - 1, -(1 << 63))]:
        first = replace(group.versions[0], mtime_ns=low, time_ns=high)
        second = replace(group.versions[1], mtime_ns=high, time_ns=low, size=(1 << 64) - 1)
        some = replace(group, versions=[first, second, *group.versions[2:]])
        ((payload, _),) = encode(some, store=STORE)
        assert decode_canonical(payload).versions == some.versions


# Payloads.


def parts() -> stored.Stored:
    ((payload, _),) = encode(small(), store=STORE)
    return stored.STORED.decode(payload)


MANY = 1 << 40
FLOODS: list[tuple[str, Callable[[stored.Stored], stored.Stored]]] = [
    ("more than a segment", lambda s: replace(s, inputs=replace(s.inputs, lengths=[MANY]))),
    ("more than a segment", lambda s: replace(s, slices=replace(s.slices, argv_lengths=[MANY] * 5))),
    ("more than a segment", lambda s: replace(s, environments=replace(s.environments, lengths=[MANY]))),
    (
        "more than a segment",
        lambda s: replace(s, slices=replace(s.slices, pipes=replace(s.slices.pipes, lengths=[MANY] * 5))),
    ),
    (
        "words of more than",
        lambda s: replace(
            s,
            words=replace(
                s.words,
                heads=Literals([1 << 20], b"/" * (1 << 20)),
                head=[1] * 100,
                stems=Literals([0], b""),
                stem=[0] + [1] * 99,
                tails=Literals([1] * 100, bytes(range(100))),
                tail=list(range(1, 101)),
            ),
        ),
    ),
    ("stands twice", lambda s: replace(s, inputs=replace(s.inputs, levels=[0] * 9, flags=[0] * 9))),
    ("no such slice", lambda s: replace(s, slices=replace(s.slices, parent=[0, *[1 + 2 * 98] * 4]))),
    ("out of range", lambda s: replace(s, slices=replace(s.slices, started=Wide(bytes(10), [1 << 60] * 5)))),
    ("different lengths", lambda s: replace(s, slices=replace(s.slices, started=Wide(b"", [0] * 5)))),
    ("runs without", lambda s: replace(s, slices=replace(s.slices, argv=Sequences([1], [])))),
    ("ends amid one", lambda s: replace(s, bare=b"1234567")),
    ("zero or stands twice", lambda s: replace(s, strangers=bytes(8))),
]


@pytest.mark.parametrize(("says", "spoil"), FLOODS, ids=[says for says, _ in FLOODS])
def test_payloads_that_make_no_sense(says: str, spoil: Callable[[stored.Stored], stored.Stored]) -> None:
    payload = canonical(spoil(parts()))
    assert len(payload) < 2 << 20
    with pytest.raises(CorruptObject, match=says):
        decode(payload)


def test_a_long_text_that_many_activities_name_is_there_once() -> None:
    """Else a payload of 2 MiB would unfold to some GiB."""
    group = small()
    activities = [replace(piece.activity, uid=n, user="u" * 1_000) for n, piece in enumerate(group.slices)]
    slices = [replace(piece, activity=one) for piece, one in zip(group.slices, activities, strict=True)]
    ((payload, _),) = encode(replace(group, slices=slices), store=STORE)
    assert len({id(piece.activity.user) for piece in decode(payload).slices}) == 1


def test_another_format_is_refused_by_its_number() -> None:
    value: list[Any] = msgspec.msgpack.decode(canonical(parts()))
    value[0] = 2
    value.append("something new")
    with pytest.raises(CorruptObject, match="format 2 is not known"):
        decode(msgspec.msgpack.encode(value))


def test_too_large_a_payload_is_not_looked_at() -> None:
    with pytest.raises(CorruptObject, match="16777217 bytes"):
        decode(bytes((16 << 20) + 1))


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\xc0", b"\x90", b"\x93\x01\xc4\x00\x90", b"\xdd\xff\xff\xff\xff"]
)
def test_what_is_no_segment(payload: bytes) -> None:
    for read in (decode, decode_canonical, segments_below):
        with pytest.raises(CorruptObject):
            read(payload)


def test_another_spelling_of_the_same_facts_is_not_canonical() -> None:
    group = small()
    ((payload, _),) = encode(group, store=STORE)
    unused: list[Any] = msgspec.msgpack.decode(payload)
    unused[12] = (5).to_bytes(8, "little")
    spelled = msgspec.msgpack.encode(unused)
    assert decode(spelled) == decode(payload)
    with pytest.raises(CorruptObject, match="not canonical"):
        decode_canonical(spelled)


def test_no_facts_need_no_segment() -> None:
    used: list[tuple[Version, Origin | None]] = [small().used[0]]
    assert encode(Group([], [], used, []), store=STORE) == []
    assert encode(Group([Slice(small().slices[0].activity)], [], used, []), store=STORE) != []
