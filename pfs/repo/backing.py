"""What the names of a store need from the store below: a few methods, so that a dict can stand in.

`Refs.last` is what finds a date in O(log n): one seek in an ordered table.  pfs.store.Store is the real
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from pfs.objects.ids import Kind

Clock = Callable[[], int]
"""The time now, in ns since 1970."""


class Refs(Protocol):
    """The ordered table of `refs.lmdb`, for reading."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value of a key."""

    def scan(self, prefix: bytes, /) -> Iterable[tuple[bytes, bytes]]:
        """All keys with this prefix and their values, in key order, of one instant."""

    def first(self, prefix: bytes, bound: bytes, /) -> tuple[bytes, bytes] | None:
        """The first key with a prefix that is not before `bound`, and its value."""

    def last(self, prefix: bytes, bound: bytes | None = None, /) -> tuple[bytes, bytes] | None:
        """The greatest key with this prefix that is not above `bound`, and its value."""


class Backing(Protocol):
    """Objects and refs of one store."""

    @property
    def refs(self) -> Refs:
        """The refs as they are now."""

    def commit_refs(self, changes: Mapping[bytes, bytes | None], /) -> None:
        """Make objects put so far and these changes durable, all or none.  Blocks."""

    def get(self, kind: Kind, object_id: bytes, /) -> bytes:
        """The verified payload of an object."""

    def put(self, kind: Kind, payload: bytes, /) -> bytes:
        """Store an object; its id comes back."""
