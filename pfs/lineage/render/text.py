"""An answer as a stack trace: the version, the job that made it, what that job had read, and so on down.

Plain text in UTF-8, one line a row, the same on every machine: times in UTC, names with what would move a
cursor escaped, no trailing blanks.  Imports nothing but the answer's types: the command line draws it, too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from pfs.lineage.answers.answer import Answer, JobNode, ProcessNode, VersionNode
from pfs.lineage.render.outline import Row, outline

_COMMAND_WIDTH_MAX: Final = 96
_NAME_COLUMN_MAX: Final = 64  # longer ones push their line out, not all lines
_RIGHT_COLUMN_MAX: Final = 100
_NS_PER_SECOND: Final = 10**9
_TERMINATED: Final = 128  # plus the number of the signal, as shells have it
_VIA: Final = {"pipe": "pipe from", "fork": "forked from", "child": "child", "told": "told by"}


def render_text(answer: Answer) -> str:
    """The whole picture, each line ended by a newline."""
    return _Text(answer).text()


def short(content: str, digits: int = 4) -> str:
    """A content id shortened, as 91ab… is."""
    return content[:digits] + ("" if len(content) <= digits else "…")


def visible(name: str) -> str:
    """A name on one line: control characters and bytes that are no UTF-8 are escaped."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else _escaped(char) for char in name)


def _escaped(char: str) -> str:
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return known.get(char) or "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def clipped(text: str, columns: int) -> str:
    """A text cut to so many columns, its end … where something is missing."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[: len(text) - max(1, (width(text) - columns) // 2)]
    return text + "…"


def time_text(time_ns: int) -> str:
    """2026-01-02 10:11:12Z."""
    return f"{datetime.fromtimestamp(time_ns // _NS_PER_SECOND, UTC):%Y-%m-%d %H:%M:%SZ}"


def duration_text(start_ns: int, end_ns: int) -> str:
    """0:42, 1:02:03; "" for less than a second."""
    seconds = (end_ns - start_ns) // _NS_PER_SECOND
    if seconds < 1:
        return ""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def where(version: VersionNode) -> str:
    """proj@main for what a branch has now, else proj@9c01d2aa for the commit that has it."""
    if not version.repo:
        return "outside"
    revision = version.branch if version.current or version.commit is None else version.commit[:8]
    return f"{version.repo}@{revision}" if revision else version.repo


def content_text(version: VersionNode, digits: int = 4) -> str:
    """Its short content id; `empty`, or `?` where that is not known."""
    if version.content:
        return short(version.content, digits)
    return "empty" if version.known and version.size == 0 else "?"


def pad(text: str, columns: int) -> str:
    """A text with blanks behind it up to a column."""
    return text + " " * (columns - width(text))


class _Text:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._versions = {node.id: node for node in answer.versions}
        self._processes = {node.id: node for node in answer.processes}
        self._jobs = {node.id: node for node in answer.jobs}
        self._rows = outline(answer)
        self._prefixes = _prefixes(self._rows)

    def text(self) -> str:
        """All lines."""
        below = range(1, len(self._rows))
        named = [self._prefixes[n] + self._name(self._rows[n]) for n in below if self._is_version(n)]
        name_column = _column(named, _NAME_COLUMN_MAX)
        places = {n: self._place(n, name_column) for n in below if self._is_version(n)}
        heads = {
            n: places[n] if n in places else self._prefixes[n] + self._head(self._rows[n]) for n in below
        }
        right_column = _column(list(heads.values()), _RIGHT_COLUMN_MAX)
        who_column = _column([self._who(self._rows[n]) for n in below], _NAME_COLUMN_MAX)
        lines = [self._first_line()]
        for n in below:
            right = self._right(self._rows[n], who_column)
            lines.append((pad(heads[n], right_column) + "  " + right if right else heads[n]).rstrip())
        return "".join(f"{line}\n" for line in lines)

    def _is_version(self, number: int) -> bool:
        return self._rows[number].kind == "version"

    def _first_line(self) -> str:
        root = self._versions[self._answer.root]
        row = self._rows[0]
        parts = [
            visible(root.path),
            content_text(root, 12).removesuffix("…"),
            where(root),
            time_text(root.time_ns or root.mtime_ns),
            self._answer.coverage.headline,
            *self._story(row),
        ]
        return "  ".join(part for part in parts if part)

    def _name(self, row: Row) -> str:
        return visible(self._versions[row.id].path)

    def _place(self, number: int, column: int) -> str:
        version = self._versions[self._rows[number].id]
        name = pad(self._prefixes[number] + self._name(self._rows[number]), column)
        return f"{name}  {pad(content_text(version), 5)}  {where(version)}"

    def _head(self, row: Row) -> str:
        """What stands left on a row that is no version."""
        if row.kind == "like":
            return f"+{row.many} like it"
        if row.kind == "more":
            return f"and {row.many} more"
        command = clipped(self._unit(row.id).command, _COMMAND_WIDTH_MAX)
        via = _VIA.get(row.via, "")
        return f"{via}  {command}" if via else command

    def _unit(self, unit: str) -> JobNode | ProcessNode:
        job = self._jobs.get(unit)
        return self._processes[unit] if job is None else job

    def _who(self, row: Row) -> str:
        if row.kind not in ("job", "process"):
            return ""
        unit = self._unit(row.id)
        name = unit.user or str(unit.uid)
        return f"{name}@{unit.host}" if unit.host else name

    def _right(self, row: Row, who_column: int) -> str:
        """What stands right: of a version its story, of a job who ran it and how it went."""
        if row.kind == "version":
            return "  ".join([*self._story(row), *_marks(row)])
        if row.kind in ("job", "process"):
            return "  ".join(
                [pad(self._who(row), who_column), *self._course(self._unit(row.id)), *_marks(row)]
            )
        return ""

    def _course(self, unit: JobNode | ProcessNode) -> Iterator[str]:
        """Which process, how long it took, how it ended."""
        if unit.pid:
            yield f"pid {unit.pid}"
        if unit.end_ns is not None and (took := duration_text(unit.start_ns, unit.end_ns)):
            yield took
        if unit.exit:
            is_signal = unit.exit > _TERMINATED
            yield f"signal {unit.exit - _TERMINATED}" if is_signal else f"exit {unit.exit}"
        if unit.started_by:
            yield f"started by {unit.started_by}"
        members = [self._processes[p] for p in unit.processes] if isinstance(unit, JobNode) else [unit]
        reasons = sorted({member.reason for member in members if member.reason})
        if reasons:
            yield f"partial: {visible('; '.join(reasons))}"

    def _story(self, row: Row) -> list[str]:
        """Where a version came from, when no row of its own says it."""
        version = self._versions[row.id]
        maker = self._processes.get(row.inline)
        parts = []
        if version.imported:
            who = (maker.user if maker is not None else version.by) or ""
            parts += [f"imported from {visible(version.imported)}", who]
        elif maker is not None:
            parts += [f"written by  {clipped(maker.command, _COMMAND_WIDTH_MAX)}", maker.user]
        if row.many:
            parts.append(f"after {row.many} earlier edit{'s' if row.many > 1 else ''}")
        if not version.readable and version.repo:
            parts.append("bytes gone")
        return [part for part in parts if part]


def _marks(row: Row) -> list[str]:
    marks = []
    if row.level != "observed":
        marks.append(f"[{row.level}]")
    if row.is_again:
        marks.append("(see above)")
    if row.is_cut:
        marks.append("(goes on: ask for this one)")
    return marks


def _column(texts: Sequence[str], most: int) -> int:
    """The width of the longest of those that are not too long."""
    return max((w for w in map(width, texts) if w <= most), default=0)


def _prefixes(rows: Sequence[Row]) -> list[str]:
    """What draws the tree before each row."""
    last_of = {row.parent: number for number, row in enumerate(rows)}
    prefixes: list[str] = []
    inner: list[str] = []  # what stands before the children of each row
    for number, row in enumerate(rows):
        if row.parent < 0:
            prefixes.append("")
            inner.append("")
            continue
        is_last = last_of[row.parent] == number
        prefixes.append(inner[row.parent] + ("└─ " if is_last else "├─ "))
        inner.append(inner[row.parent] + ("   " if is_last else "│  "))
    return prefixes
