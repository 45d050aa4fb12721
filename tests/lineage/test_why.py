"""Why two versions differ: the cause that changed, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from pfs.errors import NotFound
from pfs.lineage.answers.replies import Cause, WhyReply
from pfs.lineage.answers.why import why
from pfs.lineage.facts import Level, Relation
from tests.lineage.sources import Story
from tests.lineage.stories import ALICE, MALLORY, Trained


def lines(causes: list[Cause], depth: int = 0) -> list[str]:
    found = []
    for cause in causes:
        found += [f"{'  ' * depth}{cause.kind}: {cause.text}", *lines(cause.because, depth + 1)]
    return found


class Experiment(Story):
    """The same training twice, but for what a test changes."""

    def train(
        self,
        *arguments: str,
        data: bytes = b"data",
        script: bytes = b"script",
        tool: bytes = b"tool",
        reads: tuple[str, ...] = (),
        words: None = None,
        **facts: Any,
    ) -> int:
        program = self.raw("bin/python", tool)
        python = self.process("python", "train.py", *arguments, **{"exe_version": program, **facts})
        self.read(python, program)
        self.read(python, self.raw("train.py", script))
        self.read(python, self.raw("clean.csv", data))
        for path in reads:
            self.read(python, self.raw(path))
        self.now_ns += 1
        return self.write(python, "model.pkl", str(self.now_ns).encode())


def difference(one: dict[str, Any], other: dict[str, Any], names: Any = ALICE) -> list[str]:
    story = Experiment()
    words_a, words_b = one.pop("words", ()), other.pop("words", ())
    return lines(
        why(story.source, names, story.train(*words_a, **one), story.train(*words_b, **other)).causes
    )


NOTHING = (
    "none: nothing that is recorded differs: what is left is time, randomness, the network or an unseen file"
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, [NOTHING]),
        ({"data": b"1"}, {"data": b"2"}, ["data: clean.csv: d63bd9a8… → 813e9b72…"]),
        ({"data": b"1"}, {"data": b""}, ["data: clean.csv: d63bd9a8… → empty"]),
        ({"script": b"1"}, {"script": b"2"}, ["code: train.py: d63bd9a8… → 813e9b72…"]),
        ({"tool": b"1"}, {"tool": b"2"}, ["tool: bin/python: d63bd9a8… → 813e9b72…"]),
        (
            {"exe": b"/usr/bin/python3.11"},
            {"exe": b"/usr/bin/python3.12"},
            ["program: python3.11 no longer runs", "program: python3.12 runs, too"],
        ),
        (
            {"exe": b"/usr/bin/python"},
            {"exe": b"/opt/bin/python"},
            ["tool: /usr/bin/python → /opt/bin/python"],
        ),
        (
            {"words": ("--lr", "0.1", "--seed", "1")},
            {"words": ("--lr", "0.2", "--seed", "1")},
            ["parameters: python: --lr 0.1 → --lr 0.2"],
        ),
        ({"words": ("--lr=0.1",)}, {"words": ("--lr=0.2",)}, ["parameters: python: --lr=0.1 → --lr=0.2"]),
        ({}, {"words": ("--fast", "a b")}, ["parameters: python: with --fast 'a b'"]),
        ({"words": ("--fast",)}, {}, ["parameters: python: without --fast"]),
        (
            {"environment": ((b"SEED", b"1"), (b"PWD", b"/a"))},
            {"environment": ((b"SEED", b"2"), (b"PWD", b"/b"))},
            ["environment: SEED: 1 → 2"],
        ),
        ({}, {"environment": ((b"SEED", b"2"),)}, ["environment: SEED: (unset) → 2"]),
        ({"cwd": b"/a"}, {"cwd": b"/b"}, ["environment: working directory: /a → /b"]),
        ({"host": "a"}, {"host": "b"}, ["environment: run by alice@a → alice@b"]),
        ({}, {"reads": ("extra.csv",)}, ["data: extra.csv is read, too"]),
        ({"reads": ("lib/x.py",)}, {}, ["code: lib/x.py is no longer read"]),
        (
            {"data": b"1", "words": ("1",)},
            {"data": b"2", "words": ("2",)},
            ["parameters: python: 1 → 2", "data: clean.csv: d63bd9a8… → 813e9b72…"],
        ),
    ],
)
def test_the_cause_that_changed(one: dict[str, Any], other: dict[str, Any], expected: list[str]) -> None:
    assert difference(one, other) == expected


def test_what_is_the_same_has_no_cause() -> None:
    story = Story()
    tool = story.process("tool")
    one, other = story.write(tool, "a", b"x"), story.write(tool, "b", b"x")
    reply = why(story.source, ALICE, one, other)
    assert (reply.same, reply.causes) == (True, [])
    assert why(story.source, ALICE, one, story.write(tool, "a", b"y")).same is False


def test_bytes_that_are_not_known_are_not_the_same() -> None:
    story = Story()
    tool = story.process("tool")
    one, other = (story.write(tool, "a", b"", is_known=False) for _ in range(2))
    assert why(story.source, ALICE, one, other).same is False


def test_causes_go_back_to_where_they_began() -> None:
    story = Story()
    made = []
    for raw_bytes, options in ((b"1", ()), (b"2", ("-u",))):
        raw = story.raw("raw.csv", raw_bytes, imported=f"s3://{raw_bytes.decode()}")
        sort = story.process("sort", *options)
        story.read(sort, raw)
        clean = story.write(sort, "clean.csv", b"clean" + raw_bytes)
        train = story.process("train")
        story.read(train, clean)
        made.append(story.write(train, "model.pkl", b"model" + raw_bytes))
    assert lines(why(story.source, ALICE, *made).causes) == [
        "data: clean.csv: 2c4dbd05… → 47aef261…",
        "  parameters: sort: with -u",
        "  data: raw.csv: d63bd9a8… → 813e9b72…",
        "    data: imported from s3://1 → s3://2",
    ]


def test_what_a_person_typed() -> None:
    story = Story()
    vim = story.process("vim", interactive=True)
    first = story.write(vim, "x.py", b"1", focus=(), rest=Level.AMBIENT)
    second = story.write(
        vim, "x.py", b"2", previous=first, relation=Relation.IN_PLACE, focus=(), rest=Level.AMBIENT
    )
    assert lines(why(story.source, ALICE, first, second).causes) == ["edit: x.py: edited with vim by alice"]


def test_nobody_saw_it() -> None:
    story = Story()
    causes = why(story.source, ALICE, story.raw("x", b"1"), story.raw("x", b"2")).causes
    assert lines(causes) == ["unrecorded: x: nobody saw how it was made"]


def test_programs_that_run_more_often() -> None:
    def built(story: Story, files: int) -> int:
        shell = story.process("bash", interactive=True)
        make = story.process("make", parent=shell)
        ld = story.process("ld", parent=make)
        for number in range(files):
            cc = story.process("cc", f"{number}.c", parent=make)
            story.read(cc, story.raw(f"{number}.c"))
            story.read(ld, story.write(cc, f"{number}.o"))
        return story.write(ld, "prog", b"%d" % files)

    story = Story()
    assert lines(why(story.source, ALICE, built(story, 2), built(story, 3)).causes) == [
        "program: cc runs 2 → 3 times",
        "code: 2.c is read, too",
    ]


def test_runs_with_equal_arguments_are_compared_with_each_other() -> None:
    def built(story: Story, order: tuple[str, ...]) -> int:
        shell = story.process("bash", interactive=True)
        make = story.process("make", parent=shell)
        ld = story.process("ld", parent=make)
        for name in order:
            cc = story.process("cc", name, parent=make)
            story.informs(cc, ld)
        return story.write(ld, "prog", "".join(order).encode())

    story = Story()
    one, other = built(story, ("a", "b", "c")), built(story, ("c", "a", "b"))
    assert lines(why(story.source, ALICE, one, other).causes) == [NOTHING]


def test_command_lines_of_others_are_not_compared() -> None:
    found = difference(
        {"words": ("--secret", "1"), "environment": ((b"SEED", b"1"),), "data": b"1"},
        {"words": ("--secret", "2"), "environment": ((b"SEED", b"2"),), "data": b"2"},
        MALLORY,
    )
    assert found == [
        "hidden: python: another user's command line, which was not compared",
        "data: clean.csv: d63bd9a8… → 813e9b72…",
    ]


def test_ids_of_what_differs_are_given() -> None:
    story = Experiment()
    reply: WhyReply = why(story.source, ALICE, story.train(data=b"1"), story.train(data=b"2"))
    cause = reply.causes[0]

    def path_of(spelled: str) -> bytes:
        return story.source.versions_by_id[int(spelled[2:], 16)].path

    assert cause.a is not None
    assert cause.b is not None
    assert path_of(cause.a) == path_of(cause.b) == b"clean.csv"
    assert cause.path == "clean.csv"


def test_versions_that_nobody_knows() -> None:
    story = Trained()
    with pytest.raises(NotFound):
        why(story.source, ALICE, story.model, 7)


def test_huge_command_lines_are_counted() -> None:
    found = difference({"words": ("a",) * 3000}, {"words": ("b",) * 3001})
    assert found == ["parameters: python: 3001 → 3002 arguments"]
