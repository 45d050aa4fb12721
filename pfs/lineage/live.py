"""What is live: activities that run, versions that no commit holds yet, handles that are open.

Objects of the recorder, owned by the event loop; only `tables` and `recorder` change them.  What a thread may
read while the loop goes on: inputs below a watermark, and versions that have ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from pfs.lineage.facts import Activity, Ending, Flag, Input, Level, Relation, Version, Writer
from pfs.lineage.group import Origin


class Place(NamedTuple):
    """A file of a working tree."""

    repo: int
    branch: int
    file_id: int


class Seen(NamedTuple):
    """A file as a commit has it."""

    repo: int
    branch: int
    path: bytes  # relative to the repo
    file_id: int
    content: bytes
    height: int
    size: int
    mtime_ns: int
    origin: tuple[bytes, int] | None = None


class Held(NamedTuple):
    """Frozen bytes.  `content` is opaque here; `token` finds it again after a crash (`Files.held`)."""

    content: object
    size: int
    mtime_ns: int
    token: bytes = b""


class Files(Protocol):
    """What the recorder asks of the layer above about files of working trees.  Nothing here may wait."""

    def freeze(self, place: Place) -> Held:
        """Close what is written so far: nothing written later shows in it.  Raises OSError."""

    def held(self, place: Place, token: bytes, size: int, mtime_ns: int) -> Held | None:
        """After a crash: what `freeze` gave with this token; None where the bytes are gone."""

    def release(self, place: Place, held: Held) -> None:
        """Nobody asks for these frozen bytes any more (or a commit holds them)."""

    def path(self, place: Place) -> bytes:
        """Relative to the repo; b"" where no name leads to it any more."""

    def committed(self, place: Place) -> Seen | None:
        """What the newest commit of the branch has at this file id; None where it has not."""


class Credit:
    """One activity that wrote a version, and how long its inputs were at its last write."""

    __slots__ = ("actor", "flags", "mark")

    def __init__(self, actor: Actor, mark: int, flags: int = Flag.NONE) -> None:
        self.actor = actor
        self.mark = mark
        self.flags = flags


class Link:
    """A channel between two activities: what the source has learned goes on to the sink, again and again."""

    __slots__ = ("checked", "flag", "level", "position", "sink", "source", "told")

    def __init__(self, source: Actor, sink: Actor, flag: int, level: int) -> None:
        self.source = source
        self.sink = sink
        self.flag = flag
        self.level = level
        self.told = 0  # watermark of the source in the sink's newest entry about it
        self.checked = 0  # inputs of the source from `told` to here are only echoes of the sink
        self.position = -1  # of that entry in the sink's inputs


class Actor:
    """One live activity: what it learned from, in order, and what it wrote."""

    __slots__ = (
        "activity",
        "covered",
        "echoes",
        "ended",
        "executing",
        "grips",
        "inputs",
        "is_multiple",
        "is_stored",
        "known",
        "links",
        "mapped",
        "number",
        "ordinal",
        "outputs",
        "parent",
        "pins",
        "place",
        "stored",
        "successor",
        "tells",
    )

    def __init__(self, activity: Activity, parent: Actor | None, number: int) -> None:
        self.activity = activity
        self.parent = parent
        self.number = number  # in the journal
        self.inputs: list[Input] = []  # append-only; an inform entry above `covered` may be replaced
        self.known: dict[int, int] = {}  # version → position in `inputs`
        self.links: dict[int, Link] = {}  # by the source's activity id
        self.tells: dict[int, Actor] = {}  # those that have entries about us, by activity id
        self.echoes: dict[int, int] = {}  # position of an inform entry → watermark of the entry before it
        self.covered = 0  # the greatest watermark of ours that anything stores
        self.outputs: list[LiveVersion] = []
        self.ordinal = 0  # of the next version it begins
        self.place: Place | None = None  # of its first output
        self.is_multiple = False  # whether it wrote at more than one place
        self.grips: set[Grip] = set()  # open ones, of interactive programs only
        self.mapped: set[Grip] = set()  # open readable ones of files that are stored to through mappings
        self.executing: list[tuple[int, bytes]] = []  # (version, path) opened to be executed
        self.successor: Actor | None = None  # what the same process became by exec
        self.ended: Ending | None = None
        self.pins = True
        self.stored = 0  # inputs below are in lineage segments
        self.is_stored = False  # whether a segment has its description

    @property
    def id(self) -> int:
        """Of its activity."""
        return self.activity.id


class LiveVersion:
    """The bytes of one file between two changes of who knows or writes them, before a commit holds them."""

    __slots__ = (
        "beside",
        "content",
        "credits",
        "floor",
        "focus",
        "frozen",
        "generation",
        "height",
        "id",
        "is_gone",
        "is_open",
        "is_untouched",
        "mtime_ns",
        "number",
        "order",
        "origin",
        "path",
        "place",
        "previous",
        "relation",
        "rest",
        "seen",
        "size",
        "time_ns",
        "uses",
    )

    def __init__(
        self, version: int, number: int, place: Place, path: bytes, relation: int, previous: int
    ) -> None:
        self.id = version
        self.number = number  # in the journal
        self.place = place
        self.path = path
        self.relation = relation
        self.previous = previous
        self.credits: tuple[Credit, ...] = ()
        self.generation = 0
        self.is_open = True  # False: nothing is written to it any more
        self.is_untouched = True  # made or emptied, not written since: who writes first takes it over
        self.is_gone = False  # ended without anybody having seen it: its bytes were not kept
        self.order = 0  # among all that ended, from 1
        self.frozen: Held | None = None
        self.seen = False  # by an activity that did not write it
        self.floor = 0  # bytes below came from the version before
        self.time_ns = 0
        self.content: bytes | None = None  # None until a commit tells it
        self.height = 0
        self.size = 0
        self.mtime_ns = 0
        self.origin: Origin | None = None
        self.beside: set[int] | None = None  # of an interactive writer: positions that were open meanwhile
        self.focus: tuple[int, ...] | None = None
        self.rest: int = Level.OBSERVED
        self.uses = 0  # what keeps it

    @property
    def depends_on_previous(self) -> bool:
        """Whether the version before is a parent."""
        return bool(self.previous) and self.relation in (Relation.IN_PLACE, Relation.APPENDED)

    def contain(self, content: bytes, height: int, size: int, mtime_ns: int) -> None:
        """Take note of what the bytes of a version that has ended are; told by who stores them."""
        self.content, self.height, self.size, self.mtime_ns = content, height, size, mtime_ns

    def fact(self) -> Version:
        """The same as a fact."""
        return Version(
            id=self.id,
            repo=self.place.repo,
            branch=self.place.branch,
            file_id=self.place.file_id,
            path=self.path,
            relation=self.relation,
            previous=self.previous,
            writers=writers(self.credits),
            time_ns=self.time_ns,
            content=self.content or b"",
            height=self.height,
            size=self.size,
            mtime_ns=self.mtime_ns,
            is_known=self.content is not None,
            focus=self.focus,
            rest=self.rest,
        )


class File:
    """One file that is open, or whose newest version no commit holds."""

    __slots__ = ("grips", "holders", "is_mapped", "place", "stamp", "version")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.version: LiveVersion | None = None
        self.stamp = 1  # grows whenever somebody who looked before would learn something new
        self.holders: dict[Actor, int] = {}  # who may write it, and through how many handles
        self.grips: set[Grip] = set()
        self.is_mapped = False  # whether it was ever stored to through a mapping


class Grip:
    """One open handle.  The middle fields remember the last look and the last write, for the fast paths."""

    __slots__ = (
        "actor",
        "beside",
        "file",
        "floor",
        "generation",
        "holders",
        "mark",
        "position",
        "reader",
        "reads",
        "seen",
        "writer",
        "writes",
        "written",
    )

    def __init__(self, file: File, actor: Actor, reads: bool, writes: bool) -> None:
        self.file = file
        self.actor = actor  # who opened it
        self.reads = reads
        self.writes = writes
        self.holders: set[Actor] = {actor}
        self.seen = 0  # the file's stamp when `reader` last looked
        self.reader: Actor | None = None
        self.position = -1  # in the inputs of the reader, of what it last saw
        self.written = 0  # the file's stamp when `writer` last wrote
        self.writer: Actor | None = None
        self.generation = 0
        self.mark = 0
        self.floor = 0
        self.beside: set[int] | None = None

    @property
    def place(self) -> Place:
        """The file."""
        return self.file.place


def writers(credits_: Iterable[Credit]) -> tuple[Writer, ...]:
    """Credits as facts; where there are several, each says so."""
    made = tuple(Writer(credit.actor.id, credit.mark, credit.flags) for credit in credits_)
    if len(made) > 1:
        return tuple(Writer(one.activity, one.watermark, one.flags | Flag.SHARED) for one in made)
    return made
