"""The rules of lineage: what an open, a read, a write, a rename make known, as they happen.

Synchronous, owned by the event loop, no I/O but one write to the lineage journal for each call that learned
something (and `Files.freeze`).  Call it before bytes change and after everything that may wait.  The model is
facts'; two rules keep the graph free of cycles: a version ends before anybody but its writers sees it, and what
an activity tells another is told up to a watermark.  Only `group` may run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from pfs.lineage.facts import Activity, Change, ChangeKind, Ending, Flag, Level
from pfs.lineage.group import Group, Origin
from pfs.lineage.live import Actor, File, Files, Grip, LiveVersion, Place, Seen


class Notes(Protocol):
    """Where what was learned is kept until a commit holds it."""

    def append(self, records: Sequence[Sequence[Any]]) -> None:
        """Keep some records, all or none after a crash."""


class Recorder:
    """Live lineage of a store.  A `facts.Source` of what no commit holds yet."""

    def __init__(
        self,
        files: Files,
        notes: Notes,
        now_ns: Callable[[], int],
        resolve: Callable[[bytes, int], int] | None = None,
    ) -> None:
        """`resolve` gives the version that a row of a lineage segment is, 0 where unknown (`Index.origin`)."""
        self._disk_files = files
        self._notes = notes
        self._now_ns = now_ns
        self._resolve = resolve

    # activities

    def begin(
        self,
        activity: Activity,
        parent: Actor | None = None,
        *,
        forked: bool = False,
        upto: int | None = None,
        pins: bool = True,
    ) -> Actor:
        """A process image that was not met before; one that was, if its id is known, is given back.

        parent: the image that forked it (`forked`: it runs in a copy of its memory, no exec since), or that
        became it by exec.  upto: how many inputs the parent had at the fork, if not all that it has now.
        pins: False for indexers, whose reading keeps no version and is not recorded.
        """

    def describe(self, actor: Actor, activity: Activity) -> None:
        """A better description of the same process image has come."""

    def end(self, actor: Actor, ending: Ending, *, by_exec: bool = False) -> None:
        """It has ended; a child that read, wrote nothing and fed no pipe has told its parent (inferred)."""

    def connect(self, source: Actor, sink: Actor, flag: int = Flag.PIPE, level: int = Level.OBSERVED) -> None:
        """What the source has learned up to any write of the sink, it may have told the sink."""

    def actors(self) -> list[Actor]:
        """Those that have not ended: after a replay, `end` those whose processes are gone."""

    # files

    def open(
        self,
        actor: Actor,
        place: Place,
        generation: int,
        *,
        reads: bool,
        writes: bool,
        truncates: bool = False,
        executes: bool = False,
        creates: bool = False,
    ) -> Grip:
        """A file of a working tree is opened.  Freezes what others wrote to it.  Raises OSError (of freeze).

        generation: the branch's current one.  creates: the file did not exist before.  executes: it becomes
        the program of the image that follows this actor.
        """

    def open_seen(self, actor: Actor, seen: Seen, *, executes: bool = False) -> None:
        """A file of a commit is opened."""

    def inherit(self, grip: Grip, actor: Actor) -> None:
        """A handle is open across an exec (or a fork, where that is known): the actor is the new image."""

    def read(self, grip: Grip, actor: Actor) -> None:
        """Before a READ is answered.  Raises OSError (of freeze)."""

    def write(
        self,
        grip: Grip,
        actor: Actor,
        generation: int,
        offset: int,
        size_before: int,
        flags: int = Flag.NONE,
    ) -> None:
        """Before the bytes of a WRITE change.  flags: OPENER where the pid was not told.  Raises OSError."""

    def truncate(
        self, actor: Actor, place: Place, generation: int, size: int, size_before: int
    ) -> None:
        """Before a file's size is set, by path or handle.  Raises OSError."""

    def mapped(self, place: Place, generation: int, actors: Iterable[Actor] | None = None) -> None:
        """Before stores through mappings (WRITEs of pid 0) change bytes; None: all who may write the file."""

    def close(self, grip: Grip) -> None:
        """The handle is released."""

    def change(
        self,
        actor: Actor | None,
        kind: ChangeKind,
        place: Place,
        path: bytes,
        to_path: bytes = b"",
        replaced: Place | None = None,
    ) -> None:
        """Something happened to a name.  Call it when it is sure to happen, or has.

        place: the file, or the directory's or link's file id.  replaced: what a rename has put away.
        """

    def forget(self, place: Place) -> None:
        """pfs itself has set the bytes of a file: what is there now was made by nobody recorded."""

    def outside_read(
        self,
        actor: Actor,
        path: bytes,
        size: int,
        mtime_ns: int,
        content: bytes = b"",
        level: int = Level.OBSERVED,
    ) -> None:
        """A file beyond the mount was read, or is named by an argument (level ARGUMENT)."""

    def outside_write(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, content: bytes = b""
    ) -> None:
        """A file beyond the mount was written and closed."""

    # commits

    def outputs(self, branch: int, generations: Iterable[int]) -> dict[int, LiveVersion]:
        """file id → the newest version written in these generations, which end by this; removed files too.

        Call it on the loop once the generations are sealed, then tell each version that goes into the commit
        what its bytes are (`LiveVersion.contain`).
        """

    def changes(self, branch: int) -> list[Change]:
        """What happened to names of a branch and is in no commit yet."""

    def upstream(self, versions: Iterable[LiveVersion]) -> list[LiveVersion]:
        """All versions that `group` would store, in freeze order; those with `frozen` and no `content` need
        their bytes stored and told first.  May run in a thread."""

    def group(self, versions: Iterable[LiveVersion], changes: Sequence[Change] = ()) -> Group:
        """The facts that go into a commit with these versions.  May run in a thread."""

    def sealed(
        self,
        group: Group,
        rows: Mapping[int, Origin],
        branch: int = 0,
        generations: Iterable[int] = (),
    ) -> None:
        """A commit holds a group; call it when `Files.committed` answers from that commit.

        rows: version id → where it is stored.  What these generations wrote and the group has not is let go.
        """
