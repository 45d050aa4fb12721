"""The answer document as the exports take it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from pfs.errors import UsageError
from pfs.lineage.answers.answer import to_json
from pfs.lineage.answers.ask import ask
from pfs.lineage.answers.nodes import Place
from pfs.lineage.facts import OUTSIDE, Relation, Version
from pfs.lineage.render.graph import read
from pfs.lineage.render.in_toto import in_toto_links
from pfs.lineage.render.openlineage import openlineage
from pfs.lineage.render.prov import prov_json
from pfs.lineage.render.ro_crate import crate_paths
from tests.lineage.answers import EDGES, VERSIONS, answer, p, v
from tests.lineage.sources import Story, as_source


@pytest.mark.parametrize("export", [prov_json, openlineage, crate_paths])
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"schema": "pfs.lineage/2"}, "pfs.lineage/2"),
        ({"root": v(77)}, v(77)),
        ({"versions": [{"id": v(1)}]}, "repo"),
        ({"edges": [{"kind": "used", "process": p(1), "version": v(77), "level": "observed"}]}, v(77)),
    ],
)
def test_what_is_no_answer_is_refused(export: Any, broken: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        export(answer(**broken))


def test_fields_that_a_newer_pfs_adds_are_ignored() -> None:
    newer = answer(more=1, versions=[{**each, "more": 2} for each in VERSIONS])
    assert prov_json(newer) == prov_json(answer())


def test_inputs_follow_pipes_and_keep_the_strongest_way() -> None:
    graph = read(answer())
    assert graph.inputs(p(2)) == {v(1): "observed"}
    assert graph.inputs(p(4)) == {
        v(2): "observed",
        v(3): "observed",
        v(9): "observed",
        v(7): "argument",
        v(8): "inferred",
    }
    # Two ways to one version: an inferred one first, then an observed one through a longer chain, and a loop.
    more = [
        {"kind": "informed", "process": p(4), "by": p(2), "level": "observed"},
        {"kind": "informed", "process": p(2), "by": p(6), "level": "observed"},
        {"kind": "informed", "process": p(6), "by": p(4), "level": "observed"},
    ]
    assert read(answer(edges=EDGES + more)).inputs(p(4))[v(8)] == "observed"


class Everything:
    """Names for an asker who may see all."""

    uid = 1000
    is_owner = True

    def repo(self, number: int) -> str:
        return f"repo{number}"

    def place(self, version: Version) -> Place:
        return Place("repo1")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_is_really_answered_can_be_exported(direction: Literal["up", "down"]) -> None:
    """A pipe, an edit in place and a file outside; each export takes the answer as JSON carries it."""
    story = Story()
    raw, outside = (
        story.raw("raw \udcff.csv".encode("utf-8", "surrogateescape")),
        story.raw("/x", repo=OUTSIDE),
    )
    sort, cut = story.process("sort", "raw.csv"), story.process("cut", "-f1")
    story.read(sort, raw)
    story.read(sort, outside)
    story.informs(sort, cut)
    clean = story.write(cut, "clean.csv")
    edit = story.process("sed", "-i", "s/a/b/", "clean.csv")
    root = story.write(edit, "clean.csv", b"edited", previous=clean, relation=Relation.IN_PLACE)
    answered = ask(
        as_source(story.source), Everything(), root if direction == "up" else raw, direction=direction
    )
    document = json.loads(json.dumps(to_json(answered)))
    graph = read(document)
    assert len(graph.versions) == (4 if direction == "up" else 3)
    assert prov_json(document)
    assert len(openlineage(document).splitlines()) >= 3
    assert set(crate_paths(document)) == {each.id for each in graph.versions.values() if each.repo}
    assert [json.loads(link.text)["signed"]["command"] for link in in_toto_links(document, lambda _: [b"x"])]
