"""An answer as a graph in Graphviz's language: what flowed where, from left to right.

The same picture as the text, folded in the same way, but each version and job is one node however often it is
met.  Labels are literal: nothing in a file name or a command line is taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pfs.lineage.answers.answer import Answer
from pfs.lineage.render.outline import Row, outline
from pfs.lineage.render.text import clipped, content_text, visible, where

_LABEL_WIDTH_MAX: Final = 60
_HEAD: Final = """\
digraph lineage {
  rankdir=LR;
  node [fontname="sans-serif", fontsize=10, shape=box, style="rounded,filled", color="#5b6770"];
  edge [color="#5b6770", fontname="sans-serif", fontsize=8];
"""
_VERSION: Final = 'fillcolor="#eef4fb"'
_ROOT: Final = 'fillcolor="#cfe2f7", penwidth=2'
_UNIT: Final = 'shape=box, style=filled, fillcolor="#fdf3dc"'
_FOLDED: Final = 'shape=plaintext, style=""'


def render_dot(answer: Answer) -> str:
    """The graph as text in UTF-8."""
    return "".join(_Dot(answer).lines())


def quoted(*lines: str) -> str:
    """A label of several lines, as a string of Graphviz's language in which every character means itself."""
    escaped = [
        visible(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
        for line in lines
        if line
    ]
    return '"' + "\\n".join(escaped) + '"'


class _Dot:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._versions = {node.id: node for node in answer.versions}
        self._processes = {node.id: node for node in answer.processes}
        self._jobs = {node.id: node for node in answer.jobs}
        self._numbers: dict[str, int] = {}

    def lines(self) -> Iterator[str]:
        rows = outline(self._answer)
        nodes = [self._node(number, row) for number, row in enumerate(rows)]
        yield _HEAD
        yield f"  label={quoted(self._answer.coverage.headline)};\n"
        shown: set[str] = set()
        for row, node in zip(rows, nodes, strict=True):
            if node not in shown:
                shown.add(node)
                yield f"  {node} [{self._attributes(row)}];\n"
        is_up = self._answer.query.direction == "up"
        edges: dict[tuple[str, str, str], None] = {}
        for row, node in zip(rows, nodes, strict=True):
            if row.parent >= 0:
                ends = (node, nodes[row.parent]) if is_up else (nodes[row.parent], node)
                edges[(*ends, _edge_attributes(row))] = None
        for start, end, attributes in edges:
            yield f"  {start} -> {end}{attributes};\n"
        yield "}\n"

    def _node(self, number: int, row: Row) -> str:
        key = row.id or f"row {number}"
        return f"n{self._numbers.setdefault(key, len(self._numbers))}"

    def _attributes(self, row: Row) -> str:
        if row.kind == "version":
            version = self._versions[row.id]
            label = quoted(
                clipped(version.path, _LABEL_WIDTH_MAX),
                f"{content_text(version)}  {where(version)}",
                clipped(self._story(row), _LABEL_WIDTH_MAX),
            )
            look = _ROOT if row.id == self._answer.root else _VERSION
            return f"id={quoted(row.id)}, label={label}, tooltip={quoted(version.path)}, {look}"
        if row.kind in ("like", "more"):
            text = f"+{row.many} like it" if row.kind == "like" else f"and {row.many} more"
            return f"label={quoted(text)}, {_FOLDED}"
        job = self._jobs.get(row.id)
        unit = self._processes[row.id] if job is None else job
        who = f"{unit.user or unit.uid}@{unit.host}" if unit.host else unit.user
        label = quoted(clipped(unit.command, _LABEL_WIDTH_MAX), f"{who}  pid {unit.pid}".strip())
        return f"id={quoted(row.id)}, label={label}, tooltip={quoted(unit.command)}, {_UNIT}"

    def _story(self, row: Row) -> str:
        imported = self._versions[row.id].imported
        if imported:
            return f"imported from {imported}"
        maker = self._processes.get(row.inline)
        return f"written by {maker.command}" if maker is not None else ""


def _edge_attributes(row: Row) -> str:
    words = [word for word in (row.via if row.via != "before" else "", row.level) if word]
    label = " ".join(word for word in words if word != "observed")
    if not label and row.kind not in ("like", "more"):
        return ""
    return (
        f" [style=dashed, label={quoted(label)}]"
        if row.level != "observed" or not label
        else (f" [label={quoted(label)}]")
    )
