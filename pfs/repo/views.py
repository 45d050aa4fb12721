"""The numbers of views: what the upper part of an inode number stands for.

A number is stored at first use and never reused, so inode numbers are stable across remounts.  View 0 is
the working trees of default branches made here, view 1 what `.pfs` shows; a branch's view is in its record.
"""

from __future__ import annotations

from pfs.errors import NoSpace
from pfs.repo.ledger import VIEW_LIMIT, Change, Ledger
from pfs.repo.records import ViewRecord, decode
from pfs.store import keys


class Views:
    """View numbers of commits.  `find` and `get` are for the FUSE loop, `number` blocks the first time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def find(self, repo_id: int, commit_id: bytes, spelling: bytes = b"") -> int | None:
        """The number that a commit has under a spelling (none: the view of its files), if it has one."""
        value = self._ledger.store.refs.get(keys.view_of(repo_id, commit_id, spelling))
        return None if value is None else decode(int, value)

    def number(self, repo_id: int, commit_id: bytes, spelling: bytes = b"") -> int:
        """As `find`, but gives out a number the first time.  Blocks then."""
        with self._ledger.lock:
            number = self.find(repo_id, commit_id, spelling)
            if number is None:
                change = Change(self._ledger)
                number = take_view(change, repo_id, commit_id=commit_id, spelling=spelling)
                change.put(keys.view_of(repo_id, commit_id, spelling), number)
                change.commit()
            return number

    def get(self, number: int) -> ViewRecord | None:
        """What a number stands for; None for 0, 1 and numbers that nobody has."""
        value = self._ledger.store.refs.get(keys.view(number))
        return None if value is None else decode(ViewRecord, value)


def take_view(
    change: Change, repo_id: int, *, branch_id: int = 0, commit_id: bytes = b"", spelling: bytes = b""
) -> int:
    """A new view number with its record, both in `change`.  NoSpace when 2^23 have been given out."""
    number = change.take("view")
    if number >= VIEW_LIMIT:
        raise NoSpace(
            f"all {VIEW_LIMIT} view numbers have been given out", hint="export the store and import it again"
        )
    change.put(keys.view(number), ViewRecord(number, repo_id, branch_id, commit_id, spelling))
    return number
