"""A repo in memory and in a real store, and trees in it."""

from __future__ import annotations

import pytest

from tests.repo.conftest import workshop
from tests.repo.workshop import Workshop
from tests.versioning.trees import TreeMaker

__all__ = ["workshop"]


@pytest.fixture
def maker(workshop: Workshop) -> TreeMaker:
    return TreeMaker(workshop)
