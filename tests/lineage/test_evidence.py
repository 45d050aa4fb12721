"""What equal bytes and open handles say: copies, editors."""

from __future__ import annotations

import pytest

from pfs.lineage.facts import Level
from pfs.lineage.segment.order import in_order
from tests.lineage.stage import Stage

# interactive programs


def test_what_an_editor_saves_comes_from_that_file_and_from_what_was_open(stage: Stage) -> None:
    raw = {name: stage.raw(name, name * 99) for name in (b"a", b"b", b"c")}
    stage.start("vim", interactive=True)
    stage.read("vim", b"c")
    stage.read("vim", b"a")
    grip = stage.open("vim", b"a", "wt")
    stage.read("vim", b"b")
    stage.put(grip, b"text")
    stage.close(grip)
    fact = stage.version(b"a")
    assert fact.focus is not None
    assert [stage.sources("vim")[position] for position in fact.focus] == [raw[b"a"], raw[b"b"]]
    assert fact.rest == Level.AMBIENT


def test_an_editors_buffer_goes_from_save_to_save_and_through_a_rename(stage: Stage) -> None:
    raw = stage.raw(b"a", b"a" * 99)
    stage.raw(b"b", b"b" * 99)
    stage.start("vim", interactive=True)
    stage.read("vim", b"a")
    stage.read("vim", b"b")
    for number in range(2):
        temporary = b".a.%d" % number
        stage.write("vim", temporary, b"text %d" % number)
        stage.rename("vim", temporary, b"a")
    stage.write("vim", b"a", b"again", "wt")
    focus = stage.version(b"a").focus
    assert focus is not None
    assert [stage.sources("vim")[position] for position in focus] == [raw]


def test_a_file_manager_copies(stage: Stage) -> None:
    raw = [stage.raw(b"%d" % number, b"%d" % number * 99) for number in range(3)]
    stage.start("files", interactive=True)
    for number in range(3):
        source = stage.open("files", b"%d" % number)
        stage.write("files", b"copy%d" % number, b"%d" % number * 99)
        stage.close(source)
    group = stage.commit()
    focus = [fact.focus for fact in group.versions]
    assert [[stage.sources("files")[at] for at in one or ()] for one in focus] == [[one] for one in raw]


def test_what_an_editor_once_looked_at_is_not_kept_for_what_it_writes(stage: Stage) -> None:
    temporary = stage.write("prog", b"tmp", b"1")
    stage.start("vim", interactive=True)
    stage.read("vim", b"tmp")
    stage.unlink("prog", b"tmp")
    out = stage.write("vim", b"note", b"text")
    group = stage.commit()
    assert [fact.id for fact in group.versions] == [out]
    assert [fact.id for fact, _ in group.used] == [temporary]
    in_order(group)


# evidence


def copies(stage: Stage, contents: list[bytes], outputs: int) -> list[tuple[tuple[int, ...] | None, int]]:
    """One process reads files, and writes as many of them out again."""
    for number, data in enumerate(contents):
        stage.raw(b"in%d" % number, data)
        stage.read("cp", b"in%d" % number)
        if number < outputs:
            stage.write("cp", b"out%d" % number, data)
    return [(fact.focus, fact.rest) for fact in stage.commit().versions]


def test_a_copy_comes_from_its_original(stage: Stage) -> None:
    found = copies(stage, [b"a" * 64, b"b" * 64, b"c" * 64], 3)
    assert found == [((0,), Level.UNLIKELY), ((1,), Level.UNLIKELY), ((2,), Level.UNLIKELY)]


@pytest.mark.parametrize(
    ("contents", "outputs"),
    [
        ([b"a" * 64, b"b" * 64], 1),  # a single output: nothing to drop is a result, too
        ([b"a" * 63, b"b" * 63], 2),
        ([b"a" * 64] * 2 + [b"c" * 63], 3),
    ],
)
def test_equal_bytes_may_say_nothing(stage: Stage, contents: list[bytes], outputs: int) -> None:
    if contents[0] == contents[1]:  # both read before the first is written
        stage.raw(b"twin", contents[0])
        stage.read("cp", b"twin")
    assert {focus for focus, _ in copies(stage, contents, outputs)} == {None}


def test_evidence_counts_outputs_of_earlier_commits(stage: Stage) -> None:
    for number in range(3):
        data = b"%d" % number * 99
        stage.raw(b"in%d" % number, data)
        stage.read("cp", b"in%d" % number)
        stage.write("cp", b"out%d" % number, data)
        found = stage.commit().versions
    assert [fact.focus for fact in found] == [(2,)]
