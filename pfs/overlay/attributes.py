"""Changing attributes and extended attributes of a working tree.

Mode and ACL are one thing seen twice: chmod changes the ACL's mask, setting an
ACL changes the mode (acl(5)); both are kept in step here.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from pfs.objects import acl
from pfs.objects.entry import FileType
from pfs.overlay import files
from pfs.overlay.journal import Op
from pfs.overlay.names import failure
from pfs.overlay.node import Node, State
from pfs.overlay.worktree import WorkingTree

XATTR_VALUE_BYTES_MAX = 65_536  # the kernel's own limit
XATTR_LIST_BYTES_MAX = 65_536
XATTR_CREATE = 1
XATTR_REPLACE = 2


class Change(NamedTuple):
    """What setattr is to set; None leaves a field as it is."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime_ns: int | None = None
    atime_ns: int | None = None


def set_attributes(tree: WorkingTree, node: Node, change: Change) -> None:
    """Change what is given; the size first.  Raises OSError."""
    state = tree.touch(node)
    if change.size is not None:
        if state.type == FileType.DIRECTORY:
            raise failure(errno.EISDIR)
        files.truncate(tree, node, change.size)
    if all(value is None for value in change._replace(size=None)):
        return
    time_ns = tree.note_change()
    in_file = False
    before_ns = state.mtime_ns
    if change.mtime_ns is not None:
        in_file = files.set_mtime(tree, state, change.mtime_ns)
    try:
        tree.record(
            node,
            Op.ATTRIBUTES,
            node.file_id,
            change.mode,
            change.uid,
            change.gid,
            None if in_file else change.mtime_ns,
            change.atime_ns,
            time_ns,
        )
    except OSError:
        state.mtime_ns = before_ns
        raise
    apply_attributes(state, change.mode, change.uid, change.gid, None, change.atime_ns, time_ns)


def apply_attributes(
    state: State,
    mode: int | None,
    uid: int | None,
    gid: int | None,
    mtime_ns: int | None,
    atime_ns: int | None,
    ctime_ns: int,
) -> None:
    """Set attributes in memory."""
    if mode is not None:
        state.mode = mode & 0o7777
        access = acl.parse(state.xattrs.get(acl.ACCESS_XATTR, b""))
        if access is not None:
            state.xattrs[acl.ACCESS_XATTR] = acl.serialise(acl.apply_chmod(access, mode))
    if uid is not None:
        state.uid = uid
    if gid is not None:
        state.gid = gid
    if mtime_ns is not None:
        state.mtime_ns = mtime_ns
    if atime_ns is not None:
        state.atime_ns = atime_ns
    state.ctime_ns = ctime_ns


def set_xattr(tree: WorkingTree, node: Node, name: bytes, value: bytes, flags: int = 0) -> None:
    """Set an extended attribute.  Raises OSError: EEXIST, ENODATA, E2BIG, ENOSPC, EINVAL."""
    known = tree.xattrs(node)
    if flags & XATTR_CREATE and name in known:
        raise failure(errno.EEXIST)
    if flags & XATTR_REPLACE and name not in known:
        raise failure(errno.ENODATA)
    if len(value) > XATTR_VALUE_BYTES_MAX:
        raise failure(errno.E2BIG)
    if name not in known and sum(len(other) + 1 for other in known) + len(name) + 1 > XATTR_LIST_BYTES_MAX:
        raise failure(errno.ENOSPC)
    if name in (acl.ACCESS_XATTR, acl.DEFAULT_XATTR):
        if acl.parse(value) is None:
            _record_xattr(tree, node, name, None)
            return
        if name == acl.DEFAULT_XATTR and tree.attributes(node).type != FileType.DIRECTORY:
            raise failure(errno.EACCES)
    _record_xattr(tree, node, name, value)


def remove_xattr(tree: WorkingTree, node: Node, name: bytes) -> None:
    """Remove an extended attribute.  Raises OSError: ENODATA."""
    if name not in tree.xattrs(node):
        raise failure(errno.ENODATA)
    _record_xattr(tree, node, name, None)


def _record_xattr(tree: WorkingTree, node: Node, name: bytes, value: bytes | None) -> None:
    state = tree.touch(node)
    time_ns = tree.note_change()
    tree.record(node, Op.XATTR, node.file_id, name, value, time_ns)
    apply_xattr(state, name, value, time_ns)


def apply_xattr(state: State, name: bytes, value: bytes | None, ctime_ns: int) -> None:
    """Set or remove an extended attribute in memory, and the mode with an access ACL."""
    state.ctime_ns = ctime_ns
    if value is None:
        state.xattrs.pop(name, None)
        return
    access = acl.parse(value) if name == acl.ACCESS_XATTR else None
    if access is not None:
        state.mode, mode_says_all = acl.equivalent_mode(access, state.mode)
        if mode_says_all:
            state.xattrs.pop(name, None)
            return
    state.xattrs[name] = value
