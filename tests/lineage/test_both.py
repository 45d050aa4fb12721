"""What is live and what is stored answer together as if they were one."""

from __future__ import annotations

import itertools

from hypothesis import given, settings

from pfs.lineage.facts import ChangeKind, Source
from pfs.lineage.index.both import Both
from pfs.lineage.index.graph import GAP
from tests.lineage.drawn import PATHS, Drawn, LiveSource, facts, indexed
from tests.lineage.sources import FactSource, Story


def union(live: LiveSource, stored: Source) -> Source:
    return Both(live, stored, lambda activity: live.first.get(activity, 0))


def assert_same(found: Source, wanted: FactSource) -> None:
    for one in wanted.activities_by_id:
        assert found.activity(one) == wanted.activity(one)
        assert found.ending(one) == wanted.ending(one)
        assert list(found.inputs(one)) == list(wanted.inputs(one))
        assert list(found.outputs(one)) == list(wanted.outputs(one))
        assert sorted(found.informed(one)) == sorted(wanted.informed(one))
    for version in wanted.versions_by_id.values():
        assert found.version(version.id) == version
        assert sorted(found.consumers(version.id)) == sorted(wanted.consumers(version.id))
        assert list(found.revisions(version.id)) == list(wanted.revisions(version.id))
        if version.content:
            assert sorted(found.versions_with(version.content)) == sorted(
                wanted.versions_with(version.content)
            )
    for path in PATHS:
        assert list(found.versions_at(1, path)) == list(wanted.versions_at(1, path))
        assert list(found.changes_at(1, path)) == list(wanted.changes_at(1, path))
        assert list(found.changes_below(1, path)) == list(wanted.changes_below(1, path))
    assert list(found.activities()) == list(wanted.activities())
    middle = sorted(one.started_ns for one in wanted.activities_by_id.values())[
        len(wanted.activities_by_id) // 2
    ]
    assert list(found.activities(middle)) == list(wanted.activities(middle))


@given(facts())
@settings(max_examples=75, deadline=None)
def test_nothing_is_missing_and_nothing_double(drawn: Drawn) -> None:
    with indexed(drawn) as index:
        assert_same(union(drawn.live, index), drawn.source)


@given(facts(whole=True))
@settings(max_examples=50, deadline=None)
def test_what_is_in_both_is_told_once(drawn: Drawn) -> None:
    everything = LiveSource(**vars(drawn.source))
    with indexed(drawn) as index:
        assert_same(union(everything, index), drawn.source)


def test_what_neither_has_of_a_list_is_a_gap() -> None:
    story = Story()
    tool = story.process("tool")
    story.read(tool, story.raw("raw"))
    live = LiveSource(**vars(story.source), first={tool: 2})
    assert union(live, FactSource()).inputs(tool) == [GAP, GAP, *story.source.inputs(tool)]


def test_an_origin_is_found_in_either() -> None:
    one, other = LiveSource(origins={(b"s", 1): 11}), FactSource(origins={(b"s", 2): 22})
    found = union(one, other)
    assert [found.origin(b"s", row) for row in range(4)] == [0, 11, 22, 0]


def test_equal_changes_at_one_time_are_one_and_others_are_not() -> None:
    story = Story()
    tool = story.process("tool")
    same = story.change(tool, ChangeKind.CREATE, "a")
    story.now_ns = same.time_ns - 1_000_000_000
    other = story.change(tool, ChangeKind.CHMOD, "a")
    assert other.time_ns == same.time_ns
    for live, stored in itertools.product(([same], [other, same], []), ([same, other], [other], [])):
        found = union(LiveSource(change_list=live), FactSource(change_list=stored))
        wanted = {change.kind for change in (*live, *stored)}
        for changes in (list(found.changes_at(1, b"a")), list(found.changes_below(1, b""))):
            assert sorted(change.kind for change in changes) == sorted(wanted)
