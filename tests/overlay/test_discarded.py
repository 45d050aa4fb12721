"""A working file goes only when the loss of its name is durable: before, a power cut brings the name back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.overlay.bench import Bench

OTHER_BOOT = b"boot number two."


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_lost_name_that_a_power_cut_brings_back_has_its_bytes(tmp_path: Path, way: str) -> None:
    bench = Bench(tmp_path / "store")
    bench.create("file", b"synced")
    bench.sync()
    journal = bench.tree.journal.directory / f"{bench.tree.generation.number:016x}"
    synced = journal.read_bytes()
    if way == "removed":
        bench.remove("file")
    else:
        bench.create("new", b"not synced")
        bench.rename("new", "file")
    bench.close()
    journal.write_bytes(synced)
    bench = Bench(tmp_path / "store", boot_id=OTHER_BOOT)
    assert bench.read(bench.walk("file")) == b"synced"
    bench.close()


def test_a_sync_removes_what_has_lost_its_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store")
    bench.create("file", b"bytes")
    bench.sync()
    bench.remove("file")
    assert bench.working_names() - bench.needed_names()
    bench.sync()
    assert not bench.working_names()
    bench.close()


def test_what_a_replay_finds_left_over_goes_with_its_first_sync(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store")
    bench.create("file", b"bytes")
    bench.remove("file")
    bench.restart()
    assert bench.working_names()
    bench.sync()
    assert not bench.working_names()
    bench.close()
