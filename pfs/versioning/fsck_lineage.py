"""fsck of stored lineage: every segment that commits name is there and whole, and what it builds on, too.

That a segment is whole is its hash's matter; that its facts hang together is checked as it is decoded
(inputs come before what was made from them, so nothing can go round in a circle within it).  Here: what a
fact names in another segment is there, is the version that it says, and has the content that it says.
Segments name those below them by hash, so there is no circle among them.  Entries of trees lead to rows
with their own content.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from pfs.errors import CorruptObject
from pfs.lineage.facts import Version
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
        self._rows: dict[bytes, int] = {}  # of segments that are good
        self._bad: set[bytes] = set()

    @property
    def segments(self) -> int:
        """How many were looked at."""
        return len(self._rows) + len(self._bad)

    def check_segment(self, segment: bytes) -> Iterator[str]:
        """A segment and all below it."""
        waiting = [segment]
        while waiting:
            at = waiting.pop()
            if at in self._rows or at in self._bad:
                continue
            group, why = self._decoded(at)
            if group is None:
                self._bad.add(at)
                yield f"lineage segment {at.hex()[:16]}: {why}"
                continue
            self._rows[at] = len(group.versions)
            for version, origin in group.used:
                if origin is not None:
                    waiting.append(origin.segment)
                    yield from self._compare(at, version, origin.segment, origin.row)
            waiting.extend(piece.before for piece in group.slices if piece.before)

    def _compare(self, at: bytes, version: Version, segment: bytes, row: int) -> Iterator[str]:
        below, _ = self._decoded(segment)
        if below is None:
            return  # said when its turn comes
        where = f"lineage segment {at.hex()[:16]}"
        if row >= len(below.versions):
            yield f"{where}: it names row {row} of {segment.hex()[:16]}, which has {len(below.versions)}"
            return
        found = below.versions[row]
        if found.id != version.id or (
            found.is_known and version.is_known and found.content != version.content
        ):
            yield f"{where}: row {row} of {segment.hex()[:16]} is another version than it says"

    def check_entry(self, entry: Entry) -> Iterator[str]:
        """The origin of an entry is a row with the entry's content."""
        if entry.origin is None:
            return
        segment, row = entry.origin
        if segment in self._bad:
            return
        group, why = self._decoded(segment)
        if group is None:
            self._bad.add(segment)
            yield f"its origin, lineage segment {segment.hex()[:16]}: {why}"
        elif row >= len(group.versions):
            rows = len(group.versions)
            yield f"its origin is row {row} of lineage segment {segment.hex()[:16]}, which has {rows}"
        elif (group.versions[row].content, group.versions[row].size) != (entry.content, entry.size):
            yield f"its origin, row {row} of lineage segment {segment.hex()[:16]}, has another content"

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
