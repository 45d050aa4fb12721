"""Many processes at once: commits while ten write, and a daemon that is killed in the middle of a copy."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mounted.mounting import Mount, run, start, wait_all, wait_until

PLAIN, MAPPED = 8, 2
COMMITS = 15
STEP_NS = 100_000_000

# Byte n of the file is n % 251 once it is written; a mapped file is zeros until then.
APPEND = """
import os, sys
path, stop, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
pattern = bytes(n % 251 for n in range(251 * 400))
size, turn = 0, seed
with open(path, "wb", buffering=0) as file:
    while not os.path.exists(stop):
        length = 1 + turn * 7919 % 7_000
        turn += 1
        at = size % 251
        size += file.write(pattern[at : at + length])
"""

STORE = """
import mmap, os, sys
path, stop, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
length = 4 << 20
pattern = bytes(1 + n % 251 for n in range(251 * 400))
with open(path, "w+b") as file:
    file.truncate(length)
    with mmap.mmap(file.fileno(), length) as view:
        size, turn = 0, seed
        while not os.path.exists(stop) and size < length:
            step = min(1 + turn * 7919 % 9_000, length - size)
            turn += 1
            at = size % 251
            view[size : size + step] = pattern[at : at + step]
            size += step
        while not os.path.exists(stop):
            view[0] = 1
"""


def is_prefix(data: bytes, first: int) -> bool:
    whole = bytes(first + n % 251 for n in range(251)) * (len(data) // 251 + 1)
    return data == whole[: len(data)]


@pytest.mark.slow
def test_each_commit_holds_a_prefix_of_what_each_of_ten_wrote(mount: Mount, repo: Path) -> None:
    stop = mount.base / "stop"
    writers = [
        *(start(sys.executable, "-c", APPEND, repo / f"plain{n}", stop, str(n)) for n in range(PLAIN)),
        *(start(sys.executable, "-c", STORE, repo / f"mapped{n}", stop, str(n)) for n in range(MAPPED)),
    ]
    names = [*(f"plain{n}" for n in range(PLAIN)), *(f"mapped{n}" for n in range(MAPPED))]
    wait_until(lambda: all((repo / name).exists() for name in names))
    committer = """
import sys, time
for number in range(int(sys.argv[2])):
    due = time.monotonic_ns() + int(sys.argv[3])
    with open(sys.argv[1], "w") as ctl:
        ctl.write(f"commit {number}")
    while time.monotonic_ns() < due:
        time.sleep(0.01)
"""
    try:
        run(sys.executable, "-c", committer, repo / ".pfs/ctl", str(COMMITS), str(STEP_NS))
        assert all(writer.poll() is None for writer in writers), "a writer ended before the last commit"
    finally:
        stop.touch()
    wait_all(writers)
    ids = [line.split()[0] for line in (repo / ".pfs/log").read_text().splitlines()]
    ids = ids[:COMMITS][::-1]
    sizes = dict.fromkeys(names, -1)
    for commit in ids:
        for name in names:
            path = Path(f"{repo}@{commit}/{name}")
            data = path.read_bytes() if path.exists() else b""
            if name.startswith("mapped"):
                data = data.rstrip(b"\0")
            assert is_prefix(data, 1 if name.startswith("mapped") else 0), f"{name} is torn in {commit}"
            assert len(data) >= sizes[name], f"{name} is shorter in {commit} than in the one before"
            sizes[name] = len(data)
    assert all(size > 0 for size in sizes.values())
    mount.commit(repo)
    assert run("diff", "-r", repo, f"{repo}@~0/").stdout == b""


def test_a_commit_holds_every_call_that_had_returned(mount: Mount, repo: Path) -> None:
    """What two processes did one after the other is never seen the other way round."""
    script = """
import os, sys
tree, stop = sys.argv[1:]
number = 0
while not os.path.exists(stop):
    for name in ("first", "second"):
        with open(f"{tree}/{name}.new", "w") as file:
            file.write(str(number))
        os.rename(f"{tree}/{name}.new", f"{tree}/{name}")
    number += 1
"""
    for name in ("first", "second"):
        (repo / name).write_text("0")
    stop = mount.base / "stop"
    writer = start(sys.executable, "-c", script, repo, stop)
    ids = [mount.commit(repo, str(number)) for number in range(40)]
    stop.touch()
    wait_all([writer])
    for commit in ids:
        first, second = (
            int(Path(f"{repo}@{commit[:16]}/{name}").read_text()) for name in ("first", "second")
        )
        assert first - second in (0, 1)


def test_open_handles_go_on_across_commits(mount: Mount, repo: Path) -> None:
    with (repo / "file").open("w+b", buffering=0) as file:
        expected = b""
        for number in range(30):
            data = bytes([number]) * (1000 * number)
            file.write(data)
            expected += data
            mount.commit(repo)
            assert os.pread(file.fileno(), len(expected) + 1, 0) == expected
            assert Path(f"{repo}@~0/file").read_bytes() == expected
    mount.remount()
    assert (repo / "file").read_bytes() == expected


# kill -9


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 files to be copied, from empty ones to 150 KB."""
    path = tmp_path_factory.mktemp("source")
    for number in range(400):
        file = path / f"d{number % 20}/f{number}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(os.urandom(number * number * 7919 % 150_000))
    return path


COPY = """
import itertools, os, shutil, sys
source, target, done = sys.argv[1:]
with open(done, "w", buffering=1) as log:
    for turn in itertools.count():
        for where, _, files in sorted(os.walk(source)):
            part = os.path.normpath(f"{turn}/{os.path.relpath(where, source)}")
            os.makedirs(f"{target}/{part}", exist_ok=True)
            for name in sorted(files):
                shutil.copy2(f"{where}/{name}", f"{target}/{part}/{name}")
                log.write(f"{part}/{name}\\n")
"""


@pytest.mark.parametrize("after", [1, 150, 250])
def test_every_finished_file_survives_a_kill(mount: Mount, repo: Path, source: Path, after: int) -> None:
    (repo / "before").write_text("committed before")
    mount.commit(repo)
    (repo / "before").write_text("changed before")
    done = mount.base / "done"
    copier = start(sys.executable, "-c", COPY, source, repo / "copy", done, stderr=-1)
    wait_until(lambda: done.exists() and done.read_text().count("\n") >= after)
    if after == 250:
        mount.commit(repo)
        wait_until(lambda: done.read_text().count("\n") >= after + 50)
    mount.kill_only()
    copier.communicate(timeout=60)
    assert copier.returncode != 0
    mount.clear()
    assert mount.check() == []
    mount.start()
    finished = done.read_text().split()
    for name in finished:
        copy, original = repo / "copy" / name, source / name.partition("/")[2]
        assert digest(copy) == digest(original), name
        assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert (repo / "before").read_text() == "changed before"
    copied = [path for path in (repo / "copy").rglob("*") if path.is_file()]
    assert len(finished) <= len(copied) <= len(finished) + 1
    run("rsync", "-a", f"{source}/", f"{repo}/copy/0/")
    mount.commit(repo)
    mount.remount()
    assert run("diff", "-r", source, repo / "copy/0").stdout == b""


def test_killed_again_and_again_nothing_is_lost(mount: Mount, repo: Path) -> None:
    expected: dict[str, bytes] = {}

    def change(number: int) -> None:
        for step in range(20):
            name = f"file{(number * 13 + step) % 37}"
            data = os.urandom(step * 3000)
            if step % 5 == 4 and name in expected:
                (repo / name).rename(repo / f"moved{number}")
                expected[f"moved{number}"] = expected.pop(name)
            else:
                (repo / name).write_bytes(data)
                expected[name] = data

    for number in range(6):
        change(number)
        if number % 2:
            mount.commit(repo)
            change(number)
        mount.kill9()
        mount.start()
        assert {path.name: path.read_bytes() for path in repo.iterdir()} == expected


def test_what_only_a_handle_knew_is_no_burden_after_a_kill(mount: Mount, repo: Path) -> None:
    """Files and directories that were removed while open leave records that lead nowhere."""
    (repo / "file").write_bytes(b"x" * 100_000)
    (repo / "directory").mkdir()
    mount.commit(repo)
    files = [os.open(repo / name, os.O_RDWR | os.O_CREAT) for name in ("file", "new")]
    directory = os.open(repo / "directory", os.O_RDONLY)
    os.write(files[1], b"before")
    (repo / "directory").rmdir()
    (repo / "file").unlink()
    (repo / "new").unlink()
    for turn in range(2):
        for fd in files:
            os.write(fd, b"to nobody")
            os.ftruncate(fd, 3)
            os.ftruncate(fd, 50_000)
            os.utime(fd, ns=(1, 1))
            os.setxattr(fd, "user.x", b"1")
            os.fsync(fd)
        for fd in (directory, *files):
            os.fchmod(fd, 0o700)
        if turn == 0:
            mount.commit(repo)
    mount.kill_only()
    for fd in (directory, *files):
        with suppress(OSError):
            os.close(fd)
    mount.clear()
    mount.start()
    assert os.listdir(repo) == []
    (repo / "file").write_text("a new one")
    mount.commit(repo)
