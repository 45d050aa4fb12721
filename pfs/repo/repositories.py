"""All repos of a store: list, get, create, delete, and the numbers that views of commits have.

Owned by the daemon (or a command that opened the store).  Names are loaded once and kept in memory; every
change goes through here or through a Repo, which update memory after the store's transaction, so a reader
on the FUSE loop never waits and never sees what is not durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from pfs.errors import AlreadyExists, NotFound
from pfs.objects.commit import Author, Commit, CommitKind, encode_commit
from pfs.objects.entry import Entry, FileType
from pfs.objects.ids import ZERO, Kind
from pfs.repo.backing import Backing, Clock
from pfs.repo.ledger import Change, FileIds, Ledger
from pfs.repo.names import UnknownName, check_ref_name, check_repo_name
from pfs.repo.records import (
    DEFAULT_BRANCH_NAME,
    RETENTION_NS,
    BranchRecord,
    ReflogKind,
    RepoRecord,
    decode,
)
from pfs.repo.repo import Repo
from pfs.repo.views import Views
from pfs.store import keys

DEFAULT_ROOT_MODE: Final = 0o755


class Repositories:
    """The door to the names of one store.  Any thread may read; changes block and take their turn."""

    def __init__(self, store: Backing, clock: Clock) -> None:
        self._ledger = Ledger(store, clock)
        self.views = Views(self._ledger)
        loaded = [Repo(self._ledger, decode(RepoRecord, value)) for _, value in store.refs.scan(keys.REPOS)]
        self._by_name = {repo.name: repo for repo in loaded if repo.record.deleted_ns is None}
        self._deleted = [repo for repo in loaded if repo.record.deleted_ns is not None]

    @property
    def file_ids(self) -> FileIds:
        """The allocator of file ids of the store."""
        return self._ledger.file_ids

    def list(self) -> Sequence[Repo]:
        """The live repos, by name."""
        return sorted(self._by_name.values(), key=lambda repo: repo.name)

    def find(self, name: str) -> Repo | None:
        """A live repo, or None."""
        return self._by_name.get(name)

    def get(self, name: str) -> Repo:
        """A live repo.  NotFound, with the likeliest other name as a hint."""
        repo = self._by_name.get(name)
        if repo is None:
            raise UnknownName(f"{name}: no such repo", name, self._by_name)
        return repo

    def create(
        self,
        name: str,
        author: Author,
        *,
        uid: int,
        gid: int,
        mode: int = DEFAULT_ROOT_MODE,
        default_branch: str = DEFAULT_BRANCH_NAME,
    ) -> Repo:
        """Make a repo with an empty first commit.  UsageError for a bad name, AlreadyExists."""
        check_repo_name(name)
        check_ref_name("branch", default_branch)
        with self._ledger.lock:
            self._check_free(name)
            now_ns = self._ledger.clock()
            root = _empty_root(self._ledger.file_ids.take(), now_ns, uid, gid, mode)
            first = self._first_commit(author, now_ns, default_branch, root)
            commit_id = self._ledger.store.put(Kind.COMMIT, encode_commit(first))
            change = Change(self._ledger)
            repo_id, branch_id = change.take("repo"), change.take("ref")
            record = RepoRecord(repo_id, name, now_ns, branch_id)
            branch = BranchRecord(branch_id, repo_id, default_branch, commit_id, commit_id, now_ns)
            repo = Repo(self._ledger, record, [branch])
            change.put(keys.repo(repo_id), record)
            change.put(keys.branch(repo_id, branch_id), branch)
            who = f"{author.name}@{author.host}"
            change.log(branch_id, ReflogKind.INITIAL, old=b"", new=commit_id, time_ns=now_ns, who=who)
            repo.commits.add(change, commit_id, first, branch_id)
            change.keep_file_ids()
            change.commit()
            self._by_name[name] = repo
            return repo

    def delete(self, name: str) -> None:
        """Take a repo's name; `undelete` gives it back for 30 days.  Working trees are the caller's care."""
        with self._ledger.lock:
            repo = self.get(name)
            repo.store_record(msgspec.structs.replace(repo.record, deleted_ns=self._ledger.clock()))
            del self._by_name[name]
            self._deleted.append(repo)

    def undelete(self, name: str) -> Repo:
        """Give the newest deleted repo of this name back.  NotFound, AlreadyExists."""
        with self._ledger.lock:
            self._check_free(name)
            since_ns = self._ledger.clock() - RETENTION_NS
            candidates = [
                repo for repo in self._deleted if repo.name == name and _deletion(repo) >= (since_ns, 0)
            ]
            if not candidates:
                raise NotFound(f"{name}: no repo of this name was deleted in the last 30 days")
            repo = max(candidates, key=_deletion)
            repo.store_record(msgspec.structs.replace(repo.record, deleted_ns=None))
            self._deleted.remove(repo)
            self._by_name[name] = repo
            return repo

    def deleted(self) -> Sequence[Repo]:
        """The deleted repos whose records are still there."""
        return list(self._deleted)

    def _check_free(self, name: str) -> None:
        if name in self._by_name:
            raise AlreadyExists(f"{name}: there is a repo of this name already")

    def _first_commit(self, author: Author, now_ns: int, branch: str, root: Entry) -> Commit:
        return Commit(
            kind=CommitKind.INITIAL,
            root=root,
            links=ZERO,
            parents=(),
            branch=branch,
            time_ns=now_ns,
            author=author,
            message="",
            next_file_id=self._ledger.file_ids.next,
        )


def _deletion(repo: Repo) -> tuple[int, int]:
    return repo.record.deleted_ns or 0, repo.repo_id


def _empty_root(file_id: int, now_ns: int, uid: int, gid: int, mode: int) -> Entry:
    return Entry(
        name=b"",
        file_id=file_id,
        type=FileType.DIRECTORY,
        mode=mode,
        uid=uid,
        gid=gid,
        mtime_ns=now_ns,
        ctime_ns=now_ns,
    )
