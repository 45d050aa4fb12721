"""Why two versions differ: what was another one when they were made.

Compares the two jobs that made them, process by process: the programs, their arguments and environment, and
the content of what they read; then the same for each input that differs, back to where it began.  Nothing is
guessed from times or names of versions: what is said to have changed has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import partial
from typing import Final

from pfs.errors import NotFound
from pfs.lineage.answers.command import is_interpreter, program, program_shown, quote
from pfs.lineage.answers.jobs import Jobs
from pfs.lineage.answers.near import near
from pfs.lineage.answers.nodes import Names, may_see, text, version_node
from pfs.lineage.answers.replies import Cause, WhyReply
from pfs.lineage.facts import Activity, Source, Version, spell_version
from pfs.lineage.index.closure import upstream
from pfs.lineage.index.walk import EdgeKind

_DEPTH_MAX: Final = 6  # of reasons for reasons
_COMPARED_MAX: Final = 200  # pairs of versions in one answer
_WORDS_MAX: Final = 2000  # of two command lines that are compared word by word
_TEXT_MAX: Final = 160
# What differs between two runs of the same thing and never matters, or is said elsewhere.
_VARIABLES_LEFT_OUT: Final = frozenset([b"PWD", b"OLDPWD", b"SHLVL", b"_"])
_CODE: Final = re.compile(
    rb".*\.(py|pyc|pyx|ipynb|r|R|Rmd|jl|m|pl|pm|rb|lua|js|mjs|ts|sh|bash|zsh|awk|sed|sql|java|jar|class|scala"
    rb"|c|h|cc|cpp|cxx|hpp|f|f90|rs|go|so|a|o|smk|nf|cwl|wdl)|(.*/)?(Makefile|Snakefile|CMakeLists\.txt)",
    re.DOTALL,
)
_NOTHING_DIFFERS: Final = (
    "nothing that is recorded differs: what is left is time, randomness, the network or an unseen file"
)


def why(source: Source, names: Names, a: int, b: int) -> WhyReply:
    """Which causes are different for two versions.  NotFound where one is not recorded."""
    versions = [source.version(number) for number in (a, b)]
    for number, version in zip((a, b), versions, strict=True):
        if version is None:
            raise NotFound(f"{spell_version(number)}: no lineage is recorded of this version")
    one, other = (version for version in versions if version is not None)
    is_same = one.is_known and other.is_known and (one.content, one.size) == (other.content, other.size)
    causes = [] if is_same else _Comparison(source, names).causes(one, other)
    return WhyReply(a=version_node(one, names), b=version_node(other, names), same=is_same, causes=causes)


class _Making:
    """How a version was made: the processes of its job and what they read from elsewhere."""

    def __init__(self, source: Source, jobs: Jobs, version: Version) -> None:
        step = partial(upstream, source, depth=1)
        closure = near(source, jobs, step, version.id, 1, down=False)
        inside = set(closure.activities)
        found = [activity for a in closure.activities if (activity := jobs.activity(a)) is not None]
        self.processes = sorted(found, key=lambda activity: (activity.started_ns, activity.id))
        self.inputs: dict[tuple[int, bytes], Version] = {}
        for edge in closure.edges:
            if edge.kind not in (EdgeKind.USED, EdgeKind.REVISED):
                continue
            used = source.version(edge.source)
            if used is not None and inside.isdisjoint(writer.activity for writer in used.writers):
                self.inputs[used.repo, used.path] = used


class _Comparison:
    def __init__(self, source: Source, names: Names) -> None:
        self._source = source
        self._names = names
        self._jobs = Jobs(source)
        self._compared: set[tuple[int, int]] = set()

    def causes(self, a: Version, b: Version, depth: int = 0) -> list[Cause]:
        """Why `b` is not like `a`."""
        self._compared.add((a.id, b.id))
        if found := list(self._origins(a, b)):
            return found
        one, other = _Making(self._source, self._jobs, a), _Making(self._source, self._jobs, b)
        if not one.processes or not other.processes:
            return [Cause(kind="unrecorded", text=f"{text(b.path)}: nobody saw how it was made")]
        found = [*self._of_processes(one.processes, other.processes), *self._of_inputs(one, other, depth)]
        distinct = list({(cause.kind, cause.text): cause for cause in found}.values())
        is_explained = any(cause.kind != "hidden" for cause in distinct)
        return distinct if is_explained else [*distinct, Cause(kind="none", text=_NOTHING_DIFFERS)]

    def _origins(self, a: Version, b: Version) -> Iterator[Cause]:
        """What needs no comparison of processes: imports, and what a person typed."""
        if a.imported or b.imported:
            before, after = a.imported or "made here", b.imported or "made here"
            yield Cause(
                kind="data",
                text=f"imported from {before} → {after}"
                if before != after
                else f"imported again from {after}",
            )
            return
        for writer in b.writers:
            activity = self._jobs.activity(writer.activity)
            if activity is not None and activity.interactive:
                by = f" by {activity.user}" if activity.user else ""
                yield Cause(kind="edit", text=f"{text(b.path)}: edited with {program_shown(activity)}{by}")

    def _of_processes(self, a: Sequence[Activity], b: Sequence[Activity]) -> Iterator[Cause]:
        before, after = _by_program(a), _by_program(b)
        for name in dict.fromkeys([*before, *after]):
            ours, theirs = before.get(name, []), after.get(name, [])
            if not ours or not theirs:
                times = "no longer runs" if ours else "runs, too"
                yield Cause(kind="program", text=f"{name} {times}")
                continue
            if len(ours) != len(theirs):
                yield Cause(kind="program", text=f"{name} runs {len(ours)} → {len(theirs)} times")
            for one, other in _paired(ours, theirs):
                yield from self._of_pair(one, other, name)

    def _of_pair(self, a: Activity, b: Activity, name: str) -> Iterator[Cause]:
        if a.exe != b.exe:
            yield Cause(kind="tool", text=f"{_shown(a.exe)} → {_shown(b.exe)}")
        elif (change := self._tool_change(a, b)) is not None:
            yield change
        if (a.host, a.user) != (b.host, b.user):
            yield Cause(kind="environment", text=f"run by {a.user}@{a.host} → {b.user}@{b.host}")
        if not may_see(a, self._names) or not may_see(b, self._names):
            yield Cause(kind="hidden", text=f"{name}: another user's command line, which was not compared")
            return
        for change_text in _changed_words(a.argv[1:], b.argv[1:]):
            yield Cause(kind="parameters", text=_clipped(f"{name}: {change_text}"))
        if a.cwd != b.cwd and a.cwd and b.cwd:
            yield Cause(kind="environment", text=f"working directory: {_shown(a.cwd)} → {_shown(b.cwd)}")
        before, after = dict(a.environment), dict(b.environment)
        for variable in sorted(before.keys() | after.keys()):
            if variable not in _VARIABLES_LEFT_OUT and before.get(variable) != after.get(variable):
                values = " → ".join(
                    "(unset)" if v is None else _shown(v) for v in (before.get(variable), after.get(variable))
                )
                yield Cause(kind="environment", text=_clipped(f"{text(variable)}: {values}"))

    def _tool_change(self, a: Activity, b: Activity) -> Cause | None:
        if a.exe_version == b.exe_version:
            return None
        one, other = self._source.version(a.exe_version), self._source.version(b.exe_version)
        if one is None or other is None or one.content == other.content:
            return None
        return _changed("tool", one, other)

    def _of_inputs(self, a: _Making, b: _Making, depth: int) -> Iterator[Cause]:
        tools = {activity.exe_version for activity in (*a.processes, *b.processes)}
        scripts = {word for activity in (*a.processes, *b.processes) for word in _scripts(activity)}
        for key in dict.fromkeys([*a.inputs, *b.inputs]):
            one, other = a.inputs.get(key), b.inputs.get(key)
            any_one = one or other
            assert any_one is not None
            is_code = _CODE.fullmatch(any_one.path) is not None or _is_named(any_one.path, scripts)
            kind = "tool" if any_one.id in tools else "code" if is_code else "data"
            if one is None or other is None:
                how = "is read, too" if one is None else "is no longer read"
                yield Cause(kind=kind, text=f"{text(any_one.path)} {how}", path=text(any_one.path))
            elif (one.content, one.size) != (other.content, other.size):
                yield _changed(kind, one, other, self._because(one, other, depth))

    def _because(self, a: Version, b: Version, depth: int) -> list[Cause]:
        if depth >= _DEPTH_MAX or len(self._compared) >= _COMPARED_MAX or (a.id, b.id) in self._compared:
            return []
        found = self.causes(a, b, depth + 1)
        return [] if [cause.kind for cause in found] == ["unrecorded"] else found


def _by_program(processes: Sequence[Activity]) -> dict[str, list[Activity]]:
    found: dict[str, list[Activity]] = {}
    for activity in processes:
        found.setdefault(program_shown(activity), []).append(activity)
    return found


def _changed(kind: str, a: Version, b: Version, because: list[Cause] | None = None) -> Cause:
    return Cause(
        kind=kind,
        text=f"{text(b.path)}: {_content(a)} → {_content(b)}",
        path=text(b.path),
        a=spell_version(a.id),
        b=spell_version(b.id),
        because=because or [],
    )


def _content(version: Version) -> str:
    if not version.is_known:
        return "?"
    return f"{version.content.hex()[:8]}…" if version.content else "empty"


def _paired(a: list[Activity], b: list[Activity]) -> Iterator[tuple[Activity, Activity]]:
    """Runs of one program side by side: those with the same arguments first, the others in their order."""
    waiting: dict[tuple[bytes, ...], list[Activity]] = {}
    for other in b:
        waiting.setdefault(other.argv, []).append(other)
    rest = []
    for one in a:
        if same := waiting.get(one.argv):
            yield one, same.pop(0)
        else:
            rest.append(one)
    left = {other.id for others in waiting.values() for other in others}
    yield from zip(rest, [other for other in b if other.id in left], strict=False)


def _changed_words(a: Sequence[bytes], b: Sequence[bytes]) -> Iterator[str]:
    """What differs between two command lines; an option stands before its value."""
    if len(a) + len(b) > _WORDS_MAX:
        if a != b:
            yield f"{len(a)} → {len(b)} arguments"
        return
    for tag, a_from, a_to, b_from, b_to in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        is_value = a_from > 0 and a[a_from - 1].startswith(b"-") and tag == "replace"
        option = f"{quote(a[a_from - 1])} " if is_value else ""
        before, after = " ".join(map(quote, a[a_from:a_to])), " ".join(map(quote, b[b_from:b_to]))
        if tag == "replace":
            yield f"{option}{before} → {option}{after}"
        else:
            yield f"with {after}" if tag == "insert" else f"without {before}"


def _scripts(activity: Activity) -> Iterator[bytes]:
    """The word of an interpreter's command line that may be its script: the first that is no option."""
    if not is_interpreter(program(activity)):
        return
    words = [word for word in activity.argv[1:] if not word.startswith(b"-")]
    yield from words[:1]


def _is_named(path: bytes, scripts: set[bytes]) -> bool:
    # A word that is the path, or ends in it, or that is relative to a directory below the root of the repo.
    return any(word.removeprefix(b"./") == path or word.endswith(b"/" + path) for word in scripts)


def _shown(word: bytes) -> str:
    return quote(word) if word else "(unknown)"


def _clipped(line: str) -> str:
    return line if len(line) <= _TEXT_MAX else line[: _TEXT_MAX - 1] + "…"
