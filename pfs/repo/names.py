"""Which names repos, branches and tags may have.

One rule for all three; branches and tags must not look like a commit id besides, so that a revision
never has two meanings.  What a name stands for is left to Repositories and Repo.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from pfs.errors import NotFound, UsageError

NAME_CHARS_MAX: Final = 100
MIN_HEX_DIGITS: Final = 8
MAX_HEX_DIGITS: Final = 64
_HINT_CANDIDATES_MAX: Final = 10_000  # names compared for a hint, about 10 µs each

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{8,64}")
_HINT: Final = f"use 1 to {NAME_CHARS_MAX} of A-Z a-z 0-9 . _ - and begin with a letter or a digit"


def is_valid_name(name: str) -> bool:
    """Whether a repo may have this name."""
    return NAME.fullmatch(name) is not None and not name.endswith(".lock")


def looks_like_commit_id(name: str) -> bool:
    """Whether a revision of this text means a commit: 8 to 64 hex digits."""
    return _HEX.fullmatch(name) is not None


def check_repo_name(name: str) -> None:
    """Raise UsageError unless a repo may have this name."""
    _check("repo", name)


def check_ref_name(kind: str, name: str) -> None:
    """Raise UsageError unless a branch or tag (the word `kind`) may have this name."""
    _check(kind, name)
    if looks_like_commit_id(name):
        raise UsageError(
            f"{name!r} can't be the name of a {kind}: it looks like a commit id",
            hint=f"names of {MIN_HEX_DIGITS} to {MAX_HEX_DIGITS} hex digits are commits; add another letter",
        )


def _check(kind: str, name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} can't be the name of a {kind}", hint=_HINT)
    if name.endswith(".lock"):
        raise UsageError(
            f"{name!r} can't be the name of a {kind}: it ends in '.lock'", hint="choose another ending"
        )


class UnknownName(NotFound):
    """A name that nothing has.  The hint, the likeliest known name, is worked out when it is read."""

    def __init__(self, message: str, name: str, known: Collection[str]) -> None:
        super().__init__(message)
        self.name = name
        self._known = known

    @property
    def hint(self) -> str | None:
        """The known names most like the one asked for."""
        from difflib import get_close_matches  # only people read hints; programs that stat pay for none

        close = get_close_matches(self.name, list(self._known)[:_HINT_CANDIDATES_MAX], n=3)
        return f"did you mean {' or '.join(close)}?" if close else None

    @hint.setter
    def hint(self, value: str | None) -> None:
        raise AttributeError(f"the hint {value!r} would hide the one that is worked out")
