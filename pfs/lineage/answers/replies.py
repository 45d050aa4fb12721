"""What `pfs who`, `blame`, `ps`, `show p:…` and `why` answer: the format of each JSON document, as types.

As with `answer`: a struct is an object of the document, its fields are the document's, text is as
`os.fsdecode` makes it.  Fields may be added, none changed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pfs.lineage.answers.answer import JobNode, ProcessNode, VersionNode

Json = Any


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who did something: a process and the command line that it was part of."""

    process: str  # p:…
    job: str | None
    command: str  # of the job, where it is part of one
    program: str
    user: str
    uid: int
    host: str
    pid: int
    interactive: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a name.

    kind: write, truncate, edit, append, replace (what became of its bytes), import, appear (nobody saw who),
    or create, rename, link, remove, chmod, chown, set_time, set_xattr, make_directory, remove_directory.
    """

    time_ns: int
    kind: str
    path: str
    who: Who | None  # None: nobody that was recorded
    to_path: str | None = None  # of a rename or link: where to
    version: VersionNode | None = None


class WhoReply(msgspec.Struct, frozen=True, kw_only=True):
    """All that happened to a name, the oldest first."""

    repo: str
    path: str
    events: list[Event]


class BlameRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a directory and the last thing that happened to it; None where nothing is recorded."""

    name: str
    type: str
    last: Event | None


class BlameReply(msgspec.Struct, frozen=True, kw_only=True):
    """A directory's entries, in the order in which they were given."""

    repo: str
    path: str
    entries: list[BlameRow]


class PsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded process."""

    process: ProcessNode
    outputs: int  # how many versions it wrote


class PsReply(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded processes, the newest first; `more`: there are others that match."""

    processes: list[PsRow]
    more: bool


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a process: a version or another process."""

    version: str | None
    process: str | None
    level: str
    flags: list[str]
    time_ns: int


class ProcessReply(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one process.

    environment: None where it is another user's.  parents: who started it, from the nearest up to the last
    that is recorded.  inputs and outputs: the first of each, of so many; `versions` describes them.
    """

    process: ProcessNode
    environment: dict[str, str] | None
    cgroup: str
    job: JobNode | None
    parents: list[ProcessNode]
    inputs: list[Contact]
    inputs_total: int
    outputs: list[str]
    outputs_total: int
    versions: list[VersionNode]


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why two versions differ, in one line.

    kind: data, code (what a process read), parameters (its arguments), environment (variables, directory,
    host, user), tool (the program's own file), program (other ones ran), edit (somebody typed it), unrecorded
    (of one nothing is known), hidden (of another user's process), none (nothing that is recorded differs).
    a, b: the versions that differ, where the reason is one.  because: why those differ.
    """

    kind: str
    text: str
    path: str | None = None
    a: str | None = None
    b: str | None = None
    because: list[Cause] = msgspec.field(default_factory=list)


class WhyReply(msgspec.Struct, frozen=True, kw_only=True):
    """Why two versions differ; `same`: their bytes do not."""

    a: VersionNode
    b: VersionNode
    same: bool
    causes: list[Cause]


Reply = WhoReply | BlameReply | PsReply | ProcessReply | WhyReply


def to_json(reply: Reply) -> Json:
    """A reply as what the json module writes."""
    return msgspec.to_builtins(reply)
