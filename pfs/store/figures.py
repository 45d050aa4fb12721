"""What a store says about itself: one object at rest, disk taken, figures for `pfs status`."""

from __future__ import annotations

from typing import NamedTuple


class StoredObject(NamedTuple):
    """One object at rest.  `length` is that of its record, header included."""

    object_id: bytes
    kind: int
    pack: int
    offset: int
    length: int


class DiskUsage(NamedTuple):
    """Disk taken, in bytes, reserves included."""

    packs_bytes: int
    objects_lmdb_bytes: int
    refs_lmdb_bytes: int


class Statistics(NamedTuple):
    """Figures of an open store."""

    packs: int
    packs_bytes: int
    objects: int
    unsynced_bytes: int
    cache_bytes: int
    failed: str | None
