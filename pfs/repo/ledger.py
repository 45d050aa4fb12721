"""One change of the names of a store: records, counters and reflog entries that become durable together.

`Ledger` is what all repos of a store share: the store, the clock, the lock that every change holds from its
first read to its commit, and the allocator of file ids.  `Change.commit` is the single commit point.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from pfs.repo import reflog
from pfs.repo.backing import Backing, Clock
from pfs.repo.records import Record, ReflogKind, decode, encode
from pfs.store import keys

FIRST_FILE_ID: Final = 2  # 1 is the number of a mount's root; unique in a store, roots of repos included
FIRST_VIEW: Final = 2  # 0: working trees of the default branches made here, 1: what .pfs shows
VIEW_LIMIT: Final = 2**23  # an inode number is view * 2^40 + file id, and has to stay below 2^63
_FIRST: Final = {"repo": 1, "ref": 1, "view": FIRST_VIEW, "file": FIRST_FILE_ID}


class FileIds:
    """Gives out file ids, each once.  Any thread may take; what was given out is made durable by commits."""

    def __init__(self, next_id: int) -> None:
        self._next = next_id
        self._lock = threading.Lock()

    @property
    def next(self) -> int:
        """The id that comes next; every id given out is smaller."""
        return self._next

    def take(self, count: int = 1) -> int:
        """The first of `count` new ids in a row."""
        with self._lock:
            first = self._next
            self._next = first + count
            return first

    def raise_to(self, next_id: int) -> None:
        """Never give out an id below `next_id` again (journal replay, fetch)."""
        with self._lock:
            self._next = max(self._next, next_id)


class Ledger:
    """What the repos of one store share.  Who changes names holds `lock`, readers never do."""

    def __init__(self, store: Backing, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.lock = threading.RLock()
        self.file_ids = FileIds(self.counter("file"))

    def counter(self, name: str) -> int:
        """The next number of a counter, as it is on disk."""
        value = self.store.refs.get(keys.counter(name))
        return _FIRST[name] if value is None else decode(int, value)


class Change:
    """Collects what one transaction will write.  The maker holds `ledger.lock` until after `commit`."""

    def __init__(self, ledger: Ledger, extra: Mapping[bytes, bytes | None] | None = None) -> None:
        self._ledger = ledger
        self._changes: dict[bytes, bytes | None] = dict(extra or {})

    def put(self, key: bytes, record: Record | int) -> None:
        """Write a record."""
        self._changes[key] = encode(record)

    def remove(self, key: bytes) -> None:
        """Remove a record; absent ones are ignored."""
        self._changes[key] = None

    def take(self, counter: str) -> int:
        """The next number of a counter, which nobody gets again."""
        key = keys.counter(counter)
        pending = self._changes.get(key)
        number = self._ledger.counter(counter) if pending is None else decode(int, pending)
        self.put(key, number + 1)
        return number

    def log(
        self,
        ref_id: int,
        kind: ReflogKind,
        *,
        old: bytes,
        new: bytes,
        time_ns: int,
        who: str,
        message: str = "",
    ) -> int:
        """Append to the reflog of a ref, at most once per change; the time it was given comes back."""
        record = reflog.next_record(
            self._ledger.store.refs,
            ref_id,
            time_ns=time_ns,
            old=old,
            new=new,
            kind=kind,
            who=who,
            message=message,
        )
        key, value = reflog.as_change(record)
        self._changes[key] = value
        return record.time_ns

    def keep_file_ids(self) -> None:
        """Let the counter of file ids on disk follow what was given out."""
        self.put(keys.counter("file"), self._ledger.file_ids.next)

    def commit(self) -> None:
        """Make all of it durable at once, if there is anything.  Blocks; on an error nothing has changed."""
        if self._changes:
            self._ledger.store.commit_refs(self._changes)
