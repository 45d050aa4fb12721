from __future__ import annotations

import pytest

from pfs.access import (
    Asker,
    Protection,
    Want,
    may_change_names,
    may_read,
    may_read_version,
    may_see_command,
    permits,
    protection_of,
)
from pfs.objects import acl as acls
from pfs.objects.acl import AclEntry, Tag
from pfs.objects.entry import Entry, FileType

OWNER, MEMBER, STRANGER, ROOT = (
    Asker(10, [10, 100]),
    Asker(11, [11, 100]),
    Asker(12, [12]),
    Asker(0, [0]),
)


@pytest.mark.parametrize(
    ("mode", "asker", "want", "allowed"),
    [
        (0o600, OWNER, Want.READ | Want.WRITE, True),
        (0o077, OWNER, Want.READ, False),  # the owner's bits alone count, however generous the others
        (0o640, MEMBER, Want.READ, True),
        (0o640, MEMBER, Want.WRITE, False),
        (0o607, MEMBER, Want.READ, False),
        (0o604, STRANGER, Want.READ, True),
        (0o640, STRANGER, Want.READ, False),
        (0o655, STRANGER, Want.READ | Want.WRITE, False),
        (0o000, ROOT, Want.READ | Want.WRITE | Want.SEARCH, True),
    ],
)
def test_mode_bits(mode: int, asker: Asker, want: Want, allowed: bool) -> None:
    protection = Protection(uid=10, gid=100, mode=mode)
    assert permits(protection, asker, want) is allowed
    same = Protection(uid=10, gid=100, mode=0, acl=acls.from_mode(mode))
    assert permits(same, asker, want) is allowed


ACL = (
    AclEntry(Tag.OWNER, 6),
    AclEntry(Tag.USER, 7, 12),
    AclEntry(Tag.USER, 0, 13),
    AclEntry(Tag.OWNING_GROUP, 4),
    AclEntry(Tag.GROUP, 2, 200),
    AclEntry(Tag.MASK, 6),
    AclEntry(Tag.OTHER, 4),
)


@pytest.mark.parametrize(
    ("asker", "want", "allowed"),
    [
        (OWNER, Want.READ | Want.WRITE, True),
        (Asker(12, [12]), Want.READ | Want.WRITE, True),
        (Asker(12, [12]), Want.SEARCH, False),  # the mask takes it
        (Asker(13, [100, 200]), Want.READ, False),  # a named user's entry decides, not the groups
        (Asker(14, [100]), Want.READ, True),
        (Asker(14, [100, 200]), Want.WRITE, True),
        (Asker(14, [100, 200]), Want.READ | Want.WRITE, False),  # no one entry has both
        (Asker(14, [200]), Want.READ, False),  # a group that matches shuts out `other`
        (Asker(14, [300]), Want.READ, True),
    ],
)
def test_access_lists(asker: Asker, want: Want, allowed: bool) -> None:
    assert permits(Protection(10, 100, 0o664, ACL), asker, want) is allowed


def test_names_are_changed_by_who_may_write_the_root() -> None:
    root = Protection(10, 100, 0o775)
    assert may_change_names(root, OWNER)
    assert may_change_names(root, MEMBER)
    assert not may_change_names(root, STRANGER)
    assert may_change_names(Protection(10, 100, 0o500), ROOT)


OPEN, SHUT, FILE = Protection(10, 100, 0o755), Protection(10, 100, 0o700), Protection(10, 100, 0o644)


def test_a_path_is_read_through_directories_that_may_be_searched() -> None:
    assert may_read([OPEN, OPEN, FILE], STRANGER)
    assert not may_read([OPEN, SHUT, FILE], STRANGER)
    assert not may_read([OPEN, SHUT], STRANGER)
    assert may_read([SHUT, SHUT, FILE], OWNER)
    assert not may_read([Protection(10, 100, 0o744), FILE], STRANGER)  # readable, but not to be searched


def test_an_old_version_is_guarded_by_then_and_by_today() -> None:
    assert may_read_version([OPEN, FILE], None, STRANGER)
    assert may_read_version([OPEN, FILE], [OPEN, FILE], STRANGER)
    assert not may_read_version([OPEN, FILE], [SHUT, FILE], STRANGER)
    assert not may_read_version([SHUT, FILE], [OPEN, FILE], STRANGER)
    assert not may_read_version([SHUT, FILE], None, STRANGER)


def test_an_entry_is_shown_as_the_daemons_user() -> None:
    entry = Entry(b"x", 5, FileType.REGULAR, mode=0o640, uid=10, gid=100)
    assert protection_of(entry, {}) == Protection(10, 100, 0o640)
    xattrs = {acls.ACCESS_XATTR: acls.serialise(ACL)}
    assert protection_of(entry, xattrs, shown_uid=77) == Protection(77, 100, 0o640, ACL)


def test_commands_are_shown_to_their_user_and_the_owner() -> None:
    assert may_see_command(5, 9, 5)
    assert may_see_command(5, 9, 9)
    assert may_see_command(5, 9, 0)
    assert not may_see_command(5, 9, 6)
