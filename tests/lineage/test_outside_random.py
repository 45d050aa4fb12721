"""Random histories of processes that pass data on through files beyond the mount, against what is true.

Whatever a process has read in the mount, whoever gets it from there through files has to have it recorded.
"""

from __future__ import annotations

import pytest

from tests.lineage.outside_world import World

HISTORIES = 250
STEPS = 200
EXTRA_SHARE_MAX = 0.06  # merged events may mean more than happened


@pytest.mark.parametrize("part", range(8))
def test_nothing_is_missing(part: int) -> None:
    extra = seen = 0
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        world = World(seed)
        try:
            for _ in range(STEPS):
                world.step()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        extra, seen = extra + world.extra, seen + world.seen
    assert extra < seen * EXTRA_SHARE_MAX
    assert seen > HISTORIES * 40
