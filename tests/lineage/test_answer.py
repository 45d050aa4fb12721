"""Answers: what is in them, that they keep the contract, and what they say of how sure they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import NotFound
from pfs.lineage.answers.answer import Answer, Generated, Informed, Revised, Used, from_json, to_json
from pfs.lineage.answers.ask import NOT_RECORDED, ask
from pfs.lineage.facts import OUTSIDE, Flag, Level, Relation, spell_activity, spell_version
from pfs.lineage.index.closure import downstream, upstream
from tests.lineage.drawn import Drawn, facts
from tests.lineage.sources import Story
from tests.lineage.stories import ALICE, MALLORY, OWNER, FixedNames, Trained

SCHEMA = json.loads((Path(__file__).parent / "pfs.lineage-1.schema.json").read_text())


def as_document(answer: Answer) -> Any:
    """What comes out of --json."""
    return json.loads(json.dumps(to_json(answer)))


def paths(answer: Answer) -> list[str]:
    return [version.path for version in answer.versions]


def edges(answer: Answer) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for edge in answer.edges:
        match edge:
            case Generated():
                found.add(("generated", edge.version, edge.process, edge.level))
            case Used():
                found.add(("used", edge.process, edge.version, edge.level))
            case Informed():
                found.add(("informed", edge.process, edge.by, edge.level))
            case Revised():
                found.add(("revised", edge.version, edge.of))
    return found


def test_answer_holds_exactly_what_holds_for_its_root() -> None:
    story = Trained()
    answer = ask(story.source, ALICE, story.model, revision="main")
    v, p = spell_version, spell_activity
    assert answer.root == v(story.model)
    assert sorted(paths(answer)) == ["data/clean.csv", "model.pkl", "raw.csv", "train.py"]
    assert edges(answer) == {
        ("generated", v(story.model), p(story.python), "observed"),
        ("used", p(story.python), v(story.script), "observed"),
        ("used", p(story.python), v(story.clean), "observed"),
        ("generated", v(story.script), p(story.vim), "observed"),
        ("generated", v(story.clean), p(story.cut), "observed"),
        ("informed", p(story.cut), p(story.sort), "observed"),
        ("used", p(story.sort), v(story.raw_csv), "observed"),
    }
    assert [(job.command, job.processes) for job in answer.jobs] == [
        ("python train.py --lr 0.1", [p(story.python)]),
        ("sort -u raw.csv | cut -f1-9 > data/clean.csv", [p(story.sort), p(story.cut)]),
    ]
    assert answer.coverage.headline == "complete inside pfs"
    assert (answer.query.repo, answer.query.path, answer.query.revision) == ("proj", "model.pkl", "main")


def test_downstream_of_a_raw_file() -> None:
    story = Trained()
    answer = ask(story.source, ALICE, story.raw_csv, direction="down")
    assert paths(answer) == ["raw.csv", "data/clean.csv", "model.pkl"]
    assert spell_activity(story.vim) not in {process.id for process in answer.processes}


def test_fields_of_versions_and_processes() -> None:
    story = Trained()
    document = as_document(ask(story.source, ALICE, story.model))
    raw = next(version for version in document["versions"] if version["path"] == "raw.csv")
    assert raw["imported"] == "s3://bucket/raw.csv (version 3L4k…, etag …)"
    assert raw["commit"] == "9c01d2aa" + "0" * 56
    assert (raw["relation"], raw["readable"], raw["by"], raw["current"]) == ("raw", True, "bob", False)
    python = next(process for process in document["processes"] if process["argv"][0] == "python")
    assert python["argv"] == ["python", "train.py", "--lr", "0.1"]
    assert (python["pid"], python["uid"], python["user"], python["host"]) == (4461, 1000, "alice", "node7")
    assert (python["exit"], python["coverage"], python["reason"]) == (0, "complete", None)
    assert python["parent"] == spell_activity(story.shell)
    assert python["started_by"] is None
    assert python["end_ns"] > python["start_ns"]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_document_keeps_the_schema(direction: Any) -> None:
    story = Trained()
    for version in (story.model, story.raw_csv, story.script):
        document = as_document(ask(story.source, ALICE, version, direction=direction, depth=3, full=True))
        jsonschema.validate(document, SCHEMA)
        assert from_json(document) == ask(
            story.source, ALICE, version, direction=direction, depth=3, full=True
        )


def test_schema_refuses_what_is_no_answer() -> None:
    story = Trained()
    for break_it in (
        lambda d: d.pop("root"),
        lambda d: d["versions"][0].pop("content"),
        lambda d: d["processes"][0].update(pid="4461"),
        lambda d: d["edges"][0].update(kind="made"),
        lambda d: d["coverage"].update(inferred_edges=-1),
    ):
        document = as_document(ask(story.source, ALICE, story.model))
        break_it(document)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, SCHEMA)


def test_names_that_are_no_text_stay_what_they_are() -> None:
    story = Story()
    writer = story.process("tool", b"\xff\n", user="al\u00efce")
    answer = ask(story.source, ALICE, story.write(writer, b"d/\xfe"))
    document = as_document(answer)
    jsonschema.validate(document, SCHEMA)
    assert document["versions"][0]["path"] == "d/\udcfe"
    assert document["processes"][0]["argv"] == ["tool", "\udcff\n"]
    assert document["jobs"][0]["command"] == "tool $'\\xff\\n'"


def test_version_that_nobody_knows() -> None:
    with pytest.raises(NotFound):
        ask(Story().source, ALICE, 77)


# Who may see what


def test_command_lines_of_others_are_hidden() -> None:
    story = Trained()
    text = json.dumps(as_document(ask(story.source, MALLORY, story.model)))
    assert "--lr" not in text
    assert "-f1-9" not in text
    document = as_document(ask(story.source, MALLORY, story.model))
    python = next(process for process in document["processes"] if process["exe"] == "/usr/bin/python")
    assert (python["argv"], python["command"], python["hidden"]) == (["python"], "python", True)
    assert {job["command"] for job in document["jobs"]} == {"python", "sort | cut"}
    assert "--lr" in json.dumps(as_document(ask(story.source, OWNER, story.model)))


# Levels, depth


def test_weak_edges_are_counted_and_followed_only_when_asked_for() -> None:
    story = Story()
    copier = story.process("cp", "-r", "a", "b")
    first, second = story.raw("a/1", b"one"), story.raw("a/2", b"two")
    story.read(copier, first)
    story.read(copier, second)
    copy = story.write(copier, "b/2", b"two", focus=(1,), rest=Level.UNLIKELY)
    answer = ask(story.source, ALICE, copy)
    assert paths(answer) == ["b/2", "a/2"]
    assert answer.coverage.unlikely_edges == 1
    assert answer.coverage.headline == "complete inside pfs"
    answer = ask(story.source, ALICE, copy, level=Level.UNLIKELY)
    assert paths(answer) == ["b/2", "a/2", "a/1"]
    assert answer.coverage.headline == "1 unlikely edge followed"
    assert answer.query.level == "unlikely"
    assert paths(ask(story.source, ALICE, first, direction="down")) == ["a/1"]
    assert ask(story.source, ALICE, first, direction="down").coverage.unlikely_edges == 1


def test_what_an_interactive_program_had_read_is_ambient() -> None:
    story = Story()
    repl = story.process("python", interactive=True)
    story.read(repl, story.raw("data"))
    worker = story.process("python", parent=repl)
    story.informs(repl, worker, flags=Flag.FORK)
    out = story.write(worker, "out")
    answer = ask(story.source, ALICE, out)
    assert paths(answer) == ["out"]
    assert answer.coverage.ambient_edges == 1
    assert paths(ask(story.source, ALICE, out, level=Level.AMBIENT)) == ["out", "data"]


def make(story: Story) -> tuple[int, int]:
    """A program built by one make out of an object file that a generated source became: (program, source)."""
    shell = story.process("bash", interactive=True)
    script = story.process("sh", "gen.sh", parent=shell)
    story.read(script, story.raw("grammar.y"))
    source = story.write(script, "x.c")
    builder = story.process("make", parent=shell)
    compiler = story.process("cc", "-c", "x.c", parent=builder)
    story.read(compiler, source)
    story.read(compiler, story.raw("x.h"))
    objects = story.write(compiler, "x.o")
    archiver = story.process("ar", parent=builder)
    story.read(archiver, objects)
    library = story.write(archiver, "x.a")
    linker = story.process("ld", parent=builder)
    story.read(linker, library)
    return story.write(linker, "prog"), source


def test_depth_counts_jobs_not_what_one_made_for_itself() -> None:
    story = Story()
    prog, source = make(story)
    assert paths(ask(story.source, ALICE, prog, depth=1)) == ["prog", "x.a", "x.o", "x.c", "x.h"]
    assert paths(ask(story.source, ALICE, prog, depth=2))[-1] == "grammar.y"
    assert paths(ask(story.source, ALICE, prog, depth=1, full=True)) == ["prog", "x.a"]
    assert paths(ask(story.source, ALICE, source, depth=1, direction="down")) == ["x.c", "x.o"]
    assert sorted(paths(ask(story.source, ALICE, source, depth=2, direction="down"))) == [
        "prog",
        "x.a",
        "x.c",
        "x.o",
    ]


def test_depth_of_a_file_changed_in_place() -> None:
    story = Story()
    shell = story.process("bash", interactive=True)
    version, last = 0, 0
    for _ in range(5):
        sqlite = story.process("sqlite3", "db", parent=shell)
        version, last = story.write(sqlite, "db", previous=version, relation=Relation.IN_PLACE), version
    assert len(ask(story.source, ALICE, version, depth=2).versions) == 3
    assert ("revised", spell_version(version), spell_version(last)) in edges(
        ask(story.source, ALICE, version)
    )
    down = ask(story.source, ALICE, last, direction="down", depth=1)
    assert ("revised", spell_version(version), spell_version(last)) in edges(down)
    assert any(isinstance(edge, Generated) and edge.version == spell_version(version) for edge in down.edges)


# Headlines


def test_nobody_saw_a_raw_file_being_made() -> None:
    story = Story()
    assert ask(story.source, ALICE, story.raw("x")).coverage.headline == NOT_RECORDED
    imported = story.raw("y", imported="s3://x")
    assert ask(story.source, ALICE, imported).coverage.headline == "complete inside pfs"


@pytest.mark.parametrize(
    ("level", "headline"),
    [
        (Level.OBSERVED, "complete inside pfs"),
        (Level.CONTENT, "1 content edge"),
        (Level.INFERRED, "1 inferred edge"),
        (Level.ARGUMENT, "1 argument edge"),
        (Level.UNOBSERVED, "1 unobserved channel (unknown)"),
    ],
)
def test_headline_is_the_weakest_level(level: Level, headline: str) -> None:
    story = Story()
    writer = story.process("tool")
    story.read(writer, story.raw("in"), level)
    story.read(writer, story.raw("other"))
    assert ask(story.source, ALICE, story.write(writer, "out")).coverage.headline == headline


def test_several_are_counted() -> None:
    story = Story()
    writer = story.process("tool")
    for number in range(2):
        story.read(writer, story.raw(f"in{number}"), Level.INFERRED)
    coverage = ask(story.source, ALICE, story.write(writer, "out")).coverage
    assert (coverage.headline, coverage.inferred_edges) == ("2 inferred edges", 2)


def test_file_whose_writer_was_only_its_opener_is_inferred() -> None:
    story = Story()
    writer = story.process("tool")
    out = story.write(writer, "out")
    version = story.source.versions_by_id[out]
    writers = (msgspec.structs.replace(version.writers[0], flags=Flag.OPENER),)
    story.source.versions_by_id[out] = msgspec.structs.replace(version, writers=writers)
    answer = ask(story.source, ALICE, out)
    assert answer.coverage.headline == "1 inferred edge"
    assert answer.edges[0] == Generated(
        version=spell_version(out), process=spell_activity(writer), level="inferred", flags=("opener",)
    )


def test_pipe_from_nobody_is_an_unobserved_channel() -> None:
    story = Story()
    reader = story.process("tool", pid=50, pipes=((0, 7, False),))
    out = story.write(reader, "out")
    coverage = ask(story.source, ALICE, out).coverage
    assert coverage.unobserved_channels == ["pipe into tool (pid 50)"]
    assert coverage.headline == "1 unobserved channel (pipe)"


def test_socket_on_stdin_is_an_unobserved_channel() -> None:
    story = Story()
    reader = story.process("tool", pid=50, files=((0, b"socket:[8]", True),))
    assert ask(story.source, ALICE, story.write(reader, "out")).coverage.headline == (
        "1 unobserved channel (socket)"
    )


def test_partly_described_process_is_said() -> None:
    story = Story()
    gone = story.process(exe=b"", reason="gone before it could be read")
    answer = ask(story.source, ALICE, story.write(gone, "out"))
    assert answer.coverage.headline == "1 partly described process"
    assert answer.processes[0].coverage == "partial"
    assert answer.jobs[0].command == "(unknown program)"


def test_facts_that_are_missing_are_said() -> None:
    story = Story()
    writer = story.process("tool")
    story.read(writer, 0xAB)
    out = story.write(writer, "out")
    del story.source.activities_by_id[writer]
    answer = ask(story.source, ALICE, out)
    assert answer.coverage.unobserved_channels == ["v:00000000000000ab, of which nothing is recorded"]
    assert answer.processes[0].reason == "nothing is recorded of this process"
    assert paths(answer) == ["out"]


def test_file_outside() -> None:
    story = Story()
    writer = story.process("tool")
    story.read(writer, story.raw("/etc/hosts", repo=OUTSIDE))
    answer = ask(story.source, ALICE, story.write(writer, "out"))
    hosts = answer.versions[1]
    assert (hosts.repo, hosts.path, hosts.readable, hosts.commit) == ("", "/etc/hosts", False, None)


def test_what_happened_twice_is_one_edge_of_the_strongest_level() -> None:
    story = Story()
    writer = story.process("tool")
    raw = story.raw("in")
    story.read(writer, raw, Level.ARGUMENT)
    story.read(writer, raw, Level.OBSERVED)
    answer = ask(story.source, ALICE, story.write(writer, "out"))
    assert [edge.level for edge in answer.edges if isinstance(edge, Used)] == ["observed"]


# Any facts at all


@given(facts(whole=True), st.data())
@settings(max_examples=150, deadline=None)
def test_any_answer_keeps_the_contract_and_is_the_closure(drawn: Drawn, data: st.DataObject) -> None:
    root = data.draw(st.sampled_from(sorted(drawn.source.versions_by_id)))
    direction: Any = data.draw(st.sampled_from(["up", "down"]))
    level = data.draw(st.sampled_from(list(Level)))
    depth = data.draw(st.sampled_from([None, 1, 2]))
    answer = ask(drawn.source, FixedNames(), root, direction=direction, level=level, depth=depth)
    document = as_document(answer)
    jsonschema.validate(document, SCHEMA)
    closed = upstream if direction == "up" else downstream
    whole = {spell_version(v) for v in closed(drawn.source, [root], level_max=level).versions}
    ids = {version.id for version in answer.versions}
    assert ids == whole if depth is None else ids <= whole
    if depth is not None:
        least = closed(drawn.source, [root], level_max=level, depth=depth).versions
        assert ids >= {spell_version(version) for version in least}
    named = {process.id for process in answer.processes}
    for kind, one, other, *_ in edges(answer):
        assert one in (named if kind in ("used", "informed") else ids)
        assert other in (named if kind in ("generated", "informed") else ids)
    assert {p for job in answer.jobs for p in job.processes} == {
        process.id for process in answer.processes if process.job is not None
    }
