from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfs.errors import UsageError
from pfs.objects import acl as acls
from pfs.objects.acl import Acl, AclEntry, Tag

MODES = st.integers(0, 0o7777)
BITS = st.integers(0, 7)
IDS = st.lists(st.integers(0, 70000), max_size=3, unique=True)


@st.composite
def lists(draw: st.DrawFn) -> Acl:
    users = [AclEntry(Tag.USER, draw(BITS), uid) for uid in sorted(draw(IDS))]
    groups = [AclEntry(Tag.GROUP, draw(BITS), gid) for gid in sorted(draw(IDS))]
    mask = [AclEntry(Tag.MASK, draw(BITS))] if users or groups or draw(st.booleans()) else []
    owner, owning_group, other = (
        AclEntry(tag, draw(BITS)) for tag in (Tag.OWNER, Tag.OWNING_GROUP, Tag.OTHER)
    )
    return (owner, *users, owning_group, *groups, *mask, other)


@given(lists())
def test_the_binary_form_reads_back(acl: Acl) -> None:
    assert acls.parse(acls.serialise(acl)) == acl


@given(MODES)
def test_a_mode_is_a_list(mode: int) -> None:
    acl = acls.from_mode(mode)
    acls.check(acl)
    assert acls.equivalent_mode(acl, mode) == (mode, True)


NO_ENTRIES = [b"", struct.pack("<I", 2)]


@pytest.mark.parametrize("value", NO_ENTRIES)
def test_a_list_without_entries_is_none(value: bytes) -> None:
    assert acls.parse(value) is None


GOOD = acls.from_mode(0o640)
BAD_LISTS: list[Acl] = [
    GOOD[:2],
    GOOD[1:],
    (*GOOD, GOOD[2]),
    (GOOD[1], GOOD[0], GOOD[2]),
    (GOOD[0], AclEntry(Tag.USER, 7, 5), *GOOD[1:]),
    (*GOOD[:2], AclEntry(Tag.MASK, 7), AclEntry(Tag.MASK, 7), GOOD[2]),
    (GOOD[0], AclEntry(Tag.USER, 7), GOOD[1], AclEntry(Tag.MASK, 7), GOOD[2]),
    (AclEntry(Tag.OWNER, 8), *GOOD[1:]),
]


@pytest.mark.parametrize(
    "value",
    [
        b"\2\0\0",
        struct.pack("<I", 1) + acls.serialise(GOOD)[4:],
        acls.serialise(GOOD)[:-1],
        struct.pack("<IHHI", 2, 0x40, 7, acls.NO_ID),
        *(acls.serialise(acl) for acl in BAD_LISTS),
    ],
)
def test_what_linux_refuses_is_refused(value: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        acls.parse(value)
    assert caught.value.errno == errno.EINVAL


# The same questions, asked of the filesystem below: it has the last word on what is right.


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = os.umask(0o022)
    yield tmp_path
    os.umask(before)


def stored(path: Path, name: bytes) -> Acl | None:
    return acls.parse(os.getxattr(path, name)) if os.fsdecode(name) in os.listxattr(path) else None


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def remove(path: Path) -> None:
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


AGAINST_THE_KERNEL = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@AGAINST_THE_KERNEL
@given(acl=lists(), mode=st.integers(0, 0o777), new_mode=st.integers(0, 0o777))
def test_setting_a_list_and_chmod_as_the_kernel_does(
    folder: Path, acl: Acl, mode: int, new_mode: int
) -> None:
    path = folder / "file"
    remove(path)
    path.touch()
    path.chmod(mode)
    os.setxattr(path, acls.ACCESS_XATTR, acls.serialise(acl))
    expected_mode, is_mode = acls.equivalent_mode(acl, mode)
    assert (mode_of(path), stored(path, acls.ACCESS_XATTR)) == (expected_mode, None if is_mode else acl)
    path.chmod(new_mode)
    assert mode_of(path) == new_mode
    if not is_mode:
        assert stored(path, acls.ACCESS_XATTR) == acls.apply_chmod(acl, new_mode)


@pytest.mark.parametrize("value", NO_ENTRIES)
def test_setting_a_list_without_entries_removes_it_as_the_kernel_does(folder: Path, value: bytes) -> None:
    acl = (GOOD[0], AclEntry(Tag.USER, 7, 5), GOOD[1], AclEntry(Tag.MASK, 7), GOOD[2])
    os.setxattr(folder, acls.ACCESS_XATTR, acls.serialise(acl))
    assert stored(folder, acls.ACCESS_XATTR) == acl
    os.setxattr(folder, acls.ACCESS_XATTR, value)
    assert stored(folder, acls.ACCESS_XATTR) is acls.parse(value)


@AGAINST_THE_KERNEL
@given(default=lists(), mode=st.integers(0, 0o777), is_directory=st.booleans())
def test_inheriting_as_the_kernel_does(folder: Path, default: Acl, mode: int, is_directory: bool) -> None:
    path = folder / "made"
    remove(path)
    os.setxattr(folder, acls.DEFAULT_XATTR, acls.serialise(default))
    if is_directory:
        path.mkdir(mode)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, mode))
    expected = acls.inherit(default, mode, is_directory=is_directory)
    new_default = stored(path, acls.DEFAULT_XATTR) if is_directory else None
    assert (mode_of(path), stored(path, acls.ACCESS_XATTR), new_default) == expected


def test_without_a_default_list_nothing_is_inherited() -> None:
    assert acls.inherit(None, 0o644, is_directory=True) == (0o644, None, None)
