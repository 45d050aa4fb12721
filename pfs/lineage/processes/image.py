"""One process image: what one program was from its exec (or fork) to its next exec or its exit.

An image is known to exist as soon as the kernel tells of it; what it runs is known once it was looked at
(`description`).  Images are made and changed by `pfs.lineage.processes.table` alone, on the event loop, but
for `actor` and `inherited`, which belong to the recorder.
"""

from __future__ import annotations

from typing import Any

from pfs.lineage.facts import ActivityKey, Ending
from pfs.lineage.processes.raw_description import RawDescription


class Image:
    """A process image as far as it is known."""

    __slots__ = (
        "_forked",
        "_parent",
        "actor",
        "adopted_key",
        "before",
        "description",
        "ended",
        "execs",
        "inherited",
        "is_own",
        "pid",
        "reason",
        "since_ns",
        "started_ns",
        "uid",
    )

    def __init__(
        self,
        pid: int,
        *,
        parent: Image | None = None,
        forked: bool = False,
        execs: int = 0,
        since_ns: int = 0,
        started_ns: int = 0,
    ) -> None:
        self.pid = pid  # of the thread group
        self.uid = -1  # of an image outside of our pid namespace, if that is known
        self.execs = execs  # since the process began or was first heard of
        self.since_ns = since_ns  # its beginning by the monotonic clock; 0: before we listened
        self.started_ns = (
            started_ns  # the same by the wall clock; that of the process where nothing better is known
        )
        self.adopted_key: ActivityKey | None = None
        self.description: RawDescription | None = None
        self.reason = ""  # why it is partial
        self.ended: Ending | None = None
        self.is_own = False  # one of the daemon's own processes, which are not recorded
        self.actor: Any = None  # the recorder's
        self.inherited: Any = None  # the recorder's: what a fork took over from its parent
        self.before: Image | None = None  # what the process was before its exec, for what is learned late
        self._parent = parent
        self._forked = forked

    @property
    def key(self) -> ActivityKey:
        """What names it for ever.  Only once it was found or adopted."""
        assert self.adopted_key is not None
        return self.adopted_key

    @property
    def is_adopted(self) -> bool:
        """Whether it has a key (or needs none), with a description or without."""
        return self.adopted_key is not None or self.is_own

    @property
    def is_known(self) -> bool:
        """Whether anything is recorded of it."""
        return self.adopted_key is not None or self.inherited is not None or self.actor is not None

    @property
    def parent(self) -> Image | None:
        """Whom it came from by fork or exec: the nearest image that is or may still get known."""
        self.shorten()
        return self._parent

    def shorten(self) -> None:
        """Let go of ancestors of which nothing will ever be known: forks of forks must not pile up."""
        above = self._parent
        while above is not None and above.ended is not None and not above.is_known:
            self._forked = self._forked and above._forked  # the memory of an image that exec made is its own
            above = above._parent
        self._parent = above

    @property
    def forked_from(self) -> Image | None:
        """Whose memory it shared when it began, if it has not gone on to exec: the nearest known image."""
        image = self
        while (above := image.parent) is not None and image._forked:
            if above.is_known:
                return above
            image = above
        return None

    def shares_memory_of(self, above: Image) -> bool:
        """Whether it runs in a copy of the memory of one that it descends from: nothing but forks between."""
        image: Image = self
        while image is not above:
            parent = image.parent
            if parent is None or not image._forked:
                return False
            image = parent
        return True

    def descends_from(self, parent: Image, *, forked: bool) -> None:
        """Name the parent, learned late; once."""
        if self._parent is None:
            self._parent = parent
            self._forked = forked
