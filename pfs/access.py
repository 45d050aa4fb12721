"""Who may do what, until there are roles: the rule of ordinary permissions, asked of commits and of today.

Pure.  On a mount the kernel checks working trees and commits itself (`default_permissions`); these functions
are for what comes over the control socket.  Callers show owners as the mount does (a daemon that is not root
shows every file as its own user's).  The superuser may do everything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from pfs.objects import acl as acls
from pfs.objects.acl import Acl, Tag, permissions_of
from pfs.objects.entry import Entry

SUPERUSER: Final = 0


class Want(IntFlag):
    """What is asked for.  SEARCH is what the execute bit of a directory gives."""

    READ = 4
    WRITE = 2
    SEARCH = 1


@dataclass(frozen=True, slots=True)
class Protection:
    """What guards one file or directory.  `acl` is its access list, if it has one."""

    uid: int
    gid: int
    mode: int
    acl: Acl | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the kernel says it; `gids` holds all groups, the primary one too."""

    uid: int
    gids: Collection[int]


def protection_of(entry: Entry, xattrs: Mapping[bytes, bytes], shown_uid: int | None = None) -> Protection:
    """What guards an entry whose extended attributes are these; `shown_uid` replaces the recorded owner."""
    value = xattrs.get(acls.ACCESS_XATTR)
    uid = entry.uid if shown_uid is None else shown_uid
    return Protection(uid, entry.gid, entry.mode, None if value is None else acls.parse(value))


def permits(protection: Protection, asker: Asker, want: Want) -> bool:
    """Whether an asker has all of `want`, by mode bits and ACL (acl(5), "Access check algorithm")."""
    if asker.uid == SUPERUSER:
        return True
    acl = acls.from_mode(protection.mode) if protection.acl is None else protection.acl
    if asker.uid == protection.uid:
        return _has(want, permissions_of(acl, Tag.OWNER))
    mask = next((entry.permissions for entry in acl if entry.tag == Tag.MASK), 7)
    for entry in acl:
        if entry.tag == Tag.USER and entry.who == asker.uid:
            return _has(want, entry.permissions & mask)
    groups = [
        entry.permissions
        for entry in acl
        if (entry.tag == Tag.OWNING_GROUP and protection.gid in asker.gids)
        or (entry.tag == Tag.GROUP and entry.who in asker.gids)
    ]
    if groups:
        return any(_has(want, permissions & mask) for permissions in groups)
    return _has(want, permissions_of(acl, Tag.OTHER))


def may_change_names(root: Protection, asker: Asker) -> bool:
    """Whether an asker may commit, branch, tag and restore in a repo: who may write its root."""
    return permits(root, asker, Want.WRITE)


def may_read(path: Sequence[Protection], asker: Asker) -> bool:
    """Whether an asker may read what is at the end of a path, given from the root of the repo down."""
    *directories, last = path
    return all(permits(one, asker, Want.SEARCH) for one in directories) and permits(last, asker, Want.READ)


def may_read_version(then: Sequence[Protection], today: Sequence[Protection] | None, asker: Asker) -> bool:
    """Whether an asker may read an old version: by its path then and, unless that is gone, today."""
    return may_read(then, asker) and (today is None or may_read(today, asker))


def may_see_command(record_uid: int, owner_uid: int, asker_uid: int) -> bool:
    """Whether argv and environment of a process are shown: to its own user and the daemon's owner."""
    return asker_uid in (record_uid, owner_uid, SUPERUSER)


def _has(want: Want, permissions: int) -> bool:
    return want & permissions == want
