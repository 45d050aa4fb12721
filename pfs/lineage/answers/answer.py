"""What `pfs lineage` answers: the JSON contract `pfs.lineage/1`, as types.

The format is a contract with whoever parses it: fields may be added, none ever changed.  Each struct below is
one object of the document and its fields are the document's, in its order; those after "added" came later.
Ids are text: `v:` a version, `p:` a process image, `j:` a job.  Names are text as `os.fsdecode` makes it, so
that bytes which are no UTF-8 stand as lone surrogates.  Every edge is one that holds for the root: what a
process read after the root's last write is not in the answer.  Who asks and how edges are found: `ask`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

SCHEMA: Final = "pfs.lineage/1"
COMPLETE: Final = "complete inside pfs"

Direction = Literal["up", "down"]
Json = Any


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: `path` relative to the repo; `depth` in jobs (with `full`: in processes), None: all."""

    repo: str
    path: str
    revision: str
    direction: Direction
    depth: int | None = None
    # added
    full: bool = False
    level: str = "unobserved"  # the weakest that was followed


class VersionNode(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a file.

    repo: its name; "" outside every mount, where `path` is absolute.  content: 64 hex digits; "" for an empty
    file and where `known` is false.  commit: the one that has it; None: only in a working tree, or kept for
    its lineage alone.  readable: whether its bytes can still be read.  imported: from where, the import said.
    """

    id: str
    repo: str
    path: str
    content: str
    size: int
    mtime_ns: int
    commit: str | None
    readable: bool
    imported: str | None
    # added
    branch: str | None = None
    time_ns: int = 0  # of its last write
    relation: str = "raw"  # how it came after the one before: raw, created, truncated, in_place, …
    known: bool = True  # False: its bytes were never kept
    current: bool = False  # it is what its path has today, on its branch
    by: str | None = None  # who imported or committed it, where no process is recorded


class ProcessNode(msgspec.Struct, frozen=True, kw_only=True):
    """One process image, from exec to the next exec or its exit.

    parent: who started it, which is no edge and may not be among the processes.  exit: as shells have it,
    128 + the signal where one ended it.  reason: why `coverage` is partial.
    """

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
    coverage: Literal["complete", "partial"]
    reason: str | None
    # added
    command: str = ""  # argv and redirections, quoted as a shell takes it
    interactive: bool = False  # an editor, a shell at a terminal, …
    hidden: bool = False  # argv is another user's: only the program's name is shown
    started_by: str | None = (
        None  # the name of the program that started it, where that was no person at a shell
    )


class JobNode(msgspec.Struct, frozen=True, kw_only=True):
    """What one command line did: its processes that are in the answer, in the order of the line."""

    id: str
    command: str
    processes: list[str]
    # added
    started_by: str | None = None  # as of a process
    start_ns: int = 0
    end_ns: int | None = None  # of the last that ended; None where one of them may run
    # Of the process that leads it, which need not be among `processes`:
    leader: str | None = None
    pid: int = 0
    user: str = ""
    uid: int = 0
    host: str = ""
    exit: int | None = None


class Generated(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="generated"):
    """The process wrote the version."""

    version: str
    process: str
    level: str
    flags: tuple[str, ...] = ()  # added: mmap, shared, opener, …; left out where there are none


class Used(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="used"):
    """The process read the version before it wrote what the answer is about."""

    process: str
    version: str
    level: str
    flags: tuple[str, ...] = ()


class Informed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="informed"):
    """What `by` had read reached the process: a pipe, a fork, a child."""

    process: str
    by: str
    level: str
    flags: tuple[str, ...] = ()


class Revised(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="revised"):
    """The version was made by changing the one before it: it still holds some of it."""

    version: str
    of: str


Edge = Generated | Used | Informed | Revised


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How sure the answer is; `headline` is the weakest of it in words."""

    headline: str
    inferred_edges: int
    unlikely_edges: int  # left out of the edges unless asked for, as are the ambient ones
    ambient_edges: int
    unobserved_channels: list[str]
    # added
    content_edges: int = 0
    argument_edges: int = 0
    partial_processes: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document; versions and processes in the order in which they were met, from the root on."""

    schema: str
    query: Query
    root: str
    versions: list[VersionNode]
    processes: list[ProcessNode]
    jobs: list[JobNode]
    edges: list[Edge]
    coverage: Coverage


def to_json(answer: Answer) -> Json:
    """The answer as what the json module writes."""
    return msgspec.to_builtins(answer)


def from_json(document: Json) -> Answer:
    """The answer that a document is; fields of a later pfs are skipped.

    msgspec.ValidationError where it is none.
    """
    return msgspec.convert(document, Answer)
