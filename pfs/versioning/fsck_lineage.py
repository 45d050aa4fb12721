"""fsck of stored lineage: every segment that commits name is there and whole, and what it builds on, too.

That a segment is whole is its hash's matter; that its facts hang together is checked as it is decoded.  What
has to hold beyond that is in pfs.lineage.check; here is where groups come from.  Segments name those below
them by hash, so all that a store's commits came from is found by following names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from pfs.errors import CorruptObject
from pfs.lineage.check import check_circles, check_entries, check_references
from pfs.lineage.group import Group
from pfs.lineage.segment import decode
from pfs.objects.entry import Entry
from pfs.objects.ids import Kind
from pfs.store.store import Store

GROUPS_MAX: Final = 64  # decoded segments kept; a million facts at most


class LineageCheck:
    """Looks at segments, each once.  Owned by one fsck; yields what is wrong in words."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._groups: OrderedDict[bytes, Group] = OrderedDict()
        self._good: set[bytes] = set()
        self._bad: set[bytes] = set()

    @property
    def segments(self) -> int:
        """How many were looked at."""
        return len(self._good) + len(self._bad)

    def check_segment(self, segment: bytes) -> Iterator[str]:
        """A segment and all below it."""
        waiting = [segment]
        while waiting:
            at = waiting.pop()
            if at in self._good or at in self._bad:
                continue
            group, why = self._decoded(at)
            if group is None:
                self._bad.add(at)
                yield f"lineage segment {at.hex()[:16]}: {why}"
                continue
            self._good.add(at)
            waiting.extend(origin.segment for _, origin in group.used if origin is not None)
            waiting.extend(piece.before for piece in group.slices if piece.before)
            waiting.extend(group.after)
            for found in check_references(at, group, self._find):
                if found.kind != "missing_segment":  # said when its turn comes
                    yield f"lineage segment {at.hex()[:16]}: {found.message}"

    def check_entry(self, entry: Entry) -> Iterator[str]:
        """The origin of an entry is a row with the entry's bytes."""
        if entry.origin is not None and entry.origin[0] not in self._bad:
            for found in check_entries([("", entry)], self._find):
                yield found.message.removeprefix(": ")

    def check_circles(self) -> Iterator[str]:
        """No version comes from itself, over all segments that were looked at and are good."""
        groups = ((at, group) for at in list(self._good) if (group := self._find(at)) is not None)
        for found in check_circles(groups, self._find):
            yield f"lineage segment {found.segment.hex()[:16]}: {found.message}"

    def _find(self, segment: bytes) -> Group | None:
        return self._decoded(segment)[0]

    def _decoded(self, segment: bytes) -> tuple[Group | None, str]:
        known = self._groups.get(segment)
        if known is not None:
            self._groups.move_to_end(segment)
            return known, ""
        try:
            group = decode(self._store.get(Kind.LINEAGE, segment))
        except CorruptObject as error:
            return None, error.message
        self._groups[segment] = group
        if len(self._groups) > GROUPS_MAX:
            self._groups.popitem(last=False)
        return group, ""
