"""Who is behind a thread id where events were lost or none are told, and whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage.facts import ActivityKey
from pfs.lineage.processes.table import GONE, STUCK_NS, Processes
from tests.lineage.machine import OWN, SHELL, Machine, argv, ask, hooked


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def processes(machine: Machine) -> Processes:
    return machine.processes()


@pytest.fixture(params=["overflow", "none", "lost"])
def blind(request: pytest.FixtureRequest, machine: Machine) -> Callable[[], Processes]:
    """A table that knows what it was told so far and is told nothing of what comes now."""

    def go_blind() -> Processes:
        processes = machine.processes(connector=request.param != "none")
        processes.drain()
        known = [ask(processes, pid) for pid in list(machine.tasks) if pid not in (1, OWN)]
        assert known
        machine.deaf = True
        if request.param == "overflow":
            machine.lose()
        if request.param == "lost":
            machine.broken = True
        processes.drain()
        assert processes.has_connector == (request.param == "overflow")
        assert processes.overflowed == (request.param == "overflow")
        machine.looks.clear()
        return processes

    return go_blind


def test_a_look_is_enough_for_who_is_still_there(machine: Machine, blind: Callable[[], Processes]) -> None:
    machine.spawn(SHELL, 200)
    processes = blind()
    assert processes.find(200) is None
    assert processes.needs_look(200)
    image = ask(processes, 200)
    assert argv(image) == b"cat\0"
    assert machine.looks == [("stat", 200)]
    assert ask(processes, 200) is image
    trusted = 1 if processes.has_connector else 2
    assert len(machine.looks) == trusted


def test_an_exec_that_was_not_told_is_seen(machine: Machine, blind: Callable[[], Processes]) -> None:
    machine.spawn(SHELL, 200)
    processes = blind()
    said = hooked(processes)
    old = processes.tasks.heard(200).image
    machine.exec(200, b"new\0")
    new = ask(processes, 200)
    assert argv(new) == b"new\0"
    assert new.parent is old
    assert new.key != old.key
    assert said == [("exec", old, new)]
    assert ask(processes, 200) is new


def test_a_number_used_again_is_seen(machine: Machine, blind: Callable[[], Processes]) -> None:
    machine.spawn(SHELL, 200)
    processes = blind()
    said = hooked(processes)
    old = processes.tasks.heard(200).image
    machine.exit(200)
    machine.now += 10**9
    machine.spawn(SHELL, 200, b"new\0")
    new = ask(processes, 200)
    assert argv(new) == b"new\0"
    assert new.key != old.key
    assert said == [("exit", old, None)]


def test_a_thread_number_used_again_is_seen(machine: Machine, blind: Callable[[], Processes]) -> None:
    machine.thread(machine.spawn(SHELL, 200), 201)
    processes = blind()
    old = ask(processes, 201)
    assert old.pid == 200
    machine.end_thread(200, 201)
    machine.spawn(SHELL, 300, b"other\0")
    machine.thread(300, 201)
    if processes.has_connector:
        machine.lose()
    assert ask(processes, 200) is old
    assert argv(ask(processes, 201)) == b"other\0"


def test_a_process_number_that_is_a_threads_now_is_seen(
    machine: Machine, blind: Callable[[], Processes]
) -> None:
    machine.spawn(SHELL, 200)
    machine.spawn(SHELL, 300)
    processes = blind()
    gone = processes.tasks.heard(300).image
    machine.exit(300)
    machine.thread(200, 300)
    assert ask(processes, 300) is processes.tasks.heard(200).image
    assert gone.ended is not None


def test_a_number_used_again_is_not_who_was_never_described(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200, b"old\0")
    machine.exit(200)
    processes.drain()
    machine.now += 10**9
    machine.spawn(SHELL, 200, b"new\0")
    machine.lose()
    image = ask(processes, 200)
    assert argv(image) == b"new\0"
    assert image.ended is None


def test_who_was_met_after_an_overflow_is_sure(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200)
    machine.lose()
    image = ask(processes, 200)
    machine.looks.clear()
    machine.now += 10**6
    assert ask(processes, 200) is image
    machine.lose()
    assert ask(processes, 200) is image
    assert ask(processes, 200) is image
    assert machine.looks == [("stat", 200)]


def test_a_number_of_a_thread_of_ours_may_be_somebody_elses(machine: Machine) -> None:
    processes = machine.processes(connector=False)
    machine.thread(OWN, 50)
    assert ask(processes, 50).is_own
    machine.end_thread(OWN, 50)
    machine.spawn(SHELL, 50)
    assert argv(ask(processes, 50)) == b"cat\0"


def test_who_left_unseen_is_settled(machine: Machine, blind: Callable[[], Processes]) -> None:
    machine.spawn(SHELL, 200, b"stays\0")
    machine.spawn(SHELL, 300, b"goes\0")
    machine.spawn(SHELL, 400, b"goes on\0")
    processes = blind()
    said = hooked(processes)
    stays, goes, goes_on = (processes.tasks.heard(pid).image for pid in (200, 300, 400))
    machine.exit(300)
    machine.exec(400)
    unsure = processes.unsure()
    assert {200, 300, 400} <= set(unsure)
    assert OWN not in unsure
    for pid in unsure:
        processes.settle(pid, processes.look(pid))
    assert stays.ended is None
    assert goes.ended is not None
    assert [(kind, image) for kind, image, _ in said] == [("exit", goes), ("exec", goes_on)]
    if processes.has_connector:
        assert processes.find(200) is stays
        assert processes.find(400) is None
    assert ask(processes, 200) is stays


def test_a_fork_that_was_not_told_has_its_parent(machine: Machine, blind: Callable[[], Processes]) -> None:
    machine.spawn(SHELL, 200)
    processes = blind()
    parent = ask(processes, 200)
    forked = ask(processes, machine.fork(200, 300))
    assert forked.forked_from is parent
    started = ask(processes, machine.spawn(200, 400))
    assert started.parent is parent
    assert started.forked_from is None


def test_an_exec_after_a_fork_that_was_told_is_seen(machine: Machine, processes: Processes) -> None:
    parent = ask(processes, machine.spawn(SHELL, 200))
    machine.fork(200, 300)
    machine.fork(200, 400)
    processes.drain()
    machine.exec(300)
    machine.lose()
    assert ask(processes, 300).forked_from is None
    assert ask(processes, 400).forked_from is parent


def test_after_an_overflow_new_processes_cost_no_look(machine: Machine, processes: Processes) -> None:
    machine.lose()
    processes.drain()
    assert processes.overflows == 1
    machine.spawn(SHELL, 200)
    image = ask(processes, 200)
    assert ask(processes, 200) is image
    assert machine.looks == [("read", 200)]


def test_without_a_connector_ours_are_found(machine: Machine) -> None:
    processes = machine.processes(connector=False)
    assert ask(processes, OWN).is_own
    machine.thread(OWN, 50)
    assert ask(processes, 50).is_own
    assert ask(processes, 50).is_own
    assert machine.looks == [("read", 50), ("stat", 50)]


def test_where_the_stack_is_hidden_the_program_tells(machine: Machine) -> None:
    processes = machine.processes(connector=False)
    machine.tasks[SHELL].stack = 0
    image = ask(processes, SHELL)
    assert ask(processes, SHELL) is image
    machine.tasks[SHELL].argv = b"other\0"
    assert argv(ask(processes, SHELL)) == b"other\0"


# readers


def test_nobody_goes_where_a_reader_is_stuck(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200)
    machine.thread(200, 201)
    machine.spawn(SHELL, 300)
    processes.drain()
    go, at_it = threading.Event(), threading.Event()
    read = machine.read

    def stuck(tid: int) -> dict[str, Any] | None:
        if threading.current_thread() is not threading.main_thread():
            at_it.set()
            assert go.wait(20)
        return read(tid)

    processes._reader = stuck
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(processes.read(200)))
    thread.start()
    assert at_it.wait(20)
    assert processes.read(201) is not None  # it may only be slow
    machine.now += STUCK_NS
    assert processes.read(201) is None
    assert processes.read(200) is None
    assert processes.read(300) is not None
    go.set()
    thread.join()
    assert results != [None]
    assert processes.read(201) is not None


def test_readers_that_fail_are_as_if_it_were_gone(machine: Machine, processes: Processes) -> None:
    def fail(tid: int) -> Any:
        raise OSError(24, "too many open files")

    processes._reader = processes._stat = fail
    machine.spawn(SHELL, 200)
    assert processes.read(200) is None
    assert processes.look(200) is None
    assert ask(processes, 200).reason == GONE


# any story at all

STORIES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 5)), max_size=60)


@settings(deadline=None, max_examples=300)
@given(STORIES, st.booleans())
def test_whatever_happens_the_image_found_is_the_one_that_asks(
    story: list[tuple[int, int, int]], connector: bool
) -> None:
    machine = Machine()
    processes = machine.processes(connector=connector)
    pids = [SHELL, 200, 300, 400, 500, 600]
    number = 0
    known: dict[ActivityKey, bytes] = {}
    for what, one, other in story:
        pid, second = pids[one], pids[other]
        machine.now += 10**7
        alive = pid in machine.tasks
        if what == 0 and alive and second not in machine.tasks:
            machine.fork(pid, second)
            number += 1
            machine.tasks[second].argv = b"fork of %d\0" % number
        elif what == 1 and alive:
            number += 1
            machine.exec(pid, b"program %d\0" % number)
        elif what == 2 and alive and pid != SHELL:
            machine.exit(pid, number)
        elif what == 3 and alive:
            machine.thread(pid, 10_000 + number)
            number += 1
        elif what == 4 and connector:
            machine.lose()
        elif what == 5 and alive and machine.tasks[pid].threads:
            machine.end_thread(pid, min(machine.tasks[pid].threads))
        elif what == 6 and alive:
            task = machine.tasks[pid]
            tid = max(task.threads, default=pid)
            image = ask(processes, tid)
            assert image.pid == pid
            assert argv(image) == task.argv
            assert image.ended is None
            assert image.key.start_ticks == task.start_ticks
            assert known.setdefault(image.key, task.argv) == task.argv
            above = image.forked_from
            assert above is None or above.key in known
