"""Commits while others write: one instant each, open handles go on, and nobody waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from scripts.acceptance.mount_checks.report import GIB, MIB, Run, Timer, check, counters, noise, write_noise
from tests.mounted.mounting import Mount

MAPPED_BYTES = 16 * MIB
PAUSE_MS_MAX = 20
WRITE_MS_MAX = 100  # RELIABILITY.md: nobody waits longer

# Writes the numbers 1, 2, 3, … as 8 bytes each, and tells in PROGRESS how many bytes are acknowledged.
# Now and then it rests, or ten of them would leave a small machine nothing to commit with.
WRITER = """
import itertools, mmap, os, select, struct, sys
path, progress, mapped, size = sys.argv[1], sys.argv[2], sys.argv[3] == "mapped", int(sys.argv[4])
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
told = os.open(progress, os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(told, 8)
tell = mmap.mmap(told, 8)
words, at = 0, 0
if mapped:
    os.ftruncate(fd, size)
    view = memoryview(mmap.mmap(fd, size)).cast("Q")
    print("ready", flush=True)
    while words < len(view):
        view[words] = words + 1
        words += 1
        if words % 64 == 0:
            struct.pack_into("<Q", tell, 0, words * 8)
        if words % 4096 == 0:
            select.select([], [], [], 0.025)
else:
    print("ready", flush=True)
    for length in itertools.cycle((1, 7, 512, 100, 3000, 513)):
        piece = struct.pack(f"<{length}Q", *range(words + 1, words + length + 1))
        assert os.write(fd, piece) == len(piece)
        words += length
        select.select([], [], [], 0.003)
        struct.pack_into("<Q", tell, 0, words * 8)
        if words * 8 >= size:
            break
"""


@check(
    "ten_writers", "ten processes (two through mmap) while another commits every 100 ms: prefixes, never torn"
)
def ten_writers(job: Run) -> None:
    """Every commit, read back, against what had been acknowledged when it was asked for."""
    with job.mounted() as mount:
        repo = mount.repo()
        kinds = {f"file{n}": "mapped" if n < 2 else "written" for n in range(10)}
        sizes = {"mapped": MAPPED_BYTES, "written": 1 << 40}
        writers = []
        for name, kind in kinds.items():
            arguments = [str(repo / name), str(job.directory / name), kind, str(sizes[kind])]
            command = [sys.executable, "-c", WRITER, *arguments]
            writers.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        commits: list[tuple[str, dict[str, int]]] = []
        longest = 0.0
        pace = threading.Event()
        deadline = time.monotonic() + job.pick(12, 3)
        while time.monotonic() < deadline:
            acknowledged = {name: _told(job.directory / name) for name in kinds}
            with Timer() as timer:
                commits.append((mount.commit(repo), acknowledged))
            longest = max(longest, timer.seconds)
            pace.wait(max(0.0, 0.1 - timer.seconds))
        alive = [writer.poll() is None for writer in writers[2:]]
        for writer in writers:
            writer.kill()
            writer.wait()
        job.demand("commits", len(commits), ">= 5", len(commits) >= 5)
        job.note("longest commit", f"{longest:.2f} s")
        job.equal("open handles go on", alive, [True] * 8)
        longest_file = max((mount.path / f"repo/{name}").stat().st_size for name in kinds)
        written = memoryview(array("Q", range(1, longest_file // 8 + 2))).cast("B")
        wrong = [
            text for commit, least in commits for text in _wrong_files(mount, commit, kinds, least, written)
        ]
        job.equal(f"files that are no prefix, of {len(commits) * 10}", wrong[:5], [])


def _told(path: Path) -> int:
    return int.from_bytes(path.read_bytes(), "little")


def _wrong_files(
    mount: Mount, commit: str, kinds: dict[str, str], least: dict[str, int], written: memoryview
) -> list[str]:
    wrong = []
    for name, kind in kinds.items():
        found = (mount.path / f"repo@{commit}" / name).read_bytes()
        # Of a mapped file the rest is zeros; it is whole words that are stored there.
        count = len(found) if kind == "written" else -(-len(found.rstrip(b"\0")) // 8) * 8
        if memoryview(found)[:count] != written[:count] or count % 8:
            wrong.append(f"{commit[:8]}/{name}: torn")
        if count < least[name]:
            wrong.append(f"{commit[:8]}/{name}: {count} bytes, {least[name]} were acknowledged before")
    return wrong


def _latencies(path: Path, done: Callable[[], bool], length: int, stride: int, size: int) -> list[float]:
    """Seconds that each of many writes takes while something else goes on."""
    taken = []
    piece = noise(length, 7)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    at = 0
    pace = threading.Event()
    while not done():
        with Timer() as timer:
            os.pwrite(fd, piece, at)
        taken.append(timer.seconds)
        at = (at + stride) % size
        pace.wait(0.002)
    os.close(fd)
    return taken


def _commit_beside(
    mount: Mount, repo: Path, paths: list[tuple[Path, int]]
) -> tuple[float, dict[str, list[float]]]:
    """Commit in a thread; seconds it took, and the latencies of writes to the paths meanwhile."""
    took = Timer()

    def commit() -> None:
        with took:
            mount.commit(repo)

    committing = threading.Thread(target=commit)
    found: dict[str, list[float]] = {}

    def write(path: Path, size: int) -> None:
        found[path.name] = _latencies(path, lambda: not committing.is_alive(), 4096, 1_048_576 + 4096, size)

    writing = [threading.Thread(target=write, args=pair) for pair in paths]
    committing.start()
    for thread in writing:
        thread.start()
    for thread in [committing, *writing]:
        thread.join()
    return took.seconds, found


@check("dirty_file", "a 2 GiB dirty file does not slow the commit or the next write")
def dirty_file(job: Run) -> None:
    """Writes during the commit of a large dirty file; then a commit of a page of it beside a small file."""
    size = job.pick(2 * GIB, 64 * MIB)
    with job.mounted(fsck=not job.full) as mount:
        repo = mount.repo()
        (repo / "small").write_bytes(b"x")
        mount.commit(repo)
        with Timer() as timer:
            write_noise(repo / "large", size, 1)
        job.note(f"writing {size >> 20} MiB", f"{timer}, {size / MIB / timer.seconds:.0f} MiB/s")
        counters(mount, reset=True)
        took, writes = _commit_beside(mount, repo, [(repo / "large", size), (repo / "other", 64 * MIB)])
        pause_ms = counters(mount)["loop_pause_ns_max"] / 1e6
        job.note("commit of all of it", f"{took:.2f} s, {size / MIB / took:.0f} MiB/s")
        for name, taken in writes.items():
            worst_ms, median_ms = max(taken) * 1e3, sorted(taken)[len(taken) // 2] * 1e3
            job.demand(
                f"slowest of {len(taken)} writes to {name} during the commit (median {median_ms:.2f} ms)",
                f"{worst_ms:.1f} ms", f"< {WRITE_MS_MAX} ms", worst_ms < WRITE_MS_MAX, clock=True,
            )  # fmt: skip
        job.demand(
            "longest pause of the loop",
            f"{pause_ms:.1f} ms",
            f"< {PAUSE_MS_MAX} ms",
            pause_ms < PAUSE_MS_MAX,
            clock=True,
        )
        mount.commit(repo)
        seconds: dict[str, list[float]] = {"small": [], "large": []}
        first: list[float] = []
        for number in range(9):
            for name in seconds:
                with (repo / name).open("r+b", buffering=0) as file:
                    file.seek(0 if name == "small" else (number * 123_457 * 4096) % size)
                    with Timer() as timer:
                        file.write(noise(4096, number))
                    first.extend([timer.seconds] if name == "large" else [])
                with Timer() as timer:
                    mount.commit(repo)
                seconds[name].append(timer.seconds)
        small_ms, large_ms = (sorted(taken)[4] * 1e3 for taken in (seconds["small"], seconds["large"]))
        job.demand("commit of a page of it / of a small file", f"{large_ms:.1f} / {small_ms:.1f} ms",
                   "within 2x", large_ms < 2 * small_ms, clock=True)  # fmt: skip
        job.demand("first write after a commit", f"{sorted(first)[4] * 1e3:.2f} ms", "< 10 ms: no copy",
                   sorted(first)[4] < 0.010, clock=True)  # fmt: skip


@check(
    "dirty_tree",
    "a dirty tree of 100,000 files freezes in the time of a tree with one (loop pause under 20 ms)",
)
def dirty_tree(job: Run) -> None:
    """The longest pause of the loop over a commit of one file, and over one of many."""
    count = job.pick(100_000, 2_000)
    with job.mounted(fsck=not job.full) as mount:
        repo = mount.repo()
        pauses = {}
        for number in (1, count):
            with Timer() as timer:
                _make_files(repo / f"tree{number}", number)
            job.note(f"making {number} files", f"{timer}, {timer.seconds / number * 1e6:.0f} us each")
            dirty = counters(mount, reset=True)["dirty_states"]
            took, writes = _commit_beside(mount, repo, [(repo / "beside", MIB)])
            pauses[number] = counters(mount)["loop_pause_ns_max"] / 1e6
            slowest_ms = max(writes["beside"], default=0) * 1e3
            job.note(
                f"commit of {dirty} dirty inodes",
                f"{took:.2f} s, slowest write beside it {slowest_ms:.1f} ms",
            )
        status = json.loads((repo / ".pfs/status").read_text())
        job.note("status", status)
        job.demand(
            "longest pause: one file / all", f"{pauses[1]:.1f} / {pauses[count]:.1f} ms",
            f"< {PAUSE_MS_MAX} ms", pauses[count] < PAUSE_MS_MAX, clock=True,
        )  # fmt: skip
        shown = sum(len(files) for _, _, files in os.walk(mount.path / f"repo@~0/tree{count}"))
        job.equal("files in the commit", shown, count)


def _make_files(top: Path, count: int) -> None:
    for number in range(count):
        if number % 1000 == 0:
            folder = top / str(number // 1000)
            folder.mkdir(parents=True)
        with open(folder / f"file{number}", "wb", buffering=0) as file:
            file.write(b"%d" % number)
