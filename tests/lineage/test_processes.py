"""Who is behind a thread id, on a machine of our own making that tells of everything."""

from __future__ import annotations

import pytest

from pfs.lineage.facts import ActivityKey, Ending
from pfs.lineage.processes import tasks
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.table import GONE, OUTSIDE, Processes
from tests.lineage.machine import BOOT, OWN, SHELL, STEP_NS, WALL_NS, Machine, argv, ask, hooked


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def processes(machine: Machine) -> Processes:
    return machine.processes()


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


def test_a_thread_that_is_met_later_counts_once(machine: Machine) -> None:
    machine.thread(machine.spawn(SHELL, 200), 201)
    machine.queue.clear()
    processes = machine.processes()
    image = ask(processes, 200)
    assert ask(processes, 201) is image
    machine.end_thread(200, 201)
    machine.exit(200)
    processes.drain()
    assert image.ended is not None


def test_a_fork_from_before_knows_nothing_of_its_parent(machine: Machine) -> None:
    machine.fork(SHELL, 200)
    machine.queue.clear()
    processes = machine.processes()
    parent = ask(processes, SHELL)
    child = ask(processes, 200)
    assert child.parent is parent
    assert child.forked_from is None


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
    machine.end_thread(200, machine.thread(200, 202))
    processes.drain()
    assert new.ended is None
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


def test_the_stage_before_is_who_was_made_just_before_and_lived(
    machine: Machine, processes: Processes
) -> None:
    for pid in (200, 201, 202):
        machine.spawn(SHELL, pid)
    reader = ask(processes, 202)
    machine.exit(201)
    processes.drain()
    before = processes.elder(reader)
    assert before is not None
    assert before.pid == 201
    first = processes.elder(before)
    assert first is not None
    assert (first.pid, processes.elder(first)) == (200, None)


def test_no_stage_is_one_that_had_ended_before_or_is_known(machine: Machine, processes: Processes) -> None:
    machine.spawn(SHELL, 200)
    machine.exit(200)
    reader = ask(processes, machine.spawn(SHELL, 201))
    assert processes.elder(reader) is None
    ask(processes, machine.spawn(SHELL, 202))
    machine.exit(202)
    other = ask(processes, machine.spawn(SHELL, 203))
    assert processes.elder(other) is None
