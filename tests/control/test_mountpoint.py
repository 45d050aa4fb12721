"""A bare mount point refuses writes, can be mounted on again, and can be removed after umount."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.control import mountpoint


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mnt"
    path.mkdir()
    directory = mountpoint.prepare(path)
    mountpoint.harden(directory)
    os.close(directory)
    yield path
    mountpoint.soften(path)


def test_nothing_can_be_written_beside_the_store(bare: Path) -> None:
    assert stat.S_IMODE(bare.stat().st_mode) == mountpoint.BARE_MODE
    with pytest.raises(PermissionError):
        (bare / "file").touch()


def test_prepared_again_it_is_writable(bare: Path) -> None:
    os.close(mountpoint.prepare(bare))
    (bare / "file").touch()


def test_softened_it_can_be_removed(bare: Path) -> None:
    mountpoint.soften(bare)
    bare.rmdir()
    mountpoint.soften(bare)


def test_missing_directory_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mountpoint.prepare(tmp_path / "missing")
