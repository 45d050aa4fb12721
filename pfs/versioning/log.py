"""The history of a branch or of one path, newest first.

A log follows parents; checkpoints are on a branch's timeline only and come with `timeline`.  What a commit
changed is left to `diff`, the order of commits to CommitIndex.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pfs.objects.commit import Commit
from pfs.objects.entry import Entry
from pfs.overlay.tree import Readers
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.versioning.diff import status_of
from pfs.versioning.read import CommitFiles


@dataclass(frozen=True, slots=True)
class Logged:
    """One commit or checkpoint of a log."""

    commit_id: bytes
    commit: Commit


def log(
    repo: Repo, readers: Readers, start: bytes, *, path: bytes = b"", timeline: BranchRecord | None = None
) -> Iterator[Logged]:
    """A commit and its ancestors, newest first; with a path only those that changed what is there.

    `timeline` adds what that branch has shown besides: surviving checkpoints, commits it was moved away from.
    """
    starts = [start] if timeline is None else [start, *_shown_by(repo, timeline)]
    for commit_id, _ in repo.commits.ancestry(*starts):
        commit = repo.commits.read(commit_id)
        if not path or _changed(repo, readers, commit, path):
            yield Logged(commit_id, commit)


def _shown_by(repo: Repo, branch: BranchRecord) -> Iterator[bytes]:
    for record in repo.reflog(branch.branch_id):
        if record.kind.installs_tree and record.new in repo.commits:
            yield record.new


def _changed(repo: Repo, readers: Readers, commit: Commit, path: bytes) -> bool:
    """Whether a path differs from what it was in every parent; without parents, whether it is there."""
    here = CommitFiles(readers, commit).find(path)
    parents = [CommitFiles(readers, repo.commits.read(parent)) for parent in commit.parents]
    if not parents:
        return here is not None
    return all(_differs(parent.find(path), here) for parent in parents)


def _differs(old: Entry | None, new: Entry | None) -> bool:
    if old is None or new is None:
        return old is not new
    return old.content != new.content or status_of(old, new) is not None
