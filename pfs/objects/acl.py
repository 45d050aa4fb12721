"""POSIX access control lists: their binary form, and how they follow chmod and are inherited.

Format (the value of system.posix_acl_access and system.posix_acl_default, little endian): u32 version 2, then
per entry u16 tag, u16 permissions, u32 uid or gid (0xffffffff where the tag has none).  Entries stand in the
order of `Tag`.  The rules are those of acl(5) and of Linux's fs/posix_acl.c, whose functions are named below.
Who may then do what is left to pfs.access and to the kernel.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from pfs.errors import UsageError

ACCESS_XATTR: Final = b"system.posix_acl_access"
DEFAULT_XATTR: Final = b"system.posix_acl_default"
NO_ID: Final = 0xFFFFFFFF
_VERSION: Final = 2
_HEADER: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")


class Tag(IntEnum):
    """Whom an entry is about."""

    OWNER = 0x01
    USER = 0x02
    OWNING_GROUP = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20


class AclEntry(NamedTuple):
    """One line of a list.  `permissions` is a sum of 4 read, 2 write, 1 execute; `who` a uid or gid."""

    tag: Tag
    permissions: int
    who: int = NO_ID


Acl: TypeAlias = tuple[AclEntry, ...]


def parse(value: bytes) -> Acl | None:
    """The list in an extended attribute, None if that is empty or has no entries (set so, it removes one).

    UsageError (EINVAL) for what Linux would refuse.
    """
    if not value:
        return None
    if len(value) < _HEADER.size or (len(value) - _HEADER.size) % _ENTRY.size:
        raise UsageError(f"an ACL of {len(value)} bytes is cut off")
    (version,) = _HEADER.unpack_from(value)
    if version != _VERSION:
        raise UsageError(f"an ACL of version {version}; only version {_VERSION} exists")
    acl = tuple(_entry(*fields) for fields in _ENTRY.iter_unpack(value[_HEADER.size :]))
    if acl:
        check(acl)
    return acl or None


def serialise(acl: Acl) -> bytes:
    """The value of the extended attribute."""
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in acl)


def check(acl: Acl) -> None:
    """Raise UsageError unless entries are complete and in order (`posix_acl_valid`)."""
    tags = [entry.tag for entry in acl]
    if tags != sorted(tags):
        raise UsageError("the entries of the ACL are not in order")
    for tag in (Tag.OWNER, Tag.OWNING_GROUP, Tag.OTHER):
        if tags.count(tag) != 1:
            raise UsageError(f"an ACL has one entry for {tag.name.lower()}, not {tags.count(tag)}")
    names_somebody = Tag.USER in tags or Tag.GROUP in tags
    if tags.count(Tag.MASK) > 1 or (names_somebody and Tag.MASK not in tags):
        raise UsageError("an ACL that names users or groups has one mask")
    for entry in acl:
        if entry.permissions & ~7:
            raise UsageError(f"{entry.permissions} is no permission of an ACL")
        if entry.tag in (Tag.USER, Tag.GROUP) and entry.who == NO_ID:
            raise UsageError(f"an ACL's {entry.tag.name.lower()} entry names nobody")


def from_mode(mode: int) -> Acl:
    """The list that says the same as permission bits (`posix_acl_from_mode`)."""
    return (
        AclEntry(Tag.OWNER, mode >> 6 & 7),
        AclEntry(Tag.OWNING_GROUP, mode >> 3 & 7),
        AclEntry(Tag.OTHER, mode & 7),
    )


def equivalent_mode(acl: Acl, mode: int) -> tuple[int, bool]:
    """The mode that a file with this access list has, and whether the mode alone says it all.

    Where it does, the list need not be kept (`posix_acl_equiv_mode`).  Bits above 0777 stay as they are.
    """
    owner, group, other = (permissions_of(acl, tag) for tag in (Tag.OWNER, Tag.OWNING_GROUP, Tag.OTHER))
    if _has_mask(acl):
        group = permissions_of(acl, Tag.MASK)
    return mode & ~0o777 | owner << 6 | group << 3 | other, len(acl) == len(from_mode(0))


def apply_chmod(acl: Acl, mode: int) -> Acl:
    """The access list after a chmod: the group bits set the mask, where there is one (`posix_acl_chmod`)."""
    group_class = Tag.MASK if _has_mask(acl) else Tag.OWNING_GROUP
    new = {Tag.OWNER: mode >> 6 & 7, group_class: mode >> 3 & 7, Tag.OTHER: mode & 7}
    return tuple(entry._replace(permissions=new.get(entry.tag, entry.permissions)) for entry in acl)


def inherit(default: Acl | None, mode: int, *, is_directory: bool) -> tuple[int, Acl | None, Acl | None]:
    """(mode, access list, default list) of what is made in a directory with this default list.

    `mode` is the one asked for.  As `posix_acl_create`, without its umask: where there is a default list none
    applies, and where there is none the kernel has already applied it.  Symlinks inherit nothing: do not ask.
    """
    if default is None:
        return mode, None, None
    group_class = Tag.MASK if _has_mask(default) else Tag.OWNING_GROUP
    allowed = {Tag.OWNER: mode >> 6 & 7, group_class: mode >> 3 & 7, Tag.OTHER: mode & 7}
    access = tuple(
        entry._replace(permissions=entry.permissions & allowed.get(entry.tag, 7)) for entry in default
    )
    new_mode, is_mode = equivalent_mode(access, mode)
    return new_mode, None if is_mode else access, default if is_directory else None


def _entry(tag: int, permissions: int, who: int) -> AclEntry:
    try:
        known = Tag(tag)
    except ValueError:
        raise UsageError(f"an ACL has no entries of tag {tag:#x}") from None
    return AclEntry(known, permissions, who if known in (Tag.USER, Tag.GROUP) else NO_ID)


def permissions_of(acl: Acl, tag: Tag) -> int:
    """What the first entry of a tag gives; every list has one of OWNER, OWNING_GROUP and OTHER."""
    return next(entry.permissions for entry in acl if entry.tag == tag)


def _has_mask(acl: Acl) -> bool:
    return any(entry.tag == Tag.MASK for entry in acl)
