"""Decoded nodes in memory, limited by bytes and shared by threads.

Two generations: what was used lately is in `young`; when that holds half the limit it becomes `old` and
the former `old` is dropped; a hit in `old` moves back. That approximates LRU, and a warm hit costs one
dictionary look-up and no lock, which the event loop needs. Writers of the two dictionaries hold the lock.
"""

from __future__ import annotations

from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows what it takes in memory."""

    size_bytes: int


V = TypeVar("V", bound=Sized)


class NodeCache(Generic[V]):
    """Id → decoded node, at most `bytes_max` bytes of them."""

    def __init__(self, bytes_max: int) -> None:
        self._half = bytes_max // 2
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}
        self._young_bytes = 0
        self._old_bytes = 0
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes held now."""
        return self._young_bytes + self._old_bytes

    def get(self, key: bytes) -> V | None:
        """The node, if it is here."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Keep a node; one that is larger than half the limit is not kept."""
        size = value.size_bytes
        if size > self._half:
            return
        with self._lock:
            if key in self._young:
                return
            if self._young_bytes + size > self._half:
                self._old, self._old_bytes = self._young, self._young_bytes
                self._young, self._young_bytes = {}, 0
            self._young[key] = value
            self._young_bytes += size
            if self._old.pop(key, None) is not None:
                self._old_bytes -= size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._young, self._old = {}, {}
            self._young_bytes = self._old_bytes = 0
