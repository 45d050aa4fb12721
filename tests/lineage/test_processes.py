"""Who is behind a thread id: on a machine of our own making, and on the real one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs import _native
from pfs.lineage import tasks
from pfs.lineage.facts import ActivityKey, Ending
from pfs.lineage.image import Image
from pfs.lineage.processes import GONE, OUTSIDE, STUCK_NS, Processes
from tests.lineage.children import answers, line, running, say, threaded
from tests.lineage.machine import BOOT, OWN, SHELL, STEP_NS, WALL_NS, Machine

Hooks = list[tuple[str, Image, Image | None]]


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def processes(machine: Machine) -> Processes:
    return machine.processes()


def ask(processes: Processes, tid: int) -> Image:
    """What a request of a thread does."""
    processes.drain()
    image = processes.find(tid)
    if image is None and processes.needs_look(tid):
        image = processes.find(tid, processes.look(tid))
    return image if image is not None else processes.adopt(tid, processes.read(tid))


def argv(image: Image | None) -> bytes:
    assert image is not None
    assert image.description is not None
    return image.description.cmdline


def hooked(processes: Processes) -> Hooks:
    said: Hooks = []
    processes.tasks.on_fork = lambda parent, child: said.append(("fork", parent, child))
    processes.tasks.on_exec = lambda old, new: said.append(("exec", old, new))
    processes.tasks.on_exit = lambda image: said.append(("exit", image, None))
    return said


# with every event heard


def test_an_image_is_read_once_and_then_found(machine: Machine, processes: Processes) -> None:
    pid = machine.spawn(SHELL, 200)
    image = ask(processes, pid)
    assert argv(image) == b"cat\0"
    assert image.key == ActivityKey(BOOT, 200, machine.tasks[200].start_ticks, 1)
    for _ in range(3):
        assert ask(processes, pid) is image
    assert machine.looks == [("read", 200)]


def test_exec_makes_another_image(machine: Machine, processes: Processes) -> None:
    pid = machine.fork(SHELL, 200)
    forked = ask(processes, pid)
    assert argv(forked) == b"sh\0"
    machine.exec(pid, b"sort\0")
    image = ask(processes, pid)
    assert argv(image) == b"sort\0"
    assert image.parent is forked
    assert image.forked_from is None
    assert (forked.key.execs, image.key.execs) == (0, 1)
    assert forked.ended == Ending(image.started_ns)
    assert image.started_ns == WALL_NS + image.since_ns


def test_execs_are_counted_where_the_stack_stays_in_its_place(machine: Machine, processes: Processes) -> None:
    pid = machine.fork(SHELL, 200)
    place = machine.tasks[pid].stack
    images = [ask(processes, pid)]
    for number in range(5):
        machine.exec(pid, b"%d\0" % number, stack=place)
        images.append(ask(processes, pid))
    assert [image.key.execs for image in images] == list(range(6))
    assert [argv(image) for image in images[1:]] == [b"%d\0" % number for number in range(5)]


def test_execs_that_nobody_saw_are_counted(machine: Machine, processes: Processes) -> None:
    pid = machine.fork(SHELL, 200)
    for number in range(3):
        machine.exec(pid, b"%d\0" % number)
    image = ask(processes, pid)
    assert image.key.execs == 3
    assert argv(image) == b"2\0"


def test_a_thread_belongs_to_its_process(machine: Machine, processes: Processes) -> None:
    pid = machine.spawn(SHELL, 200)
    image = ask(processes, machine.thread(pid, 201))
    assert image.pid == pid
    machine.thread(pid, 202)
    assert ask(processes, 202) is ask(processes, pid) is image
    assert machine.looks == [("read", 201)]


def test_threads_of_an_older_process_are_met(machine: Machine) -> None:
    pid = machine.spawn(SHELL, 200)
    machine.thread(pid, 201)
    machine.queue.clear()
    processes = machine.processes()
    assert ask(processes, 201) is ask(processes, pid) is ask(processes, 201)
    assert machine.looks == [("read", 201)]
    machine.end_thread(pid, 201)
    machine.fork(SHELL, 201)
    assert ask(processes, 201).pid == 201


def test_a_fork_without_exec_shares_memory(machine: Machine, processes: Processes) -> None:
    parent = ask(processes, machine.spawn(SHELL, 200))
    child = ask(processes, machine.fork(200, 300))
    grandchild = ask(processes, machine.fork(300, 400))
    assert child.parent is child.forked_from is parent
    assert grandchild.forked_from is child
    assert {image.key.execs for image in (child, grandchild)} == {0}


def test_a_fork_is_of_the_image_that_forked(machine: Machine, processes: Processes) -> None:
    first = ask(processes, machine.spawn(SHELL, 200, b"first\0"))
    machine.fork(200, 300)
    machine.exec(200, b"second\0")
    machine.fork(200, 400)
    assert ask(processes, 300).forked_from is first
    second = ask(processes, 200)
    assert second is not first
    assert ask(processes, 400).forked_from is second


def test_memory_comes_through_forks_that_nobody_saw_and_not_through_execs(
    machine: Machine, processes: Processes
) -> None:
    source = ask(processes, machine.spawn(SHELL, 200))
    machine.fork(machine.fork(200, 300), 400)
    machine.exit(300)
    through_fork = ask(processes, 400)
    assert through_fork.forked_from is through_fork.parent is source
    machine.fork(machine.spawn(200, 500), 600)
    machine.exit(500)
    through_exec = ask(processes, 600)
    assert through_exec.parent is source
    assert through_exec.forked_from is None


def test_forks_of_forks_do_not_pile_up(machine: Machine, processes: Processes) -> None:
    source = ask(processes, machine.spawn(SHELL, 1000))
    for pid in range(1000, 3000):
        machine.fork(pid, pid + 1)
        machine.exit(pid)
        processes.drain()
    image = ask(processes, 3000)
    length = 0
    step: Image | None = image
    while step is not None:
        step, length = step._parent, length + 1
    assert length <= 5
    assert image.forked_from is source


def test_hooks_are_called_for_what_is_known(machine: Machine, processes: Processes) -> None:
    said = hooked(processes)
    machine.exec(machine.fork(machine.spawn(SHELL, 200), 300))
    machine.exit(300)
    processes.drain()
    assert not said  # nothing was known of any of them
    parent = ask(processes, 200)
    machine.fork(200, 300)
    processes.drain()
    [(kind, of, child)] = said
    assert (kind, of) == ("fork", parent)
    assert child is not None
    child.inherited = "what it took over"
    machine.fork(300, 400)
    machine.exec(300)
    machine.exit(300)
    machine.exit(200, 256)
    processes.drain()
    assert [(kind, of) for kind, of, _ in said[1:]] == [
        ("fork", child),
        ("exec", child),
        ("exit", parent),
    ]
    assert parent.ended is not None
    assert parent.ended.exit == 256


def test_a_process_ends_with_its_last_thread(machine: Machine, processes: Processes) -> None:
    said = hooked(processes)
    image = ask(processes, machine.spawn(SHELL, 200))
    machine.thread(200, 201)
    machine._tell("exit", 200, 200, 0)  # the first thread alone
    processes.drain()
    assert image.ended is None
    machine.end_thread(200, 201)
    processes.drain()
    assert image.ended is not None
    assert said == [("exit", image, None)]


def test_threads_that_were_there_before_count_too(machine: Machine) -> None:
    machine.thread(machine.spawn(SHELL, 200), 201)
    machine.queue.clear()
    processes = machine.processes()
    image = ask(processes, 200)
    machine._tell("exit", 200, 200, 0)
    processes.drain()
    assert image.ended is None
    machine._tell("exit", 201, 200, 5)
    processes.drain()
    assert image.ended is not None
    assert image.ended.exit == 5


def test_a_thread_that_execs_becomes_the_first(machine: Machine, processes: Processes) -> None:
    old = ask(processes, machine.spawn(SHELL, 200))
    machine.thread(200, 201)
    machine._tell("exit", 200, 200, 0)
    machine.exec(200, b"new\0")
    new = ask(processes, 200)
    assert argv(new) == b"new\0"
    assert new.parent is old
    machine.fork(SHELL, 201)  # the number is free
    assert ask(processes, 201).pid == 201
    machine.exit(200)
    processes.drain()
    assert new.ended is not None


def test_a_number_that_is_used_again_is_somebody_else(machine: Machine, processes: Processes) -> None:
    first = ask(processes, machine.spawn(SHELL, 200, b"first\0"))
    machine.exit(200)
    assert ask(processes, 200) is first  # a late request
    machine.now += 10**9
    second = ask(processes, machine.spawn(SHELL, 200, b"second\0"))
    assert argv(second) == b"second\0"
    assert first.key != second.key


def test_a_number_is_used_again_although_its_end_was_not_told(machine: Machine, processes: Processes) -> None:
    first = ask(processes, machine.spawn(SHELL, 200))
    machine.now += 10**9
    machine.spawn(SHELL, 200)
    second = ask(processes, 200)
    assert first.ended is not None
    assert first.ended.exit is None
    assert second is not first


def test_who_is_gone_is_partial_for_good(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200)
    machine.exit(200)
    image = ask(processes, 200)
    assert (image.reason, image.description) == (GONE, None)
    assert image.parent is not None
    assert ask(processes, 200) is image
    machine.now += 10**9
    machine.spawn(SHELL, 200)
    machine.exit(200)
    assert ask(processes, 200).key != image.key
    assert ask(processes, 999).reason == GONE  # never heard of
    assert ask(processes, 999).key.pid == 999


def test_a_zombie_is_who_it_was(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200)
    zombie = machine.tasks[200]
    machine.exit(200)
    processes.drain()
    zombie.argv, zombie.stack = b"", 0
    machine.tasks[200] = zombie
    image = ask(processes, 200)
    assert image.ended is not None
    assert argv(image) == b""


def test_a_description_that_comes_late_is_filled_in(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200)
    late = processes.read(200)
    image = processes.adopt(200, None, "too slow")
    key = image.key
    assert processes.adopt(200, late) is image
    assert (argv(image), image.reason, image.key) == (b"cat\0", "too slow", key)
    again = processes.read(200)
    assert processes.adopt(200, again) is image
    assert image.description is late


def test_what_was_read_before_an_exec_is_of_the_image_before(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200, b"old\0")
    processes.drain()
    raw = processes.read(200)
    machine.exec(200, b"new\0")
    old = processes.adopt(200, raw)
    assert (argv(old), old.key.execs) == (b"old\0", 1)
    assert old.ended is not None
    new = ask(processes, 200)
    assert (argv(new), new.key.execs) == (b"new\0", 2)


def test_what_was_read_of_somebody_before_is_not_of_who_has_the_number_now(
    machine: Machine, processes: Processes
) -> None:
    machine.spawn(SHELL, 200, b"old\0")
    raw = processes.read(200)
    machine.exit(200)
    machine.now += 10**9
    machine.spawn(SHELL, 200, b"new\0")
    old = processes.adopt(200, raw)
    assert argv(old) == b"old\0"
    assert old.ended is not None
    assert processes.find(200) is None
    assert argv(ask(processes, 200)) == b"new\0"


def test_two_daemons_name_an_older_image_alike(machine: Machine) -> None:
    machine.queue.clear()
    first = ask(machine.processes(), SHELL)
    second = ask(machine.processes(), SHELL)
    assert first.key == second.key
    assert first.key.execs == machine.tasks[SHELL].stack


def test_images_of_an_older_process_have_keys_of_their_own(machine: Machine, processes: Processes) -> None:
    place = machine.tasks[SHELL].stack
    keys = [ask(processes, SHELL).key]
    for _ in range(3):
        machine.exec(SHELL, stack=place)
        keys.append(ask(processes, SHELL).key)
    assert len(set(keys)) == 4


def test_times_are_the_wall_clocks(machine: Machine, processes: Processes) -> None:
    machine.now = 90 * 10**9
    pid = machine.fork(SHELL, 200)
    image = ask(processes, pid)
    assert image.started_ns == WALL_NS + 90 * 10**9 + STEP_NS
    machine.exit(pid, 9)
    processes.drain()
    assert image.ended == Ending(WALL_NS + machine.now - STEP_NS, 9)
    older = ask(processes, SHELL)
    assert older.started_ns == WALL_NS + machine.tasks[SHELL].start_ticks * 10_000_000


def test_ours_are_never_described(machine: Machine, processes: Processes) -> None:
    machine.thread(OWN, 50)
    for tid in (OWN, 50):
        image = ask(processes, tid)
        assert image.is_own
        assert image.description is None
    machine.tasks[OWN].threads.add(51)  # older than the connector
    assert ask(processes, 51) is ask(processes, OWN)
    assert machine.looks == [("read", 51)]
    child = ask(processes, machine.spawn(OWN, 200))
    assert not child.is_own


def test_no_pid_is_somebody_of_a_user(processes: Processes) -> None:
    image = ask(processes, 0)
    assert (image.pid, image.reason, image.description) == (0, OUTSIDE, None)
    first, second = processes.outside(1000), processes.outside(1001)
    assert processes.outside(1000) is first
    assert len({image.key, first.key, second.key}) == 3
    assert first.uid == 1000


def test_siblings_are_the_nearest_first_then_children(machine: Machine, processes: Processes) -> None:
    for pid in (200, 300, 400, 500):
        machine.fork(SHELL, pid)
    machine.fork(400, 600)
    machine.exit(500)
    image = ask(processes, 400)
    assert processes.siblings(image) == [300, 200, 600]
    ask(processes, 300)
    assert processes.siblings(image) == [200, 600]
    machine.exec(400)
    processes.drain()
    assert processes.siblings(image) == []
    assert processes.siblings(ask(processes, 400)) == [200, 600]


def test_ancestors_are_described_up_to_the_first_process(machine: Machine, processes: Processes) -> None:
    machine.tasks[90] = type(machine.tasks[1])(90, 1, 90, machine._stack(), b"login\0")
    machine.tasks[SHELL].parent = 90
    image = ask(processes, machine.spawn(SHELL, 200))
    seen = []
    while pids := processes.ancestors(image):
        for pid in pids:
            seen.append(pid)
            assert argv(processes.describe(pid, processes.read(pid)))
    assert seen == [SHELL, 90]
    assert [argv(above) for above in (image.parent, image.parent and image.parent.parent)] == [
        b"sh\0",
        b"login\0",
    ]


def test_relatives_are_described_only_as_what_they_are(machine: Machine, processes: Processes) -> None:
    machine.fork(SHELL, 200)
    processes.drain()
    raw = processes.read(200)
    machine.exec(200, b"new\0")
    processes.drain()
    old = processes.describe(200, raw)
    assert old is None or argv(old) == b"sh\0"
    assert processes.find(200) is None
    found = processes.describe(200, processes.read(200))
    assert found is processes.find(200)
    assert argv(found) == b"new\0"
    raw = processes.read(200)
    machine.exit(200)
    assert processes.describe(200, raw) is None
    assert processes.describe(200, None) is None
    assert processes.describe(OWN, None) is None


def test_a_parent_that_left_before_we_listened_is_over(machine: Machine) -> None:
    machine.queue.clear()
    processes = machine.processes()
    machine.fork(SHELL, 200)
    processes.drain()
    del machine.tasks[SHELL]
    image = ask(processes, 200)
    assert processes.ancestors(image) == [SHELL]
    assert processes.describe(SHELL, processes.read(SHELL)) is None
    assert processes.ancestors(image) == []


def test_tables_are_bounded(machine: Machine, processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "ENDED_KEPT_MAX", 10)
    machine.spawn(SHELL, 200)
    ask(processes, 200)
    for tid in range(1000, 1100):
        machine.thread(200, tid)
        machine.end_thread(200, tid)
        machine.spawn(SHELL, tid + 1000)
        machine.exit(tid + 1000)
    processes.drain()
    assert len(processes.tasks._by_id) < 20
    assert processes.find(200) is not None
    machine.exit(200)
    for pid in range(5000, 5020):
        machine.spawn(SHELL, pid)
        machine.exit(pid)
    processes.drain()
    assert processes.find(200) is None


# with events lost, and without a connector


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
    assert argv(ask(processes, 201)) == b"other\0"
    assert ask(processes, 200) is old


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


# the real machine


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
