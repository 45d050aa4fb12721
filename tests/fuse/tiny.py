"""A filesystem of one file, `/file`, that says on its standard output who opens, reads and writes it.

Run as `python -m tests.fuse.tiny MOUNT_POINT`; each line is JSON.  Commands on standard input, one a line:
`hold` makes FLUSH wait until `go`; the end of input ends it.  It dies by itself after LIFE_SECONDS.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, RequestContext

from pfs.fuse import request_pid

LIFE_SECONDS = 60
FILE = 2
ROOT_MODE = stat.S_IFDIR | 0o777
FILE_MODE = stat.S_IFREG | 0o777


def tell(**what: object) -> None:
    """Say it to whoever started us."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Tiny(pyfuse3.Operations):
    """One file, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()
        self.go = trio.Event()
        self.go.set()

    def _attributes(self, inode: int) -> EntryAttributes:
        entry = EntryAttributes()
        entry.st_ino = inode
        entry.st_mode = FILE_MODE if inode == FILE else ROOT_MODE
        entry.st_size = len(self.data) if inode == FILE else 0
        entry.attr_timeout = entry.entry_timeout = 0
        return entry

    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        if name != b"file":
            raise FUSEError(errno.ENOENT)
        return self._attributes(FILE)

    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._attributes(inode)

    async def setattr(
        self, inode: int, attr: Any, fields: Any, fh: Any, ctx: RequestContext
    ) -> EntryAttributes:
        if fields.update_size:
            del self.data[attr.st_size :]
        return self._attributes(inode)

    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        tell(op="open", pid=ctx.pid)
        return FileInfo(fh=FILE, direct_io=bool(flags & os.O_NONBLOCK), keep_cache=False)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        told = request_pid.current
        await trio.lowlevel.checkpoint()  # others come in between
        tell(op="read", pid=told)
        return bytes(self.data[off : off + size])

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        told = request_pid.current
        await trio.lowlevel.checkpoint()
        tell(op="write", pid=told, data=buf.decode("latin-1"))
        self.data[off : off + len(buf)] = buf
        return len(buf)

    async def flush(self, fh: int) -> None:
        if not self.go.is_set():
            tell(op="flush")
        await self.go.wait()

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        pass


async def listen(tiny: Tiny) -> None:
    """Obey until the input ends."""
    async with trio.lowlevel.FdStream(os.dup(0)) as stream:
        left = b""
        async for chunk in stream:
            *lines, left = (left + chunk).split(b"\n")
            for line in lines:
                if line == b"hold":
                    tiny.go = trio.Event()
                else:
                    tiny.go.set()
                tell(op="obeyed")
    tiny.go.set()
    pyfuse3.terminate()


async def serve(mount_point: str) -> None:
    """Mount, say so, answer."""
    tiny = Tiny()
    pyfuse3.init(tiny, mount_point, {"fsname=tiny", "default_permissions", "allow_other"})
    installed = request_pid.install(tiny)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, tiny)
        nursery.start_soon(partial(pyfuse3.main, max_tasks=100))
        await trio.to_thread.run_sync(os.stat, mount_point)
        tell(op="mounted", installed=installed, verified=request_pid.verified)
    pyfuse3.close(unmount=True)


if __name__ == "__main__":
    signal.alarm(LIFE_SECONDS)
    trio.run(serve, sys.argv[1])
