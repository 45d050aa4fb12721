"""What a command line names: `REPO[@REV][:PATH]`.

A colon inside `@{…}` belongs to the date.  Paths are bytes, relative to the root of the repo; whether an
argument is such a text or a path in a mount is left to the command.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from pfs.errors import UsageError
from pfs.namespace.grammar import Spelling, parse_spelling

_BEFORE_PATH: Final = re.compile(rb"(?:[^:{]|\{[^}]*\}?)*")


@dataclass(frozen=True, slots=True)
class Place:
    """A revision of a repo and, if there was a colon, a path in it (empty for its root)."""

    spelling: Spelling
    path: bytes | None = None

    def __str__(self) -> str:
        return f"{self.spelling}" if self.path is None else f"{self.spelling}:{os.fsdecode(self.path)}"


def parse_place(text: str | bytes) -> Place:
    """A place as it is written on a command line.  NotFound, UsageError for what is malformed."""
    raw = os.fsencode(text)
    match = _BEFORE_PATH.match(raw)
    end = 0 if match is None else match.end()
    path = normal_path(raw[end + 1 :]) if end < len(raw) else None
    return Place(parse_spelling(raw[:end]), path)


def normal_path(path: bytes) -> bytes:
    """A path in a repo without empty and `.` components and outer slashes.  UsageError for `..`, NUL."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise UsageError(
            f"{os.fsdecode(path)!r}: '..' can't be used here", hint="write the path from the repo's root"
        )
    if b"\0" in path:
        raise UsageError("a path can't hold a NUL byte")
    return b"/".join(parts)
