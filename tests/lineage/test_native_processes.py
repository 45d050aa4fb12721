"""What pfs._native reads of processes and hears of them, beside what /proc and wait(2) say."""

from __future__ import annotations

import ast
import errno
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pfs import _native
from tests.lineage.children import END_SECONDS, answers, ended, line, running, say, threaded

NOBODY = 65534
ROOT = Path(__file__).parents[2]
CAT = ["cat"]


def reference(pid: int) -> dict[str, Any]:
    """The same, slow and obvious."""
    base = Path(f"/proc/{pid}")
    stat = (base / "stat").read_text().rpartition(")")[2].split()
    field = {number: int(stat[number - 3]) for number in (4, 5, 6, 7, 20, 22, 28)}
    status = dict(row.split(":", 1) for row in (base / "status").read_text().splitlines() if ":" in row)
    fds = []
    for number in sorted(int(name) for name in os.listdir(base / "fd")):
        target = os.readlink(os.fsencode(base / f"fd/{number}"))
        flags = 0
        if number <= 2 or target.startswith(b"pipe:"):
            found = re.search(r"flags:\s*([0-7]+)", (base / f"fdinfo/{number}").read_text())
            assert found is not None
            flags = int(found[1], 8)
        fds.append((number, target, flags))
    return {
        "tgid": int(status["Tgid"]),
        "ppid": field[4],
        "uid": int(status["Uid"].split()[0]),
        "gid": int(status["Gid"].split()[0]),
        "start_ticks": field[22],
        "start_stack": field[28],
        "sid": field[6],
        "group": field[5],
        "tty_nr": field[7],
        "threads": field[20],
        "comm": (base / "comm").read_bytes()[:-1],
        "cmdline": (base / "cmdline").read_bytes(),
        "exe": os.readlink(os.fsencode(base / "exe")),
        "cwd": os.readlink(os.fsencode(base / "cwd")),
        "environ": (base / "environ").read_bytes(),
        "cgroup": (base / "cgroup").read_bytes(),
        "pid_namespace": os.stat(base / "ns/pid").st_ino,
        "fds": fds,
        "failed": [],
    }


def read(pid: int) -> dict[str, Any]:
    before_ns = time.monotonic_ns()
    found = _native.proc_read(pid)
    assert found is not None
    read_ns = found.pop("read_ns")
    assert isinstance(read_ns, int)
    assert before_ns <= read_ns <= time.monotonic_ns()
    return found


# proc_read, proc_stat


def test_a_description_is_what_proc_says(tmp_path: Path) -> None:
    with (tmp_path / "an output").open("wb") as output:
        environment = {"A": "1", "EMPTY": "", "NAME": "two words\n"}
        options = {"stderr": output, "cwd": tmp_path, "env": environment}
        with running(["/bin/cat", "-", ""], **options) as process:
            answers(process)
            found = read(process.pid)
            assert found == reference(process.pid)
            assert found["cmdline"] == b"/bin/cat\0-\0\0"
            assert found["environ"] == b"A=1\0EMPTY=\0NAME=two words\n\0"
            assert found["cwd"] == os.fsencode(tmp_path)
            fds = found["fds"]
            assert [number for number, _, _ in fds] == [0, 1, 2]
            access = [flags & os.O_ACCMODE for _, _, flags in fds]
            assert access == [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY]
            assert fds[2][1] == os.fsencode(tmp_path / "an output")
            assert fds[0][1].startswith(b"pipe:[")


def test_pipes_beyond_the_standard_ones_have_flags_and_other_files_do_not(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        with running(CAT, pass_fds=[reader, writer, file]) as process:
            answers(process)
            fds = {number: (target, flags) for number, target, flags in read(process.pid)["fds"]}
            assert fds[reader][1] & os.O_ACCMODE == os.O_RDONLY
            assert fds[writer][1] & os.O_ACCMODE == os.O_WRONLY
            assert fds[writer][0] == b"pipe:[%d]" % os.fstat(writer).st_ino
            assert fds[file] == (os.fsencode(tmp_path / "file"), 0)
    finally:
        for fd in (reader, writer, file):
            os.close(fd)


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    name = tmp_path / "a) S 1 (\nTgid:\t7"
    name.symlink_to("/bin/cat")
    with running([os.fsencode(name)]) as process:
        answers(process)
        found = read(process.pid)
        assert found == reference(process.pid)
        assert (found["tgid"], found["ppid"]) == (process.pid, os.getpid())
        assert _native.proc_stat(process.pid) == tuple(
            found[key] for key in ("tgid", "ppid", "start_ticks", "start_stack")
        )


def test_long_texts_are_cut() -> None:
    arguments = ["x" * 100_000, "y" * 100_000]
    with running(["/bin/sh", "-c", "read x", *arguments], env={"LONG": "z" * 100_000}) as process:
        found = read(process.pid)
        whole = reference(process.pid)
        for part, most in (("cmdline", 128 << 10), ("environ", 64 << 10)):
            text, full = found[part], whole[part]
            assert isinstance(text, bytes)
            assert isinstance(full, bytes)
            assert len(full) > most
            assert text == full[:most]
        assert found["failed"] == []


def test_no_more_descriptors_than_the_limit() -> None:
    code = "import os, sys; [os.dup(0) for _ in range(300)]; print(flush=True); sys.stdin.read()"
    with running([sys.executable, "-c", code]) as process:
        line(process)
        fds = read(process.pid)["fds"]
        assert [number for number, _, _ in fds] == list(range(256))


def test_a_thread_stands_for_its_process() -> None:
    with threaded() as (process, thread):
        assert thread != process.pid
        assert read(thread) == read(process.pid)
        assert _native.proc_stat(thread) == _native.proc_stat(process.pid)
        found = read(thread)
        assert found["tgid"] == process.pid
        assert found["threads"] == 2


def test_a_process_goes_on_without_its_first_thread() -> None:
    with threaded() as (process, thread):
        before = read(process.pid)
        say(process, b"leave")
        while b"(zombie)" not in Path(f"/proc/{process.pid}/status").read_bytes():
            select.select([], [], [], 0.01)
        found = read(thread)
        for part in ("tgid", "start_ticks", "start_stack", "cmdline", "exe", "environ"):
            assert found[part] == before[part]
        assert found["failed"] == []
        assert "exe" in read(process.pid)["failed"]
        os.kill(process.pid, signal.SIGKILL)


def test_a_process_that_has_ended_is_described_as_far_as_it_is_there() -> None:
    with running(CAT) as process:
        process.kill()
        ended(process.pid)
        found = read(process.pid)
        assert (found["tgid"], found["cmdline"]) == (process.pid, b"")
        assert {"exe", "cwd"} <= set(found["failed"])
        assert found["start_stack"] == 0


@pytest.mark.parametrize("look", [_native.proc_read, _native.proc_stat])
def test_who_is_not_there_is_none(look: object) -> None:
    assert callable(look)
    process = subprocess.Popen(["true"])
    process.wait()
    for pid in (process.pid, 0, -1, -process.pid, 1 << 22, 1 << 40):
        assert look(pid) is None
    with pytest.raises(TypeError):
        look("self")


def test_the_stack_moves_at_exec_and_the_start_does_not() -> None:
    code = "read x; exec /bin/sh -c 'echo; read x; exec cat'"
    with running(["/bin/sh", "-c", code]) as process:
        seen = [_native.proc_stat(process.pid)]
        say(process, b"")
        line(process)
        seen.append(_native.proc_stat(process.pid))
        assert None not in seen
        assert len({found[2] for found in seen if found}) == 1
        assert len({found[3] for found in seen if found}) == 2


def test_another_users_process_is_described_as_far_as_we_may() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    code = f"print(_native.proc_read({os.getpid()}))"
    said = as_nobody(code)
    assert set(said["failed"]) == {"exe", "cwd", "environ", "pid_namespace", "fds"}
    assert (said["uid"], said["start_stack"]) == (0, 0)
    assert said["cmdline"] == read(os.getpid())["cmdline"]


def as_nobody(code: str) -> dict[str, Any]:
    """What code prints, as a Python value, as an ordinary user, from whom the interpreter may be hidden."""
    start = (
        "import os, subprocess\n"
        "from pfs import _native\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=END_SECONDS,
        check=True,
    )
    value: dict[str, Any] = ast.literal_eval(done.stdout.decode())
    return value


def test_a_process_in_a_pid_namespace_has_our_number_for_it() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make namespaces")
    with running(["unshare", "-pf", "/bin/cat"]) as process:
        answers(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        found = read(int(children[0]))
        assert (found["tgid"], found["ppid"]) == (int(children[0]), process.pid)
        assert found["pid_namespace"] != read(process.pid)["pid_namespace"] != 0


def test_many_short_lives_are_read_or_gone() -> None:
    stop = threading.Event()
    pids: list[int] = []
    failures: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                for pid in pids[-3:]:
                    found = _native.proc_read(pid)
                    assert found is None or found["tgid"] == pid
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(500):
        pid = os.posix_spawn("/bin/true", ["true"], {})
        pids.append(pid)
        os.waitpid(pid, 0)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


# Connector


@pytest.fixture
def connector() -> Iterator[_native.Connector]:
    try:
        connector = _native.Connector()
    except OSError as error:
        pytest.skip(f"no proc connector here: {error}")
    yield connector
    connector.close()


def of(events: list[tuple[object, ...]], *pids: int) -> list[tuple[object, ...]]:
    """The events of these processes (or threads), without their times."""
    return [event[:-1] for event in events if not set(pids).isdisjoint(event[1:-1])]


def test_events_of_a_life_are_there_at_once_and_in_order(connector: _native.Connector) -> None:
    with running(["/bin/sh", "-c", "read x; exec cat"]) as process:
        events, overflowed = connector.drain()
        pid, own = process.pid, os.getpid()
        assert of(events, pid) == [("fork", own, own, pid, pid), ("exec", pid, pid)]
        say(process, b"")
        say(process, b"echo")
        assert line(process) == b"echo\n"
        events, _ = connector.drain()
        assert of(events, pid) == [("exec", pid, pid)]
        process.send_signal(signal.SIGTERM)
        process.wait()
        events, _ = connector.drain()
        assert of(events, pid) == [("exit", pid, pid, signal.SIGTERM)]
        assert not overflowed


def test_exit_codes_are_those_of_wait(connector: _native.Connector) -> None:
    process = subprocess.Popen(["/bin/sh", "-c", "exit 3"])
    _, status = os.waitpid(process.pid, 0)
    process.returncode = 3
    events, _ = connector.drain()
    assert of(events, process.pid)[-1] == ("exit", process.pid, process.pid, status)


def test_times_are_of_the_monotonic_clock(connector: _native.Connector) -> None:
    before = time.monotonic_ns()
    subprocess.run(["true"], check=True)
    after = time.monotonic_ns()
    events, _ = connector.drain()
    times = [event[-1] for event in events]
    assert any(before <= when <= after for when in times if isinstance(when, int))


def test_threads_are_told_with_their_process(connector: _native.Connector) -> None:
    with threaded() as (process, thread):
        events, _ = connector.drain()
        started = [event for event in of(events, thread) if event[0] == "fork"]
        assert [event[3:] for event in started] == [(thread, process.pid)]
    events, _ = connector.drain()
    assert ("exit", thread, process.pid, 0) in of(events, thread)


def test_nothing_is_lost_of_500_lives(connector: _native.Connector) -> None:
    pids = []
    for _ in range(500):
        pid = os.posix_spawn("/bin/true", ["true"], {})
        pids.append(pid)
        os.waitpid(pid, 0)
    events, overflowed = connector.drain()
    assert not overflowed
    ours = set(pids)
    for kind, place in (("fork", 4), ("exec", 2), ("exit", 2)):
        told = [event[place] for event in events if event[0] == kind and event[place] in ours]
        assert told == pids


def test_an_empty_queue_is_told_at_once_and_the_descriptor_waits(connector: _native.Connector) -> None:
    connector.drain()
    subprocess.run(["true"], check=True)
    ready, _, _ = select.select([connector.fileno()], [], [], END_SECONDS)
    assert ready
    connector.drain()
    assert not os.get_blocking(connector.fileno())


def test_what_we_do_not_want_is_dropped_and_keeps_nobody_from_being_told(
    connector: _native.Connector,
) -> None:
    code = "import ctypes, os; ctypes.CDLL(None).prctl(15, b'renamed'); os.setsid(); os.setuid(os.getuid())"
    subprocess.run([sys.executable, "-c", code], check=True)
    subprocess.run(["true"], check=True)
    events, _ = connector.drain()
    assert {event[0] for event in events} == {"fork", "exec", "exit"}
    assert len([event for event in events if event[0] == "exec"]) >= 2


def test_an_overflow_is_told_once_and_events_go_on(connector: _native.Connector) -> None:
    with socket.socket(fileno=os.dup(connector.fileno())) as queue:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connector.drain()
    for _ in range(30):
        subprocess.run(["true"], check=True)
    events, overflowed = connector.drain()
    assert overflowed
    assert len(events) < 90
    process = subprocess.Popen(["true"])
    process.wait()
    events, overflowed = connector.drain()
    assert not overflowed
    assert [event[0] for event in of(events, process.pid)] == ["fork", "exec", "exit"]


def test_names_of_threads_stay_as_they_are(connector: _native.Connector) -> None:
    assert Path("/proc/thread-self/comm").read_bytes() == Path("/proc/self/comm").read_bytes()


def test_a_closed_connector_says_so(connector: _native.Connector) -> None:
    connector.close()
    connector.close()
    for call in (connector.drain, connector.fileno):
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            call()


def test_an_ordinary_user_hears_where_the_kernel_tells(connector: _native.Connector) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    code = """
try:
    connector = _native.Connector()
except OSError as error:
    print({"errno": error.errno})
else:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    print({"heard": [event[0] for event in connector.drain()[0] if process.pid in event[1:-1]]})
"""
    said = as_nobody(code)
    if release >= (6, 6):
        assert said == {"heard": ["fork", "exec", "exit"]}
    else:
        assert said == {"errno": errno.EPERM}


@pytest.mark.parametrize(
    ("options", "error"),
    [(["-n"], errno.ECONNREFUSED), (["-pf"], errno.EOPNOTSUPP)],
    ids=["network", "pids"],
)
def test_in_another_namespace_there_is_none(options: list[str], error: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make namespaces")
    code = "from pfs import _native\ntry: _native.Connector()\nexcept OSError as error: print(error.errno)"
    done = subprocess.run(
        ["unshare", *options, sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=END_SECONDS,
        check=True,
    )
    assert int(done.stdout) == error


# request_pid


def test_request_pid_refuses_what_is_no_request() -> None:
    for thing in (None, object(), b"x" * 264):
        with pytest.raises(TypeError):
            _native.request_pid(thing)


def test_descriptors_are_quiet_while_there_is_nothing_to_read() -> None:
    first, said = os.pipe()
    second, _ = other = os.pipe()
    assert _native.is_quiet()
    assert _native.is_quiet(first, second)
    os.write(said, b"x")
    assert not _native.is_quiet(first, second)
    assert not _native.is_quiet(second, first)
    os.read(first, 1)
    assert _native.is_quiet(second, first)
    for fd in (first, said, *other):
        os.close(fd)
    assert not _native.is_quiet(first)  # broken: whoever asks has to find out why
    with pytest.raises(ValueError, match="more than 8"):
        _native.is_quiet(*range(9))
