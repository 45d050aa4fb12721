"""The grammar of revisions, and of the names in the root of a mount.  Pure.

    NAME := REPO | REPO "@" REV | REPO MOD+
    REV  := BASE MOD*
    BASE := BRANCH | TAG | HEX{8,64} | ""        "" is the default branch, legal only before a MOD
    MOD  := "~"[N] | "^"[N] | "@{" WHEN "}"      a date comes first: only branches have a past of dates

`str` of what is parsed is its canonical text, which parses to the same.  Text that fits nowhere is NotFound
(ENOENT on a path), with the reason; what a well-formed name stands for is `resolve`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pfs.errors import NotFound
from pfs.namespace.when import When, parse_when
from pfs.repo.names import is_valid_name

_BASE: Final = re.compile(r"[A-Za-z0-9._-]*")
_MOD: Final = re.compile(r"(?P<steps>[~^])(?P<number>\d{0,18})|@\{(?P<when>[^{}]*)\}", re.ASCII)
_HINT: Final = "a revision is a branch, tag or commit id, then any of ~N, ^N; a branch also takes @{DATE}"


@dataclass(frozen=True, slots=True)
class Ancestor:
    """`~N`: N first parents back."""

    generations: int

    def __str__(self) -> str:
        return f"~{self.generations}"


@dataclass(frozen=True, slots=True)
class Parent:
    """`^N`: the N-th parent, 0 for the commit itself."""

    number: int

    def __str__(self) -> str:
        return f"^{self.number}"


@dataclass(frozen=True, slots=True)
class At:
    """`@{WHEN}`: what a reader of the branch saw then."""

    when: When

    def __str__(self) -> str:
        return f"@{{{self.when}}}"


Mod = Ancestor | Parent | At


@dataclass(frozen=True, slots=True)
class Revision:
    """Text that names a commit or a working tree.  An empty `base` is the default branch."""

    base: str
    mods: tuple[Mod, ...] = ()

    def __str__(self) -> str:
        return self.base + "".join(map(str, self.mods))


@dataclass(frozen=True, slots=True)
class Spelling:
    """A name in the root of a mount.  Without a revision: the working tree of the default branch."""

    repo: str
    revision: Revision | None = None

    def __str__(self) -> str:
        if self.revision is None:
            return self.repo
        return f"{self.repo}{'@' if self.revision.base else ''}{self.revision}"


def parse_revision(text: str) -> Revision:
    """A revision: what stands after `REPO@`.  NotFound, saying why, where it is malformed."""
    base = _match_text(_BASE, text)
    mods = _parse_mods(text, len(base))
    if not base and not mods:
        raise NotFound("the revision is empty", hint=_HINT)
    if base and not is_valid_name(base):
        raise NotFound(f"{text!r} is not a revision: {base!r} can't be a name", hint=_HINT)
    return Revision(base, mods)


def parse_spelling(name: bytes | str) -> Spelling:
    """A name in the root of a mount.  NotFound, saying why, where it is malformed."""
    text = name if isinstance(name, str) else name.decode("ascii", "backslashreplace")
    repo = _match_text(_BASE, text)
    if not is_valid_name(repo):
        raise NotFound(f"{text!r} begins with no name of a repo")
    rest = text[len(repo) :]
    if not rest:
        return Spelling(repo)
    if rest.startswith("@") and not rest.startswith("@{"):
        rest = rest[1:]
    elif _MOD.match(rest) is None:
        raise NotFound(f"{text!r}: {rest!r} is not understood", hint="write REPO@REVISION")
    return Spelling(repo, parse_revision(rest))


def _parse_mods(text: str, position: int) -> tuple[Mod, ...]:
    mods: list[Mod] = []
    while position < len(text):
        match = _MOD.match(text, position)
        if match is None:
            raise NotFound(f"{text!r} is not a revision: {text[position:]!r} is not understood", hint=_HINT)
        mod = _mod(match)
        if mods and isinstance(mod, At):
            raise NotFound(f"{text!r} is not a revision: a date can only follow a branch", hint=_HINT)
        mods.append(mod)
        position = match.end()
    return tuple(mods)


def _mod(match: re.Match[str]) -> Mod:
    if match["steps"] is None:
        return At(parse_when(match["when"]))
    number = int(match["number"] or 1)
    return Ancestor(number) if match["steps"] == "~" else Parent(number)


def _match_text(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.match(text)
    return "" if match is None else match[0]
