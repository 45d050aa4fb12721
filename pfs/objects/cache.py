"""Decoded nodes in memory, limited by bytes and shared by threads.

An approximation of LRU in which most hits cost one dictionary look-up and no lock, as the event loop needs.
Two queues of half the limit each: nodes enter `young`, move on to `old` and from there out, one by one
(freeing half a cache at once would hold the GIL for tens of milliseconds); a hit in `old` takes a node
back to `young`. So what is used once in a turnover of half the cache stays. Who changes the queues holds
the lock.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows what it takes in memory."""

    size_bytes: int


V = TypeVar("V", bound=Sized)


class NodeCache(Generic[V]):
    """Id → decoded node, at most `bytes_max` bytes of them."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        # Anyone may look a node up here directly; only this class changes it.
        self.young: OrderedDict[bytes, V] = OrderedDict()
        self._old: OrderedDict[bytes, V] = OrderedDict()
        self._young_bytes = 0
        self._old_bytes = 0
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes held now."""
        return self._young_bytes + self._old_bytes

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: bytes) -> V | None:
        """The node, if it is here."""
        value = self.young.get(key)
        if value is None and key in self._old:
            with self._lock:
                value = self._old.pop(key, None)
                if value is None:
                    # Another thread took it back, or out.
                    return self.young.get(key)
                self._old_bytes -= value.size_bytes
                self._add(key, value)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Keep a node, unless it alone is larger than half the limit."""
        if value.size_bytes > self.bytes_max // 2:
            return
        with self._lock:
            if key not in self.young and key not in self._old:
                self._add(key, value)

    def _add(self, key: bytes, value: V) -> None:
        self.young[key] = value
        self._young_bytes += value.size_bytes
        while self._young_bytes > self.bytes_max // 2:
            aged, node = self.young.popitem(last=False)
            self._young_bytes -= node.size_bytes
            self._old[aged] = node
            self._old_bytes += node.size_bytes
        while self._young_bytes + self._old_bytes > self.bytes_max:
            self._old_bytes -= self._old.popitem(last=False)[1].size_bytes
