"""The adapter to pyfuse3: convert, call the filesystem, convert back.  Nothing is decided here.

Handlers do not await on the hot path; what may wait for a disk does so in the
filesystem's threads.  Every handler is guarded.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Any

import pyfuse3
import structlog
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, RequestContext

from pfs.fuse import request_pid
from pfs.fuse.guard import guarded
from pfs.objects.entry import FileType
from pfs.overlay.attributes import Change
from pfs.overlay.node import Attributes, Node
from pfs.overlay.tree import CommitTree, Listed, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.vfs.caller import Caller
from pfs.vfs.filesystem import Filesystem
from pfs.vfs.inodes import ROOT_INODE

_log = structlog.get_logger("fuse")

FOR_EVER_SECONDS = 10 * 365 * 86_400.0  # commits never change
LONG_SECONDS = 86_400.0  # working trees change only through us
BLOCK_BYTES = 512
NAME_BYTES_MAX = 255
DIRECTORY_BYTES = 4096
DOTS = 2  # positions of "." and ".." before a directory's own entries

_FORMAT = {
    FileType.REGULAR: stat.S_IFREG,
    FileType.DIRECTORY: stat.S_IFDIR,
    FileType.SYMLINK: stat.S_IFLNK,
    FileType.FIFO: stat.S_IFIFO,
    FileType.SOCKET: stat.S_IFSOCK,
}
_NODES = {stat.S_IFREG: FileType.REGULAR, stat.S_IFIFO: FileType.FIFO, stat.S_IFSOCK: FileType.SOCKET}


class Operations(pyfuse3.Operations):
    """Requests of one mount.  Owned by the event loop."""

    supports_dot_lookup = False
    enable_writeback_cache = False  # every write would lose its process
    enable_acl = True

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__()
        self._fs = filesystem
        self._inodes = filesystem.inodes

    # names

    @guarded(EntryAttributes)
    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        """LOOKUP; a miss in a tree is cached as well."""
        parent = self._inodes.node(parent_inode)
        if len(name) > NAME_BYTES_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        node = await self._fs.lookup(parent, name)
        if node is not None:
            return self._known(node)
        timeout = _timeout(parent)
        if not timeout:
            raise FUSEError(errno.ENOENT)
        missing = EntryAttributes()
        missing.st_ino = 0
        missing.entry_timeout = timeout
        return missing

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """FORGET: the kernel has dropped its references.  It takes no answer, not even an error."""
        for inode, lookups in inode_list:
            try:
                self._fs.forget(inode, lookups)
            except Exception:
                _log.exception("request failed", request="forget", inode=inode)

    @guarded(EntryAttributes)
    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        """MKNOD: files, FIFOs and sockets; no devices."""
        kind = _NODES.get(stat.S_IFMT(mode) or stat.S_IFREG)
        if kind is None:
            raise FUSEError(errno.EPERM)
        parent = self._inodes.node(parent_inode)
        return self._known(await self._fs.make(parent, name, kind, mode, _caller(ctx)))

    @guarded(EntryAttributes)
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        """MKDIR."""
        parent = self._inodes.node(parent_inode)
        return self._known(await self._fs.make(parent, name, FileType.DIRECTORY, mode, _caller(ctx)))

    @guarded(EntryAttributes)
    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        """SYMLINK."""
        parent = self._inodes.node(parent_inode)
        node = await self._fs.make(parent, name, FileType.SYMLINK, 0o777, _caller(ctx), target)
        return self._known(node)

    @guarded(EntryAttributes)
    async def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        """LINK."""
        node = self._inodes.node(inode)
        self._fs.link(node, self._inodes.node(new_parent_inode), new_name, _caller(ctx))
        return self._known(node)

    @guarded(type(None))
    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        """UNLINK."""
        await self._fs.remove(self._inodes.node(parent_inode), name, _caller(ctx), directory=False)

    @guarded(type(None))
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        """RMDIR."""
        await self._fs.remove(self._inodes.node(parent_inode), name, _caller(ctx), directory=True)

    @guarded(type(None))
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        """RENAME2."""
        old, new = self._inodes.node(parent_inode_old), self._inodes.node(parent_inode_new)
        await self._fs.rename(old, name_old, new, name_new, flags, _caller(ctx))

    # attributes

    @guarded(EntryAttributes)
    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        """GETATTR."""
        return self._attributes(self._inodes.node(inode))

    @guarded(EntryAttributes)
    async def setattr(
        self,
        inode: int,
        attr: EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        """SETATTR."""
        node = self._inodes.node(inode)
        change = Change(
            mode=stat.S_IMODE(attr.st_mode) if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            size=attr.st_size if fields.update_size else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
        )
        await self._fs.set_attributes(node, change, _caller(ctx))
        return self._attributes(node)

    @guarded(bytes)
    async def readlink(self, inode: int, ctx: RequestContext) -> bytes:
        """READLINK."""
        return self._fs.target(self._inodes.node(inode))

    @guarded(bytes)
    async def getxattr(self, inode: int, name: bytes, ctx: RequestContext) -> bytes:
        """GETXATTR; asked for security.capability before every write."""
        return self._fs.get_xattr(self._inodes.node(inode), name, _caller(ctx))

    @guarded(list)
    async def listxattr(self, inode: int, ctx: RequestContext) -> list[bytes]:
        """LISTXATTR."""
        return self._fs.list_xattrs(self._inodes.node(inode))

    @guarded(type(None))
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        """SETXATTR."""
        self._fs.set_xattr(self._inodes.node(inode), name, value)

    @guarded(type(None))
    async def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        """REMOVEXATTR."""
        self._fs.remove_xattr(self._inodes.node(inode), name)

    # files

    @guarded(FileInfo)
    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        """OPEN.  Pages stay cached: whoever writes passes this kernel."""
        return self._opened(await self._fs.open(self._inodes.node(inode), flags, _caller(ctx)))

    @guarded(tuple)
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        """CREATE."""
        parent = self._inodes.node(parent_inode)
        node, fh = await self._fs.create(parent, name, mode, flags & ~os.O_TRUNC, _caller(ctx))
        return self._opened(fh), self._known(node)

    @guarded(bytes)
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """READ."""
        return await self._fs.read(fh, off, size, request_pid.current)

    @guarded(int)
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """WRITE."""
        return await self._fs.write(fh, off, buf, request_pid.current)

    async def flush(self, fh: int) -> None:
        """FLUSH is not needed; the kernel stops asking."""
        raise FUSEError(errno.ENOSYS)

    @guarded(type(None))
    async def release(self, fh: int) -> None:
        """RELEASE."""
        self._fs.release(fh)

    @guarded(type(None))
    async def fsync(self, fh: int, datasync: bool) -> None:
        """FSYNC."""
        await self._fs.fsync(fh)

    # directories

    @guarded(int)
    async def opendir(self, inode: int, ctx: RequestContext) -> int:
        """OPENDIR."""
        return self._fs.open_directory(self._inodes.node(inode), _caller(ctx))

    @guarded(type(None))
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        """READDIRPLUS."""
        directory = self._fs.handle(fh).node
        if start_id < DOTS and not self._dots(directory, start_id, token):
            return
        listing = self._fs.list(fh, max(0, start_id - DOTS))
        if isinstance(listing, list):
            await self._list_special(directory, listing[max(0, start_id - DOTS) :], token)
            return
        tree = directory.tree
        assert isinstance(tree, Tree)
        for listed in listing.names(max(0, start_id - DOTS)):
            found = tree.listed(directory, listed)
            if found is None:
                continue
            node, attributes = found
            entry = self._entry(node, attributes)
            if not pyfuse3.readdir_reply(token, listed.name, entry, listed.position + DOTS):
                tree.forget(node, 0)
                return
            node.lookups += 1

    @guarded(type(None))
    async def releasedir(self, fh: int) -> None:
        """RELEASEDIR."""
        self._fs.release(fh)

    @guarded(type(None))
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """FSYNCDIR."""
        await self._fs.fsync(fh)

    @guarded(pyfuse3.StatvfsData)
    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        """STATFS: the numbers of the disk below the store."""
        below = self._fs.statvfs()
        answer = pyfuse3.StatvfsData()
        answer.f_bsize, answer.f_frsize = below.f_bsize, below.f_frsize
        answer.f_blocks, answer.f_bfree, answer.f_bavail = below.f_blocks, below.f_bfree, below.f_bavail
        answer.f_files, answer.f_ffree, answer.f_favail = below.f_files, below.f_ffree, below.f_favail
        answer.f_namemax = NAME_BYTES_MAX
        return answer

    # conversions

    def _known(self, node: Node) -> EntryAttributes:
        """The reply to what makes the kernel hold one more reference."""
        entry = self._attributes(node)
        node.lookups += 1
        return entry

    def _attributes(self, node: Node) -> EntryAttributes:
        return self._entry(node, self._fs.stat(node))

    def _entry(self, node: Node, attributes: Attributes) -> EntryAttributes:
        kind, mode, nlink, uid, gid, size, mtime_ns, ctime_ns, atime_ns = attributes
        if kind == FileType.DIRECTORY:
            size = DIRECTORY_BYTES
        own = self._fs.own_uid
        entry = EntryAttributes()
        entry.st_ino = self._inodes.number(node)
        entry.entry_timeout = entry.attr_timeout = _timeout(node)
        entry.st_mode = _FORMAT[kind] | mode  # type: ignore[index]
        entry.st_nlink = nlink
        entry.st_uid = uid if own is None else own
        entry.st_gid = gid
        entry.st_size = size
        entry.st_blocks = -(-size // BLOCK_BYTES)
        entry.st_mtime_ns, entry.st_ctime_ns, entry.st_atime_ns = mtime_ns, ctime_ns, atime_ns
        return entry

    def _opened(self, fh: int) -> FileInfo:
        text = self._fs.is_text(fh)
        return FileInfo(fh=fh, direct_io=text, keep_cache=not text)

    def _dots(self, directory: Node, position: int, token: Any) -> bool:
        own = self._attributes(directory)
        if position < 1 and not pyfuse3.readdir_reply(token, b".", own, 1):
            return False
        above = self._attributes(directory)
        parent = directory.tree.nodes.get(directory.parent)
        above.st_ino = ROOT_INODE if parent is None else self._inodes.number(parent)
        return bool(pyfuse3.readdir_reply(token, b"..", above, DOTS))

    async def _list_special(self, directory: Node, listing: list[Listed], token: Any) -> None:
        for listed in listing:
            node = await self._fs.lookup(directory, listed.name)
            if node is None:
                continue
            if not pyfuse3.readdir_reply(token, listed.name, self._attributes(node), listed.position + DOTS):
                node.tree.forget(node, 0)
                return
            node.lookups += 1


def _caller(ctx: RequestContext) -> Caller:
    return Caller(ctx.uid, ctx.gid, ctx.pid, ctx.umask)


def _timeout(node: Node) -> float:
    """How long the kernel may believe what it was told: what daemons make is never cached."""
    tree = node.tree
    if isinstance(tree, WorkingTree):
        return 0.0 if node is tree.root else LONG_SECONDS
    if isinstance(tree, CommitTree):
        return 0.0 if node is tree.root else FOR_EVER_SECONDS
    return 0.0
