"""Closures: every way of computing one gives what the rules say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage import closure
from pfs.lineage.both import Both
from pfs.lineage.closure import downstream, upstream
from pfs.lineage.facts import Source
from tests.lineage.drawn import LEVELS, Drawn, Reference, facts, indexed


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


@given(facts(whole=True), st.data())
@settings(max_examples=300, deadline=None)
def test_in_python_is_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    check(drawn.source, drawn, data)


@given(facts(whole=True, overlap_max=2), st.data())
@settings(max_examples=300, deadline=None)
def test_in_c_is_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    with indexed(drawn) as index:
        check(index, drawn, data)


@given(facts(), st.data())
@settings(max_examples=200, deadline=None)
def test_live_and_stored_in_python_are_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    with indexed(drawn) as index:
        check(Both(drawn.live, index, lambda who: drawn.live.first.get(who, 0)), drawn, data)


@given(facts(), st.data())
@settings(max_examples=200, deadline=None)
def test_live_on_top_of_stored_in_c_is_what_the_rules_say(drawn: Drawn, data: st.DataObject) -> None:
    with indexed(drawn) as index, pytest.MonkeyPatch.context() as patched:
        patched.setattr(closure, "_STEPS_MIN", 0)
        check(Hurried(drawn.live, index, lambda who: drawn.live.first.get(who, 0)), drawn, data)
