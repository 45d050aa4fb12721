"""The root of a mount: repos, branches, commits, tags and dates as names.

`mkdir` makes a repo or a branch, `rename` renames a branch, `rmdir` deletes a
clean one; what the names mean is the resolver's.  Commits are opened at
look-up and kept while anything of them is known.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

import trio

from pfs.errors import NoSpace, NotFound, ReadOnly
from pfs.namespace.grammar import parse_spelling
from pfs.namespace.resolve import Resolution, Resolver, Shows
from pfs.objects.commit import Author
from pfs.objects.entry import FileType
from pfs.overlay.branches import Branches
from pfs.overlay.names import failure
from pfs.overlay.node import Node
from pfs.overlay.tree import CommitTree, Listed, Readers, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.repo.ledger import VIEW_LIMIT
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.vfs.inodes import Inodes
from pfs.vfs.special import ShownLink, SpecialTree

COMMIT_TREES_MAX = 256  # unused ones beyond are dropped at the next look-up of another


class MountRoot:
    """Turns names in the root into trees.  Owned by the event loop."""

    def __init__(
        self,
        repositories: Repositories,
        resolver: Resolver,
        branches: Branches,
        readers: Readers,
        special: SpecialTree,
        inodes: Inodes,
        author: Callable[[int], Author],
    ) -> None:
        self._repositories = repositories
        self._resolver = resolver
        self._branches = branches
        self._readers = readers
        self._special = special
        self._inodes = inodes
        self._author = author
        self._commits: dict[tuple[int, bytes, bytes], CommitTree] = {}
        self._unstored_views: dict[tuple[int, bytes, bytes], int] = {}
        self.names_of: dict[Tree, tuple[Repo, bytes]] = {}  # what each open tree shows: its repo, its name

    def names(self) -> list[Listed]:
        """What `ls` of the mount shows."""
        listing = self._resolver.listing()
        return [Listed(name, 0, int(FileType.DIRECTORY), at) for at, name in enumerate(listing, 1)]

    async def lookup(self, name: bytes) -> Node | None:
        """The root directory of a tree, or a symlink to one; None for what means nothing."""
        try:
            resolution = self._resolver.resolve_name(name)
        except NotFound:
            return None
        if resolution.is_symlink:
            return self._special.show(1, name, ShownLink(resolution.canonical))
        return await self.tree_root(resolution)

    async def tree_root(self, resolution: Resolution) -> Node:
        """The root directory of what a resolution shows."""
        if resolution.shows is Shows.WORKING_TREE:
            assert resolution.branch is not None
            return self.working_tree(resolution.repo, resolution.branch).root
        return (await self._commit_tree(resolution)).root

    def working_tree(self, repo: Repo, branch: BranchRecord) -> WorkingTree:
        """The working tree of a branch, opened if need be."""
        tree = self._branches.open(repo, branch)
        self._inodes.add(tree)
        is_default = branch.branch_id == repo.record.default_branch
        shown = repo.name if is_default else f"{repo.name}@{branch.name}"
        self.names_of[tree] = (repo, shown.encode())
        return tree

    async def _commit_tree(self, resolution: Resolution) -> CommitTree:
        repo, commit_id, spelling = resolution.repo, resolution.commit_id, resolution.view_spelling
        key = (repo.repo_id, commit_id, spelling)
        tree = self._commits.get(key)
        if tree is None:
            view = await self._view(repo.repo_id, commit_id, spelling)
            file_view = await self._view(repo.repo_id, commit_id, b"")
            commit = repo.commits.read(commit_id)
            self._drop_unused()
            nodes = self._inodes.nodes_of(file_view)
            tree = CommitTree(self._readers, commit_id, commit, view, file_view, nodes)
            tree = self._commits.setdefault(key, tree)
            self._inodes.add(tree)
            self.names_of[tree] = (repo, resolution.canonical)
        return tree

    async def _view(self, repo_id: int, commit_id: bytes, spelling: bytes) -> int:
        """The view number of a commit; where none can be stored, one from the top, for this mount only."""
        views, key = self._repositories.views, (repo_id, commit_id, spelling)
        number = self._unstored_views.get(key)
        if number is None:
            number = views.find(*key)
        if number is None:
            try:
                number = await trio.to_thread.run_sync(views.number, *key)
            except (ReadOnly, NoSpace):
                number = self._unstored_views.setdefault(key, VIEW_LIMIT - 1 - len(self._unstored_views))
        return number

    def _drop_unused(self) -> None:
        if len(self._commits) < COMMIT_TREES_MAX:
            return
        for key, tree in list(self._commits.items()):
            if tree.root.lookups <= 0 and len(tree.nodes) == 1 and not tree.file_nodes:
                del self._commits[key]
                self.names_of.pop(tree, None)
                self._inodes.remove(tree.view)

    async def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> Node:
        """`mkdir REPO` makes a repo, `mkdir REPO@BRANCH` a branch at the default head."""
        text = name.decode("ascii", "replace")
        repo_name, at, branch_name = text.partition("@")
        who = self._author(uid)
        if not at:
            repo = await trio.to_thread.run_sync(self._create_repo, repo_name, who, uid, gid, mode)
            return self.working_tree(repo, repo.default_branch).root
        try:
            repo = self._repositories.get(repo_name)
        except NotFound:
            raise failure(errno.ENOENT) from None
        branch = await trio.to_thread.run_sync(self._create_branch, repo, branch_name, who)
        return self.working_tree(repo, branch).root

    def _create_repo(self, name: str, who: Author, uid: int, gid: int, mode: int) -> Repo:
        return self._repositories.create(name, who, uid=uid, gid=gid, mode=mode & 0o7777)

    def _create_branch(self, repo: Repo, name: str, who: Author) -> BranchRecord:
        return repo.create_branch(name, repo.default_branch.head, who=f"{who.name}@{who.host}")

    def _branch_named(self, name: bytes) -> tuple[Repo, BranchRecord]:
        """The branch that `REPO@BRANCH` names.  ENOENT, EPERM for anything else."""
        try:
            resolution = self._resolver.resolve_name(name)
        except NotFound:
            raise failure(errno.ENOENT) from None
        if resolution.branch is None or resolution.is_symlink or b"@" not in name:
            raise failure(errno.EPERM)
        return resolution.repo, resolution.branch

    async def rmdir(self, name: bytes) -> None:
        """Delete a branch whose working tree is clean.  ENOTEMPTY where it is not."""
        repo, branch = self._branch_named(name)
        await self.delete_branch(repo, branch, "rmdir")

    async def delete_branch(self, repo: Repo, branch: BranchRecord, who: str) -> None:
        """Delete a branch, and let go of its working tree.  ENOTEMPTY where something is not committed."""
        tree = self.working_tree(repo, branch)
        if branch.base != branch.head or tree.is_dirty() or tree.writers:
            raise failure(errno.ENOTEMPTY)
        tree.broken = "it is being deleted"  # nothing may be written that would go with it
        try:
            await trio.to_thread.run_sync(lambda: repo.delete_branch(branch.name, who=who))
        except BaseException:
            tree.broken = ""
            raise
        self.names_of.pop(tree, None)
        self._inodes.remove(tree.view)
        self._branches.discard(branch.branch_id)

    def rename_branch(self, repo: Repo, branch_id: int) -> None:
        """Take note that a branch has another name."""
        tree = self._branches.find(branch_id)
        if tree is not None:
            self.working_tree(repo, repo.branch_by_id(branch_id))

    async def rename(self, old_name: bytes, new_name: bytes) -> None:
        """`mv REPO@a REPO@b` renames a branch, to a new name only."""
        repo, branch = self._branch_named(old_name)
        spelling = parse_spelling(new_name)
        revision = spelling.revision
        if spelling.repo != repo.name or revision is None or revision.mods:
            raise failure(errno.EPERM)
        new = revision.base
        await trio.to_thread.run_sync(lambda: repo.rename_branch(branch.name, new, who="mv"))
        self.rename_branch(repo, branch.branch_id)
