"""Builds every object of a running daemon and knows who uses whom."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from pfs.errors import Busy, PfsError
from pfs.namespace.resolve import Resolver
from pfs.objects.commit import Author, CommitKind
from pfs.objects.entry import Entry, LinkRow
from pfs.objects.file import FileReader
from pfs.objects.tree import TreeReader
from pfs.overlay.branches import Branches
from pfs.overlay.tree import Readers, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.checkpointer import Checkpointer
from pfs.versioning.committer import Committer, Message
from pfs.versioning.fsck import Problem, check_slice
from pfs.vfs.caller import Caller
from pfs.vfs.dot_pfs import DotPfs
from pfs.vfs.durability import Durability
from pfs.vfs.filesystem import Filesystem
from pfs.vfs.inodes import Inodes
from pfs.vfs.mapped import MappedFlush
from pfs.vfs.root import MountRoot
from pfs.vfs.special import ShownDirectory, SpecialTree
from pfs.vfs.virtual_xattrs import VirtualXattrs

if TYPE_CHECKING:
    from pfs.daemon.lineage import Lineage

ENTRY_CACHE_BYTES = 64 * 1024 * 1024  # decoded nodes of directories
LINK_CACHE_BYTES = 8 * 1024 * 1024
FILE_CACHE_BYTES = 16 * 1024 * 1024  # decoded chunk lists
SYNC_THREADS = 8
LOOK_AFTER_SECONDS = 60.0
CHECK_SLICE = 64  # inodes that fsck looks at before others get the loop

_log = structlog.get_logger("daemon")


class Daemon:
    """All there is in one daemon.  Made on the event loop."""

    def __init__(
        self,
        store: Store,
        mount_point: Path,
        now_ns: Callable[[], int],
        *,
        read_only: bool = False,
        capture: bool = False,
    ) -> None:
        self.store = store
        self.mount_point = mount_point
        self.now_ns = now_ns
        self.read_only = read_only
        self.state = "serving"
        self.explain: Callable[[bytes, Caller], Awaitable[bytes]] | None = (
            None  # set by who answers questions
        )
        disk = store.disk
        self.readers = Readers(
            store,
            TreeReader(store, Entry, ENTRY_CACHE_BYTES),
            TreeReader(store, LinkRow, LINK_CACHE_BYTES),
            FileReader(store, FILE_CACHE_BYTES),
        )
        self.repositories = Repositories(store, now_ns)
        self.resolver = Resolver(self.repositories, now_ns)
        self.branches = Branches(
            self.readers, disk, store.path, self.repositories, disk.boot_id(), now_ns, read_only=read_only
        )
        self.special = SpecialTree(
            ShownDirectory(lambda _name: None, lambda: (), 0o755), os.geteuid(), os.getegid(), now_ns
        )
        self.inodes = Inodes(self.special, self.branches.default_nodes)
        self.root = MountRoot(
            self.repositories,
            self.resolver,
            self.branches,
            self.readers,
            self.special,
            self.inodes,
            author_of,
        )
        self.durability = Durability(disk, self.branches, SYNC_THREADS)
        own_threads: set[int] = set()
        self.lineage = self._build_lineage(own_threads) if capture else None
        self.filesystem = self._build_filesystem(own_threads)
        self.committer = Committer(self.readers, disk, self.branches, now_ns, max(2, os.cpu_count() or 2))
        self.mapped = MappedFlush(
            disk, mount_point, lambda tree: self._names_of(tree)[1], self.filesystem.own_threads
        )
        self.committer.flush_mapped = self.mapped.flush
        if self.lineage is not None:
            self.lineage.capture.mapped = self.mapped
            self.committer.sealer = self.lineage.sealer
        self.committer.make_room = self._make_room
        self.checkpointer = Checkpointer(
            self.repositories, self.branches, self.committer, now_ns, Message(author_of(os.geteuid()))
        )

    def _build_filesystem(self, own_threads: set[int]) -> Filesystem:
        return Filesystem(
            self.readers,
            self.store.disk,
            self.root,
            self.inodes,
            DotPfs(
                self.special,
                self.inodes.number,
                self._names_of,
                self._commit_by_control_file,
                None if self.lineage is None else self._explained,
            ),
            VirtualXattrs(self._names_of, None if self.lineage is None else self.lineage.xattrs),
            self.durability,
            None if os.geteuid() == 0 else os.geteuid(),
            lambda: self.store.disk.statvfs(self.store.path),
            own_threads,
            None if self.lineage is None else self.lineage.capture,
        )

    def _build_lineage(self, own_threads: set[int]) -> Lineage:
        from pfs.daemon.lineage import Lineage  # 0.2 s, which only those pay who have it recorded

        return Lineage(
            self.store,
            self.branches,
            self.repositories,
            lambda tree: self._names_of(tree)[0].repo_id,
            lambda tree: self._names_of(tree)[1],
            self.mount_point,
            own_threads,
            self.now_ns,
        )

    def replay(self) -> None:
        """Open every branch that has changes in its journal."""
        if self.lineage is not None:
            self.lineage.mend()
        for repo in self.repositories.list():
            for branch in repo.branches():
                if self.branches.has_journal(branch):
                    self.root.working_tree(repo, branch)

    def background_tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs beside the requests."""
        if self.read_only:
            return []
        lineage = [] if self.lineage is None else self.lineage.background_tasks()
        return [self.checkpointer.run, self.durability.run, self._look_after, *lineage]

    async def _look_after(self) -> None:
        while True:
            await trio.sleep(LOOK_AFTER_SECONDS)
            await trio.to_thread.run_sync(self.store.look_after)

    async def _make_room(self, tree: WorkingTree) -> None:
        """Remove working files of what was deleted a moment ago, and give up the disk held back."""
        await self.durability.sync_all(tree)
        await trio.to_thread.run_sync(self.store.give_reserve)

    async def commit(
        self, repo: Repo, branch_name: str | None, message: Message, kind: CommitKind = CommitKind.COMMIT
    ) -> bytes | None:
        """Commit a branch, the default one where none is named; None where nothing had changed."""
        branch = repo.default_branch if branch_name is None else repo.branch(branch_name)
        self.root.working_tree(repo, branch)
        return await self.committer.commit(repo, branch, kind, message)

    async def checkpoint_all(self) -> None:
        """Freeze every branch that has changes, for who looks at all of them."""
        for repo in self.repositories.list():
            for branch in repo.branches():
                tree = self.branches.find(branch.branch_id)
                if tree is not None and tree.is_dirty():
                    await self.committer.commit(
                        repo, branch, CommitKind.CHECKPOINT, Message(author_of(os.geteuid()))
                    )

    async def finish(self) -> None:
        """Make everything durable: journals first, then, where that goes well, checkpoints."""
        self.committer.flush_mapped = None
        if not self.read_only:
            for tree in self.branches.opened():
                try:
                    await self.durability.sync_all(tree)
                except (OSError, PfsError) as error:
                    _log.error("sync failed", branch=tree.branch_id, error=str(error))
        self.committer.close()
        if self.lineage is not None:
            self.lineage.close()
        self.branches.close()

    def counters(self) -> dict[str, int]:
        """Numbers for `pfs debug` and tests."""
        trees = self.branches.opened()
        return {
            "handles": len(self.filesystem.handles()),
            "inodes": len(self.branches.default_nodes),
            "dirty_states": sum(len(tree.generation.dirty) for tree in trees),
            "journal_bytes": sum(tree.journal.size_bytes for tree in trees),
            "replayed_records": self.branches.replayed_records,
            **({} if self.lineage is None else self.lineage.counters()),
        }

    def check_overlay(self) -> Iterator[Problem]:
        """What is wrong with open working trees.  In a thread: the loop looks, a slice at a time."""
        for tree in self.branches.opened():
            named = self.root.names_of.get(tree)
            where = os.fsdecode(named[1]) if named else f"branch {tree.branch_id}"
            yield from trio.from_thread.run_sync(check_slice, tree, where, None)
            nodes = trio.from_thread.run_sync(list, tree.nodes.values())
            for at in range(0, len(nodes), CHECK_SLICE):
                yield from trio.from_thread.run_sync(check_slice, tree, where, nodes[at : at + CHECK_SLICE])

    def _names_of(self, tree: Tree) -> tuple[Repo, bytes]:
        return self.root.names_of[tree]

    async def _explained(self, place: bytes, caller: Caller) -> bytes:
        if self.explain is None:
            raise Busy("the daemon is still starting")
        return await self.explain(place, caller)

    async def _commit_by_control_file(self, tree: WorkingTree, text: str, uid: int) -> None:
        repo, _ = self._names_of(tree)
        branch = repo.branch_by_id(tree.branch_id)
        await self.committer.commit(repo, branch, CommitKind.COMMIT, Message(author_of(uid), text))


def author_of(uid: int) -> Author:
    """The author that a user of this machine is."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Author(uid, name, socket.gethostname())
