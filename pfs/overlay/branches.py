"""The working trees of a store: opened at first use, from the base and the journal of their branch.

A branch's `journal/ID` and `working/ID` hold what is not in objects yet.  The
branch record names the base commit and the generation that is in it; journal
files up to that generation are leftovers of a crash and go before the replay.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pfs.disk import Disk
from pfs.overlay.journal import Journal
from pfs.overlay.node import Node
from pfs.overlay.replay import Replay
from pfs.overlay.tree import Readers
from pfs.overlay.worktree import WorkingTree
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories


class Branches:
    """All open working trees, by branch id.  Owned by the event loop."""

    def __init__(
        self,
        readers: Readers,
        disk: Disk,
        root: Path,
        repositories: Repositories,
        boot_id: bytes,
        now_ns: Callable[[], int],
        *,
        read_only: bool = False,
    ) -> None:
        self._readers = readers
        self._disk = disk
        self._root = root
        self._repositories = repositories
        self._boot_id = boot_id
        self._now_ns = now_ns
        self._read_only = read_only
        self._trees: dict[int, WorkingTree] = {}
        self.default_nodes: dict[int, Node] = {}  # view 0: file ids are unique among default branches
        self.replayed_records = 0
        self.on_open: Callable[[WorkingTree, BranchRecord], None] | None = None

    def open(self, repo: Repo, branch: BranchRecord) -> WorkingTree:
        """The working tree of a branch.  Raises StoreError, CorruptObject, OSError."""
        tree = self._trees.get(branch.branch_id)
        if tree is None:
            tree = self._trees[branch.branch_id] = self._load(repo, branch)
            if self.on_open is not None:
                self.on_open(tree, branch)
        return tree

    def opened(self) -> list[WorkingTree]:
        """Those that are open."""
        return list(self._trees.values())

    def find(self, branch_id: int) -> WorkingTree | None:
        """An open one, or None."""
        return self._trees.get(branch_id)

    def next_file_id(self) -> int:
        """Above every file id given out so far."""
        return self._repositories.file_ids.next

    def has_journal(self, branch: BranchRecord) -> bool:
        """Whether a branch may have changes that are in no object yet."""
        try:
            return bool(self._disk.listdir(self._directory("journal", branch.branch_id)))
        except FileNotFoundError:
            return False

    def discard(self, branch_id: int) -> None:
        """Forget a branch that has been deleted, and remove what was its own on the disk."""
        tree = self._trees.pop(branch_id, None)
        if tree is not None:
            tree.journal.close()
            tree.working.close()
        for kind in ("journal", "working"):
            directory = self._directory(kind, branch_id)
            for name in self._disk.listdir(directory):
                with suppress(FileNotFoundError):  # a commit's working files are being removed
                    self._disk.unlink(directory / name)
            self._disk.rmdir(directory)

    def close(self) -> None:
        """Close all files; nothing is synced."""
        for tree in self._trees.values():
            tree.journal.close()
            tree.working.close()
        self._trees.clear()

    def _load(self, repo: Repo, branch: BranchRecord) -> WorkingTree:
        base = repo.commits.read(branch.base)
        journal = Journal(
            self._disk, self._make("journal", branch.branch_id), branch.branch_id, self._boot_id
        )
        tree = WorkingTree(
            self._readers,
            self._disk,
            self._make("working", branch.branch_id),
            branch.branch_id,
            base.root,
            base.links,
            journal,
            self._repositories.file_ids.take,
            self._now_ns,
            branch.view,
            self.default_nodes if branch.view == 0 else None,
        )
        replay = Replay(tree, branch.journal_generation)
        if self._read_only:
            replay.show()
            journal.replaying = True
        else:
            journal.discard(branch.journal_generation)
            replay.show()
            if replay.records and not tree.generation.dirty:  # all came to nothing: nobody needs it again
                repo.record_generation(branch.branch_id, tree.generation.number - 1)
            replay.begin()
        self._repositories.file_ids.raise_to(replay.file_id_max + 1)
        self.replayed_records += replay.records
        return tree

    def _directory(self, kind: str, branch_id: int) -> Path:
        return self._root / kind / str(branch_id)

    def _make(self, kind: str, branch_id: int) -> Path:
        directory = self._directory(kind, branch_id)
        for made in () if self._read_only else (directory.parent, directory):
            try:
                self._disk.mkdir(made)
            except FileExistsError:
                continue
            self._disk.sync_directory(made.parent)
        return directory
