"""Many files, long files, much data, little disk."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.acceptance.mount_checks.report import (
    GIB,
    LIFE_SECONDS,
    MIB,
    Run,
    Timer,
    check,
    disk_bytes,
    noise,
    pack_bytes,
    resident_bytes,
    write_noise,
)
from scripts.benchmarks.many_files import make_repo
from tests.mounted.mounting import Mount, run

FIND_RSS_MAX = 500 * 10**6
COMMITS = 11
REMOVAL_SECONDS = 30


@check(
    "million",
    "a 1,000,000-file repo: mount < 1 s, ls streams, commit as in 1,000 files within 2x, RSS < 500 MB",
)
def million(job: Run) -> None:
    """Made through the library by scripts/make_repo, beside one of 1,000 files."""
    files, wide = job.pick((1_000_000, 100_000), (20_000, 5_000))
    base = job.directory / "0"
    base.mkdir()
    with Timer() as timer:
        make_repo(base / "store", "big", files, wide)
        make_repo(base / "store", "little", 1000)
    job.note(f"making {files} files through the library", timer)
    mount = Mount(base, life_seconds=LIFE_SECONDS)
    with Timer() as timer:
        mount.start()
    try:
        job.demand("mount", timer, "< 1 s", timer.seconds < 1, clock=True)
        job.note("memory after mounting", f"{resident_bytes(mount.pid) / 1e6:.0f} MB")
        _list_wide(job, mount.path / "big/wide", wide)
        _commit_one(job, mount)
        _walk(job, mount, files)
        _commit_one(job, mount)
    except BaseException:
        mount.kill9()
        raise
    mount.stop()
    with Timer() as timer:
        mount.start()
    job.demand("mount again", timer, "< 1 s", timer.seconds < 1, clock=True)
    mount.stop()


def _list_wide(job: Run, folder: Path, count: int) -> None:
    with Timer() as first_timer, os.scandir(folder) as entries:
        next(entries)
    with Timer() as all_timer, os.scandir(folder) as entries:
        found = sum(1 for _ in entries)
    job.equal(f"ls of {count} entries", found, count)
    job.demand(
        "the first of them, after opening", f"{first_timer.seconds * 1e3:.1f} ms (all: {all_timer})",
        "< 50 ms, it streams", first_timer.seconds < 0.05, clock=True,
    )  # fmt: skip


def _commit_one(job: Run, mount: Mount) -> None:
    """Change one file and commit, in both repos in turn; medians."""
    seconds: dict[str, list[float]] = {"big": [], "little": []}
    packed: dict[str, list[int]] = {"big": [], "little": []}
    for number in range(COMMITS):
        for name in seconds:
            folders = sorted(
                folder for folder in os.listdir(mount.path / name) if folder.startswith("folder")
            )
            folder = mount.path / name / folders[len(folders) * number // COMMITS]
            file = folder / sorted(os.listdir(folder))[number]
            file.write_bytes(noise(100, number))
            before = pack_bytes(mount.store)
            with Timer() as timer:
                mount.commit(mount.path / name)
            seconds[name].append(timer.seconds)
            packed[name].append(pack_bytes(mount.store) - before)
    big_ms, little_ms = (sorted(seconds[name])[COMMITS // 2] * 1e3 for name in ("big", "little"))
    job.demand("commit after one change, big / little", f"{big_ms:.1f} / {little_ms:.1f} ms", "within 2x",
               big_ms < 2 * little_ms, clock=True)  # fmt: skip
    job.note(
        "pack bytes of it",
        f"{sorted(packed['big'])[COMMITS // 2]} / {sorted(packed['little'])[COMMITS // 2]}",
    )


def _walk(job: Run, mount: Mount, files: int) -> None:
    most = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            most[0] = max(most[0], resident_bytes(mount.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Timer() as timer:
        script = f"find {mount.path}/big -type f -size -2 | wc -l"
        found = int(subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout)
    done.set()
    watcher.join()
    job.equal(f"find ({timer}, {timer.seconds / files * 1e6:.0f} us a file)", found, files)
    job.demand(
        "memory while find walks all",
        f"{most[0] / 1e6:.0f} MB",
        "< 500 MB",
        most[0] < FIND_RSS_MAX,
        clock=True,
    )


@check("sparse", "a 20 GiB sparse file with a random 4 KiB written and committed stores under 200 KB")
def sparse(job: Run) -> None:
    """Once as a new file, once more over the committed one."""
    size = job.pick(20, 2) * GIB
    with job.mounted() as mount:
        repo = mount.repo()
        (repo / "other").write_bytes(b"x")
        mount.commit(repo)
        for number, at in enumerate((size * 5 // 8 + 123_000, size // 3)):
            before = pack_bytes(mount.store), disk_bytes(mount.store)
            piece = noise(4096, number)
            with (repo / "sparse").open("r+b" if number else "wb") as file:
                file.truncate(size)
                file.seek(at)
                file.write(piece)
            with Timer() as timer:
                mount.commit(repo)
            wait_removed(mount)
            stored = pack_bytes(mount.store) - before[0]
            on_disk = disk_bytes(mount.store) - before[1]
            job.demand(f"write {number + 1}: stored ({timer})", f"{stored} bytes, store on disk {on_disk:+}",
                       "< 200,000", stored < 200_000 and on_disk < 400_000)  # fmt: skip
            with (mount.path / "repo@~0/sparse").open("rb") as file:
                file.seek(at - 100)
                around = file.read(4296)
            job.equal("what is read around it", around == bytes(100) + piece + bytes(100), True)
        job.equal("its size", (mount.path / "repo@~0/sparse").stat().st_size, size)


def wait_removed(mount: Mount) -> None:
    """Wait until the working files of what is committed are gone."""
    pace = threading.Event()
    deadline = time.monotonic() + REMOVAL_SECONDS
    while any(any(folder.iterdir()) for folder in (mount.store / "working").iterdir()):
        assert time.monotonic() < deadline, "working files of what is committed are still there"
        pace.wait(0.02)


@check("dedup", "1 GiB copied in twice, and once with a byte in front: the second and third store <= 1 %")
def dedup(job: Run) -> None:
    """Growth of the whole store's directory, after each commit."""
    size = job.pick(GIB, 64 * MIB)
    write_noise(job.directory / "data", size, 3)
    write_noise(job.directory / "shifted", size, 3, b"!")
    with job.mounted(fsck=not job.full) as mount:
        repo = mount.repo()
        before = disk_bytes(mount.store)
        for name, source in (("one", "data"), ("two", "data"), ("three", "shifted")):
            with Timer() as copying:
                run("cp", job.directory / source, repo / name, seconds=600)
            with Timer() as committing:
                mount.commit(repo)
            wait_removed(mount)
            after = disk_bytes(mount.store)
            share = (after - before) / size
            limit = 1.03 if name == "one" else 0.01
            job.demand(f"{name}: cp {copying}, commit {committing}, growth of the store", f"{share:.2%}",
                       f"<= {limit:.0%}", share <= limit)  # fmt: skip
            before = after
        same = run("cmp", job.directory / "shifted", mount.path / "repo@~0/three", check=False, seconds=600)
        job.equal("cmp with the source", same.returncode, 0)


@contextmanager
def small_disk(where: Path, size: int, kind: str = "ext4") -> Iterator[Path]:
    """A file system of that size in a file, mounted; root only."""
    image, point = where / f"{kind}.img", where / f"{kind}.disk"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    run(f"mkfs.{kind}", "-q", image)
    run("mount", "-o", "loop", image, point)
    try:
        yield point
    finally:
        run("umount", point)
        image.unlink()


@check(
    "small_disk",
    "a 3 GiB file is written and committed with 2 GiB to spare on a small disk",
    private_mounts=True,
)
def small_disk_(job: Run) -> None:
    """The store on an ext4 image that holds the file once and 2/3 of it besides."""
    size = job.pick(3 * GIB, 192 * MIB)
    write_noise(job.directory / "data", size, 4)
    with small_disk(job.directory, size + size * 2 // 3 + size // 40) as disk:
        base = disk / "0"
        base.mkdir()
        mount = Mount(base, life_seconds=LIFE_SECONDS)
        mount.start()
        try:
            repo = mount.repo()
            room = os.statvfs(disk)
            free = room.f_bavail * room.f_frsize
            job.note("free", f"{free >> 20} MiB for a file of {size >> 20} MiB")
            with Timer() as copying:
                run("cp", job.directory / "data", repo / "file", seconds=900)
            with Timer() as committing:
                head = mount.commit(repo)
            job.demand("written and committed", f"cp {copying}, commit {committing}", "no ENOSPC", True)
            same = run(
                "cmp", job.directory / "data", mount.path / f"repo@{head}/file", check=False, seconds=900
            )
            job.equal("cmp of the commit with the source", same.returncode, 0)
            wait_removed(mount)
            room = os.statvfs(disk)
            beyond = free - room.f_bavail * room.f_frsize - size
            job.demand("beyond the file at the end", f"{beyond >> 20} MiB", "< 256 MiB", beyond < 256 * MIB)
        except BaseException:
            mount.kill9()
            raise
        mount.stop()
