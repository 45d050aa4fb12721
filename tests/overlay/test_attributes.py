"""Attributes: mode and ACL in step, limits of extended attributes, times, and what a replay makes of them."""

from __future__ import annotations

import errno

import pytest

from pfs.errors import UsageError
from pfs.objects import acl
from pfs.objects.acl import ACCESS_XATTR, DEFAULT_XATTR, AclEntry, Tag
from pfs.objects.entry import FileType
from pfs.overlay import attributes, names
from pfs.overlay.attributes import XATTR_CREATE, XATTR_REPLACE, Change, set_attributes, set_xattr
from pfs.overlay.node import Node
from tests.overlay.bench import Bench


def an_acl(owner: int, user: int, group: int, mask: int, other: int) -> bytes:
    return acl.serialise(
        (
            AclEntry(Tag.OWNER, owner),
            AclEntry(Tag.USER, user, 1000),
            AclEntry(Tag.OWNING_GROUP, group),
            AclEntry(Tag.MASK, mask),
            AclEntry(Tag.OTHER, other),
        )
    )


def mode(bench: Bench, node: Node) -> int:
    return bench.tree.attributes(node).mode


def refused(number: int, change: object) -> None:
    assert callable(change)
    with pytest.raises(OSError, match=errno.errorcode[number]):
        change()


def test_an_acl_sets_the_mode_and_chmod_sets_the_mask(bench: Bench) -> None:
    node, tree = bench.create("f"), bench.tree
    set_attributes(tree, node, Change(mode=0o4644))
    set_xattr(tree, node, ACCESS_XATTR, an_acl(6, 7, 4, 5, 0))
    assert mode(bench, node) == 0o4650
    set_attributes(tree, node, Change(mode=0o604))
    assert tree.xattrs(node)[ACCESS_XATTR] == an_acl(6, 7, 4, 0, 4)
    for _ in range(2):
        node = bench.walk("f")
        assert (mode(bench, node), bench.tree.xattrs(node)) == (0o604, {ACCESS_XATTR: an_acl(6, 7, 4, 0, 4)})
        bench.restart()
    bench.commit()
    assert bench.tree.xattrs(bench.walk("f")) == {ACCESS_XATTR: an_acl(6, 7, 4, 0, 4)}


def test_an_acl_that_the_mode_says_is_not_kept(bench: Bench) -> None:
    node = bench.create("f")
    set_xattr(bench.tree, node, ACCESS_XATTR, acl.serialise(acl.from_mode(0o751)))
    assert (mode(bench, node), bench.tree.xattrs(node)) == (0o751, {})


def test_a_default_acl_is_inherited(bench: Bench) -> None:
    directory, tree = bench.mkdir("d"), bench.tree
    set_xattr(tree, directory, DEFAULT_XATTR, an_acl(7, 7, 5, 7, 0))
    below = names.create(tree, directory, b"e", FileType.DIRECTORY, 0o777, 0, 0)
    file = names.create(tree, below, b"f", FileType.REGULAR, 0o666, 0, 0)
    assert tree.xattrs(below) == {
        ACCESS_XATTR: an_acl(7, 7, 5, 7, 0),
        DEFAULT_XATTR: an_acl(7, 7, 5, 7, 0),
    }
    assert (mode(bench, below), mode(bench, file)) == (0o770, 0o660)
    assert tree.xattrs(file) == {ACCESS_XATTR: an_acl(6, 7, 5, 6, 0)}
    link = names.create(tree, below, b"s", FileType.SYMLINK, 0o777, 0, 0, b"t")
    assert tree.xattrs(link) == {}
    bench.restart()
    assert bench.tree.xattrs(bench.walk("d/e/f")) == {ACCESS_XATTR: an_acl(6, 7, 5, 6, 0)}


def test_a_malformed_acl_is_refused(bench: Bench) -> None:
    node = bench.create("f")
    with pytest.raises(UsageError):
        set_xattr(bench.tree, node, ACCESS_XATTR, b"no")
    refused(errno.EACCES, lambda: set_xattr(bench.tree, node, DEFAULT_XATTR, an_acl(7, 7, 5, 7, 0)))
    assert bench.tree.xattrs(node) == {}


def test_extended_attributes_have_limits_and_flags(bench: Bench) -> None:
    node, tree = bench.create("f"), bench.tree
    refused(errno.ENODATA, lambda: attributes.remove_xattr(tree, node, b"user.x"))
    refused(errno.ENODATA, lambda: set_xattr(tree, node, b"user.x", b"1", XATTR_REPLACE))
    set_xattr(tree, node, b"user.x", b"1", XATTR_CREATE)
    refused(errno.EEXIST, lambda: set_xattr(tree, node, b"user.x", b"1", XATTR_CREATE))
    refused(errno.E2BIG, lambda: set_xattr(tree, node, b"user.y", bytes(65_537)))
    set_xattr(tree, node, b"user.y", bytes(65_536))
    bench.commit()
    bench.restart()
    assert bench.tree.xattrs(bench.walk("f")) == {b"user.x": b"1", b"user.y": bytes(65_536)}


def test_times_survive_replay_and_commit(bench: Bench) -> None:
    node, tree = bench.create("f", b"x"), bench.tree
    directory = bench.mkdir("d")
    set_attributes(tree, node, Change(mtime_ns=1_000_000_001, atime_ns=5))
    set_attributes(tree, directory, Change(mtime_ns=7))
    for step in (bench.restart, bench.commit, bench.restart):
        file, shown = bench.walk("f"), bench.tree.attributes(bench.walk("f"))
        assert shown.mtime_ns == 1_000_000_001, step
        assert bench.tree.attributes(bench.walk("d")).mtime_ns == 7
        step()
    file = bench.walk("f")
    assert bench.tree.attributes(file).mtime_ns == 1_000_000_001
    bench.write(file, 0, b"y")
    assert bench.tree.attributes(file).mtime_ns > 10**18  # a write sets it again
    bench.restart()
    assert bench.tree.attributes(bench.walk("f")).mtime_ns > 10**18


def test_a_directory_has_no_size_to_set(bench: Bench) -> None:
    node = bench.mkdir("d")
    refused(errno.EISDIR, lambda: set_attributes(bench.tree, node, Change(size=0)))
