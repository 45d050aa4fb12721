"""Segments of random groups: nothing is lost, nothing that is damaged is believed, and cuts join again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import CorruptObject
from pfs.lineage.facts import Input
from pfs.lineage.group import Group, Origin
from pfs.lineage.segment import decode, decode_canonical, encode, segments_below, store_of, stored
from pfs.objects.ids import Kind, object_id
from tests.lineage.random_groups import groups, kept

STORE = b"a store's uuid.."


def segments_of(group: Group) -> list[bytes]:
    """Payloads."""
    return [segment.payload for segment in encode(group, store=STORE)]


@settings(deadline=None, max_examples=80)
@given(groups())
def test_a_group_comes_back_and_is_written_the_same_again(group: Group) -> None:
    (payload,) = segments_of(group)
    back = decode_canonical(payload)
    assert back == kept(group)
    assert encode(back, store=STORE) == [(payload, [version.id for version in group.versions])]
    assert store_of(payload) == STORE
    named = {origin.segment for _, origin in back.used if origin} | {piece.before for piece in back.slices}
    assert set(segments_below(payload)) == named - {b""} | set(back.after)


@settings(deadline=None, max_examples=80)
@given(groups(), st.data())
def test_a_flipped_bit_is_refused_or_is_another_segment(group: Group, data: st.DataObject) -> None:
    (payload,) = segments_of(group)
    at = data.draw(st.integers(0, len(payload) - 1))
    damaged = bytearray(payload)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = decode_canonical(bytes(damaged))
    except CorruptObject:
        return
    assert (found, store_of(bytes(damaged))) != (kept(group), STORE)


NUMBERS = st.sampled_from([0, 1, 2, 3, 5, 255, 2**16, 2**32, 2**63 - 1, 2**64 - 1, -1, -(2**63)])


def numbers_in(value: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from numbers_in(part, (*path, place))
    elif isinstance(value, int):
        yield path


@settings(deadline=None, max_examples=80)
@given(groups(), st.data())
def test_odd_numbers_in_columns_are_refused_or_make_sense(group: Group, data: st.DataObject) -> None:
    (payload,) = segments_of(group)
    value = msgspec.msgpack.decode(payload)
    places = list(numbers_in(value))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places))
        part = value
        for place in path:
            part = part[place]
        part[last] = data.draw(NUMBERS)
    damaged = msgspec.msgpack.encode(value)
    try:
        found = decode(damaged)
    except CorruptObject:
        return
    encode(found, store=store_of(damaged))


@settings(deadline=None, max_examples=40)
@given(groups(steps_max=60), st.integers(1, 1_500))
def test_what_is_cut_joins_again(group: Group, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "SEGMENT_BYTES", size)
        payloads = segments_of(group)
        pieces = [(object_id(Kind.LINEAGE, payload), decode_canonical(payload)) for payload in payloads]
        for payload in payloads:
            assert len(encode(decode(payload), store=STORE)) == 1
    whole = kept(group)
    assert [version for _, piece in pieces for version in piece.versions] == whole.versions
    assert [change for _, piece in pieces for change in piece.changes] == whole.changes
    assert_slices_join(whole, pieces)
    if pieces:
        first = {origin.segment for _, origin in pieces[0][1].used if origin}
        first |= {piece.before for piece in pieces[0][1].slices}
        assert set(group.after) <= {*pieces[0][1].after, *first}
        assert not any(piece.after for _, piece in pieces[1:])
    rows: dict[Origin, int] = {}
    wanted = dict.fromkeys(pair[0].id for pair in whole.used)
    for segment, piece in pieces:
        for version, origin in piece.used:
            if version.id in wanted:
                assert (version, origin) in whole.used
            else:
                assert origin is not None
                assert rows[origin] == version.id
        rows.update({Origin(segment, row): version.id for row, version in enumerate(piece.versions)})


def assert_slices_join(whole: Group, pieces: list[tuple[bytes, Group]]) -> None:
    inputs: dict[int, list[Input]] = {piece.activity.id: [] for piece in whole.slices}
    starts = {piece.activity.id: piece for piece in whole.slices}
    ends: dict[int, bytes] = {}
    for segment, group in pieces:
        for piece in group.slices:
            who = piece.activity.id
            assert (piece.activity, piece.ending) == (starts[who].activity, starts[who].ending)
            assert piece.first == starts[who].first + len(inputs[who])
            assert piece.before == ends.get(who, starts[who].before)
            inputs[who] += piece.inputs
            if piece.inputs:
                ends[who] = segment
    assert inputs == {piece.activity.id: list(piece.inputs) for piece in whole.slices}
