"""A store with one repo and the working tree of its branch, with the committer's steps taken by hand."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pfs.disk import Disk, FaultyDisk, Operation
from pfs.objects.commit import Author, Commit, CommitKind, encode_commit
from pfs.objects.entry import Entry, FileType, LinkRow
from pfs.objects.file import FileReader
from pfs.objects.ids import Kind
from pfs.objects.tree import TreeReader
from pfs.overlay import files, names, sync
from pfs.overlay.absorb import absorb
from pfs.overlay.branches import Branches
from pfs.overlay.content import layers
from pfs.overlay.cutter import CutProgress, Cutter
from pfs.overlay.freeze import Freezer, Frozen
from pfs.overlay.node import Generation, Node
from pfs.overlay.tree import CommitTree, Readers, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.committer import merged

AUTHOR = Author(1000, "alice", "node7")
BOOT = b"boot number one."
CACHE_BYTES = 1 << 20
START_NS = 1_767_225_600 * 10**9


class Clock:
    """Goes on by one microsecond at each look."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        self.now_ns += 1000
        return self.now_ns


class OverlayFaults(FaultyDisk):
    """Fails where a script says so, but only in journals and working files; and reads, if asked to."""

    def __init__(self) -> None:
        super().__init__("", errno.ENOSPC)
        self.failing_reads = 0

    def before(self, operation: Operation) -> None:
        if {"journal", "working"} & set(operation.path.parts):
            super().before(operation)

    def arm(self, skipped: int, letter: str = "E") -> None:
        """Fail at the change after `skipped` ones."""
        self.done, self.script = 0, "." * skipped + letter

    def fdatasync(self, fd: int) -> None:
        """No test with this disk cuts the power: counted, but not waited for."""
        self.before(Operation("fdatasync", self._paths[fd]))

    def sync_directory(self, path: Path) -> None:
        self.before(Operation("sync_directory", path))

    def _write_half(self, operation: Operation) -> None:
        if operation.data:
            super()._write_half(operation)

    def disarm(self) -> None:
        self.script = ""

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        if self.failing_reads and "working" in self._paths[fd].parts:
            self.failing_reads -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().pread(fd, length, offset)


class Bench:
    """Opens the store in a directory; `restart` is what a new daemon does after a kill or a power cut."""

    def __init__(
        self, path: Path, disk: Disk | None = None, boot_id: bytes = BOOT, clock: Clock | None = None
    ) -> None:
        self.path = path
        self.disk = Disk() if disk is None else disk
        self.clock = clock or Clock()
        self.boot_id = boot_id
        self._open()

    def _open(self) -> None:
        self.executor = ThreadPoolExecutor(1)
        self.store = Store.open(self.path, self.disk)
        store = self.store
        self.readers = Readers(
            store,
            TreeReader(store, Entry, CACHE_BYTES),
            TreeReader(store, LinkRow, CACHE_BYTES),
            FileReader(store, CACHE_BYTES),
        )
        self.repositories = Repositories(store, self.clock)
        found = self.repositories.find("r")
        self.repo: Repo = found or self.repositories.create("r", AUTHOR, uid=0, gid=0)
        self.branches = Branches(
            self.readers, self.disk, self.path, self.repositories, self.boot_id, self.clock
        )
        self.tree: WorkingTree = self.branches.open(self.repo, self.branch)

    @property
    def branch(self) -> BranchRecord:
        """The record of the branch as it is now."""
        return self.repo.default_branch

    def close(self) -> None:
        """Let go of everything; nothing of the overlay is synced."""
        self.executor.shutdown()
        self.branches.close()
        self.store.close()

    def restart(self, boot_id: bytes | None = None) -> None:
        """Forget what is in memory and start again from the disk."""
        self.close()
        self.boot_id = boot_id or self.boot_id
        self._open()

    # the steps of a commit

    def build(self) -> tuple[list[Generation], Frozen]:
        """Freeze what is sealed."""
        tree, sealed = self.tree, list(self.tree.sealed)
        cutter = Cutter(self.readers, self.disk, tree.working, CutProgress(tree, call))
        freezer = Freezer(self.readers, cutter, merged(sealed), tree.root_entry, tree.links, self.executor)
        return sealed, freezer.run()

    def record(self, sealed: list[Generation], frozen: Frozen) -> bytes | None:
        """Commit what was frozen; None where it is what is there."""
        tree = self.tree
        if frozen.links == tree.links and frozen.root.same_version(tree.root_entry):
            self.repo.record_generation(tree.branch_id, sealed[-1].number)
            return None
        commit = Commit(
            kind=int(CommitKind.COMMIT),
            root=frozen.root,
            links=frozen.links,
            parents=(self.branch.head,),
            branch=self.branch.name,
            time_ns=self.clock(),
            author=AUTHOR,
            message="",
            labels=(),
            next_file_id=self.branches.next_file_id(),
        )
        commit_id = self.store.put(Kind.COMMIT, encode_commit(commit))
        self.repo.record_commit(tree.branch_id, commit_id, journal_generation=sealed[-1].number)
        return commit_id

    def absorb(self, sealed: list[Generation], frozen: Frozen, slice_size: int = 1) -> Iterator[None]:
        """Make the commit the base, step by step."""
        yield from absorb(self.tree, sealed, frozen, slice_size)
        self.tree.working.unlink([self.tree.working.path(layer) for layer in frozen.layers])

    def commit(self) -> bytes | None:
        """All steps at once."""
        if self.tree.generation.dirty:
            self.tree.freeze()
        if not self.tree.sealed:
            return None
        sealed, frozen = self.build()
        commit_id = self.record(sealed, frozen)
        for _ in self.absorb(sealed, frozen):
            pass
        return commit_id

    def sync(self) -> None:
        """What happens once a second: files, marks, journal; then what nobody needs goes."""
        tree = self.tree
        while files_of := sync.pending(tree, None, everything=True):
            todo = sync.plan(tree, files_of)
            sync.run(self.disk, todo)
            sync.finish(tree, todo)
        started = tree.journal.begin_sync()
        started.run()
        tree.journal.end_sync(started)
        tree.working.unlink(tree.take_discarded())

    # short forms

    def commit_tree(self, commit_id: bytes) -> CommitTree:
        """The tree of a commit."""
        return CommitTree(self.readers, commit_id, self.repo.commits.read(commit_id), 2, 3, {})

    def walk(self, path: str, tree: Tree | None = None) -> Node:
        """The node at a path."""
        tree = tree or self.tree
        node = tree.root
        for name in path.split("/"):
            found = tree.lookup(node, name.encode()) if name else node
            assert found is not None, path
            node = found
        return node

    def exists(self, path: str, tree: Tree | None = None) -> bool:
        """Whether there is something at a path."""
        tree = tree or self.tree
        parent, _, name = path.rpartition("/")
        return tree.lookup(self.walk(parent, tree), name.encode()) is not None

    def create(
        self, path: str, data: bytes = b"", kind: FileType = FileType.REGULAR, target: bytes = b""
    ) -> Node:
        """Make something at a path."""
        parent, _, name = path.rpartition("/")
        mode = 0o755 if kind == FileType.DIRECTORY else 0o644
        node = names.create(self.tree, self.walk(parent), name.encode(), kind, mode, 0, 0, target)
        if data:
            self.write(node, 0, data)
        return node

    def mkdir(self, path: str) -> Node:
        return self.create(path, kind=FileType.DIRECTORY)

    def write(self, node: Node, offset: int, data: bytes) -> None:
        assert files.write(self.tree, node, offset, data) == len(data)

    def rename(self, old: str, new: str, *, exchange: bool = False) -> None:
        old_parent, _, old_name = old.rpartition("/")
        new_parent, _, new_name = new.rpartition("/")
        names.rename(
            self.tree,
            self.walk(old_parent),
            old_name.encode(),
            self.walk(new_parent),
            new_name.encode(),
            exchange=exchange,
        )

    def remove(self, path: str, *, directory: bool = False) -> None:
        parent, _, name = path.rpartition("/")
        node = names.remove(self.tree, self.walk(parent), name.encode(), directory=directory)
        self.tree.release_if_unused(node)

    def link(self, path: str, new: str) -> None:
        parent, _, name = new.rpartition("/")
        names.link(self.tree, self.walk(path), self.walk(parent), name.encode())

    def read(self, node: Node, offset: int = 0, size: int = 1 << 40) -> bytes:
        """The bytes of a file, read as a cold read is; a warm read has to say the same."""
        tree = node.tree
        assert isinstance(tree, Tree)
        working = tree.working if isinstance(tree, WorkingTree) else None
        content = tree.content(node)
        data = files.read_blocking(working, self.disk, self.readers, content, offset, size)
        warm = files.read_now(working, self.disk, self.readers, content, offset, size)
        assert warm is None or warm == data
        return data

    def working_names(self) -> set[str]:
        """The working files that are there."""
        return set(self.disk.listdir(self.tree.working.directory))

    def needed_names(self) -> set[str]:
        """The working files that some layer needs."""
        return {
            self.tree.working.path(layer).name
            for node in self.tree.nodes.values()
            if node.tree is self.tree and node.state is not None
            for layer in layers(node.state.content)
        }


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The event loop, where there is none."""
    return function(*arguments)
