"""Lineage segments: what goes in comes out, whichever story it tells, and what is too much for one is cut."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from pfs.lineage.group import Group, Origin
from pfs.lineage.segment import decode, decode_canonical, encode, segments_below, store_of
from pfs.objects.ids import Kind, object_id
from tests.lineage import workloads
from tests.lineage.drawn import Drawn, facts
from tests.lineage.random_groups import kept

STORE = b"a store's uuid.."
SECOND_NS = 10**9


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(facts(whole=True))
def test_what_goes_in_comes_out(drawn: Drawn) -> None:
    for group in drawn.groups:
        for payload, rows in encode(group, store=STORE):
            back = decode_canonical(payload)
            assert back == kept(group)
            assert [version.id for version in back.versions] == rows
            assert store_of(payload) == STORE


@pytest.mark.parametrize(
    "group", [workloads.make(300), workloads.make(100, drivers=True), workloads.pipeline(5)]
)
def test_real_work_comes_back(group: Group) -> None:
    ((payload, _),) = encode(group, store=STORE)
    assert decode_canonical(payload) == kept(group)


def test_what_does_not_fit_goes_into_more_segments() -> None:
    group = workloads.make(6_000)
    segments = encode(group, store=STORE)
    assert len(segments) > 1
    assert all(len(one.payload) <= 1 << 20 for one in segments)
    known: dict[bytes, list[int]] = {workloads.EARLIER: []}
    seen: list[int] = []
    for payload, rows in segments:
        assert set(segments_below(payload)) <= set(known)
        for version, origin in decode(payload).used:
            if origin is not None and origin.segment != workloads.EARLIER:
                assert known[origin.segment][origin.row] == version.id
        known[object_id(Kind.LINEAGE, payload)] = rows
        seen += rows
    assert seen == [version.id for version in group.versions]


def test_a_version_stored_before_is_named_by_its_row() -> None:
    group = workloads.make(3)
    origin = Origin(object_id(Kind.LINEAGE, b"before"), 7)
    used = [(version, origin if number == 0 else None) for number, (version, _) in enumerate(group.used)]
    ((payload, _),) = encode(replace(group, used=used), store=STORE)
    places = {version.id: where for version, where in decode(payload).used}
    assert places == {version.id: where for version, where in used}
    assert segments_below(payload) == (origin.segment,)


@pytest.mark.parametrize("time_ns", [0, -(2**62), 8_589_934_592 * SECOND_NS, 2**63 - 1, -(2**63)])
def test_any_time_that_a_file_can_have(time_ns: int) -> None:
    group = workloads.make(2)
    times = (time_ns, -time_ns if time_ns > -(2**63) else 0, 5)
    versions = [replace(version, mtime_ns=time) for version, time in zip(group.versions, times, strict=True)]
    ((payload, _),) = encode(replace(group, versions=versions), store=STORE)
    assert decode_canonical(payload).versions == versions
