"""The stack trace: whole pictures, as a person sees them."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage.answers.answer import Generated, Used
from pfs.lineage.answers.ask import ask
from pfs.lineage.answers.nodes import Place
from pfs.lineage.facts import OUTSIDE, Flag, Level, Relation
from pfs.lineage.render.links import Links
from pfs.lineage.render.outline import FAN_MAX, LEVELS_MAX, outline
from pfs.lineage.render.text import clipped, duration_text, render_text, visible, width
from tests.lineage.drawn import Drawn, facts
from tests.lineage.sources import Indexed, Story
from tests.lineage.stories import ALICE, MALLORY, FixedNames, Trained, chain_of_edits

IMPORTED = "imported from s3://bucket/raw.csv (version 3L4k…, etag …)  bob"


def drawn(story: Story, version: int, **asked: Any) -> str:
    return render_text(ask(Indexed(story.source), asked.pop("names", ALICE), version, **asked))


def heads(lines: list[str]) -> list[str]:
    """What stands left on each line, without the tree."""
    return [line.lstrip(" │├└─").split("  ")[0] for line in lines]


def picture(text: str) -> str:
    return dedent(text).lstrip("\n").replace("{imported}", IMPORTED)


def test_the_example_of_the_specification() -> None:
    story = Trained()
    assert drawn(story, story.model) == picture("""
        model.pkl  ccca53791b02  proj@main  2026-01-02 10:00:13Z  complete inside pfs
        └─ python train.py --lr 0.1                            alice@node7  pid 4461  0:41
           ├─ train.py        6c73…  proj@main                 written by  vim train.py  alice
           └─ data/clean.csv  5e75…  proj@main
              └─ sort -u raw.csv | cut -f1-9 > data/clean.csv  alice@node7  pid 4410  0:04
                 └─ raw.csv   d4d4…  proj@9c01d2aa             {imported}
    """)


def test_full_shows_processes() -> None:
    story = Trained()
    assert drawn(story, story.model, full=True) == picture("""
        model.pkl  ccca53791b02  proj@main  2026-01-02 10:00:13Z  complete inside pfs
        └─ python train.py --lr 0.1                   alice@node7  pid 4461  0:41
           ├─ train.py          6c73…  proj@main
           │  └─ vim train.py                         alice@node7  pid 4404
           └─ data/clean.csv    5e75…  proj@main
              └─ cut -f1-9 > data/clean.csv           alice@node7  pid 4403  0:03
                 └─ pipe from  sort -u raw.csv        alice@node7  pid 4410  0:04
                    └─ raw.csv  d4d4…  proj@9c01d2aa  {imported}
    """)


def test_downstream() -> None:
    story = Trained()
    assert drawn(story, story.clean, direction="down") == picture("""
        data/clean.csv  5e7591771e7d  proj@main  2026-01-02 10:00:07Z  complete inside pfs
        └─ python train.py --lr 0.1        alice@node7  pid 4461  0:41
           └─ model.pkl  ccca…  proj@main
    """)


def test_others_see_programs_only() -> None:
    story = Trained()
    text = drawn(story, story.model, names=MALLORY)
    assert "sort | cut  " in text
    assert "written by  vim  alice" in text
    assert "--lr" not in text


def loop(story: Story, count: int) -> list[int]:
    """What a shell makes of so many files, one process each."""
    shell = story.process("bash", interactive=True, exe=b"/bin/bash")
    made = []
    for number in range(count):
        clean = story.process("clean", f"in/{number}.csv", parent=shell, group=1000 + number)
        story.read(clean, story.raw(f"in/{number}.csv", b"%d" % number))
        made.append(story.write(clean, f"out/{number}.csv", b"out %d" % number))
    return made


def joined(story: Story, versions: list[int]) -> int:
    cat = story.process("cat", "out/*.csv")
    for version in versions:
        story.read(cat, version)
    return story.write(cat, "all.csv")


def test_loop_is_folded() -> None:
    story = Story()
    assert drawn(story, joined(story, loop(story, 21))) == picture("""
        all.csv  8ed2f556480a  proj@main  2026-01-02 10:01:48Z  complete inside pfs
        └─ cat 'out/*.csv'                      alice@node7  pid 4423
           ├─ out/0.csv       0144…  proj@main
           │  └─ clean in/0.csv                 alice@node7  pid 4402
           │     └─ in/0.csv  4d06…  proj@main
           └─ +20 like it
    """)


def test_what_differs_in_its_story_is_not_folded_away() -> None:
    story = Story()
    made = loop(story, 10)
    odd = story.process("clean", "--hard", "in/x.csv")
    story.read(odd, story.raw("in/x.csv"))
    text = drawn(story, joined(story, [*made, story.write(odd, "out/x.csv")]))
    assert "+9 like it" in text
    assert "clean --hard in/x.csv" in text


def test_few_of_a_kind_are_all_shown() -> None:
    story = Story()
    text = drawn(story, joined(story, loop(story, 3)))
    assert "like it" not in text
    assert text.count("└─ clean in/") == 3


def test_leaves_of_a_kind_are_folded_after_the_third() -> None:
    story = Story()
    compiler = story.process("cc", "x.c")
    for number in range(40):
        story.read(compiler, story.raw(f"include/h{number}.h"))
    assert drawn(story, story.write(compiler, "x.o")).splitlines()[2:] == [
        "   ├─ include/h0.h  d4d4…  proj@main",
        "   ├─ include/h1.h  d4d4…  proj@main",
        "   ├─ include/h2.h  d4d4…  proj@main",
        "   └─ +37 like it",
    ]


def test_rounds_of_a_loop_over_one_file_are_folded() -> None:
    story = Story()
    shell = story.process("bash", interactive=True, exe=b"/bin/bash")
    version = 0
    for number in range(200):
        tool = story.process("add", f"row{number}", parent=shell)
        story.read(tool, story.raw(f"rows/{number}.txt"))
        version = story.write(
            tool,
            "log",
            b"%d" % number,
            previous=version,
            relation=Relation.APPENDED if version else Relation.CREATED,
        )
    lines = drawn(story, version).splitlines()
    assert heads(lines) == [
        "log",
        "add row199",
        "rows/199.txt",
        "+198 like it",
        "log",
        "add row0",
        "rows/0.txt",
    ]


def test_edits_of_a_file_are_one_row() -> None:
    story = Story()
    vim = story.process("vim", "x.py", interactive=True)
    script = chain_of_edits(story, vim, "x.py", 500)
    python = story.process("python", "x.py")
    story.read(python, script)
    lines = drawn(story, story.write(python, "out")).splitlines()
    assert len(lines) == 3
    assert lines[2].endswith("written by  vim x.py  alice  after 499 earlier edits")


def test_what_an_edited_file_was_at_first_is_shown_when_something_made_it() -> None:
    story = Story()
    git = story.process("git", "clone")
    first = story.write(git, "x.py")
    vim = story.process("vim", "x.py", interactive=True)
    second = story.write(
        vim, "x.py", previous=first, relation=Relation.IN_PLACE, focus=(), rest=Level.AMBIENT
    )
    lines = drawn(story, second).splitlines()
    assert lines[0].endswith("written by  vim x.py  alice")
    assert heads(lines[1:]) == ["x.py", "git clone"]


def test_shared_work_is_shown_once() -> None:
    story = Story()
    tool = story.process("prepare")
    story.read(tool, story.raw("raw"))
    shared = story.write(tool, "shared")
    shell = story.process("bash", interactive=True, exe=b"/bin/bash")
    parts = []
    for name in ("left", "right"):
        part = story.process(name, parent=shell)
        story.read(part, shared)
        parts.append(story.write(part, f"part.{name}"))
    assert drawn(story, joined(story, parts)) == picture("""
        all.csv  8ed2f556480a  proj@main  2026-01-02 10:00:15Z  complete inside pfs
        └─ cat 'out/*.csv'                       alice@node7  pid 4405
           ├─ part.left        8ed2…  proj@main
           │  └─ left                            alice@node7  pid 4403
           │     └─ shared     8ed2…  proj@main
           │        └─ prepare                   alice@node7  pid 4401
           │           └─ raw  d4d4…  proj@main
           └─ part.right       8ed2…  proj@main
              └─ right                           alice@node7  pid 4404
                 └─ shared     8ed2…  proj@main  (see above)
    """)


def test_big_fan_in_is_cut_and_counted() -> None:
    story = Story()
    tool = story.process("tool")
    for number in range(200):
        story.read(tool, story.raw(f"dir{chr(97 + number % 26)}{chr(97 + number // 26)}/x"))
    story.read(tool, loop(story, 1)[0])
    version = story.write(tool, "out")
    lines = drawn(story, version).splitlines()
    assert lines[-1] == f"   └─ and {201 - FAN_MAX} more"
    assert any("out/0.csv" in line for line in lines), "what has a story of its own is kept"
    assert len(drawn(story, version, full=True).splitlines()) == 205, "--full shows all"


def test_marks_and_courses() -> None:
    story = Story()
    cron = story.process("cron", exe=b"/usr/sbin/cron")
    tool = story.process("tool", parent=cron, reason="gone")
    story.read(tool, story.raw("guess"), Level.INFERRED)
    story.read(tool, story.raw("/etc/x", repo=OUTSIDE), Level.ARGUMENT)
    empty = story.raw("empty", b"")
    story.read(tool, empty)
    lost = story.raw("lost", b"", size=5)
    story.read(tool, lost)
    out = story.write(tool, "out")
    story.ends(tool, code=1 << 8, after=3725)
    names = FixedNames(places={b"lost": Place("proj", "exp", readable=False)})
    assert drawn(story, out, names=names) == picture("""
        out  8ed2f556480a  proj@main  2026-01-02 10:00:11Z  1 argument edge
        └─ tool                         alice@node7  pid 4402  1:02:14  exit 1  started by cron  partial: gone
           ├─ guess   d4d4…  proj@main  [inferred]
           ├─ /etc/x  d4d4…  outside    [argument]
           ├─ empty   empty  proj@main
           └─ lost    ?      proj@exp   bytes gone
    """)


def test_names_stay_on_their_line() -> None:
    story = Story()
    tool = story.process("tool", "a\nb")
    story.read(tool, story.raw(b"evil\n\x1b[2J\xff"))
    text = drawn(story, story.write(tool, "out"))
    assert len(text.splitlines()) == 3
    assert "evil\\n\\x1b[2J\\xff" in text
    assert "tool $'a\\nb'" in text
    text.encode("utf-8")


def test_long_commands_are_cut() -> None:
    story = Story()
    tool = story.process("tool", *(f"argument{n}" for n in range(1000)))
    line = drawn(story, story.write(tool, "out")).splitlines()[1]
    assert "… " in line
    assert width(line) < 150


def test_deep_history_is_cut_and_needs_no_recursion() -> None:
    story = Story()
    version = story.raw("0")
    for number in range(3000):
        tool = story.process(f"tool{chr(97 + number % 7)}")
        story.read(tool, version)
        version = story.write(tool, f"{number}.{chr(97 + number % 5)}")
    lines = drawn(story, version).splitlines()
    assert lines[-1].endswith("(goes on: ask for this one)")
    assert len(lines) == LEVELS_MAX + 1


def test_shell_that_became_a_stage_is_not_shown_as_its_source() -> None:
    story = Story()
    shell = story.process("bash", interactive=True, exe=b"/bin/bash", sid=5)
    forked = story.process("bash", interactive=True, exe=b"/bin/bash", parent=shell, sid=5, pid=70)
    sort = story.process("sort", parent=forked, sid=5, pid=70, execs=1, pipes=((1, 3, True),))
    cut = story.process("cut", parent=shell, sid=5, pipes=((0, 3, False),))
    builtin = story.process("bash", interactive=True, exe=b"/bin/bash", parent=shell, sid=5, pid=80)
    for source, sink in ((forked, cut), (sort, cut), (builtin, cut)):
        story.informs(source, sink)
    out = story.write(cut, "out")
    assert heads(drawn(story, out).splitlines()) == ["out", "sort | cut", "pipe from"]
    assert drawn(story, out).splitlines()[2].endswith("pid 80")
    assert drawn(story, out, full=True).count("pid 70") == 2


def test_job_is_led_by_who_was_started_not_by_who_is_in_the_answer() -> None:
    story = Story()
    shell = story.process("bash", interactive=True, exe=b"/bin/bash")
    script = story.process("sh", "run.sh", parent=shell, pid=500, user="carol")
    out = story.write(story.process("tool", parent=script, pid=501), "out")
    story.ends(script, code=3 << 8)
    assert drawn(story, out).splitlines()[1] == "└─ sh run.sh  carol@node7  pid 500  exit 3"


def test_fork_and_child_are_named() -> None:
    story = Story()
    parent, worker = story.process("python"), story.process("python")
    story.read(parent, story.raw("data"))
    story.informs(parent, worker, flags=Flag.FORK)
    assert "forked from  python" in drawn(story, story.write(worker, "out"), full=True)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, ""), (0.9, ""), (1, "0:01"), (42, "0:42"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(10**18, 10**18 + int(seconds * 10**9)) == text


def test_widths_and_cuts() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301")] == [3, 4, 1]
    assert clipped("日本語の長い名前", 7) == "日本語…"
    assert clipped("short", 5) == "short"
    assert clipped("x" * 10_000, 20) == "x" * 19 + "…"
    assert visible("a\u202eb\udcff") == "a\\xe2\\x80\\xaeb\\xff"


def test_steps_inside_a_large_job_are_bounded() -> None:
    """One make with many outputs, all used by another job: each look into make costs as much as make."""
    story = Story()
    shell = story.process("bash", interactive=True, exe=b"/bin/bash")
    builder = story.process("make", parent=shell)
    made: list[int] = []
    for number in range(2000):
        compiler = story.process("cc", f"{number}.c", parent=builder)
        story.read(compiler, story.raw(f"{number}.c"))
        if made:
            story.read(compiler, made[-1])
        made.append(story.write(compiler, f"{number}.o"))
    version = joined(story, made)
    answer = ask(Indexed(story.source), ALICE, version)
    links = Links(answer)
    for node in answer.versions:
        for child in links.children(node.id):
            links.children(child.item)
    assert len(answer.edges) >= 8000
    assert links.steps < 200_000, "by pairs it would be millions"
    assert len(drawn(story, version).splitlines()) < 200


@given(facts(whole=True), st.data())
@settings(max_examples=150, deadline=None)
def test_any_answer_is_drawn(drawn_facts: Drawn, data: st.DataObject) -> None:
    root = data.draw(st.sampled_from(sorted(drawn_facts.source.versions_by_id)))
    direction: Any = data.draw(st.sampled_from(["up", "down"]))
    full = data.draw(st.booleans())
    answer = ask(drawn_facts.source, FixedNames(), root, direction=direction, level=Level.AMBIENT, full=full)
    rows = outline(answer)
    assert [row.parent for row in rows if row.parent >= 0] == [row.parent for row in rows[1:]]
    assert all(row.parent < number for number, row in enumerate(rows))
    text = render_text(answer)
    assert text.count("\n") == len(rows)
    if full:
        shown = {row.id for row in rows}
        assert {process.id for process in answer.processes} <= shown
        for version in {version.id for version in answer.versions} - shown:
            # Only what one process made for itself is left out.
            makers = {e.process for e in answer.edges if isinstance(e, Generated) and e.version == version}
            users = {e.process for e in answer.edges if isinstance(e, Used) and e.version == version}
            assert makers
            assert users <= makers


def test_drawing_needs_neither_the_index_nor_a_loop() -> None:
    script = "import sys, pfs.lineage.render.text, pfs.lineage.render.dot; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert not {"lmdb", "trio", "pfs.lineage.index.database", "pfs._native", "pfs.store"} & set(
        modules.split()
    )
