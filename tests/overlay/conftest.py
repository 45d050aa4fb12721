"""A bench on a disk that records what is done to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.disk import RecordingDisk
from tests.overlay.bench import Bench


@pytest.fixture
def disk() -> RecordingDisk:
    return RecordingDisk()


@pytest.fixture
def bench(tmp_path: Path, disk: RecordingDisk) -> Iterator[Bench]:
    made = Bench(tmp_path / "store", disk)
    yield made
    findings = [finding for finding in made.store.check() if not finding.harmless]
    made.close()
    assert not findings
