"""A repo to work on, in memory and in a real store, whose records are checked when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.disk import Disk
from pfs.store.store import Store
from tests.repo.workshop import Workshop, check_invariants


@pytest.fixture(params=["in memory", "real store"])
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    if request.param == "in memory":
        made = Workshop()
        yield made
        check_invariants(made)
        return
    with Store.open(tmp_path / "store", Disk()) as store:
        made = Workshop(store)
        yield made
        check_invariants(made)
        assert list(store.check()) == []
