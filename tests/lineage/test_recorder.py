"""The rules of the recorder for files, one scene each: when a version ends, whose it is, what it is from."""

from __future__ import annotations

import pytest

from pfs.lineage.facts import ChangeKind, Flag, Relation
from tests.lineage.stage import REPO, Stage

# who wrote, and from what


def test_an_output_depends_on_what_its_process_had_read_before_its_last_write(stage: Stage) -> None:
    raw, late = stage.raw(b"raw", b"1"), stage.raw(b"late", b"2")
    stage.read("sort", b"raw")
    out = stage.write("sort", b"out", b"sorted")
    stage.read("sort", b"late")
    assert stage.parents(out) == {"sort": [raw]}
    assert stage.sources("sort") == [raw, late]
    assert stage.version(out).relation == Relation.CREATED


def test_a_later_write_takes_in_what_was_read_meanwhile(stage: Stage) -> None:
    raw = stage.raw(b"raw", b"1")
    grip = stage.open("prog", b"out", "wc")
    stage.put(grip, b"head")
    stage.read("prog", b"raw")
    stage.put(grip, b"body")
    assert stage.parents(b"out") == {"prog": [raw]}


def test_the_shell_opens_and_the_program_writes(stage: Stage) -> None:
    stage.start("sh")
    grip = stage.open("sh", b"out", "wc")
    stage.start("child", "sh", forked=True)
    stage.execute("prog", "child")
    stage.put(grip, b"text", name="prog")
    assert list(stage.parents(b"out")) == ["prog"]
    assert stage.recorder.source.outputs(stage.actors["sh"].id) == []


def test_a_file_that_nobody_writes_is_its_makers(stage: Stage) -> None:
    out = stage.write("touch", b"stamp", b"")
    assert list(stage.parents(out)) == ["touch"]


def test_the_same_process_opens_again_and_goes_on(stage: Stage) -> None:
    first = stage.write("prog", b"out", b"one")
    assert stage.write("prog", b"out", b"two") == first
    assert stage.frozen == []


def test_the_first_writer_is_named_as_the_opener_where_the_pid_was_not_told(stage: Stage) -> None:
    grip = stage.open("sh", b"out", "wc")
    stage.put(grip, b"text", flags=Flag.OPENER)
    (writer,) = stage.version(b"out").writers
    assert writer.flags == Flag.OPENER


# when a version ends


def test_what_another_process_opens_is_frozen_first(stage: Stage) -> None:
    grip = stage.open("writer", b"log", "wc")
    stage.put(grip, b"one")
    first = stage.newest(b"log")
    stage.read("reader", b"log")
    assert stage.frozen == [b"log"]
    assert stage.sources("reader") == [first]
    stage.put(grip, b"two")
    second = stage.version(b"log")
    assert (second.previous, second.relation) == (first, Relation.APPENDED)
    assert stage.sources("writer") == []  # its own version is none of its inputs


def test_a_write_into_what_was_there_is_in_place(stage: Stage) -> None:
    grip = stage.open("writer", b"db", "wc")
    stage.put(grip, b"pages")
    stage.read("reader", b"db")
    stage.put(grip, b"more")
    stage.put(grip, b"x", 6)  # in what this version appended
    assert stage.version(b"db").relation == Relation.APPENDED
    stage.put(grip, b"x", 0)
    assert stage.version(b"db").relation == Relation.IN_PLACE


def test_another_process_appends_after_the_first_has_closed(stage: Stage) -> None:
    first = stage.write("one", b"log", b"a")
    second = stage.write("two", b"log", b"b")
    assert stage.version(second).previous == first
    assert list(stage.parents(second)) == ["two"]
    assert stage.frozen == [b"log"]


def test_reading_ones_own_version_teaches_what_is_below_it(stage: Stage) -> None:
    raw = stage.raw(b"file", b"old")
    grip = stage.open("prog", b"file", "w")
    stage.put(grip, b"new")
    stage.read("prog", b"file")
    assert stage.sources("prog") == [raw]
    assert stage.frozen == []
    stage.read("other", b"file")
    stage.put(grip, b"newer")
    stage.read("prog", b"file")
    assert stage.sources("prog") == [raw]


def test_a_long_open_reader_learns_of_each_change(stage: Stage) -> None:
    writer = stage.open("writer", b"log", "wc")
    stage.put(writer, b"1")
    reader = stage.open("tail", b"log")
    stage.put(writer, b"2")
    stage.get(reader)
    stage.get(reader)
    stage.put(writer, b"3")
    stage.get(reader)
    assert len(stage.inputs("tail")) == 3
    assert len(stage.frozen) == 3


def test_a_full_disk_fails_the_open_and_changes_nothing(stage: Stage) -> None:
    stage.write("writer", b"out", b"1")
    before = stage.version(b"out")
    stage.full = True
    with pytest.raises(OSError, match="full"):
        stage.open("reader", b"out")
    with pytest.raises(OSError, match="full"):
        stage.write("other", b"out", b"2")
    stage.full = False
    assert stage.version(b"out") == before
    assert stage.inputs("reader") == []
    stage.write("writer", b"out", b"3")
    assert stage.newest(b"out") == before.id


def test_a_reader_that_pins_nothing_leaves_no_trace(stage: Stage) -> None:
    stage.write("writer", b"out", b"1")
    stage.start("indexer", pins=False)
    stage.read("indexer", b"out")
    assert stage.frozen == []
    assert stage.inputs("indexer") == []


# truncation


@pytest.mark.parametrize("by", ["open", "handle"])
@pytest.mark.parametrize("who", ["first", "second"])
def test_what_was_emptied_does_not_depend_on_what_it_was(stage: Stage, by: str, who: str) -> None:
    raw = stage.raw(b"out", b"old")
    stage.write("first", b"out", b"more")
    assert stage.version(b"out").previous == raw
    if by == "open":
        stage.write(who, b"out", b"new", "wt")
    else:
        grip = stage.open(who, b"out", "w")
        stage.truncate(who, b"out", 0)
        stage.put(grip, b"new")
    fact = stage.version(b"out")
    assert fact.relation == Relation.TRUNCATED
    assert not fact.depends_on_previous
    assert list(stage.parents(b"out")) == [who]
    assert stage.frozen == []


def test_cutting_off_an_end_is_a_write(stage: Stage) -> None:
    raw = stage.raw(b"out", b"1234")
    stage.truncate("prog", b"out", 4)
    assert stage.newest(b"out") == raw
    stage.truncate("prog", b"out", 2)
    fact = stage.version(b"out")
    assert (fact.previous, fact.relation) == (raw, Relation.IN_PLACE)
    stage.truncate("other", b"out", 9)
    assert stage.version(b"out").relation == Relation.APPENDED


def test_a_version_that_was_overwritten_unseen_is_forgotten(stage: Stage) -> None:
    first = stage.write("one", b"out", b"1")
    second = stage.write("two", b"out", b"2", "wt")
    third = stage.write("three", b"out", b"3", "wt")
    source = stage.recorder.source
    assert source.version(first) is None
    assert source.version(second) is None
    assert stage.version(third).previous == 0
    assert source.outputs(stage.actors["one"].id) == []


# several write at once


def test_co_writers_share_one_version(stage: Stage) -> None:
    raw = stage.raw(b"a", b"a"), stage.raw(b"b", b"b")
    stage.read("one", b"a")
    stage.read("two", b"b")
    one = stage.open("one", b"db", "+c")
    two = stage.open("two", b"db", "+")
    for turn in range(4):
        stage.put(one, b"1", turn)
        stage.put(two, b"2", turn + 1)
    assert stage.frozen == []
    shared = stage.newest(b"db")
    assert {name: learned[0] for name, learned in stage.parents(shared).items()} == {
        "one": raw[0],
        "two": raw[1],
    }
    assert all(writer.flags & Flag.SHARED for writer in stage.version(shared).writers)
    stage.read("outsider", b"db")
    assert stage.frozen == [b"db"]
    stage.put(one, b"1", 0)
    assert stage.version(b"db").previous == shared


def test_what_a_co_writer_reads_there_the_others_have_told_it(stage: Stage) -> None:
    raw = stage.raw(b"a", b"a")
    stage.read("one", b"a")
    one = stage.open("one", b"db", "+c")
    stage.put(one, b"from a")
    stage.open("two", b"db", "+")
    out = stage.write("two", b"out", b"from db")
    (entry,) = stage.inputs("two")
    assert (entry.source, entry.informed, entry.watermark, entry.flags) == (
        stage.actors["one"].id,
        True,
        1,
        Flag.SHARED,
    )
    assert stage.parents(out) == {"two": [stage.actors["one"].id]}
    assert stage.sources("one") == [raw]


def test_who_has_closed_is_no_co_writer(stage: Stage) -> None:
    one = stage.open("one", b"db", "+c")
    stage.open("two", b"db", "+")
    stage.put(one, b"1")
    first = stage.newest(b"db")
    stage.close(one)
    stage.write("two", b"db", b"2")
    assert stage.version(b"db").previous == first


# names


def test_a_file_written_aside_and_renamed_keeps_its_version(stage: Stage) -> None:
    old = stage.raw(b"conf", b"old")
    made = stage.write("sed", b"conf.tmp", b"new")
    stage.rename("sed", b"conf.tmp", b"conf")
    fact = stage.version(b"conf")
    assert (fact.id, fact.path, fact.previous, fact.relation) == (made, b"conf", old, Relation.REPLACED)
    assert not fact.depends_on_previous
    assert stage.recorder.source.versions_at(REPO, b"conf") == [made]
    assert stage.recorder.source.versions_at(REPO, b"conf.tmp") == []


def test_a_rename_of_what_somebody_has_seen_is_only_a_change(stage: Stage) -> None:
    stage.raw(b"conf", b"old")
    made = stage.write("sed", b"conf.tmp", b"new")
    stage.read("reader", b"conf.tmp")
    stage.rename("mv", b"conf.tmp", b"conf")
    fact = stage.version(b"conf")
    assert (fact.id, fact.relation) == (made, Relation.CREATED)
    (change,) = stage.recorder.source.changes_at(REPO, b"conf")
    assert (change.kind, change.path, change.version) == (ChangeKind.RENAME, b"conf.tmp", made)


def test_an_edited_file_renamed_over_another_still_depends_on_what_it_was(stage: Stage) -> None:
    first = stage.raw(b"one", b"1")
    stage.raw(b"two", b"2")
    stage.write("prog", b"one", b"+")
    stage.rename("prog", b"one", b"two")
    assert stage.version(b"two").previous == first


def test_a_removed_file_is_still_read_through_its_handle(stage: Stage) -> None:
    stage.write("writer", b"tmp", b"1")
    made = stage.newest(b"tmp")
    grip = stage.open("reader", b"tmp")
    stage.unlink("writer", b"tmp")
    (change,) = stage.recorder.source.changes_below(REPO, b"")
    assert (change.kind, change.version) == (ChangeKind.REMOVE, made)
    stage.commit()
    stage.get(grip, "heir")
    assert stage.sources("heir") == [made]


def test_hard_links_are_one_file(stage: Stage) -> None:
    made = stage.write("writer", b"one", b"1")
    stage.names[b"two"] = stage.names[b"one"]
    stage.recorder.change(stage.actors["writer"], ChangeKind.LINK, stage.place(b"one"), b"one", b"two")
    assert stage.newest(b"two") == made
