"""Where objects come from and go to, as seen from the code that gives them structure.

The store implements both sides; tests use a dictionary. A reader may also offer
`get_cached(kind, object_id) -> bytes | None`, which answers from memory or not at all: code that runs
on the event loop uses that, and only that, when a node is not decoded yet.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias

from pfs.objects.ids import Kind, object_id


class ObjectReader(Protocol):
    """Gives the payload of an object."""

    def get(self, kind: Kind, object_id: bytes, /) -> bytes:
        """The verified payload; MissingObject or CorruptObject if there is none."""


class ObjectWriter(Protocol):
    """Takes the payload of an object."""

    def put(self, kind: Kind, payload: bytes, /) -> bytes:
        """Keep the payload; its id."""


class HashOnly:
    """An ObjectWriter that keeps nothing.

    For checks: building a tree or a chunk list again from its rows must give the same id, and does so only if
    every node below was cut, counted and spelled as we would.
    """

    def put(self, kind: Kind, payload: bytes, /) -> bytes:
        """The id that the object would have."""
        return object_id(kind, payload)


class _NotCached(Enum):
    NOT_CACHED = "not cached"


# The answer of a `…_cached` method that would have to read from disk.
NOT_CACHED: Final = _NotCached.NOT_CACHED
NotCached: TypeAlias = Literal[_NotCached.NOT_CACHED]

CachedGet: TypeAlias = Callable[[Kind, bytes], bytes | None]


def cached_get(reader: ObjectReader) -> CachedGet:
    """The reader's `get_cached`, or a stand-in that knows nothing."""
    found: CachedGet | None = getattr(reader, "get_cached", None)
    return found if found is not None else _nothing


def _nothing(_kind: Kind, _object_id: bytes) -> None:
    return None
