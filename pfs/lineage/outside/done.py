"""What one process has done with files beyond the mount, kept until it acts or ends.

What a fork opens before its exec are mostly redirections: still open afterwards, so they are the new image's,
too, and that of each exec that follows.  Of what others have read before an exec only files that were written
by somebody recorded are kept, to be compared with what is open then.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

from pfs.lineage.processes.image import Image
from pfs.lineage.processes.tasks import Process

FACTS_MAX: Final = 1_000  # of one process
OPEN_MAX: Final = 256  # files of one process that are known to be open

FileKey = tuple[int, int]  # device, inode


class Fact(NamedTuple):
    """A file was read, or written and closed."""

    path: bytes
    size: int
    mtime_ns: int
    key: FileKey
    is_write: bool = False
    is_recorded: bool = False  # read: by whom it was written last is known
    is_new: bool = False  # written: nothing is left of what was there before


class Done:
    """One process.  `image` is the one that its facts are of; None where that is not known."""

    __slots__ = (
        "_has_recorded",
        "blind",
        "facts",
        "former",
        "handed",
        "image",
        "in_exec",
        "is_asked",
        "is_fork",
        "last",
        "left",
        "open",
        "process",
        "program",
        "recorded",
    )

    def __init__(self, process: Process | None, *, is_fork: bool) -> None:
        self.process = process
        self.image: Image | None = None
        self.is_fork = is_fork  # it has not gone on to exec since
        self.in_exec = False  # it is about to become, or has just become, another image
        self.is_asked = False  # to be described
        self.handed = 0  # facts, while it acts
        self.program = b""  # executed last
        self.blind: list[Image] = []  # recorded children of which nothing is known, since it closed a file
        self._has_recorded = False  # among `facts`
        self.facts: dict[Fact, bool] = {}  # in order, once each; whether it outlives an exec
        self.former: dict[Fact, None] = {}  # read before the last exec, and maybe still open
        self.recorded: dict[Fact, None] = {}  # read by this image, and handed over
        self.open: dict[FileKey, Fact] = {}  # read when they were opened, not closed since
        self.last: Fact | None = None  # read last: it may be open, too
        self.left: list[Fact] = []  # what the image before may have left open

    def __len__(self) -> int:
        return len(self.facts)

    @property
    def is_tainted(self) -> bool:
        """Whether it may have read what somebody recorded has written."""
        return self._has_recorded or bool(self.former)

    def add(self, fact: Fact) -> bool:
        """Keep a fact; False where there are too many, or it is there."""
        if len(self.facts) >= FACTS_MAX or fact in self.facts:
            return False
        self.facts[fact] = self.is_fork and not fact.is_write
        self._has_recorded = self._has_recorded or fact.is_recorded
        return True

    def note_recorded(self, fact: Fact) -> None:
        """It has read what somebody recorded has written."""
        if not self.is_fork and len(self.recorded) < OPEN_MAX:
            self.recorded[fact] = None

    def note_open(self, fact: Fact) -> None:
        """A file was read when it was opened; its closing says nothing new."""
        self.open[fact.key] = fact
        if len(self.open) > OPEN_MAX:
            del self.open[next(iter(self.open))]

    def begin_exec(self) -> None:
        """What does not outlive an exec is not the next image's."""
        self.in_exec = True
        self.is_fork = False
        self.left = self.may_have_open()
        self.last = None
        self.former |= self.recorded
        self.recorded = {}
        self._leave()

    def go_on(self, image: Image | None) -> None:
        """What comes now is of this image."""
        self.image = image
        self.in_exec = self.is_asked = False
        self.handed = 0

    def give(self, open_paths: Container[bytes] | None) -> list[Fact]:
        """All facts, for an image that acts; what outlives an exec stays.

        open_paths: files that it has open; None where that is not known.
        """
        if open_paths is not None:
            self.former = {fact: None for fact in self.former if fact.path in open_paths}
        facts = [*self.former, *self.facts]
        self._leave()
        return facts

    def may_have_open(self) -> list[Fact]:
        """What it has read and not closed, for all that is known."""
        found = dict.fromkeys(self.open.values())
        if self.last is not None:
            found[self.last] = None
        return list(found)

    def reads(self) -> list[Fact]:
        """What it has read."""
        return [*self.former, *(fact for fact in self.facts if not fact.is_write)]

    def lasting(self) -> list[Fact]:
        """What it has read before its last exec and may still have open."""
        return [*self.former, *(fact for fact, lasts in self.facts.items() if lasts)]

    def _leave(self) -> None:
        self.facts = {fact: True for fact, lasts in self.facts.items() if lasts}
        self._has_recorded = any(fact.is_recorded for fact in self.facts)
