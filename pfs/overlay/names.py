"""Changing the names of a working tree: create, remove, rename, link.

Each operation checks, journals one record, then applies it; `apply_…` is what
replay calls with the record's fields.  Who may do it is the kernel's business
(`default_permissions`), and so is a directory that would move below itself.
"""

from __future__ import annotations

import errno

from pfs.objects import acl
from pfs.objects.entry import FileType
from pfs.overlay.content import layers
from pfs.overlay.journal import Op
from pfs.overlay.node import REMOVED, Node, State
from pfs.overlay.worktree import WorkingTree

NAME_BYTES_MAX = 255
LINKS_MAX = 65_000
_SETGID = 0o2000


def failure(number: int) -> OSError:
    """An OSError with the errno that the program is to see."""
    return OSError(number, errno.errorcode.get(number, "error"))


def check_new_name(tree: WorkingTree, parent: Node, name: bytes) -> None:
    """Refuse a name that is too long or taken, or a parent that is gone."""
    if len(name) > NAME_BYTES_MAX:
        raise failure(errno.ENAMETOOLONG)
    if not tree.is_linked(parent):
        raise failure(errno.ENOENT)
    if tree.lookup(parent, name) is not None:
        raise failure(errno.EEXIST)


def create(
    tree: WorkingTree,
    parent: Node,
    name: bytes,
    kind: FileType,
    mode: int,
    uid: int,
    gid: int,
    target: bytes = b"",
) -> Node:
    """Make a file, directory, symbolic link, FIFO or socket; setgid and default ACLs are inherited."""
    check_new_name(tree, parent, name)
    above = tree.touch(parent)
    if above.mode & _SETGID:
        gid = above.gid
        if kind == FileType.DIRECTORY:
            mode |= _SETGID
    xattrs: dict[bytes, bytes] = {}
    inherited = above.xattrs.get(acl.DEFAULT_XATTR)
    if inherited is not None and kind != FileType.SYMLINK:
        is_directory = kind == FileType.DIRECTORY
        mode, access, default = acl.inherit(acl.parse(inherited), mode, is_directory=is_directory)
        if access is not None:
            xattrs[acl.ACCESS_XATTR] = acl.serialise(access)
        if default is not None:
            xattrs[acl.DEFAULT_XATTR] = acl.serialise(default)
    file_id = tree.allocate_file_id()
    time_ns = tree.note_change()
    pairs = list(xattrs.items())
    tree.journal.append(
        Op.CREATE, parent.file_id, name, file_id, int(kind), mode, uid, gid, time_ns, target, pairs
    )
    return apply_create(tree, parent, name, file_id, kind, mode, uid, gid, time_ns, target, xattrs)


def apply_create(
    tree: WorkingTree,
    parent: Node,
    name: bytes,
    file_id: int,
    kind: int,
    mode: int,
    uid: int,
    gid: int,
    time_ns: int,
    target: bytes,
    xattrs: dict[bytes, bytes],
) -> Node:
    """Enter a new inode under its name."""
    state = State(kind, mode, uid, gid, time_ns)
    state.target = target
    state.xattrs = xattrs
    if kind != FileType.DIRECTORY:
        state.links = ((parent.file_id, name),)
    node = tree.new_node(parent, name, file_id, state)
    _enter(tree, parent, name, node, time_ns)
    return node


def remove(tree: WorkingTree, parent: Node, name: bytes, *, directory: bool) -> Node:
    """Take a name away; with its last name an inode goes as soon as nobody has it open."""
    node = tree.lookup(parent, name)
    if node is None:
        raise failure(errno.ENOENT)
    _check_removable(tree, node, directory)
    tree.touch(parent)
    tree.touch(node)
    time_ns = tree.note_change()
    tree.journal.append(Op.REMOVE, parent.file_id, name, node.file_id, time_ns)
    apply_remove(tree, parent, name, node, time_ns)
    return node


def _check_removable(tree: WorkingTree, node: Node, directory: bool) -> None:
    attributes = tree.attributes(node)
    if directory and attributes.type != FileType.DIRECTORY:
        raise failure(errno.ENOTDIR)
    if not directory and attributes.type == FileType.DIRECTORY:
        raise failure(errno.EISDIR)
    if directory and attributes.size:
        raise failure(errno.ENOTEMPTY)


def apply_remove(tree: WorkingTree, parent: Node, name: bytes, node: Node, time_ns: int) -> None:
    """Take a name away from both its directory and its inode."""
    _leave(tree, parent, name, node, time_ns)
    _unlink(tree, node, parent.file_id, name, time_ns)


def rename(
    tree: WorkingTree,
    old_parent: Node,
    old_name: bytes,
    new_parent: Node,
    new_name: bytes,
    *,
    replace: bool = True,
    exchange: bool = False,
) -> None:
    """Move a name, over an existing one where `replace`; `exchange` swaps two names."""
    if len(new_name) > NAME_BYTES_MAX:
        raise failure(errno.ENAMETOOLONG)
    if not tree.is_linked(new_parent):
        raise failure(errno.ENOENT)
    node = tree.lookup(old_parent, old_name)
    other = tree.lookup(new_parent, new_name)
    if node is None or (exchange and other is None):
        raise failure(errno.ENOENT)
    if other is not None and not replace:
        raise failure(errno.EEXIST)
    if node is other:
        return
    if other is not None and not exchange:
        directory = tree.attributes(node).type == FileType.DIRECTORY
        _check_removable(tree, other, directory)
    for touched in (old_parent, new_parent, node, other):
        if touched is not None:
            tree.touch(touched)
    installed = _installed(tree, node, other, exchange)
    time_ns = tree.note_change()
    sequence = tree.journal.append(
        Op.RENAME,
        old_parent.file_id,
        old_name,
        new_parent.file_id,
        new_name,
        exchange,
        time_ns,
        [moved.file_id for moved in installed],
    )
    apply_rename(tree, old_parent, old_name, new_parent, new_name, exchange, time_ns)
    for moved in installed:
        tree.installed[moved.file_id] = moved, sequence
    if other is not None:
        tree.release_if_unused(other)


def apply_rename(
    tree: WorkingTree,
    old_parent: Node,
    old_name: bytes,
    new_parent: Node,
    new_name: bytes,
    exchange: bool,
    time_ns: int,
) -> None:
    """Move or swap names in memory."""
    node = tree.lookup(old_parent, old_name)
    other = tree.lookup(new_parent, new_name)
    assert node is not None
    _leave(tree, old_parent, old_name, node, time_ns)
    if other is not None:
        _leave(tree, new_parent, new_name, other, time_ns)
    _enter(tree, new_parent, new_name, node, time_ns)
    _relink(tree, node, (old_parent.file_id, old_name), (new_parent.file_id, new_name), time_ns)
    if other is not None and exchange:
        _enter(tree, old_parent, old_name, other, time_ns)
        _relink(tree, other, (new_parent.file_id, new_name), (old_parent.file_id, old_name), time_ns)
    elif other is not None:
        _unlink(tree, other, new_parent.file_id, new_name, time_ns)


def link(tree: WorkingTree, node: Node, parent: Node, name: bytes) -> None:
    """Give an inode one more name."""
    check_new_name(tree, parent, name)
    if not tree.is_linked(node):
        raise failure(errno.ENOENT)
    attributes = tree.attributes(node)
    if attributes.type == FileType.DIRECTORY:
        raise failure(errno.EPERM)
    if attributes.nlink >= LINKS_MAX:
        raise failure(errno.EMLINK)
    tree.touch(parent)
    tree.touch(node)
    time_ns = tree.note_change()
    tree.journal.append(Op.LINK, node.file_id, parent.file_id, name, time_ns)
    apply_link(tree, node, parent, name, time_ns)


def apply_link(tree: WorkingTree, node: Node, parent: Node, name: bytes, time_ns: int) -> None:
    """Enter one more name in memory."""
    state = tree.touch(node)
    state.links = (*state.links, (parent.file_id, name))
    state.ctime_ns = time_ns
    _enter(tree, parent, name, node, time_ns)


def _enter(tree: WorkingTree, parent: Node, name: bytes, node: Node, time_ns: int) -> None:
    above = tree.touch(parent)
    above.delta[name] = node.file_id
    above.entries += 1
    above.mtime_ns = above.ctime_ns = time_ns
    if node.state is not None and node.state.type == FileType.DIRECTORY:
        above.subdirectories += 1


def _leave(tree: WorkingTree, parent: Node, name: bytes, node: Node, time_ns: int) -> None:
    above = tree.touch(parent)
    state = tree.touch(node)
    if above.older is None and tree.committed_entry(above.root, name) is None:
        above.delta.pop(name, None)
    else:
        above.delta[name] = REMOVED
    above.entries -= 1
    above.mtime_ns = above.ctime_ns = time_ns
    if state.type == FileType.DIRECTORY:
        above.subdirectories -= 1


def _unlink(tree: WorkingTree, node: Node, parent: int, name: bytes, time_ns: int) -> None:
    state = tree.touch(node)
    state.links = tuple(other for other in state.links if other != (parent, name))
    state.ctime_ns = time_ns
    if state.links:
        node.parent, node.name = state.links[0]
        tree.generation.located[node.file_id] = state.links[0]
    else:
        node.parent, node.name = 0, b""
        state.removed = state.type == FileType.DIRECTORY


def _relink(
    tree: WorkingTree, node: Node, old: tuple[int, bytes], new: tuple[int, bytes], time_ns: int
) -> None:
    state = tree.touch(node)
    state.links = tuple(new if other == old else other for other in state.links)
    state.ctime_ns = time_ns
    node.parent, node.name = new
    tree.generation.located[node.file_id] = new


def _installed(tree: WorkingTree, node: Node, other: Node | None, exchange: bool) -> list[Node]:
    """The files that take another one's name and have to be durable before the rename is."""
    if other is None:
        return []
    return [
        moved
        for moved in ([node, other] if exchange else [node])
        if (moved.file_id in tree.unsynced or moved in tree.syncing)
        and moved.state is not None
        and layers(moved.state.content)
    ]
