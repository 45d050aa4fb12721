"""The errors of pfs: one small hierarchy at the bottom of the package.

Each class states, as class fields, its kind (a word for scripts), the errno a
program sees on the mount, the exit code the command line ends with, and a hint
(what to do).  Facts are instance fields; the message is derived from them, so
nobody ever has to match on message text.

Exit codes: 0 ok, 1 negative answer or conflict, 2 usage, 3 not found,
4 denied, 5 busy, 6 integrity, 7 no daemon.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class PfsError(Exception):
    """Base of every error that pfs raises on purpose."""

    kind: ClassVar[str] = "error"
    errno: ClassVar[int] = errno.EIO
    exit_code: ClassVar[int] = 1
    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(PfsError):
    """What was asked for makes no sense: a bad name, a bad option, a bad date."""

    kind = "usage"
    errno = errno.EINVAL
    exit_code = 2


class NotFound(PfsError):
    """A repo, branch, revision or path that does not exist."""

    kind = "not_found"
    errno = errno.ENOENT
    exit_code = 3


class AmbiguousRevision(NotFound):
    """A commit prefix that more than one commit has."""

    kind = "ambiguous"


class AlreadyExists(PfsError):
    """A name that is taken."""

    kind = "exists"
    errno = errno.EEXIST
    exit_code = 1


class Denied(PfsError):
    """The caller may not do this."""

    kind = "denied"
    errno = errno.EACCES
    exit_code = 4


class ReadOnly(PfsError):
    """A change on a commit, or on a store that has turned read-only."""

    kind = "read_only"
    errno = errno.EROFS
    exit_code = 4


class Busy(PfsError):
    """Somebody else holds what is needed (a store, a mount point, a branch)."""

    kind = "busy"
    errno = errno.EBUSY
    exit_code = 5


class NotClean(PfsError):
    """A branch with uncommitted changes that would be lost."""

    kind = "not_clean"
    errno = errno.ENOTEMPTY
    exit_code = 1


class NoSpace(PfsError):
    """The disk below the store is full."""

    kind = "no_space"
    errno = errno.ENOSPC
    exit_code = 1
    hint = "free some space on the disk of the store"


class StoreError(PfsError):
    """The store can't be opened or used as it is."""

    kind = "store"
    errno = errno.EIO
    exit_code = 6


class UnsupportedFormat(StoreError):
    """A store of a newer format than this pfs knows."""

    kind = "format"

    def __init__(self, where: str, found: str, known: str, needed: str) -> None:
        super().__init__(
            f"{where}: store format {found} is newer than this pfs knows ({known})",
            hint=f"use pfs {needed} or newer",
        )
        self.where = where
        self.found = found
        self.known = known
        self.needed = needed


class CorruptObject(PfsError):
    """An object whose bytes are not what its id says, or are not there at all."""

    kind = "integrity"
    errno = errno.EIO
    exit_code = 6
    hint = "run 'pfs fsck' to see what else is damaged"

    def __init__(self, object_id: bytes, where: str, reason: str = "its bytes do not match its id") -> None:
        super().__init__(f"object {object_id.hex()[:16]} in {where}: {reason}")
        self.object_id = object_id
        self.where = where
        self.reason = reason


class MissingObject(CorruptObject):
    """An object that no pack holds."""

    kind = "missing"

    def __init__(self, object_id: bytes, where: str = "the store") -> None:
        super().__init__(object_id, where, "no pack holds it")


class NoDaemon(PfsError):
    """The command needs a mounted store and no daemon answers."""

    kind = "no_daemon"
    errno = errno.ENOTCONN
    exit_code = 7
    hint = "start it with 'pfs mount DIR'"
