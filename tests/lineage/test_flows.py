"""The rules of the recorder for processes, one scene each: what an activity learns from others."""

from __future__ import annotations

import pytest

from pfs.lineage.facts import OUTSIDE, Flag, Level, raw_version_id
from pfs.lineage.live.state import Seen
from tests.lineage.stage import BRANCH, REPO, Stage, content_id

# processes


def test_a_handle_across_exec_is_an_input_of_the_new_image(stage: Stage) -> None:
    raw = stage.raw(b"in", b"1")
    grip = stage.open("sh", b"in")
    stage.execute("sort", "sh")
    stage.recorder.inherit(grip, stage.actors["sort"])
    (entry,) = stage.inputs("sort")
    assert (entry.source, entry.flags) == (raw, Flag.INHERITED)


def test_an_executed_file_is_the_program_of_the_next_image(stage: Stage) -> None:
    program = stage.write("cc", b"bin/tool", b"ELF")
    stage.start("sh")
    stage.get(stage.open("sh", b"bin/tool", "rx"))
    stage.write("sh", b"other", b"1")
    assert stage.inputs("sh") == []
    stage.execute("tool", "sh", exe=b"/mnt/repo/bin/tool")
    assert stage.sources("tool") == [program]
    assert stage.actors["tool"].activity.exe_version == program


def test_an_interpreter_is_the_program_and_the_script_an_input(stage: Stage) -> None:
    script = stage.raw(b"run.sh", b"#!")
    stage.start("sh")
    stage.open("sh", b"run.sh", "x")
    stage.execute("script", "sh", exe=b"/bin/dash")
    assert stage.sources("script") == [script]
    assert stage.actors["script"].activity.exe_version == 0


def test_a_fork_knows_what_its_parent_knew_then(stage: Stage) -> None:
    stage.raw(b"a", b"1")
    stage.raw(b"b", b"2")
    stage.read("python", b"a")
    upto = stage.recorder.forked(stage.actors["python"])
    stage.read("python", b"b")
    stage.start("worker", "python", forked=True, upto=upto)
    (entry,) = stage.inputs("worker")
    assert (entry.informed, entry.watermark, entry.flags) == (True, 1, Flag.FORK)


def test_a_process_that_is_met_again_is_the_same(stage: Stage) -> None:
    actor = stage.start("prog")
    assert stage.recorder.begin(actor.activity) is actor


def test_a_pipe_carries_what_the_source_had_read(stage: Stage) -> None:
    stage.raw(b"a", b"1")
    stage.raw(b"b", b"2")
    cat, prog = stage.start("cat"), stage.start("prog")
    stage.recorder.connect(cat, prog)
    stage.read("cat", b"a")
    grip = stage.open("prog", b"out", "wc")
    stage.put(grip, b"1")
    stage.read("cat", b"b")
    stage.put(grip, b"2")
    assert [(one.watermark, one.flags) for one in stage.inputs("prog")] == [(1, Flag.PIPE), (2, Flag.PIPE)]
    assert [writer.watermark for writer in stage.version(b"out").writers] == [2]


def test_an_entry_about_a_pipe_grows_while_no_output_covers_it(stage: Stage) -> None:
    cat, prog, other = stage.start("cat"), stage.start("prog"), stage.start("other")
    stage.recorder.connect(cat, prog)
    stage.recorder.connect(prog, other)
    for number in range(3):
        stage.raw(b"%d" % number, b"%d" % number)
        stage.read("cat", b"%d" % number)
        stage.recorder.forked(prog)  # a look at the pipe, that covers nothing but what is there
    assert [one.watermark for one in stage.inputs("prog")] == [1, 2, 3]
    stage.recorder.connect(stage.start("date"), prog)
    stage.write("prog", b"out", b"1")
    assert stage.sources("prog")[-1] == stage.actors["date"].id  # it has read nothing, and yet it spoke


def test_a_circle_of_pipes_comes_to_rest(stage: Stage) -> None:
    names = ["a", "b", "c"]
    for name in names:
        stage.start(name)
    for source, sink in zip(names, names[1:] + names[:1], strict=True):
        stage.recorder.connect(stage.actors[source], stage.actors[sink])
    grips = {name: stage.open(name, name.encode(), "wc") for name in names}
    for _ in range(3):
        for name in names:
            stage.put(grips[name], b"x")
    count = [len(stage.inputs(name)) for name in names]
    for _ in range(20):
        for name in names:
            stage.put(grips[name], b"x")
    assert [len(stage.inputs(name)) for name in names] == count
    raw = stage.raw(b"raw", b"1")
    stage.read("a", b"raw")
    stage.put(grips["c"], b"x")
    assert raw in stage.sources("a")
    assert len(stage.inputs("c")) == count[2] + 1


def test_the_reader_of_a_pipe_may_show_itself_after_the_end(stage: Stage) -> None:
    stage.raw(b"a", b"1")
    cat = stage.start("cat")
    stage.read("cat", b"a")
    stage.end("cat")
    stage.recorder.connect(cat, stage.start("prog"))
    assert [one.watermark for one in stage.inputs("prog")] == [1]


def test_a_child_that_only_read_has_told_its_parent(stage: Stage) -> None:
    stage.raw(b"a.c", b"1")
    stage.start("cc")
    stage.start("fork", "cc", forked=True)
    stage.execute("cc1", "fork")
    stage.read("cc1", b"a.c")
    stage.end("cc1")
    (entry,) = stage.inputs("cc")
    assert entry.source == stage.actors["cc1"].id
    assert (entry.level, entry.flags, entry.watermark) == (Level.INFERRED, Flag.CHILD, 1)


@pytest.mark.parametrize("why", ["wrote", "pipe", "interactive", "exec", "read nothing"])
def test_a_child_tells_nothing(stage: Stage, why: str) -> None:
    stage.raw(b"a.c", b"1")
    stage.start("parent", interactive=why == "interactive")
    stage.start("child", "parent")
    if why != "read nothing":
        stage.read("child", b"a.c")
    if why == "wrote":
        stage.write("child", b"out", b"1")
    if why == "pipe":
        stage.recorder.connect(stage.actors["child"], stage.start("other"))
    stage.end("child", by_exec=why == "exec")
    assert stage.inputs("parent") == []


def test_mapped_stores_are_credited_to_who_may_write(stage: Stage) -> None:
    for name in ("one", "two"):
        stage.open(name, b"map", "+" if b"map" in stage.names else "+c")
    stage.bytes[stage.names[b"map"]] = b"page"
    stage.recorder.mapped(stage.place(b"map"), stage.generation)
    assert {writer.flags for writer in stage.version(b"map").writers} == {Flag.MMAP | Flag.SHARED}


def test_a_reader_of_mapped_pages_may_have_seen_the_newest(stage: Stage) -> None:
    writer = stage.open("writer", b"map", "+c")
    stage.put(writer, b"page")
    stage.open("reader", b"map")
    stage.recorder.mapped(stage.place(b"map"), stage.generation)
    newest = stage.newest(b"map")
    stage.write("reader", b"out", b"1")
    assert stage.inputs("reader")[-1].source == newest
    assert stage.inputs("reader")[-1].flags == Flag.MMAP


def test_who_maps_a_file_sees_changes_without_a_read(stage: Stage) -> None:
    writer = stage.open("writer", b"map", "wc")
    stage.put(writer, b"1")
    stage.recorder.maps(stage.open("reader", b"map"), stage.actors["reader"])
    stage.put(writer, b"2")
    newest = stage.newest(b"map")
    stage.write("reader", b"out", b"1")
    assert stage.sources("reader")[-1] == newest


def test_stores_by_nobody_known_leave_nobodys_bytes(stage: Stage) -> None:
    made = stage.write("writer", b"map", b"1")
    stage.recorder.mapped(stage.place(b"map"), stage.generation)
    stage.read("reader", b"map")
    (source,) = stage.sources("reader")
    assert source != made
    assert stage.version(source).writers == ()


# files of commits, and beyond the mount


def test_a_file_of_a_commit_is_one_input_however_often_it_is_opened(stage: Stage) -> None:
    seen = Seen(REPO, 0, b"old", 77, content_id(b"old"), 0, 3, 5)
    prog = stage.start("prog")
    stage.recorder.open_seen(prog, seen)
    stage.recorder.open_seen(prog, seen._replace(path=b"elsewhere"))
    assert stage.sources("prog") == [raw_version_id(REPO, (77).to_bytes(8, "little"), seen.content)]
    stage.rows[b"segment", 3] = 4711
    stage.recorder.open_seen(prog, seen._replace(origin=(b"segment", 3)))
    assert stage.sources("prog")[1] == 4711


def test_an_outside_file_is_the_version_that_was_written_there(stage: Stage) -> None:
    writer, reader = stage.start("writer"), stage.start("reader")
    stage.recorder.outside_write(writer, b"/tmp/x", 10, 5)
    stage.recorder.outside_read(reader, b"/tmp/x", 10, 5)
    stage.recorder.outside_read(reader, b"/tmp/x", 11, 6)
    made, other = (stage.version(one) for one in stage.sources("reader"))
    assert [one.activity for one in made.writers] == [writer.id]
    assert (made.repo, made.path, made.is_known) == (OUTSIDE, b"/tmp/x", False)
    assert other.writers == ()


def test_two_command_lines_name_a_file_that_changed_between(stage: Stage) -> None:
    stage.raw(b"a.c", b"1")
    cc1 = stage.start("cc1")
    stage.recorder.outside_read(cc1, b"/tmp/ccX.s", 0, 1, level=Level.ARGUMENT)
    stage.recorder.outside_read(cc1, b"/usr/lib/crt1.o", 9, 1, level=Level.ARGUMENT)
    stage.read("cc1", b"a.c")
    stage.end("cc1")
    assembler = stage.start("as")
    stage.recorder.outside_read(assembler, b"/tmp/ccX.s", 99, stage.now(), level=Level.ARGUMENT)
    stage.recorder.outside_read(assembler, b"/usr/lib/crt1.o", 9, 1, level=Level.ARGUMENT)
    told = [one for one in stage.inputs("as") if one.informed]
    assert [(one.source, one.level, one.watermark) for one in told] == [(cc1.id, Level.INFERRED, 3)]


def test_what_was_seen_outweighs_what_was_only_named(stage: Stage) -> None:
    prog = stage.start("prog")
    stage.recorder.outside_read(prog, b"/data", 1, 1, level=Level.ARGUMENT)
    stage.recorder.outside_read(prog, b"/data", 1, 1)
    assert [one.level for one in stage.inputs("prog")] == [Level.OBSERVED]


def test_bytes_that_pfs_set_were_made_by_nobody(stage: Stage) -> None:
    made = stage.write("prog", b"file", b"1")
    number = stage.names[b"file"]
    stage.recorder.forget(stage.place(b"file"), stage.generation)
    stage.base[number] = Seen(REPO, BRANCH, b"file", number, content_id(b"old"), 0, 3, 1)
    stage.bytes[number] = b"old"
    stage.read("reader", b"file")
    assert stage.sources("reader") != [made]
    assert stage.version(stage.sources("reader")[0]).writers == ()
    assert stage.commit().versions == []
