"""What lineage does not know: the names of repos, and where a version is to be found today.

A version goes into the first commit or checkpoint of its branch after its last write, so the branch's reflog
finds the commit; whether it still has the version there is looked up in its tree.
"""

from __future__ import annotations

from dataclasses import dataclass

from pfs.errors import CorruptObject, NotFound
from pfs.lineage.answers.nodes import Place
from pfs.lineage.facts import Version
from pfs.overlay.tree import Readers
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.read import CommitFiles


@dataclass(frozen=True)
class StoredNames:
    """Names and places in a store, for one asker (pfs.lineage.answers.nodes.Names)."""

    store: Store
    repositories: Repositories
    readers: Readers
    uid: int
    is_owner: bool

    def repo(self, number: int) -> str:
        """The name of a repo."""
        found = self._repo(number)
        return found.name if found is not None else f"repo {number}, deleted"

    def place(self, version: Version) -> Place:
        """Where a version is to be found."""
        repo = self._repo(version.repo)
        readable = self._is_readable(version)
        if repo is None:
            return Place(f"repo {version.repo}, deleted", readable=readable)
        branch = next((one for one in repo.branches() if one.branch_id == version.branch), None)
        if branch is None:
            return Place(repo.name, readable=readable)
        is_current = self.has(repo, branch.base, version)
        commit_id = self._first_commit(repo, branch, version)
        author = repo.commits.read(commit_id).author if commit_id is not None else None
        return Place(
            repo.name,
            branch.name,
            None if commit_id is None else commit_id.hex(),
            is_current,
            readable,
            None if author is None else author.name,
        )

    def _repo(self, number: int) -> Repo | None:
        return next((repo for repo in self.repositories.list() if repo.repo_id == number), None)

    def _is_readable(self, version: Version) -> bool:
        if not version.is_known or (version.size and not version.content):
            return False
        return not version.content or self.store.contains(version.content)

    def _first_commit(self, repo: Repo, branch: BranchRecord, version: Version) -> bytes | None:
        after = repo.first_after(branch, version.time_ns)
        return after if after is not None and self.has(repo, after, version) else None

    def has(self, repo: Repo, commit_id: bytes, version: Version) -> bool:
        """Whether a commit has a version at its path."""
        try:
            entry = CommitFiles(self.readers, repo.commits.read(commit_id)).find(version.path)
        except (NotFound, CorruptObject):
            return False
        return (
            entry is not None
            and entry.file_id == version.file_id
            and (entry.content, entry.size) == (version.content, version.size)
        )
