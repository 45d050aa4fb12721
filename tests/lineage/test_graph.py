"""The answer document as the exports take it."""

from __future__ import annotations

from typing import Any

import pytest

from pfs.errors import UsageError
from pfs.lineage.render.graph import read
from pfs.lineage.render.openlineage import openlineage
from pfs.lineage.render.prov import prov_json
from pfs.lineage.render.ro_crate import crate_paths
from tests.lineage.answers import EDGES, VERSIONS, answer, p, v


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
