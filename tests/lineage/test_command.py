"""Command lines put together again: a shell must read them as what ran."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage.answers.command import Pipeline, command_line, program, program_shown, quote
from pfs.lineage.facts import Activity
from tests.lineage.sources import Story

HOME = b"/home/alice/pfs/proj"


def process(*argv: str | bytes, **facts: object) -> Activity:
    story = Story()
    activity = story.source.activity(story.process(*argv, **facts))
    assert activity is not None
    return activity


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        (b"raw.csv", "raw.csv"),
        (b"--lr=0.1", "--lr=0.1"),
        (b"", "''"),
        (b"a b", "'a b'"),
        (b"it's", "'it'\\''s'"),
        (b"*.csv", "'*.csv'"),
        (b"~", "'~'"),
        (b"$HOME", "'$HOME'"),
        ("é".encode(), "é"),
        (b"a\nb\t'\\", "$'a\\nb\\t\\'\\\\'"),
        (b"\xff\x00f"[:1] + b"f", "$'\\xfff'"),
        (b"\x1b[2J", "$'\\e[2J'"),
        ("\u202e".encode(), "$'\\xe2\\x80\\xae'"),
        ("--token=‹redacted 1a2b›".encode(), "'--token=‹redacted 1a2b›'"),
    ],
)
def test_word_is_quoted(word: bytes, quoted: str) -> None:
    assert quote(word) == quoted
    assert quote(word).isprintable()


@given(st.lists(st.binary(max_size=12).filter(lambda word: b"\0" not in word), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_bash_reads_the_words_that_were_quoted(words: list[bytes]) -> None:
    script = "printf '%s\\0' " + " ".join(map(quote, words))
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout == b"\0".join(words) + b"\0"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"exe": b"/usr/bin/python3.11"}, "python3.11"),
        ({"exe": b"/opt/tool (deleted)"}, "tool"),
        ({"exe": b"", "argv": (b"sshd: alice [priv]",)}, "sshd"),
        ({"exe": b"", "argv": (b"-bash",)}, "bash"),
        ({"exe": b"", "argv": ()}, ""),
    ],
)
def test_program_is_named_after_its_file(facts: dict[str, object], name: str) -> None:
    assert program(process("x", **facts)) == name


def test_unknown_program_is_called_so() -> None:
    assert program_shown(process("x", exe=b"", argv=())) == "(unknown program)"


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (((0, HOME + b"/in", False),), "sort < in"),
        (((0, HOME + b"/in", True),), "sort <> in"),
        (((1, HOME + b"/d/out", True),), "sort > d/out"),
        (((1, b"/tmp/out x", True),), "sort > '/tmp/out x'"),
        (((1, HOME + b"/log", True),), "sort >> log"),
        (((2, HOME + b"/err", True),), "sort 2> err"),
        (((1, HOME + b"/out", True), (2, HOME + b"/out", True)), "sort > out 2>&1"),
        (((1, HOME + b"/out (deleted)", True),), "sort > out"),
        (((0, b"/dev/null", False), (2, b"/dev/null", True)), "sort < /dev/null 2> /dev/null"),
        (((0, b"/dev/pts/3", True), (1, b"/dev/pts/3", True), (2, b"/dev/tty", True)), "sort"),
        (((0, b"socket:[5]", True), (1, b"anon_inode:x", True)), "sort"),
        (((1, HOME + b"2/out", True),), "sort > /home/alice/pfs/proj2/out"),
    ],
)
def test_redirections_are_shown(files: tuple[tuple[int, bytes, bool], ...], text: str) -> None:
    assert command_line(process("sort", files=files), appended=[b"log"]) == text


def test_what_is_inherited_was_not_typed() -> None:
    starter = process("cron", files=((0, b"/dev/null", False), (1, b"/var/log/x", True)))
    files = ((0, b"/dev/null", False), (1, HOME + b"/out", True))
    assert command_line(process("sort", files=files), starter) == "sort > out"


def test_hidden_command_is_the_name_of_its_program() -> None:
    secret = process("sort", "secret", files=((1, HOME + b"/secret", True),))
    assert command_line(secret, shown=False) == "sort"


class Stages(Story):
    """Processes that share a session, in the order in which they are given."""

    def stage(self, *argv: str, **facts: object) -> Activity:
        activity = self.source.activity(self.process(*argv, **facts))
        assert activity is not None
        return activity


def test_pipes_join_stages_in_their_order() -> None:
    story = Stages()
    last = story.stage("wc", "-l", pipes=((0, 2, False),))
    first = story.stage("sort", pipes=((1, 1, True),))
    middle = story.stage("uniq", pipes=((0, 1, False), (1, 2, True)))
    pipeline = Pipeline([last, first, middle], None)
    assert pipeline.text == "sort | uniq | wc -l"
    assert pipeline.order == [first, middle, last]


def test_two_writers_of_one_pipe_are_a_group() -> None:
    story = Stages()
    stages = [story.stage(name, pipes=((1, 1, True),)) for name in ("a", "b")]
    assert Pipeline([*stages, story.stage("c", pipes=((0, 1, False),))], None).text == "{ a; b; } | c"


def test_error_output_in_a_pipe_is_said() -> None:
    story = Stages()
    make = story.stage("make", pipes=((1, 1, True), (2, 1, True)))
    assert Pipeline([make, story.stage("tee", pipes=((0, 1, False),))], None).text == "make 2>&1 | tee"


def test_process_substitution_is_put_where_it_was_named() -> None:
    story = Stages()
    diff = story.stage("diff", "/dev/fd/63", "/dev/fd/62", pipes=((62, 12, False), (63, 11, False)))
    sorts = [
        story.stage("sort", "a", pipes=((1, 11, True),)),
        story.stage("sort", "b", pipes=((1, 13, True),)),
        story.stage("uniq", pipes=((0, 13, False), (1, 12, True))),
    ]
    assert Pipeline([diff, *sorts], None).text == "diff <(sort a) <(sort b | uniq)"


def test_process_substitution_where_one_inherited_the_pipe_of_another() -> None:
    story = Stages()
    diff = story.stage("diff", "/dev/fd/63", "/dev/fd/62", pipes=((62, 12, False), (63, 11, False)))
    sort = story.stage("sort", "a", pipes=((1, 11, True),))
    uniq = story.stage("uniq", "a", pipes=((1, 12, True), (63, 11, False)))
    pipeline = Pipeline([diff, sort, uniq], None, flows=[(sort.id, uniq.id), (sort.id, diff.id)])
    assert pipeline.text == "diff <(sort a) <(uniq a)"


def test_output_process_substitution() -> None:
    story = Stages()
    tee = story.stage("tee", "/dev/fd/63", pipes=((0, 1, False), (63, 2, True)))
    others = [
        story.stage("cat", "x", pipes=((1, 1, True),)),
        story.stage("gzip", pipes=((0, 2, False), (1, 3, True))),
        story.stage("wc", pipes=((0, 3, False),)),
    ]
    pipeline = Pipeline([tee, *others], None)
    assert pipeline.text == "cat x | tee >(gzip | wc)"
    assert pipeline.text == "cat x | tee >(gzip | wc)", "asking twice changes nothing"


def test_flows_join_stages_whose_pipe_is_not_known() -> None:
    story = Stages()
    one, other = story.stage("grep", "x"), story.stage("wc")
    assert Pipeline([one, other], None, flows=[(one.id, other.id)]).text == "grep x | wc"


def test_stages_in_a_circle_are_each_shown_once() -> None:
    story = Stages()
    one = story.stage("a", pipes=((0, 2, False), (1, 1, True)))
    other = story.stage("b", pipes=((0, 1, False), (1, 2, True)))
    text = Pipeline([one, other], None).text
    assert sorted(text.replace(" | ", " ").split()) == ["a", "b"]


def test_hidden_stages_show_their_programs_alone() -> None:
    story = Stages()
    one = story.stage("cat", "secret", pipes=((1, 1, True),))
    other = story.stage("wc", "-l", pipes=((0, 1, False),))
    assert Pipeline([one, other], None, shown=lambda stage: stage.id != one.id).text == "cat | wc -l"


def test_long_pipeline_needs_no_recursion() -> None:
    story = Stages()
    stages = [
        story.stage(f"s{n}", pipes=((0, n, False), (1, n + 1, True)) if n else ((1, 1, True),))
        for n in range(3000)
    ]
    assert Pipeline(stages, None).text.count(" | ") == 2999
