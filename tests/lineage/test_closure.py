"""Closures: every way of computing one gives what the rules say."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage.facts import Level, Relation, Source
from pfs.lineage.group import Group, Slice
from pfs.lineage.index import closure
from pfs.lineage.index.both import Both
from pfs.lineage.index.closure import downstream, upstream
from pfs.lineage.index.walk import Edge, EdgeKind
from tests.lineage.drawn import LEVELS, Drawn, LiveSource, Reference, facts, indexed
from tests.lineage.sources import FactSource, Story


class Hurried(Both):
    """Gives up on Python at once."""

    def live_facts(self) -> int:
        return 0


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "level_max": draw(st.sampled_from(LEVELS)),
        "depth": draw(st.sampled_from([None, None, 0, 1, 2, 3])),
        "edges": draw(st.booleans()),
    }


def check(source: Source, drawn: Drawn, data: st.DataObject) -> None:
    """Both directions, from some versions, at some level and depth."""
    versions = sorted(drawn.source.versions_by_id)
    roots = data.draw(st.lists(st.sampled_from(versions), min_size=1, max_size=3))
    asked = data.draw(questions())
    depth_max = 99 if asked["depth"] is None else asked["depth"]
    for question, direction in ((upstream, Reference.up), (downstream, Reference.down)):
        wanted = direction(Reference(drawn.source, asked["level_max"], depth_max), roots)
        found = question(source, roots, **asked)
        assert dict(zip(found.versions, found.depths, strict=True)) == wanted.versions
        assert list(found.depths) == sorted(found.depths)
        assert sorted(found.activities) == sorted(wanted.activities)
        assert sorted(found.edges) == (sorted(wanted.edges) if asked["edges"] else [])
        assert found.left_out == (wanted.left_out if asked["edges"] else {})


def near(story: Story, version: int, *, down: bool = False, **asked: Any) -> set[int]:
    """The versions of the answer, the same in all ways."""
    question = downstream if down else upstream
    found = question(story.source, [version], **asked)
    everything = story.source.versions_by_id.values()
    slices = [
        Slice(activity, 0, tuple(story.source.inputs_by_activity[activity.id]))
        for activity in story.source.activities_by_id.values()
    ]
    with indexed(Drawn(story.source, [Group(slices, list(everything))], LiveSource())) as index:
        assert set(question(index, [version], **asked).versions) == set(found.versions)
    return set(found.versions) - {version}


def test_only_what_was_read_before_the_last_write_counts() -> None:
    story = Story()
    tool = story.process("tool")
    before, after = story.raw("before"), story.raw("after")
    story.read(tool, before)
    made = story.write(tool, "made")
    story.read(tool, after)
    later = story.write(tool, "later")
    assert near(story, made) == {before}
    assert near(story, later) == {before, after}
    assert near(story, before, down=True) == {made, later}
    assert near(story, after, down=True) == {later}


def test_a_pipe_carries_what_was_known_when_it_was_written_to() -> None:
    story = Story()
    source, sink = story.process("cat"), story.process("sort")
    before, after = story.raw("before"), story.raw("after")
    story.read(source, before)
    story.informs(source, sink)
    made = story.write(sink, "made")
    story.read(source, after)
    assert near(story, made) == {before}
    assert near(story, before, down=True) == {made}
    assert near(story, after, down=True) == set()
    assert near(story, made, depth=1) == {before}
    assert near(story, made, depth=0) == set()


def test_what_an_interactive_program_knows_reaches_others_as_ambient() -> None:
    story = Story()
    editor, tool = story.process("editor", interactive=True), story.process("tool")
    read = story.raw("read")
    story.read(editor, read)
    story.informs(editor, tool)
    made = story.write(tool, "made")
    assert near(story, made) == set()
    assert near(story, read, down=True) == set()
    assert near(story, made, level_max=Level.AMBIENT) == {read}
    assert near(story, read, down=True, level_max=Level.AMBIENT) == {made}
    assert upstream(story.source, [made]).left_out == {Level.AMBIENT: 1}


def test_a_focus_leaves_out_the_rest() -> None:
    story = Story()
    copy = story.process("cp")
    versions = [story.raw(f"{number}") for number in range(3)]
    for version in versions:
        story.read(copy, version)
    made = story.write(copy, "made", focus=(1,), rest=Level.UNLIKELY)
    assert near(story, made) == {versions[1]}
    assert near(story, made, level_max=Level.UNLIKELY) == set(versions)
    assert [near(story, version, down=True) for version in versions] == [set(), {made}, set()]
    assert near(story, versions[0], down=True, level_max=Level.UNLIKELY) == {made}


def test_where_several_wrote_all_that_they_knew_counts() -> None:
    story = Story()
    one, other = story.process("one"), story.process("other")
    mine, yours = story.raw("mine"), story.raw("yours")
    story.read(one, mine)
    story.read(other, yours)
    made = story.write(one, "made", others=[other], focus=(), rest=Level.AMBIENT)
    assert near(story, made) == {mine, yours}
    assert near(story, yours, down=True) == {made}


def test_a_version_that_was_only_changed_came_from_the_one_before() -> None:
    story = Story()
    tool = story.process("tool")
    first = story.raw("file")
    appended = story.write(tool, "file", previous=first, relation=Relation.APPENDED)
    emptied = story.write(tool, "file", previous=appended, relation=Relation.TRUNCATED)
    assert near(story, appended) == {first}
    assert near(story, emptied) == set()
    assert near(story, first, down=True) == {appended}


def test_who_led_to_nothing_is_left_out() -> None:
    story = Story()
    reader, tool = story.process("reader"), story.process("tool")
    raw = story.raw("raw")
    story.write(reader, "before")
    story.read(reader, raw)
    story.read(tool, raw)
    made = story.write(tool, "made")
    found = downstream(story.source, [raw])
    assert list(found.activities) == [tool]
    assert found.edges == [
        Edge(EdgeKind.GENERATED, tool, made, 0, Level.OBSERVED),
        Edge(EdgeKind.USED, raw, tool, 0, Level.OBSERVED),
    ]


def test_a_version_that_nobody_knows_is_its_own_closure() -> None:
    for question in (upstream, downstream):
        assert list(question(Story().source, [77]).versions) == [77]
        with indexed(Drawn(FactSource(), [], LiveSource())) as index:
            assert list(question(index, [77, 78]).versions) == [77, 78]


def test_lists_that_contradict_themselves_are_damage() -> None:
    """Jumps of a list of inputs lead elsewhere than its chain, where a piece names what nobody has met."""
    known, unknown = 4, 5 << 7
    first, second, writer = 1, 2, 3
    nodes = array("I", [0] * 8)
    for identifier, writes, watermark in ((first, writer, 3), (second, writer, 5)):
        nodes.extend((identifier, 0, writes, watermark, 0, 0, 0, 1))
    nodes.extend((writer, 0, 31, 5, 0, 0, 0, 2))
    nodes.extend((known, 0, 0, 0, 0, 0, 0, 1))
    forward = array("I", [0])
    for before, jump, start, source in (
        (0, 0, 0, known),
        (0, 0, 0, unknown),
        (1, 1, 4, known),
        (11, 21, 4, known),
    ):
        forward.extend((before, jump, 0, start, 1, 0, 0, source, 0, 0))
    blocks = {0: nodes.tobytes(), 1: forward.tobytes()}

    def closure_of(roots: list[int]) -> object:
        return closure._native.closure(
            lambda kind, _: (0, [blocks[kind]]), array("I", roots), False, 4, 99, True
        )

    assert closure_of([first])
    with pytest.raises(ValueError, match="no graph"):
        closure_of([first, second])


@given(facts(whole=True), st.data())
@settings(max_examples=150, deadline=None)
def test_in_python_is_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    check(drawn.source, drawn, data)


@given(facts(whole=True, overlap_max=2), st.data())
@settings(max_examples=150, deadline=None)
def test_in_c_is_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    with indexed(drawn) as index:
        check(index, drawn, data)


@given(facts(), st.data())
@settings(max_examples=100, deadline=None)
def test_live_and_stored_in_python_are_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    with indexed(drawn) as index:
        check(Both(drawn.live, index, lambda who: drawn.live.first.get(who, 0)), drawn, data)


@given(facts(), st.data())
@settings(max_examples=100, deadline=None)
def test_live_on_top_of_stored_in_c_is_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    with indexed(drawn) as index, pytest.MonkeyPatch.context() as patched:
        patched.setattr(closure, "_STEPS_MIN", 0)
        check(Hurried(drawn.live, index, lambda who: drawn.live.first.get(who, 0)), drawn, data)
