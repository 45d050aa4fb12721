"""Fixtures of the lineage tests."""

from __future__ import annotations

import pytest

from tests.lineage.stage import Stage


@pytest.fixture
def stage() -> Stage:
    """One branch, no process yet."""
    return Stage()
