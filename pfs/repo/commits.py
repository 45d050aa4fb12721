"""The commits that a repo knows: by id, by the first digits of an id, and along their parents.

Rows in refs hold what a walk needs, so naming a commit never reads an object.  `read` does, through a small
cache.  Which commits a branch showed when is left to the reflog; the order of a log is newest first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from pfs.errors import AmbiguousRevision, NotFound
from pfs.objects.commit import Commit, CommitKind, decode_commit
from pfs.objects.ids import Kind
from pfs.repo.backing import Backing
from pfs.repo.ledger import Change
from pfs.repo.names import MAX_HEX_DIGITS, MIN_HEX_DIGITS, looks_like_commit_id
from pfs.repo.records import CommitRecord, decode
from pfs.store import keys

SHORT_DIGITS: Final = 16
_READ_CACHE_COMMITS: Final = 512  # decoded commits kept, about 2 KB each


class CommitIndex:
    """The commits and surviving checkpoints of one repo.  Any thread may read."""

    def __init__(self, store: Backing, repo_id: int) -> None:
        self._store = store
        self._repo_id = repo_id
        self._read = lru_cache(_READ_CACHE_COMMITS)(self._read_uncached)

    def read(self, commit_id: bytes) -> Commit:
        """The commit object.  May read from disk; MissingObject, CorruptObject as the store raises them."""
        return self._read(commit_id)

    def find_row(self, commit_id: bytes) -> CommitRecord | None:
        """What is known of a commit, None if this repo does not have it."""
        value = self._store.refs.get(keys.commit(self._repo_id, commit_id))
        return None if value is None else decode(CommitRecord, value)

    def row(self, commit_id: bytes) -> CommitRecord:
        """What is known of a commit.  NotFound if this repo does not have it."""
        row = self.find_row(commit_id)
        if row is None:
            raise NotFound(f"{commit_id.hex()[:SHORT_DIGITS]}: no such commit in this repo")
        return row

    def __contains__(self, commit_id: bytes) -> bool:
        return self._store.refs.get(keys.commit(self._repo_id, commit_id)) is not None

    def add(self, change: Change, commit_id: bytes, commit: Commit, branch_id: int) -> None:
        """Make a commit known with `change`.  Its first parent has to be known, or added to no depth."""
        first = self.find_row(commit.parents[0]) if commit.parents else None
        depth = 0 if first is None else first.depth + 1
        row = CommitRecord(commit.time_ns, int(commit.kind), branch_id, commit.parents, depth)
        change.put(keys.commit(self._repo_id, commit_id), row)

    def remove(self, change: Change, commit_id: bytes) -> None:
        """Make a commit unknown with `change`; what may go is for the collection to say."""
        change.remove(keys.commit(self._repo_id, commit_id))

    def all_ids(self) -> Iterator[bytes]:
        """Every known commit and checkpoint, in the order of their ids."""
        for key, _ in self._store.refs.scan(keys.commits(self._repo_id)):
            yield keys.commit_id_of(key)

    def with_prefix(self, digits: str) -> list[bytes]:
        """The ids that begin with these hex digits."""
        digits = digits.lower()
        whole_bytes = bytes.fromhex(digits[: len(digits) // 2 * 2])
        found = self._store.refs.scan(keys.commits(self._repo_id, whole_bytes))
        ids = (keys.commit_id_of(key) for key, _ in found)
        return [commit_id for commit_id in ids if commit_id.hex().startswith(digits)]

    def resolve(self, digits: str) -> bytes:
        """The one commit whose id begins with 8 to 64 hex digits.  NotFound, AmbiguousRevision."""
        if not looks_like_commit_id(digits):
            raise NotFound(
                f"{digits!r} is no commit id",
                hint=f"a commit id has {MIN_HEX_DIGITS} to {MAX_HEX_DIGITS} hex digits",
            )
        found = self.with_prefix(digits)
        if not found:
            raise NotFound(f"{digits}: no such commit")
        if len(found) > 1:
            shown = ", ".join(self.abbreviate(commit_id) for commit_id in found[:5])
            raise AmbiguousRevision(f"{digits}: {len(found)} commits begin so", hint=f"it may be {shown}")
        return found[0]

    def abbreviate(self, commit_id: bytes) -> str:
        """The first 16 hex digits of an id, more where another commit of the repo has the same."""
        full = commit_id.hex()
        others = [other.hex() for other in self.with_prefix(full[:SHORT_DIGITS]) if other != commit_id]
        digits = SHORT_DIGITS
        while any(other.startswith(full[:digits]) for other in others):
            digits += 1
        return full[:digits]

    def parent(self, commit_id: bytes, number: int) -> bytes:
        """As git's `^N`: the N-th parent, counted from 1; 0 is the commit itself.  NotFound past the last."""
        row = self.row(commit_id)
        if number == 0:
            return commit_id
        if number > len(row.parents):
            short, has = commit_id.hex()[:SHORT_DIGITS], len(row.parents)
            raise NotFound(f"{short} has {_count(has, 'parent')}, no number {number}")
        return row.parents[number - 1]

    def ancestor(self, commit_id: bytes, generations: int) -> bytes:
        """As git's `~N`: N first parents back; 0 is the commit itself.  NotFound past the first commit."""
        row = self.row(commit_id)
        if generations > row.depth:
            short = commit_id.hex()[:SHORT_DIGITS]
            raise NotFound(f"{short} has only {_count(row.depth, 'commit')} before it, not {generations}")
        for _ in range(generations):
            commit_id = row.parents[0]
            row = self.row(commit_id)
        return commit_id

    def ancestry(self, *start: bytes) -> Iterator[tuple[bytes, CommitRecord]]:
        """The commits and all their ancestors, each once, newest first, no parent before a child."""
        seen = set(start)
        waiting = [self._rank(commit_id) for commit_id in seen]
        heapq.heapify(waiting)
        while waiting:
            _, _, commit_id, row = heapq.heappop(waiting)
            yield commit_id, row
            for parent in row.parents:
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(waiting, self._rank(parent))

    def _rank(self, commit_id: bytes) -> tuple[int, int, bytes, CommitRecord]:
        row = self.row(commit_id)
        return -row.time_ns, -row.depth, commit_id, row

    def _read_uncached(self, commit_id: bytes) -> Commit:
        return decode_commit(self._store.get(Kind.COMMIT, commit_id))


def is_checkpoint(row: CommitRecord) -> bool:
    """Whether a row is of an automatic, expiring one."""
    return row.kind == CommitKind.CHECKPOINT


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
