"""The crash harness itself: a fake is tested like what it stands for."""

from __future__ import annotations

from pathlib import Path

from pfs.disk import Disk, Operation, RecordingDisk, write_durably
from tests.crash.replay import prefixes, replay


def tree(path: Path) -> dict[str, bytes | None]:
    return {
        str(found.relative_to(path)): found.read_bytes() if found.is_file() else None
        for found in sorted(path.rglob("*"))
    }


def workload(disk: Disk, base: Path) -> None:
    disk.mkdir(base / "d")
    fd = disk.create(base / "d" / "a")
    disk.pwrite(fd, b"x" * 2000, 0)
    disk.append(fd, b"y")
    disk.fdatasync(fd)
    disk.truncate(fd, 1500)
    disk.punch(fd, 0, 1000)
    disk.fallocate(fd, 1000, 3000)
    disk.close(fd)
    write_durably(disk, base / "b", b"first")
    write_durably(disk, base / "b", b"second")
    disk.rename(base / "d", base / "e")
    disk.unlink(base / "e" / "a")
    disk.rmdir(base / "e")


def test_every_prefix_of_a_killed_process_is_what_was_on_disk(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    trees: list[dict[str, bytes | None]] = [{}]

    class WatchingDisk(RecordingDisk):
        def after(self, operation: Operation) -> None:
            super().after(operation)
            trees.append(tree(base))

    disk = WatchingDisk()
    workload(disk, base)
    for count, state in prefixes(disk.log, base):
        state.killed(tmp_path / f"{count}")
        assert tree(tmp_path / f"{count}") == trees[count], disk.log[count - 1 : count]


def test_a_power_cut_drops_what_was_not_synced(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    disk = RecordingDisk()
    fd = disk.create(base / "a")
    disk.pwrite(fd, b"one", 0)
    disk.fdatasync(fd)
    disk.sync_directory(base)
    disk.pwrite(fd, b"two", 3)
    disk.close(disk.create(base / "b"))
    disk.close(fd)
    replay(disk.log, base, len(disk.log), tmp_path / "dropped", seed=0)
    assert tree(tmp_path / "dropped") == {"a": b"one"}
    replay(disk.log, base, 3, tmp_path / "without name", seed=0)
    assert tree(tmp_path / "without name") == {}


def test_seeds_give_all_fates_of_an_unsynced_write(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    disk = RecordingDisk()
    fd = disk.create(base / "a")
    disk.sync_directory(base)
    disk.pwrite(fd, b"x" * 2048, 0)
    disk.close(fd)
    seen = set()
    for seed in range(40):
        replay(disk.log, base, len(disk.log), tmp_path / f"{seed}", seed=seed)
        seen.add((tmp_path / f"{seed}" / "a").read_bytes())
    assert {b"", b"x" * 2048, bytes(2048)} <= seen
    assert len(seen) > 5


def test_a_rename_is_all_or_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    disk = RecordingDisk()
    write_durably(disk, base / "f", b"old")
    write_durably(disk, base / "f", b"new")
    for count, state in prefixes(disk.log, base):
        for seed in range(8):
            target = tmp_path / f"{count} {seed}"
            state.power_cut(target, seed)
            if count >= 5:
                assert (target / "f").read_bytes() in {b"old", b"new"}
