"""A group of facts that a commit stores together: what produced the versions that it seals.

A group is closed upstream over what was not stored before: every input of an output is an output of the same
group, earlier in its order, or among `used`; every activity that wrote one of the outputs, or that informed
another below its watermark, has one slice.  A slice is an activity with a piece of its list of inputs, from
position `first` on: an activity that runs across several commits has a slice in each.

`used` names each version that came from elsewhere once, with its content id and its *origin*, the place that
tells how it was made; None where it is stored nowhere (a raw version, a file outside the mount).

`after` are segments that the commit holds as well and that nothing else here refers to: those of the
checkpoints before it, which may be gone by then.  So a commit names only its newest segments, and each leads
to those before.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pfs.lineage.facts import Activity, Change, Ending, Input, Version


class Origin(NamedTuple):
    """Where the record of a version is stored."""

    segment: bytes  # object id of a lineage segment
    row: int


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """One activity and its inputs from position `first` on; `ending` None while it runs, or not known.

    before: object id of the segment with the slice that ends where this one begins; b"" where `first` is 0.
    """

    activity: Activity
    first: int = 0
    inputs: tuple[Input, ...] = ()
    ending: Ending | None = None
    before: bytes = b""

    @property
    def end(self) -> int:
        """How many inputs the activity had."""
        return self.first + len(self.inputs)


class Group(msgspec.Struct, frozen=True, array_like=True):
    """Slices, outputs in freeze order, versions used from elsewhere, what happened to names, and `after`."""

    slices: list[Slice] = msgspec.field(default_factory=list)
    versions: list[Version] = msgspec.field(default_factory=list)
    used: list[tuple[Version, Origin | None]] = msgspec.field(default_factory=list)
    changes: list[Change] = msgspec.field(default_factory=list)
    after: tuple[bytes, ...] = ()
