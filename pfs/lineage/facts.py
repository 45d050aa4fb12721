"""What lineage consists of: activities, versions, inputs and changes, and where they are asked for.

W3C PROV's words: a *version* is an entity, an *activity* is one process image (from exec to the next exec or
exit), an input *used* or *informed*, a writer *generated*.  All are immutable and know nothing of files or
processes.  Ids are 64 bits, made from what they name, so that a crash, a commit or a rebuilt index never
changes one.

The model in one paragraph: an activity has an ordered list of inputs, by first contact.  A version stores,
for each activity that wrote it, a *watermark*: how long that list was at the activity's last write to it.
Only inputs before the watermark are its parents.  An input that is an activity (a pipe, a fork, a child)
carries that activity's watermark in the same way.  A version is frozen before another activity may see it,
so the graph has no cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum, IntFlag
from typing import Final, NewType, Protocol

import msgspec

from pfs.objects.ids import NumberHasher

ActivityId = NewType("ActivityId", int)
VersionId = NewType("VersionId", int)

NOBODY: Final = ActivityId(0)
NOTHING: Final = VersionId(0)
OUTSIDE: Final = 0  # in place of a repo: a file beyond the mount


class Level(IntEnum):
    """How sure an edge is; the greater the weaker.  Answers leave out the last two unless asked for them."""

    OBSERVED = 0
    CONTENT = 1  # an interactive program's output equals this input
    INFERRED = 2  # through a channel that was not seen
    ARGUMENT = 3  # a word of the command line names it
    UNOBSERVED = 4
    UNLIKELY = 5  # the output is an exact copy of another input
    AMBIENT = 6  # an interactive program had opened it for something else


class Relation(IntEnum):
    """How a version came after the one before at its path or in its inode."""

    RAW = 0  # made by nobody that was recorded
    CREATED = 1
    TRUNCATED = 2  # emptied first, then written: does not depend on the one before
    IN_PLACE = 3  # depends on the one before
    APPENDED = 4  # depends on the one before, which is a prefix of it
    REPLACED = 5  # renamed over the one before: does not depend on it


class Flag(IntFlag):
    """What else is known of an edge."""

    NONE = 0
    MMAP = 1  # stores through a mapping: when they happened is not known exactly
    SHARED = 2  # several activities held the file writable at once
    OPENER = 4  # the process of the first write was not told; the opener's is named
    INHERITED = 8  # open across an exec
    PIPE = 16
    FORK = 32
    CHILD = 64  # told its parent at its exit


class ActivityKey(msgspec.Struct, frozen=True, array_like=True):
    """What tells process images apart, for ever: start_ticks is field 22 of /proc/PID/stat."""

    boot_id: bytes  # 16 bytes
    pid: int  # of the thread group, in the outermost namespace
    start_ticks: int
    execs: int  # since the process began, as far as is known


class Activity(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One process image.  Secrets are gone from it before it is made."""

    id: int
    key: ActivityKey
    parent: int = 0  # the activity that forked it or that it was before exec; no dependency
    argv: tuple[bytes, ...] = ()
    exe: bytes = b""
    exe_version: int = 0  # where the program is a file in the mount, or seen outside
    cwd: bytes = b""
    environment: tuple[tuple[bytes, bytes], ...] = ()
    uid: int = 0
    user: str = ""
    host: str = ""
    cgroup: bytes = b""
    pid_namespace: int = 0  # inode number of the namespace; 0 not known
    sid: int = 0  # of the terminal session, as in setsid(2)
    group: int = 0  # process group
    terminal: bool = False
    pipes: tuple[tuple[int, int, bool], ...] = ()  # (descriptor, inode of the pipe, may be written)
    files: tuple[tuple[int, bytes, bool], ...] = ()  # (descriptor 0-2, path, may be written): redirections
    started_ns: int = 0
    interactive: bool = False
    reason: str = ""  # why the description is partial; "" where it is complete


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """How an activity ended; exit is the status as in wait(2), None where unknown (or it went on by exec)."""

    ended_ns: int
    exit: int | None = None


class Input(msgspec.Struct, frozen=True, array_like=True):
    """The next thing an activity learned from: a version, or another activity up to a watermark."""

    source: int  # VersionId, or ActivityId where `informed`
    informed: bool = False
    watermark: int = 0  # of the source, where `informed`
    level: int = Level.OBSERVED
    flags: int = Flag.NONE
    time_ns: int = 0


class Writer(msgspec.Struct, frozen=True, array_like=True):
    """One activity that wrote a version: it depends on the first `watermark` inputs of it."""

    activity: int
    watermark: int
    flags: int = Flag.NONE


class Version(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The bytes of one file between two changes of who knows or writes them.

    focus: where not None, only these positions of the (single) writer's inputs are followed, and all other
    inputs have level `rest` (UNLIKELY: an exact copy; AMBIENT: an interactive program).
    """

    id: int
    repo: int  # number of the repo; OUTSIDE
    branch: int = 0
    file_id: int = 0
    path: bytes  # relative to the repo; absolute outside
    relation: int = Relation.RAW
    previous: int = 0
    writers: tuple[Writer, ...] = ()
    time_ns: int = 0  # of its last write
    content: bytes = b""  # content id (32 bytes); b"": an empty file, or not known
    height: int = 0
    size: int = 0
    mtime_ns: int = 0
    is_known: bool = True  # False: the bytes were not kept, content says nothing
    focus: tuple[int, ...] | None = None
    rest: int = Level.OBSERVED
    imported: str = ""  # where a raw version came from, as an import said

    @property
    def depends_on_previous(self) -> bool:
        """Whether the version before is a parent."""
        return bool(self.previous) and self.relation in (Relation.IN_PLACE, Relation.APPENDED)


class ChangeKind(IntEnum):
    """What happened to a name, beyond bytes."""

    CREATE = 1
    RENAME = 2
    LINK = 3
    REMOVE = 4
    TRUNCATE = 5
    CHMOD = 6
    CHOWN = 7
    MAKE_DIRECTORY = 8
    REMOVE_DIRECTORY = 9
    SET_TIME = 10
    SET_XATTR = 11


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Who did what to a name, and when."""

    time_ns: int
    activity: int
    kind: int
    repo: int
    branch: int
    path: bytes
    to_path: bytes = b""  # of a rename or link
    file_id: int = 0
    version: int = 0  # that the name led to, where known


class Source(Protocol):
    """Where facts are asked for: what is live, indexed, or both.  Unknown ids give None or nothing."""

    def activity(self, activity: int) -> Activity | None:
        """The description of an activity."""

    def ending(self, activity: int) -> Ending | None:
        """How it ended; None while it runs, or where that is not known."""

    def inputs(self, activity: int) -> Sequence[Input]:
        """All inputs of an activity, in order: positions are what watermarks count."""

    def outputs(self, activity: int) -> Sequence[int]:
        """The versions that an activity wrote, in order."""

    def version(self, version: int) -> Version | None:
        """A version."""

    def consumers(self, version: int) -> Sequence[tuple[int, int]]:
        """(activity, position in its inputs) of everyone who used a version."""

    def informed(self, activity: int) -> Sequence[tuple[int, int, int]]:
        """(activity, position in its inputs, watermark of ours) of everyone whom an activity informed."""

    def revisions(self, version: int) -> Sequence[int]:
        """The versions whose `previous` this one is."""

    def versions_at(self, repo: int, path: bytes) -> Sequence[int]:
        """Every version that was at a path, the oldest first."""

    def versions_with(self, content: bytes) -> Sequence[int]:
        """Every version with this content id."""

    def changes_at(self, repo: int, path: bytes) -> Sequence[Change]:
        """What happened to a name, the oldest first."""

    def changes_below(self, repo: int, path: bytes) -> Iterator[Change]:
        """The same for a directory and all below it."""

    def origin(self, segment: bytes, row: int) -> int:
        """The version that row `row` of a segment is; NOTHING where unknown."""

    def activities(self, since_ns: int = 0) -> Iterator[int]:
        """All activities that began at or after a time, the newest first."""


_activity = NumberHasher("pfs 2026 activity v1")
_version = NumberHasher("pfs 2026 version v1")
_raw = NumberHasher("pfs 2026 raw version v1")


def activity_id(key: ActivityKey) -> ActivityId:
    """The id of a process image."""
    return ActivityId(_activity(msgspec.msgpack.encode(key)))


def version_id(activity: int, ordinal: int) -> VersionId:
    """The id of the `ordinal`-th version that an activity began to write (from 0)."""
    return VersionId(_version(activity.to_bytes(8, "little"), ordinal.to_bytes(8, "little")))


def raw_version_id(repo: int, place: bytes, content: bytes) -> VersionId:
    """The id of a version that nobody recorded made; `place`: the file id in a repo, the path outside."""
    return VersionId(_raw(repo.to_bytes(8, "little"), place, content))


def spell_activity(activity: int) -> str:
    """`p:` and 16 hex digits."""
    return f"p:{activity:016x}"


def spell_version(version: int) -> str:
    """`v:` and 16 hex digits."""
    return f"v:{version:016x}"
