"""The filesystem as programs see it: trees under one root, handles, rules.

Everything the kernel can ask is a method here; adapters convert and decide
nothing.  Methods are synchronous unless they may have to wait for a disk.  They
raise OSError or PfsError; each PfsError knows its errno.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from pfs.disk import Disk
from pfs.lineage.facts import ChangeKind
from pfs.objects.entry import FileType
from pfs.overlay import attributes, files, names
from pfs.overlay.attributes import Change
from pfs.overlay.content import pieces
from pfs.overlay.names import failure
from pfs.overlay.node import Attributes, Node, path_of
from pfs.overlay.tree import Listed, Listing, Readers, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.vfs.caller import Caller
from pfs.vfs.dot_pfs import DOT_PFS, DotPfs
from pfs.vfs.durability import Durability
from pfs.vfs.inodes import Inodes
from pfs.vfs.root import MountRoot
from pfs.vfs.special import ShownFile, Special, SpecialTree
from pfs.vfs.virtual_xattrs import PREFIX, VirtualXattrs

if TYPE_CHECKING:  # a daemon that records nothing does without
    from pfs.lineage.live.state import Actor, Grip
    from pfs.vfs.capture import Capture

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
COLD_READ_THREADS = 8  # a slow disk holds these, never the loop


class Handle:
    """One open file or directory.  It knows who opened it, and whether it has written."""

    __slots__ = ("caller", "flags", "grip", "listing", "node", "own", "text", "wrote")

    def __init__(self, node: Node, flags: int, caller: Caller) -> None:
        self.node = node
        self.flags = flags
        self.caller = caller
        self.own = False  # opened by this daemon itself, to flush mapped pages
        self.wrote = False
        self.grip: Grip | None = None  # what lineage knows of it
        self.text = b""
        self.listing: Listing | list[Listed] | None = None

    @property
    def writes(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY


class Filesystem:
    """What is mounted.  Owned by the event loop."""

    def __init__(
        self,
        readers: Readers,
        disk: Disk,
        root: MountRoot,
        inodes: Inodes,
        dot_pfs: DotPfs,
        virtual: VirtualXattrs,
        durability: Durability,
        own_uid: int | None,
        statvfs: Callable[[], os.statvfs_result],
        own_threads: set[int],
        capture: Capture | None = None,
    ) -> None:
        self._readers = readers
        self._disk = disk
        self._root = root
        self.inodes = inodes
        self._dot_pfs = dot_pfs
        self._virtual = virtual
        self._durability = durability
        self.own_uid = own_uid  # a daemon that is not root shows every file as its user's
        self.statvfs = statvfs
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._cold = trio.CapacityLimiter(COLD_READ_THREADS)
        self.own_threads = own_threads  # of the daemon, that use its own mount
        self.capture = capture  # None: nothing is recorded

    # names

    async def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The inode that a name leads to, or None."""
        if isinstance(parent.tree, SpecialTree):
            if parent is parent.tree.root:
                return await self._root.lookup(name)
            return parent.tree.lookup(parent, name)
        if name == DOT_PFS:
            return self._dot_pfs.node(parent)
        return parent.tree.lookup(parent, name)

    def stat(self, node: Node) -> Attributes:
        """What stat says."""
        return node.tree.attributes(node)

    def target(self, node: Node) -> bytes:
        """Where a symbolic link leads."""
        return node.tree.target(node)

    async def make(
        self,
        parent: Node,
        name: bytes,
        kind: FileType,
        mode: int,
        caller: Caller,
        target: bytes = b"",
    ) -> Node:
        """Make a file, directory, link, FIFO or socket; a directory in the root is a repo or branch."""
        if isinstance(parent.tree, SpecialTree):
            if parent is parent.tree.root and kind == FileType.DIRECTORY:
                return await self._root.mkdir(name, mode, caller.uid, caller.gid)
            raise failure(errno.EPERM)
        tree = self._taking(parent, name)
        actor = await self._actor(caller.pid)
        node = names.create(tree, parent, name, kind, mode & 0o7777, caller.uid, caller.gid, target)
        if actor is not None and self.capture is not None:
            self.capture.made(actor, node, kind)
        return node

    async def create(
        self, parent: Node, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Node, int]:
        """Make a file and open it: the number of its handle, too."""
        if isinstance(parent.tree, SpecialTree):
            raise failure(errno.EPERM)
        tree = self._taking(parent, name)
        capture, actor = self.capture, None
        if capture is not None:
            actor = capture.known(caller.pid) or await capture.actor(caller.pid)
        kind, mode = FileType.REGULAR, mode & 0o7777
        node = names.create(tree, parent, name, kind, mode, caller.uid, caller.gid)
        handle = Handle(node, flags, caller)
        if handle.writes:
            self._begin_to_write(tree, handle)
        if actor is not None and capture is not None:
            handle.grip = capture.created(actor, node, flags)
        handle.own = caller.pid in self.own_threads
        return node, self._keep(handle)

    async def remove(self, parent: Node, name: bytes, caller: Caller, *, directory: bool) -> None:
        """Unlink or rmdir; in the root rmdir deletes a clean branch."""
        if isinstance(parent.tree, SpecialTree):
            if parent is parent.tree.root and directory:
                await self._root.rmdir(name)
                return
            raise failure(errno.EPERM)
        if name == DOT_PFS:
            raise failure(errno.EPERM)
        tree = self._writable(parent)
        actor = await self._actor(caller.pid)
        path = path_of(parent, name) if actor is not None else b""
        node = names.remove(tree, parent, name, directory=directory)
        if actor is not None and self.capture is not None:
            self.capture.removed(actor, node, path, directory=directory)
        tree.release_if_unused(node)

    async def rename(
        self, old: Node, old_name: bytes, new: Node, new_name: bytes, flags: int, caller: Caller
    ) -> None:
        """Move a name within one branch; in the root it renames a branch."""
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE):
            raise failure(errno.EINVAL)
        old_special, new_special = isinstance(old.tree, SpecialTree), isinstance(new.tree, SpecialTree)
        if old_special or new_special:
            if old is new and isinstance(old.tree, SpecialTree) and old is old.tree.root and not flags & 2:
                await self._root.rename(old_name, new_name)
                return
            raise failure(errno.EPERM)
        if DOT_PFS in (old_name, new_name):
            raise failure(errno.EPERM)
        if old.tree is not new.tree:
            raise failure(errno.EXDEV)
        tree = self._writable(old)
        actor = await self._actor(caller.pid)
        exchange = bool(flags & RENAME_EXCHANGE)
        moved, replaced = tree.lookup(old, old_name), tree.lookup(new, new_name)
        names.rename(
            tree, old, old_name, new, new_name, replace=not flags & RENAME_NOREPLACE, exchange=exchange
        )
        if actor is not None and self.capture is not None and moved is not None:
            paths = path_of(old, old_name), path_of(new, new_name)
            self.capture.renamed(actor, moved, *paths, replaced, exchange=exchange)

    def link(self, node: Node, parent: Node, name: bytes, caller: Caller) -> None:
        """Give an inode one more name."""
        if isinstance(parent.tree, SpecialTree) or isinstance(node.tree, SpecialTree):
            raise failure(errno.EPERM)
        if name == DOT_PFS:
            raise failure(errno.EEXIST)
        if node.tree is not parent.tree:
            raise failure(errno.EXDEV)
        path = path_of(node) if self.capture is not None else b""
        names.link(self._writable(parent), node, parent, name)
        if self.capture is not None:
            self.capture.note(caller.pid, ChangeKind.LINK, node, path, path_of(parent, name))

    def forget(self, inode: int, lookups: int) -> None:
        """The kernel has dropped references."""
        node = self.inodes.find(inode)
        if node is not None:
            node.tree.forget(node, lookups)

    # attributes

    async def set_attributes(self, node: Node, change: Change, caller: Caller) -> None:
        """chmod, chown, truncate, utimens."""
        if isinstance(node.tree, SpecialTree):
            if isinstance(node, Special) and isinstance(node.shown, ShownFile) and node.shown.write:
                return
            raise failure(errno.EPERM)
        tree = self._writable(node)
        if self.own_uid is not None and change.uid not in (None, self.own_uid):
            raise failure(errno.EPERM)
        if self.capture is not None:
            if change.size is not None:
                actor = await self._actor(caller.pid)
                if actor is not None:
                    self.capture.truncating(actor, node, change.size)
            self.capture.note_attributes(caller.pid, node, change)
        attributes.set_attributes(tree, node, change)

    def get_xattr(self, node: Node, name: bytes, caller: Caller) -> bytes:
        """The value of an extended attribute.  ENODATA."""
        if name.startswith(PREFIX):
            value = self._virtual.get(node, name, caller.uid)
        else:
            value = node.tree.xattrs(node).get(name)
        if value is None:
            raise failure(errno.ENODATA)
        return value

    def list_xattrs(self, node: Node) -> list[bytes]:
        """The names of the stored extended attributes."""
        return sorted(node.tree.xattrs(node))

    def set_xattr(self, node: Node, name: bytes, value: bytes) -> None:
        """Set an extended attribute."""
        if name.startswith(PREFIX) or isinstance(node.tree, SpecialTree):
            raise failure(errno.EPERM)
        attributes.set_xattr(self._writable(node), node, name, value)

    def remove_xattr(self, node: Node, name: bytes) -> None:
        """Remove an extended attribute."""
        if name.startswith(PREFIX) or isinstance(node.tree, SpecialTree):
            raise failure(errno.EPERM)
        attributes.remove_xattr(self._writable(node), node, name)

    # handles

    def handle(self, number: int) -> Handle:
        """An open handle.  EBADF."""
        handle = self._handles.get(number)
        if handle is None:
            raise failure(errno.EBADF)
        return handle

    async def _actor(self, tid: int) -> Actor | None:
        """Who asks, as lineage knows it; None where nothing is recorded."""
        capture = self.capture
        return None if capture is None else capture.known(tid) or await capture.actor(tid)

    async def open(self, node: Node, flags: int, caller: Caller) -> int:
        """Open a file; returns the number of its handle."""
        handle = Handle(node, flags, caller)
        capture, actor = self.capture, None
        if isinstance(node.tree, SpecialTree):
            if isinstance(node, Special) and isinstance(node.shown, ShownFile):
                if handle.writes and node.shown.write is None:
                    raise failure(errno.EACCES)
                shown = node.shown
                handle.text = shown.read() if shown.explain is None else await shown.explain(caller)
        elif capture is not None:
            actor = capture.opens_at_once(caller.pid, node) or await capture.opening(caller.pid, node)
        if not isinstance(node.tree, SpecialTree) and (handle.writes or flags & os.O_TRUNC):
            tree = self._writable(node)
            if flags & os.O_TRUNC:
                if actor is not None and capture is not None:
                    capture.truncating(actor, node, 0)
                files.truncate(tree, node, 0)
            if handle.writes:
                self._begin_to_write(tree, handle)
        if actor is not None and capture is not None:
            handle.grip = capture.opened(actor, node, flags)
        handle.own = caller.pid in self.own_threads
        return self._keep(handle)

    def _begin_to_write(self, tree: WorkingTree, handle: Handle) -> None:
        node = handle.node
        tree.load(node)
        tree.writers += 1
        if handle.flags & os.O_ACCMODE == os.O_RDWR:
            tree.mappable[node] = tree.mappable.get(node, 0) + 1

    def handles(self) -> list[dict[str, object]]:
        """What is open, for `pfs debug`."""
        return [
            {
                "handle": number,
                "inode": self.inodes.number(handle.node),
                "flags": handle.flags,
                "pid": handle.caller.pid,
                "uid": handle.caller.uid,
                "wrote": handle.wrote,
            }
            for number, handle in self._handles.items()
        ]

    def is_text(self, number: int) -> bool:
        """Whether a handle shows text made at its opening, which no cache may keep."""
        return isinstance(self._handles[number].node.tree, SpecialTree)

    async def read(self, number: int, offset: int, size: int, tid: int = 0) -> bytes:
        """Read; at the end of the file less, or nothing."""
        handle = self.handle(number)
        node = handle.node
        tree = node.tree
        if isinstance(tree, SpecialTree):
            return handle.text[offset : offset + size]
        if handle.grip is not None and self.capture is not None and self.capture.is_news(handle.grip):
            await self.capture.reading(handle.grip, tid)
        assert isinstance(tree, Tree)
        content = tree.content(node)
        working = tree.working if isinstance(tree, WorkingTree) else None
        data = files.read_now(working, self._disk, self._readers, content, offset, size)
        for _ in range(files.READ_TRIES_MAX):
            if data is not None:
                return data
            # planned here: the loop alone may look at the ranges of a layer that is written to
            plan = pieces(tree.content(node), offset, offset + size)
            data = await trio.to_thread.run_sync(
                files.read_pieces, working, self._disk, self._readers, plan, limiter=self._cold
            )
        raise failure(errno.EIO)

    async def write(self, number: int, offset: int, data: bytes, tid: int = 0) -> int:
        """Write; returns how much."""
        handle = self.handle(number)
        node = handle.node
        tree = node.tree
        if isinstance(tree, WorkingTree):
            handle.wrote = True
            capture = self.capture
            if handle.grip is not None and capture is not None:
                actor = (capture.known(tid) or await capture.actor(tid)) if tid else None
                capture.writing(handle.grip, actor, node, offset)
            return files.write(tree, node, offset, data)
        if isinstance(node, Special) and isinstance(node.shown, ShownFile) and node.shown.write is not None:
            await node.shown.write(data, handle.caller.uid, handle.caller.pid)
            return len(data)
        raise failure(errno.EROFS)

    async def fsync(self, number: int) -> None:
        """Make a file durable, and every change of names before; of our own handles only pages were meant."""
        handle = self.handle(number)
        if not handle.own and isinstance(handle.node.tree, WorkingTree):
            await self._durability.fsync(handle.node.tree, handle.node)

    def release(self, number: int) -> None:
        """Close a handle."""
        handle = self._handles.pop(number)
        node, tree = handle.node, handle.node.tree
        if handle.grip is not None and self.capture is not None:
            self.capture.closed(handle.grip, node)
        if isinstance(tree, WorkingTree) and handle.writes:
            tree.writers -= 1
            if handle.flags & os.O_ACCMODE == os.O_RDWR:
                tree.mappable[node] -= 1
                if not tree.mappable[node]:
                    del tree.mappable[node]
        tree.close(node)

    # directories

    def open_directory(self, node: Node, caller: Caller) -> int:
        """Open a directory; returns the number of its handle."""
        return self._keep(Handle(node, os.O_RDONLY, caller))

    def list(self, number: int, position: int) -> Listing | list[Listed]:
        """The listing of an open directory; position 0 takes a new view."""
        handle = self.handle(number)
        if position == 0 or handle.listing is None:
            node, tree = handle.node, handle.node.tree
            if isinstance(tree, SpecialTree):
                handle.listing = self._root.names() if node is tree.root else tree.names(node)
            else:
                assert isinstance(tree, Tree)
                handle.listing = tree.listing(node)
        return handle.listing

    def _writable(self, node: Node) -> WorkingTree:
        tree = node.tree
        if not isinstance(tree, WorkingTree):
            raise failure(errno.EROFS)
        return tree

    def _taking(self, parent: Node, name: bytes) -> WorkingTree:
        """The tree that a new name is for."""
        tree = self._writable(parent)
        if name == DOT_PFS:
            raise failure(errno.EEXIST)
        return tree

    def _keep(self, handle: Handle) -> int:
        handle.node.tree.open(handle.node)
        number = self._next_handle
        self._next_handle += 1
        self._handles[number] = handle
        return number
