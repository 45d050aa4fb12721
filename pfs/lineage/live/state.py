"""What is live: activities that run, versions that no commit holds yet, handles that are open.

Objects of the recorder, owned by the event loop; only `tables` and `recorder` change them.  What a thread may
read while the loop goes on: inputs below a watermark, and versions that have ended.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from pfs.lineage.facts import Activity, Ending, Flag, Input, Relation, Version
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
        """What a file holds that has no live version; None where no commit has that.

        Asked for files that have lost their last name, too, as long as they are open.
        """


class Credit:
    """One activity that wrote a version, and how long its inputs were at its last write."""

    __slots__ = ("actor", "flags", "mark")

    def __init__(self, actor: Actor, mark: int, flags: int = Flag.NONE) -> None:
        self.actor = actor
        self.mark = mark
        self.flags = flags


class Link:
    """A channel between two activities: what the source has learned goes on to the sink, again and again."""

    __slots__ = ("checked", "flags", "level", "sink", "source")

    def __init__(self, source: Actor, sink: Actor, flags: int, level: int) -> None:
        self.source = source
        self.sink = sink
        self.flags = flags
        self.level = level
        self.checked = -1  # inputs of the source below are told to the sink, or came from it; -1: nothing yet


class Actor:
    """One live activity: what it learned from, in order, and what it wrote."""

    __slots__ = (
        "activity",
        "before",
        "buffers",
        "covered",
        "ended",
        "executing",
        "feeds",
        "grips",
        "hears",
        "inputs",
        "is_late",
        "is_multiple",
        "is_over",
        "is_stored",
        "known",
        "links",
        "mapped",
        "number",
        "ordinal",
        "outputs",
        "own",
        "parent",
        "pins",
        "place",
        "repo",
        "seen_through",
        "segment",
        "sinks",
        "stored",
        "successor",
        "tells",
        "told",
        "uses",
    )

    def __init__(self, activity: Activity, parent: Actor | None, number: int) -> None:
        self.activity = activity
        self.parent = parent
        self.number = number  # in the journal
        self.inputs: list[Input] = []  # append-only; an entry above `covered` may be replaced
        self.known: dict[int, int] = {}  # version → position in `inputs`
        # Of entries about activities: activity → watermark and position of the newest; position → watermark
        # of the one before.
        self.told: dict[int, tuple[int, int]] = {}
        self.before: dict[int, int] = {}
        self.tells: dict[int, list[int]] = {}  # activity → positions of its entries about us
        self.links: dict[int, Link] = {}  # by the id of the source
        self.sinks: dict[int, Link] = {}  # by the id of the sink
        self.feeds = False  # whether there ever was a reader of a pipe of ours
        self.covered = 0  # the greatest watermark of ours that anything stores
        self.outputs: dict[int, LiveVersion] = {}  # those that are live
        self.ordinal = 0  # of the next version it begins
        self.place: object = None  # of its first output: a Place, or the path of an outside file
        self.is_multiple = False  # whether it wrote at more than one place
        self.grips: dict[Grip, None] = {}  # open handles; of most programs only those that may write
        # Open handles that it may read through, or could when it ended.
        self.seen_through: dict[Grip, None] = {}
        # Of interactive programs: path → positions of inputs that what it writes there comes from.
        self.buffers: dict[bytes, set[int]] = {}
        self.hears = False  # whether something may reach it that it does not ask us for: `links` or `mapped`
        self.mapped: dict[Grip, None] = {}  # open readable handles of files stored to through mappings
        self.executing: list[tuple[LiveVersion | External, bytes]] = []  # opened to be executed; their paths
        self.own: dict[
            int, None
        ] = {}  # stored versions that it alone made, from nothing that was there before
        self.successor: Actor | None = None  # what the same process became by exec
        self.ended: Ending | None = None
        self.is_late = False  # ended, and the segments that describe it do not know
        self.is_over = False  # ended, and nobody will be told anything more by it
        self.pins = True
        self.uses = 0  # what keeps it once it has ended
        self.stored = 0  # inputs below are in lineage segments
        self.repo = 0  # to whose commits they went, the last time
        self.segment = b""  # the one that has the last of them
        self.is_stored = False  # whether a segment has its description

    @property
    def id(self) -> int:
        """Of its activity."""
        return self.activity.id


class External:
    """A version that is stored already, or that nobody recorded made; live activities depend on it."""

    __slots__ = ("id", "number", "origin", "uses", "version")

    def __init__(self, number: int, version: Version, origin: Origin | None) -> None:
        self.id = version.id
        self.number = number
        self.version = version
        self.origin = origin
        self.uses = 0


NOBODY_BEGAN: Final = (0, 0)


class LiveVersion:
    """The bytes of one file between two changes of who knows or writes them, before a commit holds them."""

    __slots__ = (
        "base",
        "began",
        "beside",
        "content",
        "first",
        "floor",
        "frozen",
        "generation",
        "height",
        "id",
        "is_current",
        "is_deposed",
        "is_noted",
        "is_open",
        "is_root",
        "is_untouched",
        "mtime_ns",
        "needs",
        "number",
        "order",
        "origin",
        "others",
        "path",
        "place",
        "previous",
        "relation",
        "size",
        "time_ns",
        "uses",
    )

    def __init__(self, version: int, number: int, place: Place, path: bytes, relation: int) -> None:
        self.id = version
        self.number = number  # in the journal
        self.place = place
        self.path = path
        self.relation = relation
        self.previous = 0
        self.needs: tuple[int, ...] = ()  # versions that stay because of this one
        self.base = 0  # going back from `previous`, the first that its only writer did not make alone
        self.first: Credit | None = None  # who wrote it,
        self.others: dict[Actor, Credit] | None = None  # and with whom
        self.generation = 0
        self.began = NOBODY_BEGAN  # number of who began it, how many it had begun then: for the first note
        self.is_noted = False  # whether the journal knows it
        self.is_open = True  # False: nothing is written to it any more
        self.is_untouched = True  # made or emptied, not written since: who writes first takes it over
        self.is_current = True  # the newest of its file
        self.is_root = True  # the newest of its file in a generation that no commit holds yet
        self.is_deposed = False  # only a commit that goes on waits for it: the file holds something else now
        self.order = 0  # among all that ended, from 1
        self.frozen: Held | None = None
        self.floor = 0  # bytes below came from the version before
        self.time_ns = 0
        self.content: bytes | None = None  # None until a commit tells it
        self.height = 0
        self.size = 0
        self.mtime_ns = 0
        self.origin: Origin | None = None
        self.beside: set[int] | None = None  # of an interactive writer: positions of inputs that it came from
        self.uses = 0  # what keeps it

    @property
    def depends_on_previous(self) -> bool:
        """Whether the version before is a parent."""
        return bool(self.previous) and self.relation in (Relation.IN_PLACE, Relation.APPENDED)

    def contain(self, content: bytes, height: int, size: int, mtime_ns: int) -> None:
        """Take note of what the bytes of a version that has ended are; told by who stores them."""
        self.content, self.height, self.size, self.mtime_ns = content, height, size, mtime_ns

    @property
    def credits(self) -> tuple[Credit, ...]:
        """All that wrote it."""
        if self.first is None:
            return ()
        return (self.first, *self.others.values()) if self.others else (self.first,)

    def credit_of(self, actor: Actor) -> Credit | None:
        """What one activity wrote of it."""
        if self.first is not None and self.first.actor is actor:
            return self.first
        return self.others.get(actor) if self.others else None

    @property
    def only_writer(self) -> Actor | None:
        """The one activity that wrote it; None where several did, or nobody recorded."""
        return self.first.actor if self.first is not None and not self.others else None


_NO_HOLDERS: Final[dict[Actor, int]] = {}  # of files that nobody may write: a dict each would cost 64 bytes
_NO_GRIPS: Final[dict[Grip, None]] = {}


class File:
    """One file that is open, or whose newest version no commit holds."""

    __slots__ = ("grips", "holders", "is_mapped", "place", "stamp", "version")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.version: LiveVersion | None = None
        self.stamp = 1  # grows whenever somebody who looked before would learn something new
        self.holders = _NO_HOLDERS  # who may write it, and through how many handles
        self.grips = _NO_GRIPS  # open ones
        self.is_mapped = False  # whether an open handle may have a mapping that was stored to

    def hold(self, actor: Actor) -> None:
        """One more handle through which an activity may write."""
        if self.holders:
            self.holders[actor] = self.holders.get(actor, 0) + 1
        else:
            self.holders = {actor: 1}

    def enter(self, grip: Grip) -> None:
        """One more open handle."""
        if self.grips:
            self.grips[grip] = None
        else:
            self.grips = {grip: None}

    def leave(self, grip: Grip) -> None:
        """A handle is closed, for all that had it."""
        self.grips.pop(grip, None)
        if not self.grips:
            self.grips = _NO_GRIPS
        if grip.writes:
            for actor in grip.holders:
                self.release(actor)

    def release(self, actor: Actor) -> None:
        """An activity may write through one handle less."""
        count = self.holders.get(actor, 0) - 1
        if count > 0:
            self.holders[actor] = count
        elif count == 0:
            del self.holders[actor]
            if not self.holders:
                self.holders = _NO_HOLDERS


class Grip:
    """One open handle.  The middle fields remember the last look and the last write, for the fast paths."""

    __slots__ = (
        "actor",
        "ends_by_exec",
        "file",
        "floor",
        "generation",
        "holders",
        "mark",
        "path",
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
        self.holders: tuple[Actor, ...] = (actor,)
        self.seen = 0  # the file's stamp when `reader` last looked
        self.reader: Actor | None = None
        self.position = -1  # in the inputs of the reader, of what it last saw
        self.written = 0  # the file's stamp when `writer` last wrote
        self.writer: Actor | None = None
        self.generation = 0
        self.mark = -1
        self.floor = 0
        self.ends_by_exec = False
        self.path = b""  # of the file at the opening, where an interactive program opened it

    @property
    def place(self) -> Place:
        """The file."""
        return self.file.place
