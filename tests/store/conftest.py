"""Stores for tests.  A store that a fixture made is checked when its test ends: any finding fails it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pfs.disk import Disk
from pfs.store.store import Store

Open = Callable[..., Store]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Open the store at tmp_path/"store"; what is still open at the end is closed and checked."""
    opened: list[Store] = []

    def open_one(disk: Disk | None = None, **options: object) -> Store:
        store = Store.open(tmp_path / "store", Disk() if disk is None else disk, **options)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        if store.is_open:
            store.close()
    with Store.open(tmp_path / "store", Disk()) as store:
        assert list(store.check()) == []


@pytest.fixture
def store(open_store: Open) -> Store:
    """A new store."""
    return open_store()
