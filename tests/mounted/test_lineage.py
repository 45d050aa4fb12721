"""Lineage of what real programs did on a mount: nothing missing, nothing extra, every argv exact.

Each scenario runs twice and is judged before and after a commit; the table of all is printed at the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.mounted.lineage_scenarios.checker import Row
from tests.mounted.lineage_scenarios.stage import ROWS, judge, perform
from tests.mounted.lineage_scenarios.table import SCENARIOS
from tests.mounted.mounting import Mount

RUNS = 2
# The others run under load in `scripts/accept lineage`, until capture is on by default.
SCENARIOS_HERE = (
    "sed_in_place",
    "sort_onto_itself",
    "tee",
    "write_into_the_middle",
    "filter_that_drops_nothing",
    "python_program",
    "one_after_the_other",
    "ping_pong",
    "two_holders",
    "move",
)


@pytest.fixture
def mount(make_mount: Callable[[], Mount]) -> Mount:
    """A new store, mounted with capture."""
    made = make_mount()
    made.options = ("--capture",)
    made.start()
    return made


@pytest.fixture
def show(request: pytest.FixtureRequest) -> list[Row]:
    """Rows for the table at the end."""
    return request.config.stash.setdefault(ROWS, [])


@pytest.mark.parametrize("name", SCENARIOS_HERE)
def test_scenario(mount: Mount, show: list[Row], name: str) -> None:
    if SCENARIOS[name].needs_root and os.geteuid() != 0:
        pytest.skip("needs root, for a namespace")
    findings = []
    for number in range(RUNS):
        at = perform(mount, name, number)
        live = judge(mount, name, at)
        mount.commit(at.tree)
        committed = judge(mount, name, at, ", committed")
        show.append(live)
        findings += [*live.findings, *committed.findings]
        assert live[1:] == committed[1:], "a commit changes what is answered"
    mount.remount()
    after = judge(mount, name, at, ", mounted again")
    assert after[1:] == committed[1:], "a mount changes what is answered"
    assert not findings, "\n".join(findings)
