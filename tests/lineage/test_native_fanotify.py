"""What pfs._native hears of files, beside what processes do to them."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pfs import _native
from pfs.lineage.outside.told import EXECUTED, OPENED, READ, WROTE, Event

NOBODY = 65534
EMPTY_DRAIN_SECONDS_MAX = 2e-6
LIMIT = 1 << 16

Hear = Callable[..., _native.Outside]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="fanotify is root's")


@pytest.fixture
def hear(tmp_path: Path) -> Iterator[Hear]:
    """Listen to the file system of `tmp_path`; whatever other processes do there is left out."""
    opened: list[_native.Outside] = []

    def start(leave_out: Callable[[bytes], bool] = lambda path: False) -> _native.Outside:
        ours = os.fsencode(tmp_path) + b"/"
        opened.append(_native.Outside(lambda path: not path.startswith(ours) or leave_out(path)))
        watch(opened[-1], tmp_path)
        return opened[-1]

    yield start
    for outside in opened:
        outside.close()


def watch(outside: _native.Outside, directory: Path) -> None:
    """Listen to the file system of a directory."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        outside.watch(fd)
    finally:
        os.close(fd)


def run(program: str, *arguments: object) -> int:
    """Run a piece of Python as another process; its pid."""
    words = [sys.executable, "-S", "-c", program, *map(str, arguments)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    assert process.wait() == 0
    return process.pid


def heard(outside: _native.Outside, pid: int) -> list[Event]:
    """What is told of a process, but what it executes."""
    events, overflowed = outside.drain(LIMIT)
    assert not overflowed
    return [event for event in events if event[0] == pid and not event[1] & EXECUTED]


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def wait_for_fds(count: int) -> None:
    """A thread closes what was deleted, on all of the file system."""
    deadline = time.monotonic() + 20
    while open_fds() != count:
        assert time.monotonic() < deadline, f"{open_fds()} are open, not {count}"
        select.select([], [], [], 0.01)


def test_reads_and_writes_are_told(hear: Hear, tmp_path: Path) -> None:
    outside = hear()
    (tmp_path / "in").write_text("some")
    pid = run(
        "import os, sys; d = open(sys.argv[1]).read(); open(sys.argv[2], 'w').write(d + d)",
        tmp_path / "in",
        tmp_path / "out",
    )
    states = {name: os.stat(tmp_path / name) for name in ("in", "out")}
    assert heard(outside, pid) == [
        (
            pid,
            bits,
            os.fsencode(tmp_path / name),
            states[name].st_size,
            states[name].st_mtime_ns,
            states[name].st_dev,
            states[name].st_ino,
        )
        for name, bits in (("in", OPENED | READ), ("out", OPENED | WROTE))
    ]


def test_an_execution_is_told_of_ignored_files_too(hear: Hear, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    outside = hear(lambda path: True)
    for _ in range(2):
        process = subprocess.Popen([program])
        process.wait()
        events, _ = outside.drain(LIMIT)
        assert [event[:3] for event in events if event[2] == os.fsencode(program)] == [
            (process.pid, EXECUTED, os.fsencode(program))
        ]


def test_our_own_doing_is_not_told(hear: Hear, tmp_path: Path) -> None:
    outside = hear()
    (tmp_path / "ours").write_text("some")
    assert heard(outside, os.getpid()) == []


def test_files_of_a_directory_that_is_left_out_are_never_queued(hear: Hear, tmp_path: Path) -> None:
    left_out = tmp_path / "left out"
    (left_out / "below").mkdir(parents=True)
    outside = hear()
    fd = os.open(left_out, os.O_PATH | os.O_DIRECTORY)
    try:
        outside.leave_out(fd)
    finally:
        os.close(fd)
    outside.drain(LIMIT)
    (left_out / "ours").write_text("some")
    (left_out / "ours").write_text("more")
    assert heard(outside, os.getpid()) == []
    write = "import sys; open(sys.argv[1], 'w').write('some')"
    assert heard(outside, run(write, left_out / "theirs")) == []
    told = heard(outside, run(write, left_out / "below" / "theirs"))
    assert [event[2] for event in told] == [os.fsencode(left_out / "below" / "theirs")]


def test_an_ignored_file_is_asked_about_once_until_it_changes(hear: Hear, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def leave_out(path: bytes) -> bool:
        asked.append(path)
        return True

    library = tmp_path / "library"
    library.write_text("some")
    outside = hear(leave_out)
    for _ in range(3):
        assert heard(outside, run("import sys; open(sys.argv[1]).read()", library)) == []
    assert asked == [os.fsencode(library)]
    assert heard(outside, run("import sys; open(sys.argv[1], 'a').write('more')", library)) == []
    assert heard(outside, run("import sys; open(sys.argv[1]).read()", library)) == []
    assert len(asked) > 1


def test_a_file_of_several_names_is_not_ignored_by_one(hear: Hear, tmp_path: Path) -> None:
    library, data = tmp_path / "library", tmp_path / "data"
    library.write_text("some")
    data.hardlink_to(library)
    outside = hear(lambda path: path.endswith(b"library"))
    assert heard(outside, run("import sys; open(sys.argv[1]).read()", library)) == []
    pid = run("import sys; open(sys.argv[1]).read()", data)
    assert [event[2] for event in heard(outside, pid)] == [os.fsencode(data)]


def test_a_deleted_file_has_its_last_path(hear: Hear, tmp_path: Path) -> None:
    outside = hear()
    pid = run(
        "import os, sys; f = open(sys.argv[1], 'w'); f.write('x'); f.close(); os.unlink(sys.argv[1])",
        tmp_path / "gone",
    )
    assert [event[2:4] for event in heard(outside, pid)] == [(os.fsencode(tmp_path / "gone"), 1)]
    (tmp_path / "named (deleted)").write_text("x")
    pid = run("import sys; open(sys.argv[1]).read()", tmp_path / "named (deleted)")
    assert [event[2] for event in heard(outside, pid)] == [os.fsencode(tmp_path / "named (deleted)")]


def test_nothing_is_told_of_directories_and_pipes(hear: Hear, tmp_path: Path) -> None:
    outside = hear()
    os.mkfifo(tmp_path / "fifo")
    pid = run("import os, sys; os.listdir(sys.argv[1]); os.open(sys.argv[1] + '/fifo', os.O_RDWR)", tmp_path)
    assert heard(outside, pid) == []


def test_a_limit_stops_soon_and_loses_nothing(hear: Hear, tmp_path: Path) -> None:
    outside = hear()
    count = 1000
    pid = run(
        "import sys; [open(f'{sys.argv[1]}/{n}', 'w').close() for n in range(int(sys.argv[2]))]",
        tmp_path,
        count,
    )
    found: list[Event] = []
    while True:
        events, overflowed = outside.drain(100)
        assert not overflowed
        assert len(events) < 100 + 64
        if not events:
            break
        found += [event for event in events if event[0] == pid and not event[1] & EXECUTED]
    assert [event[2] for event in found] == [os.fsencode(tmp_path / str(number)) for number in range(count)]


@pytest.mark.parametrize("deletes", [False, True])
def test_no_descriptor_is_left_open(hear: Hear, tmp_path: Path, deletes: bool) -> None:
    first = open_fds()
    outside = hear(lambda path: path.endswith(b"7"))
    outside.drain(LIMIT)
    before = open_fds()
    run(
        "import os, sys\n"
        "for n in range(1000):\n"
        "    path = f'{sys.argv[1]}/{n}'\n"
        "    open(path, 'w').close()\n"
        "    os.unlink(path) if sys.argv[2] == 'True' else None",
        tmp_path,
        deletes,
    )
    events, _ = outside.drain(LIMIT)
    assert len(events) >= 900
    wait_for_fds(before)
    outside.close()
    assert open_fds() == first


def test_an_error_of_the_rule_is_passed_on_and_leaves_nothing_open(hear: Hear, tmp_path: Path) -> None:
    def wrong(path: bytes) -> bool:
        raise ValueError(path)

    outside = hear(wrong)
    outside.drain(LIMIT)
    before = open_fds()
    pid = run("import sys; open(sys.argv[1], 'w').close()", tmp_path / "file")
    with pytest.raises(ValueError, match="file"):
        outside.drain(LIMIT)
    wait_for_fds(before)
    assert heard(outside, pid) == []


def test_too_few_descriptors_count_as_lost(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", TOO_FEW, tmp_path], capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert said == ["True", "False"]


TOO_FEW = """
import os, resource, subprocess, sys
from pfs import _native
outside = _native.Outside()
fd = os.open(sys.argv[1], os.O_PATH)
outside.watch(fd)
subprocess.run(["touch"] + [f"{sys.argv[1]}/{n}" for n in range(100)], check=True)
used = max(int(name) for name in os.listdir("/proc/self/fd"))
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2, most))
_, lost = outside.drain(1000)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
_, lost_later = outside.drain(1000)
print(lost, lost_later)
"""


def test_more_file_systems_can_be_listened_to(hear: Hear, tmp_path: Path) -> None:
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        (point / "file").write_text("some")
        outside = hear()
        assert heard(outside, run("import sys; open(sys.argv[1]).read()", point / "file")) == []
        watch(outside, point)
        pid = run("import sys; open(sys.argv[1]).read()", point / "file")
        assert [event[2] for event in heard(outside, pid)] == [os.fsencode(point / "file")]
    finally:
        subprocess.run(["umount", point], check=True)


def test_who_is_not_root_is_told_so() -> None:
    program = (
        "import os, sys\nfrom pfs import _native\nos.setuid(int(sys.argv[1]))\n"
        "try:\n    _native.Outside()\nexcept PermissionError:\n    print('refused')"
    )
    words = [sys.executable, "-c", program, str(NOBODY)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "refused\n"


def test_a_closed_one_says_so(hear: Hear) -> None:
    outside = hear()
    outside.close()
    outside.close()
    for call in (lambda: outside.drain(1), outside.fileno, lambda: outside.watch(0)):
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            call()


@pytest.mark.slow
def test_an_empty_drain_is_cheap(hear: Hear) -> None:
    """It is made at every OPEN."""
    outside = hear()
    best = 1.0
    for _ in range(20):
        outside.drain(LIMIT)
        began = time.perf_counter()
        for _ in range(1000):
            outside.drain(LIMIT)
        best = min(best, (time.perf_counter() - began) / 1000)
    assert best < EMPTY_DRAIN_SECONDS_MAX


def waiter(outside: _native.Outside, end: int, pause_ns: int) -> tuple[threading.Thread, list[bool]]:
    """A thread that waits for what nobody takes, and what it comes back with."""
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(outside.unattended(end, pause_ns, 0)))
    thread.start()
    return thread, said


@pytest.fixture
def end() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def test_what_nobody_takes_is_said(hear: Hear, tmp_path: Path, end: int) -> None:
    outside = hear()
    thread, said = waiter(outside, end, 1_000_000)
    run("import sys; open(sys.argv[1], 'w').close()", tmp_path / "file")
    thread.join(20)
    assert said == [True]
    assert outside.unattended(end, 0, 0)  # still so
    os.eventfd_write(end, 1)
    assert not outside.unattended(end, 0, 0)


def test_what_is_taken_in_time_is_not_said(hear: Hear, tmp_path: Path, end: int) -> None:
    outside = hear()
    thread, said = waiter(outside, end, 60_000_000_000)
    run("import sys; open(sys.argv[1], 'w').close()", tmp_path / "file")
    outside.drain(LIMIT)
    assert said == []
    os.eventfd_write(end, 1)
    thread.join(20)
    assert said == [False]


def test_a_hurry_shortens_the_pause(hear: Hear, tmp_path: Path, end: int) -> None:
    outside = hear()
    outside.hurry(60_000_000_000)
    thread, said = waiter(outside, end, 60_000_000_000)
    run("import sys; open(sys.argv[1], 'w').close()", tmp_path / "file")
    thread.join(20)
    assert said == [True]
    with pytest.raises(ValueError, match="negative"):
        outside.unattended(end, -1, 0)
