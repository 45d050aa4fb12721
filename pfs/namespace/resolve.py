"""What a name in the root of a mount stands for, right now.

`REPO`, `REPO@BRANCH`, `REPO@TAG` and `REPO@HEX` are directories; every other spelling (the default branch
by its name, any step, any date) is a symlink to one of them.  Cheap enough for the FUSE loop: names come
from memory, the rest from LMDB gets, one for each generation that is walked.  Unknown or ambiguous:
NotFound, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from pfs.errors import NotFound
from pfs.namespace.grammar import Ancestor, At, Parent, Revision, Spelling, parse_spelling
from pfs.repo.backing import Clock
from pfs.repo.names import UnknownName, looks_like_commit_id
from pfs.repo.records import BranchRecord, TagRecord
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories


class Shows(Enum):
    """What is seen under a name."""

    WORKING_TREE = auto()
    COMMIT = auto()


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a spelling stands for.

    `branch` is set for a working tree and is the branch that was asked for where there was one; `commit_id`
    is the commit shown, for a working tree the committed head.  `canonical` names the directory in the root
    of the mount: the spelling itself, or where the symlink leads.  `view_spelling` is what tells the
    directory inodes of two spellings of one commit apart (empty for working trees).
    """

    shows: Shows
    repo: Repo
    branch: BranchRecord | None
    commit_id: bytes
    canonical: bytes
    is_symlink: bool
    view_spelling: bytes = b""


class Resolver:
    """Resolves names against the repos of a store as they are at the call."""

    def __init__(self, repositories: Repositories, clock: Clock) -> None:
        self._repositories = repositories
        self._clock = clock

    def resolve_name(self, name: bytes | str) -> Resolution:
        """A name in the root of a mount.  NotFound."""
        return self.resolve_spelling(parse_spelling(name))

    def resolve_spelling(self, spelling: Spelling) -> Resolution:
        """A parsed name in the root of a mount.  NotFound."""
        return self.resolve(spelling.repo, spelling.revision)

    def resolve(self, repo_name: str, revision: Revision | None) -> Resolution:
        """A revision of a repo; None is the working tree of its default branch.  NotFound."""
        repo = self._repositories.get(repo_name)
        if revision is None:
            return _working_tree(repo, repo.default_branch, by_name=False)
        if not revision.mods:
            return self._resolve_base(repo, revision.base)
        commit_id, branch = self._walk(repo, revision)
        return _link_to_commit(repo, branch, commit_id)

    def listing(self) -> list[bytes]:
        """The names that `ls` shows in the root: repos, and branches made by a person but the default."""
        names = []
        for repo in self._repositories.list():
            names.append(repo.name.encode())
            default_id = repo.default_branch.branch_id
            names += [
                _name_of(repo, branch.name)
                for branch in repo.branches()
                if branch.made_by == "person" and branch.branch_id != default_id
            ]
        return names

    def _resolve_base(self, repo: Repo, base: str) -> Resolution:
        if looks_like_commit_id(base):
            return _commit(repo, base, repo.commits.resolve(base))
        ref = _find_ref(repo, base)
        if not isinstance(ref, BranchRecord):
            return _commit(repo, base, ref.target)
        return _working_tree(repo, ref, by_name=True)

    def _walk(self, repo: Repo, revision: Revision) -> tuple[bytes, BranchRecord | None]:
        commit_id, branch = self._start(repo, revision)
        for mod in revision.mods:
            match mod:
                case At(when):
                    if branch is None:
                        raise NotFound(f"{repo.name}@{revision}: only a branch has a past of dates")
                    commit_id = repo.at(branch, when.time_ns(self._clock()))
                case Ancestor(generations):
                    commit_id = repo.commits.ancestor(commit_id, generations)
                case Parent(number):
                    commit_id = repo.commits.parent(commit_id, number)
        return commit_id, branch

    def _start(self, repo: Repo, revision: Revision) -> tuple[bytes, BranchRecord | None]:
        if looks_like_commit_id(revision.base):
            return repo.commits.resolve(revision.base), None
        ref = _find_ref(repo, revision.base) if revision.base else repo.default_branch
        return (ref.head, ref) if isinstance(ref, BranchRecord) else (ref.target, None)


def _find_ref(repo: Repo, name: str) -> BranchRecord | TagRecord:
    ref = repo.find(name)
    if ref is None:
        raise UnknownName(f"{repo.name}@{name}: no such branch or tag", name, repo.names())
    return ref


def _working_tree(repo: Repo, branch: BranchRecord, *, by_name: bool) -> Resolution:
    is_default = branch.branch_id == repo.record.default_branch
    canonical = repo.name.encode() if is_default else _name_of(repo, branch.name)
    return Resolution(
        Shows.WORKING_TREE, repo, branch, branch.head, canonical, is_symlink=is_default and by_name
    )


def _commit(repo: Repo, spelling: str, commit_id: bytes) -> Resolution:
    canonical = _name_of(repo, spelling)
    return Resolution(
        Shows.COMMIT, repo, None, commit_id, canonical, is_symlink=False, view_spelling=spelling.encode()
    )


def _link_to_commit(repo: Repo, branch: BranchRecord | None, commit_id: bytes) -> Resolution:
    short = repo.commits.abbreviate(commit_id)
    return Resolution(
        Shows.COMMIT,
        repo,
        branch,
        commit_id,
        _name_of(repo, short),
        is_symlink=True,
        view_spelling=short.encode(),
    )


def _name_of(repo: Repo, revision: str) -> bytes:
    return f"{repo.name}@{revision}".encode()
