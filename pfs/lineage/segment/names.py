"""How the parts of a segment refer to words, versions, activities and other segments, both ways.

The format is in `stored`.  A `Namer` gives numbers in the order of first use and is owned by the writing of
one segment; `Names` gives back what they stand for and is owned by its reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pfs.lineage.facts import Change, Version
from pfs.lineage.group import Origin, Slice
from pfs.lineage.segment.columns import Numbers, unzigzag, zigzag

_USED = 0
_ROW = 1
_BARE = 2


class Facts(NamedTuple):
    """What one segment is to hold; of `used` (by version id) only what is referred to."""

    slices: Sequence[Slice]
    versions: Sequence[Version]
    used: Mapping[int, tuple[Version, Origin | None]]
    changes: Sequence[Change]
    after: Sequence[bytes] = ()


class Namer:
    """Facts to numbers."""

    def __init__(self, facts: Facts) -> None:
        self.slices = {piece.activity.id: place for place, piece in enumerate(facts.slices)}
        self.rows = {version.id: row for row, version in enumerate(facts.versions)}
        self.ends = [piece.end for piece in facts.slices]
        self.words = Numbers[bytes]()
        self.used = Numbers[int]()
        self.bare = Numbers[int]()
        self.strangers = Numbers[int]()
        self.elsewhere = Numbers[bytes]()
        self._usable = facts.used

    def text(self, text: str) -> int:
        """The number of a text; what stands in it for bytes that were not UTF-8 becomes these again."""
        return self.words[text.encode("utf-8", "surrogateescape")]

    def version(self, version: int) -> int:
        """How a version is named."""
        if not version:
            return 0
        row = self.rows.get(version)
        if row is not None:
            return 1 + 3 * row + _ROW
        if version in self._usable:
            return 1 + 3 * self.used[version] + _USED
        return 1 + 3 * self.bare[version] + _BARE

    def activity(self, activity: int, own: int) -> int:
        """How an activity is named, seen from the slice `own`."""
        if not activity:
            return 0
        place = self.slices.get(activity)
        if place is not None:
            return 1 + 2 * zigzag(own - place)
        return 2 + 2 * self.strangers[activity]

    def segment(self, segment: bytes) -> int:
        """How a segment is named."""
        return 1 + self.elsewhere[segment] if segment else 0


class Names:
    """Numbers to facts.  The lists of ids are filled as they are read."""

    def __init__(
        self, words: list[bytes], elsewhere: Sequence[bytes], bare: list[int], strangers: list[int]
    ) -> None:
        self.words = words
        self.activities: list[int] = []  # of the slices
        self.ends: list[int] = []  # how many inputs each slice has, those before it included
        self.used: list[int] = []
        self.rows: list[int] = []
        self._elsewhere = elsewhere
        self._named: set[int] = set()  # of those, by what was read so far
        self._bare = bare
        self._strangers = strangers
        self._texts: dict[int, str] = {}  # one for all who name it: a long one, named often, is no flood

    def text(self, word: int) -> str:
        """The text of this number."""
        text = self._texts.get(word)
        if text is None:
            text = self._texts[word] = self.words[word].decode("utf-8", "surrogateescape")
        return text

    def version(self, number: int) -> int:
        """The id of a version."""
        if not number:
            return 0
        place, where = divmod(number - 1, 3)
        return (self.used, self.rows, self._bare)[where][place]

    def activity(self, number: int, own: int) -> int:
        """The id of an activity, seen from the slice `own`."""
        if not number:
            return 0
        if number & 1:
            return self.activities[self.slice(own - unzigzag(number >> 1))]
        return self._strangers[(number >> 1) - 1]

    def slice(self, place: int) -> int:
        """The place.  ValueError if no slice has it."""
        if not 0 <= place < len(self.activities):
            raise ValueError("there is no such slice")
        return place

    def segment(self, number: int) -> bytes:
        """The id of a segment."""
        self._named.add(number)
        return self._elsewhere[number - 1] if number else b""

    def unnamed(self) -> tuple[bytes, ...]:
        """Segments that nothing has named."""
        return tuple(one for number, one in enumerate(self._elsewhere, 1) if number not in self._named)
