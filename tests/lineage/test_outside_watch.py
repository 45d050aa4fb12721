"""What the watch makes of single events; histories at random are in test_outside_random."""

from __future__ import annotations

from typing import Any

import pytest

from pfs.lineage.facts import Level
from pfs.lineage.outside import watch as outside_watch
from pfs.lineage.outside import who as outside_who
from pfs.lineage.outside.done import FACTS_MAX
from pfs.lineage.outside.told import OPENED, READ, WROTE
from pfs.lineage.outside.watch import CLOCK_NS, READS_MAX, TOO_MANY
from pfs.lineage.processes.exits_last import ExitsLast
from pfs.lineage.processes.raw_description import RawDescription
from tests.lineage.outside_scene import LONG_AGO, NOW, Connector, Scene

O_WRONLY = 1


@pytest.fixture
def scene() -> Scene:
    return Scene()


# readers


def test_what_one_read_before_it_acted_is_its_own(scene: Scene) -> None:
    scene.event(7, OPENED | READ, b"/data/a")
    scene.event(7, OPENED, b"/data/b")
    scene.event(8, OPENED | READ, b"/data/c")
    assert scene.drained() == []
    scene.act(7)
    assert scene.drained() == [("read", 7, b"/data/a", 5), ("read", 7, b"/data/b", 5)]
    assert [fact.path for fact in scene.learned] == [b"/data/a", b"/data/b"]


def test_who_acts_is_recorded_at_once(scene: Scene) -> None:
    scene.act(7)
    scene.event(7, OPENED, b"/data/a")
    assert scene.drained() == [("read", 7, b"/data/a", 5)]
    scene.event(7, READ, b"/data/a")
    assert scene.drained() == []


def test_many_opens_of_one_file_are_one_fact(scene: Scene) -> None:
    for _ in range(3):
        scene.event(7, OPENED | READ, b"/data/a")
        scene.watch.drain()
    scene.event(7, OPENED | READ, b"/data/a", size=6)
    scene.act(7)
    assert scene.drained() == [("read", 7, b"/data/a", 5), ("read", 7, b"/data/a", 6)]


def test_settings_and_programs_of_the_system_are_no_inputs(scene: Scene) -> None:
    scene.event(7, OPENED | READ, b"/home/u/.toolrc")
    scene.execute(7)
    scene.event(7, OPENED | READ, b"/data/a")
    scene.act(7)
    assert scene.drained() == [("read", 7, b"/data/a", 5)]


def test_a_program_of_ones_own_is_an_input(scene: Scene) -> None:
    scene.execute(7, b"/home/u/bin/tool")
    scene.act(7)
    assert scene.drained() == [("read", 7, b"/home/u/bin/tool", 5)]


def test_a_scan_of_everything_is_cut_short(scene: Scene) -> None:
    actor = scene.act(7)
    for number in range(READS_MAX + 2):
        scene.event(7, OPENED | READ, b"/data/%d" % number)
    assert len(scene.drained()) == READS_MAX
    assert actor.activity.reason == TOO_MANY


# writers


@pytest.mark.parametrize("size", [0, 5])
def test_who_opens_a_file_that_was_changed_just_now_is_no_reader_yet(scene: Scene, size: int) -> None:
    scene.act(7)
    scene.event(7, OPENED, b"/tmp/a", size=size, mtime_ns=scene.now)
    assert scene.drained() == []
    scene.event(7, WROTE, b"/tmp/a")
    assert scene.drained() == [("write", 7, b"/tmp/a", 5, True)]


def test_it_was_one_when_it_closes_the_file_unwritten(scene: Scene) -> None:
    scene.act(7)
    scene.event(7, OPENED, b"/tmp/a", mtime_ns=scene.now)
    assert scene.drained() == []
    scene.event(7, READ, b"/tmp/a", mtime_ns=scene.now)
    assert scene.drained() == [("read", 7, b"/tmp/a", 5)]


def test_a_time_in_the_future_is_not_just_now(scene: Scene) -> None:
    scene.act(7)
    scene.event(7, OPENED, b"/tmp/a", mtime_ns=scene.now + 10 * CLOCK_NS)
    assert scene.drained() == [("read", 7, b"/tmp/a", 5)]


def test_an_empty_file_is_nothing_written(scene: Scene) -> None:
    scene.act(7)
    scene.event(7, OPENED | WROTE, b"/tmp/a", size=0)
    assert scene.drained() == []


def test_appending_goes_on_with_what_was_there(scene: Scene) -> None:
    scene.act(7)
    scene.event(7, OPENED | WROTE, b"/tmp/a", size=5, mtime_ns=1)
    assert scene.drained() == [("write", 7, b"/tmp/a", 5, True)]
    scene.event(7, OPENED | WROTE, b"/tmp/a", size=9, mtime_ns=2)
    assert scene.drained() == [("write", 7, b"/tmp/a", 9, False)]
    scene.event(7, OPENED | WROTE, b"/tmp/a", size=4, mtime_ns=3)
    assert scene.drained() == [("write", 7, b"/tmp/a", 4, True)]


def test_a_merged_write_counts_when_the_file_is_opened_next(scene: Scene) -> None:
    scene.act(7)
    scene.act(8)
    scene.event(7, OPENED | WROTE, b"/tmp/a", size=5)
    scene.event(7, OPENED | READ, b"/data/in")  # read before it was closed, or after: that is not told
    scene.event(8, OPENED | READ, b"/tmp/a", size=5)
    assert scene.drained() == [
        ("read", 7, b"/data/in", 5),
        ("write", 7, b"/tmp/a", 5, True),
        ("read", 8, b"/tmp/a", 5),
    ]


def test_a_merged_reader_may_have_read_what_came_later(scene: Scene) -> None:
    """A script that makes a file, has it worked on and reads the result, again and again."""
    scene.act(7)
    scene.act(8)
    scene.event(7, OPENED | READ, b"/tmp/out", size=5, mtime_ns=1)
    scene.event(8, OPENED | WROTE, b"/tmp/out", size=5, mtime_ns=1)
    assert scene.drained() == [
        ("read", 7, b"/tmp/out", 5),
        ("write", 8, b"/tmp/out", 5, True),
        ("read", 7, b"/tmp/out", 5),
    ]


def test_a_write_is_told_before_the_exit(scene: Scene) -> None:
    """Else the child would count as one that wrote nothing, and its parent as told by it."""
    scene.fork(1, 7)
    scene.act(7)
    scene.event(7, WROTE, b"/tmp/a")
    scene.exit(7)
    assert scene.drained() == [("write", 7, b"/tmp/a", 5, True), ("exit", 7)]


def test_a_renamed_file_and_one_with_its_time_set_back_are_what_was_written(scene: Scene) -> None:
    scene.act(7)
    scene.act(8)
    scene.event(7, OPENED | WROTE, b"/data/.x.new", mtime_ns=NOW, inode=5)
    scene.event(8, OPENED | READ, b"/data/x", mtime_ns=LONG_AGO, inode=5)
    assert scene.drained() == [("write", 7, b"/data/.x.new", 5, True), ("read", 8, b"/data/.x.new", 5)]
    scene.event(8, OPENED | READ, b"/data/x", size=6, mtime_ns=LONG_AGO, inode=5)
    assert scene.drained() == [("read", 8, b"/data/x", 6)]


# those who never ask


def compile_to(scene: Scene, *, told: bool = True) -> None:
    """The events of `gcc main.c -o prog` as they come where nothing is drained in between."""
    scene.event(10, OPENED | WROTE, b"/tmp/c.s", size=9, mtime_ns=scene.now)
    scene.fork(10, 11)
    scene.execute(11, b"/usr/bin/cc1", told=told)
    scene.watch.drain()
    scene.act(11)  # reads main.c
    scene.event(11, OPENED | WROTE, b"/tmp/c.s", size=9, mtime_ns=scene.now)
    scene.exit(11)
    scene.event(10, OPENED | WROTE, b"/tmp/c.o", size=7, mtime_ns=scene.now)
    scene.fork(10, 12)
    scene.execute(12, b"/usr/bin/as", told=told)
    scene.event(12, OPENED | WROTE, b"/tmp/c.o", size=7, mtime_ns=scene.now)
    scene.event(12, OPENED | READ, b"/tmp/c.s", size=9, mtime_ns=scene.now)
    scene.exit(12)
    scene.fork(10, 13)
    scene.execute(13, b"/usr/bin/ld", told=told)
    scene.event(13, OPENED | READ, b"/tmp/c.o", size=7, mtime_ns=scene.now)


def test_a_compiler_passes_on_through_temporary_files(scene: Scene) -> None:
    compile_to(scene)
    scene.act(13)  # makes prog
    log = [entry for entry in scene.drained() if entry[0] != "exit" and entry[1] != 10]
    assert log == [
        ("write", 11, b"/tmp/c.s", 9, True),
        ("read", 12, b"/tmp/c.s", 9),
        ("write", 12, b"/tmp/c.o", 7, True),
        ("read", 13, b"/tmp/c.o", 7),
    ]


def test_one_that_is_gone_has_the_name_of_its_program(scene: Scene) -> None:
    compile_to(scene)
    scene.watch.drain()
    process = scene.table.tasks.group(12)
    assert process is not None
    assert process.image.actor.activity.exe == b"/usr/bin/as"


def test_who_passes_nothing_on_is_not_recorded(scene: Scene) -> None:
    scene.event(7, OPENED | WROTE, b"/tmp/a")
    scene.event(8, OPENED | READ, b"/tmp/a")
    assert scene.drained() == []
    process = scene.table.tasks.group(8)
    assert process is not None
    assert process.image.actor is None


def test_what_was_written_before_its_writer_acted_is_handed_over_once(scene: Scene) -> None:
    scene.event(7, OPENED | WROTE, b"/tmp/a", mtime_ns=1)
    scene.event(7, OPENED | WROTE, b"/tmp/b", mtime_ns=1)
    scene.event(8, OPENED | WROTE, b"/tmp/b", mtime_ns=2)
    scene.watch.drain()
    scene.act(7)
    assert scene.drained() == [("write", 7, b"/tmp/a", 5, True)]


def test_a_fork_that_writes_has_the_memory_of_who_acts(scene: Scene) -> None:
    scene.act(7)
    scene.fork(7, 8)
    scene.event(8, OPENED | WROTE, b"/tmp/a")
    assert scene.drained() == [("write", 8, b"/tmp/a", 5, True)]


def test_a_fork_has_what_its_parent_read_which_never_acts(scene: Scene) -> None:
    scene.fork(1, 7)
    scene.event(7, OPENED | READ, b"/data/a")
    scene.watch.drain()
    scene.fork(7, 8)
    scene.act(8)
    assert scene.drained() == [("read", 8, b"/data/a", 5)]


# exec


def test_what_was_opened_before_an_exec_belongs_to_the_old_image(scene: Scene) -> None:
    scene.execute(7)
    scene.event(7, OPENED | READ, b"/data/a")
    scene.watch.drain()
    scene.execute(7)
    scene.event(7, OPENED | READ, b"/data/b")
    scene.act(7)
    assert scene.drained() == [("read", 7, b"/data/b", 5)]


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("execs", [1, 2])
def test_a_redirection_is_the_new_images(scene: Scene, drains: bool, execs: int) -> None:
    scene.fork(1, 7)
    scene.event(7, OPENED, b"/data/a")
    for _ in range(execs):
        if drains:
            scene.watch.drain()
        scene.execute(7)
    scene.act(7)
    assert scene.drained() == [("read", 7, b"/data/a", 5)]


def test_a_file_that_is_executed_tells_of_an_exec_where_nobody_else_does() -> None:
    scene = Scene(connector=False)
    scene.event(7, OPENED | READ, b"/data/a")
    scene.execute(7)
    scene.event(7, OPENED | READ, b"/data/b")
    scene.execute(7)
    scene.event(7, OPENED | READ, b"/data/c")
    scene.act(7)
    # What comes first may be a redirection.
    assert scene.drained() == [("read", 7, b"/data/a", 5), ("read", 7, b"/data/c", 5)]


def test_an_id_that_is_given_out_again_is_another_process(scene: Scene) -> None:
    scene.fork(1, 7)
    scene.event(7, OPENED | READ, b"/data/a")
    scene.watch.drain()
    scene.exit(7)
    scene.fork(1, 7)
    scene.act(7)
    assert scene.drained() == []


# what descriptions say


def described(pid: int, **more: Any) -> RawDescription:
    return RawDescription(tgid=pid, start_ticks=1, start_stack=pid, **more)


def test_files_that_words_name_and_standard_input_are_inputs() -> None:
    scene = Scene(listener=False)
    scene.act(7, described(7, named=((b"/data/a", 5, 1, False), (b"/data/in", 6, 1, True))))
    assert scene.drained() == [
        ("read", 7, b"/data/a", 5, Level.ARGUMENT),
        ("read", 7, b"/data/in", 6, Level.ARGUMENT),
        ("read", 7, b"/data/in", 6),
    ]


def test_a_fork_has_its_parents_words_and_is_given_nothing(scene: Scene) -> None:
    scene.fork(1, 7)
    scene.act(7, described(7, named=((b"/data/a", 5, 1, False),)))
    assert scene.drained() == []


def test_what_a_parent_closes_may_be_its_childs_output(scene: Scene) -> None:
    """Dash opens redirections itself, before it makes the child."""
    scene.act(7)
    scene.fork(7, 8)
    scene.execute(8)
    scene.act(8, described(8, fds=((1, b"/tmp/out", O_WRONLY), (2, b"/usr/out", O_WRONLY))))
    scene.event(7, WROTE, b"/tmp/out")
    assert scene.drained() == [("write", 8, b"/tmp/out", 5, True)]
    scene.event(7, WROTE, b"/tmp/out", size=6)
    assert scene.drained() == [("write", 7, b"/tmp/out", 6, True)]


def test_what_is_passed_on_by_exec_is_compared_with_what_is_open(scene: Scene) -> None:
    for path in (b"/tmp/a", b"/tmp/b"):
        scene.act(6)
        scene.event(6, OPENED | WROTE, path)
    scene.execute(7)
    scene.event(7, OPENED, b"/tmp/a")
    scene.event(7, OPENED, b"/tmp/b")
    scene.drained()
    scene.execute(7)
    scene.act(7, described(7, fds=((0, b"/tmp/a", 0),)))
    assert scene.drained() == [("read", 7, b"/tmp/a", 5)]


def test_an_input_that_is_closed_by_then_may_be_what_was_open_before(scene: Scene) -> None:
    scene.act(7, described(7))
    scene.event(7, OPENED, b"/data/in")
    scene.fork(7, 9)
    scene.execute(9)
    scene.drained()
    scene.act(9, described(9))
    assert scene.drained() == [("read", 9, b"/data/in", 5, Level.INFERRED)]
    scene.fork(7, 10)
    scene.execute(10)
    scene.act(10, described(10, fds=((0, b"/dev/null", 0),)))
    assert scene.drained() == []


def test_who_may_be_of_use_is_looked_at(scene: Scene) -> None:
    scene.fork(1, 7)
    scene.act(7)
    scene.fork(1, 8)
    scene.execute(8)  # beside one that has acted
    scene.fork(2, 9)
    scene.execute(9)
    scene.event(9, OPENED, b"/tmp/alone", size=0)
    scene.watch.drain()
    assert scene.described == [8]
    scene.fork(2, 10)
    scene.event(10, OPENED, b"/tmp/stage", size=0)  # of a pipeline, maybe
    scene.watch.drain()
    assert scene.described == [8, 10]


# limits


def test_an_overflow_is_counted(scene: Scene) -> None:
    scene.overflowed = True
    scene.watch.drain()
    assert scene.watch.overflows == 1


def test_what_ended_is_forgotten(scene: Scene) -> None:
    scene.fork(1, 7)
    for pid in (7, 8):
        scene.event(pid, OPENED | READ, b"/data/a")
    scene.exit(7)
    scene.watch.drain()
    who = scene.watch._who
    assert set(who._done) == {7, 8}
    scene.watch.sweep(lambda pid: True)
    assert set(who._done) == {8}


def test_processes_and_facts_have_a_limit(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_who, "PIDS_MAX", 10)
    monkeypatch.setattr(outside_who, "KEPT_MAX", FACTS_MAX + 100)
    monkeypatch.setattr(outside_watch, "WRITTEN_MAX", 10)
    for pid in range(100, 120):
        scene.event(pid, OPENED | WROTE, b"/tmp/%d" % pid)
        scene.event(pid, OPENED | READ, b"/data/x")
    scene.watch.drain()
    who = scene.watch._who
    assert len(who._done) == 10
    assert len(scene.watch._written) == 10
    for number in range(2 * FACTS_MAX):
        scene.event(7, OPENED | READ, b"/data/%d" % number)
        scene.event(8, OPENED | READ, b"/data/%d" % number)
    scene.watch.drain()
    assert sum(map(len, who._done.values())) <= FACTS_MAX + 100


def test_a_write_that_cannot_be_recorded_fails_nobody(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise OSError("full")

    scene.act(7)
    monkeypatch.setattr(scene, "outside_write", full)
    scene.event(7, WROTE, b"/tmp/a")
    scene.watch.drain()
    assert scene.watch.failures == 1


# exits


def test_exits_come_last_and_in_order() -> None:
    scene = Scene()
    exits = ExitsLast(Connector(scene))
    scene.fork(1, 7)
    scene.exit(7)
    scene.execute(8)
    scene.exit(8)
    assert [event[0] for event in exits.drain()[0]] == ["fork", "exec"]
    assert exits.waiting() == 2
    assert list(exits.forked) == [7]
    exits.release(1)
    assert [event[:2] for event in exits.drain()[0]] == [("exit", 7)]
    assert exits.drain() == ([], False)
    scene.fork(1, 8)  # the id is given out again
    assert [event[0] for event in exits.drain()[0]] == ["exit", "fork"]
    assert exits.waiting() == 0
