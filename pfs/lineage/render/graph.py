"""An answer as a graph, for the exports: edges by their ends, and the words that all of them use.

The exports work from the JSON document `pfs.lineage/1` alone, so that whoever holds a saved answer can export
it, too.  What is no such document raises `UsageError`.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from pfs.errors import UsageError
from pfs.lineage.answers.answer import (
    SCHEMA,
    Answer,
    Generated,
    Informed,
    JobNode,
    ProcessNode,
    Revised,
    Used,
    VersionNode,
    from_json,
)
from pfs.lineage.facts import Level

LEVELS: Final = tuple(level.name.lower() for level in Level)  # the strongest first

ReadVersion = Callable[[str], Iterable[bytes] | None]  # version id → its bytes in parts; None: not readable
Links = Mapping[str, list[tuple[str, str]]]  # id → (id at the other end, level), in the document's order


class Graph:
    """An answer with its edges by their ends.  Immutable."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.versions = {version.id: version for version in answer.versions}
        self.processes = {process.id: process for process in answer.processes}
        self.jobs = {job.id: job for job in answer.jobs}
        used, generated, informed, revised = (defaultdict[str, list[tuple[str, str]]](list) for _ in range(4))
        for edge in answer.edges:
            match edge:
                case Used():
                    used[self._process(edge.process)].append((self._version(edge.version), edge.level))
                case Generated():
                    generated[self._process(edge.process)].append((self._version(edge.version), edge.level))
                case Informed():
                    informed[self._process(edge.process)].append((self._process(edge.by), edge.level))
                case Revised():
                    revised[self._version(edge.version)].append((self._version(edge.of), LEVELS[0]))
        self.used: Links = dict(used)
        self.generated: Links = dict(generated)
        self.informed: Links = dict(informed)
        self.revised: Links = dict(revised)

    def _version(self, version: str) -> str:
        if version not in self.versions:
            raise UsageError(f"the answer has an edge of version {version}, which it does not describe")
        return version

    def _process(self, process: str) -> str:
        if process not in self.processes:
            raise UsageError(f"the answer has an edge of process {process}, which it does not describe")
        return process

    @property
    def root(self) -> VersionNode:
        """The version that was asked for."""
        return self.versions[self.answer.root]

    def inputs(self, process: str) -> dict[str, str]:
        """Version → level of all that a process learned from: what it used, and through pipes, forks and
        children what its informants had used.  The level is the weakest on the strongest way there.
        """
        best: dict[str, str] = {}
        reached = {process: LEVELS[0]}
        queue = [process]
        while queue:
            here = queue.pop()
            for version, level in self.used.get(here, ()):
                way = _weaker(reached[here], level)
                if version not in best or _weaker(best[version], way) != way:
                    best[version] = way
            for by, level in self.informed.get(here, ()):
                way = _weaker(reached[here], level)
                if by not in reached or _weaker(reached[by], way) != way:
                    reached[by] = way
                    queue.append(by)
        return best

    def parent(self, process: ProcessNode) -> ProcessNode | None:
        """The process that started it, where the answer describes that."""
        return self.processes.get(process.parent) if process.parent else None

    def job(self, process: ProcessNode) -> JobNode | None:
        """Its job, where it has one."""
        return self.jobs.get(process.job) if process.job else None


def read(document: Mapping[str, Any]) -> Graph:
    """Check a document and look at it as a graph.  Raises UsageError where it is no `pfs.lineage/1`."""
    try:
        answer = from_json(document)
    except msgspec.ValidationError as error:
        raise UsageError(f"not an answer of pfs lineage: {error}") from None
    if answer.schema != SCHEMA:
        raise UsageError(f"the answer's schema is {answer.schema}, not {SCHEMA}")
    graph = Graph(answer)
    if answer.root not in graph.versions:
        raise UsageError(f"the answer does not describe its root {answer.root}")
    return graph


def place(version: VersionNode) -> str:
    """Where a version is: `repo/path`, or an absolute path outside of the mount."""
    return f"{version.repo}/{version.path}" if version.repo else version.path


def command(process: ProcessNode) -> str:
    """A process's command line as a shell would take it; the program's name where argv is hidden."""
    return process.command or shlex.join(process.argv) or process.exe or process.id


def program(process: ProcessNode) -> str:
    """The last part of the program's path."""
    return (process.exe or (process.argv[0] if process.argv else process.id)).rsplit("/", 1)[-1]


def to_json(document: object, *, indent: int | None = 2) -> str:
    """JSON as text that any reader takes: bytes of names that are no UTF-8 come out as `\\xNN`."""
    text = msgspec.json.encode(_clean(document)).decode()
    return msgspec.json.format(text, indent=indent) if indent else text


def utc(time_ns: int) -> str:
    """ISO 8601 with microseconds, in UTC."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def escape(text: str, *, safe: str = "/") -> str:
    """Percent-encoding for a part of an IRI."""
    return quote(text.encode("utf-8", "surrogateescape"), safe=safe)


def valid_text(text: str) -> str:
    """Text in which bytes of names that are no UTF-8 stand as `\\xNN`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _weaker(a: str, b: str) -> str:
    return max(a, b, key=_strength)


def _strength(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
