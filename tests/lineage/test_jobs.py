"""Jobs: what one command line started."""

from __future__ import annotations

import msgspec
import pytest

from pfs.lineage.answers.jobs import Jobs, starts_jobs
from pfs.lineage.facts import Flag
from tests.lineage.sources import Story

BASH = b"/usr/bin/bash"


class Shell(Story):
    """An interactive shell with job control."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = self.process("-bash", interactive=True, sid=9, group=9, exe=BASH, execs=1)

    def start(self, *argv: str, **facts: object) -> int:
        return self.process(*argv, **{"parent": self.shell, "sid": 9, **facts})

    def commands(self, *asked: int) -> list[str]:
        """The distinct jobs of these, in order."""
        found = Jobs(self.source).of(asked)
        return list(dict.fromkeys(found[one].command() for one in asked if one in found))


def test_subtree_below_a_shell_is_one_job() -> None:
    story = Shell()
    make = story.start("make", "-j2", group=20)
    gcc = story.start("gcc", "-c", "x.c", parent=make, group=20)
    cc1 = story.start("cc1", parent=gcc, group=20)
    jobs = Jobs(story.source).of([cc1, gcc])
    assert jobs[cc1] is jobs[gcc]
    assert jobs[cc1].command() == "make -j2"
    assert jobs[cc1].name == f"j:{make:016x}"
    assert jobs[cc1].members == (cc1, gcc)
    assert jobs[cc1].starter is not None
    assert jobs[cc1].starter.id == story.shell


def test_those_who_start_jobs_belong_to_none() -> None:
    story = Shell()
    vim = story.start("vim", interactive=True)
    assert Jobs(story.source).of([story.shell, vim]) == {}
    below = story.start("sh", "-c", "make", parent=vim)
    assert story.commands(below) == ["sh -c make"]


@pytest.mark.parametrize(
    ("argv", "facts", "expected"),
    [
        (["cron"], {}, True),
        (["sshd: alice@pts/0"], {"exe": b""}, True),
        (["systemd"], {}, True),
        (["anything"], {"pid": 1}, True),
        (["slurmstepd"], {}, True),
        (["pfs", "run", "make"], {}, True),
        (["/usr/bin/python3", "/usr/bin/pfs", "--store", "d", "run", "make"], {}, True),
        (["python3", "-m", "pfs", "run"], {}, True),
        (["pfs", "commit", "-m", "run"], {}, False),
        (["bash", "run.sh"], {}, False),
        (["bash", "-e", "--norc", "-o", "pipefail", "run.sh"], {}, False),
        (["bash", "-ec", "make"], {}, False),
        (["bash"], {"files": ((0, b"/home/alice/run.sh", False),)}, False),
        (["bash"], {}, True),  # what it is to do comes through a pipe
        (["sh", "-s", "word"], {}, True),
        (["bash", "--norc", "-eo", "pipefail"], {}, True),
        (["bash", "/dev/fd/3"], {}, True),
        (["python", "/dev/fd/3"], {}, False),
        (["make"], {}, False),
        (["python", "cron.py"], {}, False),
    ],
)
def test_who_starts_jobs(argv: list[str], facts: dict[str, object], expected: bool) -> None:
    story = Story()
    activity = story.source.activity(story.process(*argv, **facts))
    assert activity is not None
    assert starts_jobs(activity) is expected


def test_job_of_cron_is_its_child() -> None:
    story = Story()
    cron = story.process("cron")
    job = story.process("sh", "-c", "backup /data", parent=cron)
    inner = story.process("backup", "/data", parent=job)
    found = Jobs(story.source).of([inner])[inner]
    assert found.command() == "sh -c 'backup /data'"


def test_process_of_an_unknown_parent_stands_for_itself() -> None:
    story = Story()
    one = story.process("a", parent=12345)
    other = story.process("b", parent=12345)
    assert sorted(job.command() for job in Jobs(story.source).of([one, other]).values()) == ["a", "b"]


def test_stages_of_one_process_group_are_one_job() -> None:
    story = Shell()
    first = story.start("sort", group=30, pipes=((1, 5, True),))
    last = story.start("cut", group=30, pipes=((0, 5, False),))
    other = story.start("cut", "-f2", group=31)
    assert story.commands(last, first, other) == ["sort | cut", "cut -f2"]
    job = Jobs(story.source).of([last, first])[last]
    assert job.leader.id == first
    assert job.members == (first, last)


def test_stage_that_nobody_asked_about_is_found_by_what_it_told() -> None:
    story = Shell()
    first, last = story.start("sort"), story.start("cut")
    story.informs(first, last, flags=Flag.PIPE)
    assert story.commands(last) == ["sort | cut"]
    assert story.commands(first) == ["sort | cut"]
    assert Jobs(story.source).of([last])[last].members == (last,)


def test_pipe_of_a_stage_that_another_program_became() -> None:
    story = Shell()
    env = story.start("env", "X=1", "sort", pipes=((1, 5, True),), pid=70, execs=1)
    sort = story.start("sort", parent=env, pipes=((1, 5, True),), pid=70, execs=2)
    last = story.start("cut", pipes=((0, 5, False),))
    assert story.commands(sort, last) == ["env X=1 sort | cut"]


def test_processes_that_vim_starts_are_jobs_of_their_own() -> None:
    story = Shell()
    vim = story.start("vim", interactive=True, group=40)
    jobs = [story.start("sh", "-c", word, parent=vim, group=40) for word in ("make", "clean")]
    assert story.commands(*jobs) == ["sh -c make", "sh -c clean"]


def test_subshell_of_an_interactive_shell_is_no_job_but_its_pipeline_is_one() -> None:
    story = Shell()
    sub = story.start("-bash", interactive=True, group=50, exe=BASH)
    parts = [story.start(name, parent=sub, group=50, pipes=((1, 5, True),)) for name in ("a", "b")]
    last = story.start("c", group=50, pipes=((0, 5, False),))
    assert story.commands(*parts, last) == ["{ a; b; } | c"]


def test_input_that_was_closed_before_anybody_looked() -> None:
    story = Shell()
    forked = story.start("bash", interactive=True, exe=BASH, pid=71, pipes=((0, 5, False), (1, 8, True)))
    first = story.start("sort", pipes=((1, 5, True),))
    out = ((1, b"/home/alice/pfs/proj/out", True),)
    last = story.start("cut", parent=forked, pid=71, execs=1, files=out)
    assert story.commands(first, last) == ["sort | cut > out"]


def test_shell_that_is_about_to_become_a_stage_is_in_its_group() -> None:
    story = Shell()
    forks = [story.start("bash", interactive=True, exe=BASH, group=90, pid=pid) for pid in (90, 91)]
    stages = [
        story.start(name, parent=fork, group=90, pid=pid, execs=1)
        for name, fork, pid in zip(("a", "b"), forks, (90, 91), strict=True)
    ]
    assert story.commands(*stages) == ["a; b"]


def test_copy_of_a_shell_starts_jobs_even_where_it_no_longer_looks_interactive() -> None:
    story = Shell()
    copy = story.start("-bash", exe=BASH, group=95, pipes=((0, 5, False),))
    other = story.start("-bash", exe=BASH, group=95, parent=copy)
    first = story.start("sort", group=95, pipes=((1, 5, True),))
    last = story.start("cut", group=95, parent=other, pid=95, execs=1)
    assert story.commands(first, last) == ["sort; cut"]
    script = story.start("bash", "run.sh", exe=BASH, execs=1)
    assert story.commands(story.start("tool", parent=script)) == ["bash run.sh"]
    found = Jobs(story.source).of([last])[last]
    assert found.starter is not None
    assert found.starter.id == story.shell


def test_commands_of_a_shell_that_a_program_tells_are_jobs_of_their_own() -> None:
    story = Shell()
    told = story.start("bash", "/dev/fd/3", exe=BASH, group=60, execs=1)
    first = story.start("sort", "in.txt", parent=told, group=60, pipes=((1, 5, True),))
    second = story.start("cut", "-c1", parent=told, group=60, pipes=((0, 5, False),))
    other = story.start("python3", "train.py", parent=told, group=60)
    assert story.commands(first, second, other) == ["sort in.txt | cut -c1", "python3 train.py"]


def test_pipes_of_another_session_do_not_join() -> None:
    story = Shell()
    one = story.start("a", pipes=((1, 5, True),))
    other = story.start("b", pipes=((0, 5, False),), sid=10)
    assert story.commands(one, other) == ["a", "b"]


def test_pipes_that_were_merely_inherited_do_not_join() -> None:
    story = Shell()
    both = ((3, 5, False), (4, 5, True))
    assert story.commands(story.start("a", pipes=both), story.start("b", pipes=both)) == ["a", "b"]


def test_a_circle_of_parents_ends() -> None:
    story = Story()
    one = story.process("a")
    other = story.process("b", parent=one)
    key = story.source.activities_by_id
    key[one] = msgspec.structs.replace(key[one], parent=other)
    assert len(Jobs(story.source).of([one, other])) == 2


def test_deep_tree_needs_no_recursion() -> None:
    story = Shell()
    at = top = story.start("sh", "run.sh", group=60)
    for _ in range(5000):
        at = story.start("sh", "-c", "deeper", parent=at, group=60)
    assert Jobs(story.source).root(at) == top
