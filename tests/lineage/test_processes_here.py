"""Who is behind a thread id on the machine that runs the tests, with its connector and without."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pfs import _native
from pfs.lineage.processes.table import Processes
from tests.lineage.children import answers, line, running, say, threaded
from tests.lineage.machine import BOOT, argv, ask


@pytest.fixture(params=["connector", "proc"])
def here(request: pytest.FixtureRequest) -> Iterator[Processes]:
    connector = None
    if request.param == "connector":
        try:
            connector = _native.Connector()
        except OSError as error:
            pytest.skip(f"no proc connector here: {error}")
    yield Processes(connector, BOOT, now_ns=time.time_ns, own=[os.getpid()])
    if connector is not None:
        connector.close()


def test_a_chain_of_programs(here: Processes) -> None:
    script = "echo; read x; exec sh -c 'echo; read x; exec cat'"
    with running(["/bin/sh", "-c", script]) as process:
        line(process)
        first = ask(here, process.pid)
        say(process, b"")
        line(process)
        second = ask(here, process.pid)
        say(process, b"")
        answers(process)
        third = ask(here, process.pid)
        assert [argv(image).split(b"\0")[0] for image in (first, second, third)] == [
            b"/bin/sh",
            b"sh",
            b"cat",
        ]
        assert (second.parent, third.parent) == (first, second)
        assert ask(here, process.pid) is third
        assert third.parent is not None
        assert abs(third.started_ns - time.time_ns()) < 10**9 or not here.has_connector
    if here.has_connector:
        here.drain()
        assert third.ended is not None
        assert third.ended.exit == 0
    else:
        assert process.pid in here.unsure()
        here.settle(process.pid, here.look(process.pid))
    assert third.ended is not None


def test_a_chain_of_programs_without_address_randomisation() -> None:
    try:
        connector = _native.Connector()
    except OSError as error:
        pytest.skip(f"no proc connector here: {error}")
    here = Processes(connector, BOOT, now_ns=time.time_ns)
    code = 'echo; read x; exec sh -c "$0" "$0"'
    with running(["setarch", "-R", "sh", "-c", code, code]) as process:
        line(process)
        images = [ask(here, process.pid)]
        for _ in range(4):
            say(process, b"")
            line(process)
            images.append(ask(here, process.pid))
        stacks = {image.description.start_stack for image in images if image.description is not None}
        process.kill()
    assert len(stacks) == 1  # or it is no test
    assert [image.key.execs for image in images] == [2, 3, 4, 5, 6]
    connector.close()


def test_a_real_thread_belongs_to_its_process(here: Processes) -> None:
    with threaded() as (process, thread):
        image = ask(here, thread)
        assert image.pid == process.pid
        assert ask(here, process.pid) is ask(here, thread) is image


def test_a_real_fork_shares_memory(here: Processes) -> None:
    code = (
        "import os, sys\n"
        "print(flush=True); sys.stdin.readline()\n"
        "pid = os.fork()\n"
        "if pid: print(pid, flush=True); os.wait()\n"
        "else: sys.stdin.read()\n"
    )
    with running([sys.executable, "-c", code]) as process:
        line(process)
        parent = ask(here, process.pid)
        say(process, b"")
        child = ask(here, int(line(process)))
        assert child.forked_from is parent
        assert child.key.pid != parent.key.pid


def test_500_short_lives(here: Processes) -> None:
    """Each is described, partial, or known to be over; and none of them is another."""
    keys = set()
    for _ in range(500):
        pid = os.posix_spawn("/bin/true", ["true"], {})
        image = ask(here, pid)
        keys.add(image.key)
        assert image.pid == pid
        os.waitpid(pid, 0)
        if here.has_connector:
            here.drain()
            assert image.ended is not None
    assert len(keys) == 500


def test_a_stage_of_a_pipeline_is_found_among_siblings() -> None:
    try:
        connector = _native.Connector()
    except OSError as error:
        pytest.skip(f"no proc connector here: {error}")
    here = Processes(connector, BOOT, now_ns=time.time_ns)
    with running(["/bin/sh", "-c", "cat | cat"]) as process:
        answers(process)
        here.drain()
        shell = here.tasks.heard(process.pid)
        first, last = shell.children
        image = ask(here, last)
        assert process.pid not in here.siblings(image)
        assert first in here.siblings(image)
        other = here.describe(first, here.read(first))
        assert argv(other) == b"cat\0"
        assert first not in here.siblings(image)
        assert here.ancestors(image)[0] == process.pid
    connector.close()


def test_a_real_process_in_a_pid_namespace_is_found(here: Processes) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make namespaces")
    with running(["unshare", "-pf", "/bin/cat"]) as process:
        answers(process)
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], stdout=subprocess.PIPE, check=True
        )
        child = int(found.stdout)
        image = ask(here, child)
        assert image.pid == child
        assert argv(image) == b"/bin/cat\0"
        assert image.description is not None
        above = here.describe(process.pid, here.read(process.pid))
        assert above is not None
        assert image.parent is above
        assert above.description is not None
        assert image.description.pid_namespace != above.description.pid_namespace
