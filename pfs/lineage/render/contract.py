"""The JSON document `pfs.lineage/1` as others see it: read back, checked, and looked at as a graph.

The exports work from the document alone, so that whoever holds a saved answer can export it, too.  Fields
that a newer pfs has added are ignored; one that is missing or of another type raises `UsageError`.
Levels are words, the strongest first: observed, content, inferred, argument, unobserved, unlikely, ambient.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import msgspec

from pfs.errors import UsageError

SCHEMA: Final = "pfs.lineage/1"
LEVELS: Final = ("observed", "content", "inferred", "argument", "unobserved", "unlikely", "ambient")


class Query(msgspec.Struct, frozen=True):
    """What was asked."""

    repo: str
    path: str
    revision: str | None = None
    direction: str = "up"
    depth: int | None = None


class Version(msgspec.Struct, frozen=True):
    """A file version; no repo: the path is absolute, outside of the mount."""

    id: str
    repo: str | None
    path: str
    content: str
    size: int
    mtime_ns: int
    commit: str | None
    readable: bool
    imported: str | None = None

    @property
    def name(self) -> str:
        """Where it is: `repo/path`, or an absolute path."""
        return f"{self.repo}/{self.path}" if self.repo else self.path


class Process(msgspec.Struct, frozen=True):
    """One process image."""

    id: str
    argv: list[str]
    exe: str
    exe_version: str | None
    cwd: str
    user: str
    uid: int
    host: str
    pid: int
    parent: str | None
    job: str | None
    start_ns: int
    end_ns: int | None
    exit: int | None
    coverage: str
    reason: str | None = None

    @property
    def command(self) -> str:
        """The command line as a shell would take it; the program's name where argv is hidden or unknown."""
        return shlex.join(self.argv) if self.argv else self.exe or self.id

    @property
    def program(self) -> str:
        """The last part of the program's path."""
        return (self.exe or (self.argv[0] if self.argv else self.id)).rsplit("/", 1)[-1]


class Job(msgspec.Struct, frozen=True):
    """What a person, a scheduler or `pfs run` started."""

    id: str
    command: str
    processes: list[str]


class Edge(msgspec.Struct, frozen=True):
    """One edge; which fields it has depends on its kind."""

    kind: str
    version: str | None = None
    process: str | None = None
    by: str | None = None
    of: str | None = None
    level: str = "observed"


class Coverage(msgspec.Struct, frozen=True):
    """What was not seen."""

    headline: str
    inferred_edges: int = 0
    unlikely_edges: int = 0
    ambient_edges: int = 0
    unobserved_channels: list[str] = []


class Document(msgspec.Struct, frozen=True):
    """An answer."""

    schema: str
    query: Query
    root: str
    versions: list[Version]
    processes: list[Process]
    jobs: list[Job]
    edges: list[Edge]
    coverage: Coverage


ReadVersion = Callable[[str], Iterable[bytes] | None]  # version id → its bytes in parts; None: not readable
Links = Mapping[str, list[tuple[str, str]]]  # id → (id at the other end, level), in the document's order


class Graph:
    """A document with its edges by their ends.  Immutable."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.versions = {version.id: version for version in document.versions}
        self.processes = {process.id: process for process in document.processes}
        self.jobs = {job.id: job for job in document.jobs}
        self.used: Links = self._links("used", "process", "version")
        self.generated: Links = self._links("generated", "process", "version")
        self.informed: Links = self._links("informed", "process", "by")
        self.revised: Links = self._links("revised", "version", "of")

    def _links(self, kind: str, here: str, there: str) -> Links:
        ends = {"version": self.versions, "of": self.versions}
        links: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for edge in self.document.edges:
            if edge.kind != kind:
                continue
            one, other = getattr(edge, here), getattr(edge, there)
            for end, name in ((one, here), (other, there)):
                if end not in ends.get(name, self.processes):
                    raise UsageError(
                        f"the answer has a '{kind}' edge whose {name} {end} it does not describe"
                    )
            links[one].append((other, edge.level))
        return dict(links)

    @property
    def root(self) -> Version:
        """The version that was asked for."""
        return self.versions[self.document.root]

    @cached_property
    def generators(self) -> Links:
        """Version → (process, level)."""
        links: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for process, versions in self.generated.items():
            for version, level in versions:
                links[version].append((process, level))
        return dict(links)

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

    def parent(self, process: Process) -> Process | None:
        """The process that started it, where the answer describes that."""
        return self.processes.get(process.parent) if process.parent else None

    def job(self, process: Process) -> Job | None:
        """Its job, where it has one."""
        return self.jobs.get(process.job) if process.job else None


def read(document: Mapping[str, Any]) -> Graph:
    """Check a document and look at it as a graph.  Raises UsageError where it is no `pfs.lineage/1`."""
    try:
        read_document = msgspec.convert(dict(document), Document)
    except msgspec.ValidationError as error:
        raise UsageError(f"not an answer of pfs lineage: {error}") from None
    if read_document.schema != SCHEMA:
        raise UsageError(f"schema {read_document.schema} is not {SCHEMA}")
    graph = Graph(read_document)
    if read_document.root not in graph.versions:
        raise UsageError(f"the answer does not describe its root {read_document.root}")
    return graph


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
