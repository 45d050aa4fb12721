"""fsync, and the sync of every second: when files, marks and the journal go to the disk.

Before a journal sync every file that was renamed over another one is synced and
marked (overlay/sync.py says why).  Waiting callers share journal syncs.  After a
failed sync nothing is retried: the file answers EIO until it is rewritten; a
failed journal turns its branch read-only.
"""

from __future__ import annotations

import errno
from collections import defaultdict

import structlog
import trio

from pfs.disk import Disk
from pfs.overlay import sync
from pfs.overlay.branches import Branches
from pfs.overlay.names import failure
from pfs.overlay.node import Node
from pfs.overlay.worktree import WorkingTree

SYNC_SECONDS = 1.0
BUSY_SHARE = 10  # the next background sync waits at least so many times as long as the last one took
SLICE_FILES = 64  # planned or marked before others get the loop: about a millisecond
INSTALLED_ROUNDS_MAX = 4  # then the loop itself syncs what programs go on renaming

_log = structlog.get_logger("sync")


class Durability:
    """Brings working trees to the disk.  Owned by the event loop; waits for disks in threads of its own."""

    def __init__(self, disk: Disk, branches: Branches, threads: int) -> None:
        self._disk = disk
        self._branches = branches
        self._limiter = trio.CapacityLimiter(threads)
        self._locks: defaultdict[int, trio.Lock] = defaultdict(trio.Lock)

    async def fsync(self, tree: WorkingTree, node: Node | None) -> None:
        """Make one file (or no file, only names) durable.  Raises OSError."""
        target = tree.journal.sequence
        await self._sync_files(tree, sync.pending(tree, node))
        if node is not None and node.file_id in tree.failed:
            raise failure(errno.EIO)
        await self._sync_journal(tree, max(target, tree.journal.sequence))

    async def sync_all(self, tree: WorkingTree) -> None:
        """Make everything that has been done so far in a working tree durable, then remove what it let go."""
        await self._sync_files(tree, sync.pending(tree, None, everything=True))
        await self._sync_journal(tree, tree.journal.sequence)
        gone = tree.take_discarded()
        if gone:
            await trio.to_thread.run_sync(tree.working.unlink, gone, limiter=self._limiter)

    async def run(self) -> None:
        """Sync what has changed, about once a second, for ever."""
        while True:
            started = trio.current_time()
            for tree in self._branches.opened():
                if tree.broken or _is_gone(tree):
                    continue
                behind = tree.journal.synced_sequence < tree.journal.sequence
                if behind or tree.unsynced or tree.discarded:
                    try:
                        await self.sync_all(tree)
                    except OSError as error:
                        _log.warning("sync failed", branch=tree.branch_id, error=str(error))
            took = trio.current_time() - started
            await trio.sleep(max(SYNC_SECONDS, took * BUSY_SHARE))

    async def _sync_files(self, tree: WorkingTree, nodes: list[Node]) -> None:
        if not nodes:
            return
        planned: list[sync.FileSync] = []
        for at in range(0, len(nodes), SLICE_FILES):
            if at:
                await trio.lowlevel.checkpoint()
            planned.append(sync.plan(tree, nodes[at : at + SLICE_FILES]))
        await trio.to_thread.run_sync(sync.run, self._disk, *planned, limiter=self._limiter)
        error: OSError | None = None
        for number, todo in enumerate(planned):
            if number:
                await trio.lowlevel.checkpoint()
            if _is_gone(tree):
                return
            try:
                sync.finish(tree, todo)
            except OSError as failed:
                error = failed
        if error is not None:
            raise error

    async def _sync_journal(self, tree: WorkingTree, target: int) -> None:
        async with self._locks[tree.branch_id]:
            if _is_gone(tree):
                return
            if tree.broken:
                raise failure(errno.EIO)
            if tree.journal.synced_sequence >= target:
                return
            for _ in range(INSTALLED_ROUNDS_MAX):
                if not tree.installed:
                    break
                await self._sync_files(tree, sync.pending(tree, None))
                if _is_gone(tree):
                    return
            if tree.installed:
                todo = sync.plan(tree, sync.pending(tree, None))
                sync.run(self._disk, todo)
                sync.finish(tree, todo)
            started = tree.journal.begin_sync()
            try:
                await trio.to_thread.run_sync(started.run, limiter=self._limiter)
            except OSError as error:
                tree.broken = f"its journal can't be written: {error}"
                _log.error("branch is read-only now", branch=tree.branch_id, error=str(error))
                raise
            tree.journal.end_sync(started)


def _is_gone(tree: WorkingTree) -> bool:
    """Whether the branch has been deleted; that may happen wherever something is awaited."""
    return not tree.journal.is_open
