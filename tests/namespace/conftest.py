"""A repo to work on, whose records are checked when the test ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.repo.workshop import Workshop, check_invariants


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    made = Workshop()
    yield made
    check_invariants(made)
