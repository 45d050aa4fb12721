"""Who changed a name, who wrote what is in a directory, which processes ran."""

from __future__ import annotations

import json

import pytest

from pfs.errors import NotFound, UsageError
from pfs.lineage.answers.questions import CONTACTS_MAX, Listed, blame, parse_activity, process, ps, who
from pfs.lineage.answers.replies import to_json
from pfs.lineage.facts import ChangeKind, Flag, Level, Relation
from tests.lineage.sources import START_NS, Story
from tests.lineage.stories import ALICE, MALLORY, OWNER, Trained


def test_everything_that_happened_to_a_name_by_time() -> None:
    story = Story()
    editor = story.process("ed")
    story.change(editor, ChangeKind.CREATE, "a")
    first = story.write(editor, "a", b"1")
    second = story.write(editor, "a", b"2", previous=first, relation=Relation.APPENDED)
    mover = story.process("mv", "a", "b", user="bob", uid=1001)
    story.change(mover, ChangeKind.RENAME, "a", "b", version=second)
    remover = story.process("rm", "b")
    story.change(remover, ChangeKind.REMOVE, "b")
    story.write(remover, "other")

    def seen(path: bytes) -> list[tuple[str, str | None, str | None]]:
        reply = who(story.source, OWNER, 1, path)
        times = [event.time_ns for event in reply.events]
        assert times == sorted(times)
        return [(event.kind, event.who and event.who.command, event.to_path) for event in reply.events]

    assert seen(b"a") == [
        ("create", "ed", None),
        ("write", "ed", None),
        ("append", "ed", None),
        ("rename", "mv a b", "b"),
    ]
    assert seen(b"b") == [("rename", "mv a b", "b"), ("remove", "rm b", None)]
    with pytest.raises(NotFound):
        who(story.source, OWNER, 1, b"c")


def test_versions_of_nobody_and_of_several() -> None:
    story = Story()
    story.raw("x")
    story.raw("x", b"2", imported="s3://bucket/x")
    one, other = story.process("one"), story.process("other")
    story.write(one, "x", others=[other], relation=Relation.IN_PLACE)
    events = who(story.source, ALICE, 1, b"x").events
    assert [(event.kind, event.who and event.who.program) for event in events] == [
        ("appear", None),
        ("import", None),
        ("edit", "one"),
        ("edit", "other"),
    ]
    assert events[1].version is not None
    assert events[1].version.imported == "s3://bucket/x"


def test_who_names_the_job() -> None:
    story = Trained()
    event = who(story.source, ALICE, 1, b"data/clean.csv").events[0]
    assert event.who is not None
    assert event.who.command == "sort -u raw.csv | cut -f1-9 > data/clean.csv"
    assert event.who.pid == 4403
    assert event.who.job == f"j:{story.sort:016x}"


def test_command_lines_of_others_are_hidden() -> None:
    story = Trained()
    for reply in (
        who(story.source, MALLORY, 1, b"model.pkl"),
        blame(story.source, MALLORY, 1, b"", [Listed(b"model.pkl", "file")]),
        ps(story.source, MALLORY),
        process(story.source, MALLORY, story.python),
    ):
        text = json.dumps(to_json(reply))
        assert "--lr" not in text
        assert "SEED" not in text
        assert "python" in text


def test_blame_names_the_last_writer_of_each_entry() -> None:
    story = Story()
    first, last = story.process("first"), story.process("last")
    story.write(first, "d/a", b"1")
    newest = story.write(last, "d/a", b"2")
    shown = story.write(first, "d/b", b"3")
    story.write(last, "d/b", b"4")
    story.change(first, ChangeKind.MAKE_DIRECTORY, "d/sub")
    story.change(last, ChangeKind.CHMOD, "d/sub")
    reply = blame(
        story.source,
        ALICE,
        1,
        b"d",
        [
            Listed(b"d/a", "file"),
            Listed(b"d/b", "file", story.source.version(shown)),
            Listed(b"d/sub", "directory"),
            Listed(b"d/unknown", "file"),
        ],
    )
    assert (reply.repo, reply.path) == ("proj", "d")
    assert [
        (row.name, row.last and row.last.kind, row.last and row.last.who and row.last.who.program)
        for row in reply.entries
    ] == [("a", "write", "last"), ("b", "write", "first"), ("sub", "chmod", "last"), ("unknown", None, None)]
    last_event = reply.entries[0].last
    assert last_event is not None
    assert last_event.version is not None
    assert last_event.version.id == f"v:{newest:016x}"


def ran(story: Story) -> list[str]:
    """What was started, in this order."""
    story.process("python", "train.py")
    story.process("python", "test.py", user="bob", uid=1001)
    story.process("make", "all")
    return ["make all", "python test.py", "python train.py"]


def commands(story: Story, **asked: object) -> list[str]:
    return [row.process.command for row in ps(story.source, asked.pop("names", OWNER), **asked).processes]


def test_processes_are_listed_the_newest_first() -> None:
    story = Story()
    assert commands(story) == []
    expected = ran(story)
    assert commands(story) == expected
    assert ps(story.source, OWNER, limit=3).more is False
    assert ps(story.source, OWNER, limit=2).more is True
    assert commands(story, limit=2) == expected[:2]
    assert commands(story, since_ns=START_NS + 2 * 10**9) == expected[:2]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python", 2),
        ("train", 1),
        ("python *", 2),
        ("*.py", 2),
        ("train*", 0),
        ("m[ab]ke a?l", 1),
        (".*", 0),
        ("PYTHON", 0),
    ],
)
def test_processes_by_command(command: str, found: int) -> None:
    story = Story()
    ran(story)
    assert len(commands(story, command=command)) == found


def test_processes_by_user() -> None:
    story = Story()
    ran(story)
    assert commands(story, user="bob") == commands(story, user="1001") == ["python test.py"]
    assert commands(story, user="mallory") == []


def test_filters_see_no_more_than_is_shown() -> None:
    story = Story()
    ran(story)
    assert commands(story, command="*test.py*", names=ALICE) == []
    assert commands(story, command="python", names=ALICE) == ["python", "python train.py"]


def test_one_process() -> None:
    story = Trained()
    reply = process(story.source, ALICE, story.python)
    assert reply.environment == {"SEED": "1"}
    assert [parent.command for parent in reply.parents] == ["-bash"]
    assert reply.job is not None
    assert reply.job.command == "python train.py --lr 0.1"
    later = story.source.inputs(story.python)[2].source
    assert [contact.version for contact in reply.inputs] == [
        f"v:{version:016x}" for version in (story.script, story.clean, later)
    ]
    assert reply.outputs == [f"v:{story.model:016x}"]
    assert (reply.inputs_total, reply.outputs_total) == (3, 1)
    assert [version.path for version in reply.versions] == [
        "train.py",
        "data/clean.csv",
        "later.csv",
        "model.pkl",
    ]


def test_inputs_of_a_process_from_others() -> None:
    story = Story()
    one, other = story.process("a"), story.process("b")
    story.informs(one, other, Level.INFERRED, Flag.PIPE | Flag.INHERITED)
    contact = process(story.source, ALICE, other).inputs[0]
    assert (contact.version, contact.process) == (None, f"p:{one:016x}")
    assert (contact.level, contact.flags) == ("inferred", ["inherited", "pipe"])


def test_process_with_many_inputs_is_cut_and_counted() -> None:
    story = Story()
    tool = story.process("tool")
    for number in range(CONTACTS_MAX + 5):
        story.read(tool, story.raw(f"{number}", b"%d" % number))
    reply = process(story.source, ALICE, tool)
    assert (len(reply.inputs), len(reply.versions), reply.inputs_total) == (1000, 1000, 1005)


def test_process_that_is_not_recorded() -> None:
    with pytest.raises(NotFound):
        process(Story().source, ALICE, 5)


def test_ids_of_processes() -> None:
    assert parse_activity("p:00000000000000ff") == 255
    for wrong in ("p:ff", "v:00000000000000ff", "p:00000000000000fg", "p:00000000000000ff ", ""):
        with pytest.raises(UsageError):
            parse_activity(wrong)
