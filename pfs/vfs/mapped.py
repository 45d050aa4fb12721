"""Bringing stores through mmap to the daemon: fsync, through the mount, of what has read-write handles.

The kernel writes dirty shared pages back when a file is synced and not before;
a commit is to hold them.  Done in threads, because the requests that follow are
answered by the loop; the FSYNC of such a handle skips the disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import trio

from pfs.disk import Disk
from pfs.overlay.node import Node
from pfs.overlay.worktree import WorkingTree

FLUSH_THREADS = 4


class MappedFlush:
    """Flushes the mapped files of a working tree."""

    def __init__(
        self, disk: Disk, mount_point: Path, name_of: Callable[[WorkingTree], bytes], own_threads: set[int]
    ) -> None:
        self._disk = disk
        self._mount_point = mount_point
        self._name_of = name_of
        self._own_threads = own_threads
        self._limiter = trio.CapacityLimiter(FLUSH_THREADS)

    async def flush(self, tree: WorkingTree) -> None:
        """Return when every store made before the call has reached the daemon."""
        nodes = [node for node in tree.mappable if tree.is_linked(node)]
        paths = [path for path in (self._path(tree, node) for node in nodes) if path is not None]
        if not paths:
            return
        async with trio.open_nursery() as nursery:
            for path in paths:
                nursery.start_soon(self._flush_one, path)

    async def flush_node(self, tree: WorkingTree, node: Node) -> None:
        """The same for one file."""
        path = self._path(tree, node) if tree.is_linked(node) else None
        if path is not None:
            await self._flush_one(path)

    async def _flush_one(self, path: bytes) -> None:
        await trio.to_thread.run_sync(self._sync, path, limiter=self._limiter)

    def _sync(self, path: bytes) -> None:
        self._own_threads.add(threading.get_native_id())
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return  # renamed or removed meanwhile: its writer goes on, the next commit has it
        try:
            self._disk.fsync(fd)
        finally:
            os.close(fd)

    def _path(self, tree: WorkingTree, node: Node) -> bytes | None:
        parts: list[bytes] = []
        at = node
        while at is not tree.root:
            parts.append(at.name)
            parent = tree.nodes.get(at.parent)
            if parent is None:
                return None
            at = parent
        return b"/".join([os.fsencode(self._mount_point), self._name_of(tree), *reversed(parts)])
