"""Disk held back, so that what is there can still be committed when the disk is full.

A file `reserve` of zeros that were never written: everybody else meets "disk full" that much earlier.
When a pack meets it, as much as it needs is given back and the write is tried again.  Its size is no
promise: where the disk is too small to hold all of it, it holds what it can.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from pfs.disk import Disk

# One step of giving and taking: filesystems allocate in extents, and a segment is about as long.
_STEP_BYTES: Final = 4 * 1024 * 1024


class Reserve:
    """The file.  Shared by all threads of a store."""

    def __init__(self, disk: Disk, path: Path, wanted_bytes: int) -> None:
        self._disk = disk
        self._wanted_bytes = wanted_bytes
        self._lock = threading.Lock()
        try:
            self._fd = disk.open(path)
        except FileNotFoundError:
            self._fd = disk.create(path)
        self._bytes = disk.fstat(self._fd).st_size

    @property
    def size_bytes(self) -> int:
        """What is held now."""
        return self._bytes

    def replenish(self) -> None:
        """Hold as much as is wanted, or as the disk has; more than that is given back."""
        with self._lock:
            if self._bytes > self._wanted_bytes:
                self._resize(self._wanted_bytes)
            while self._bytes < self._wanted_bytes:
                step = min(_STEP_BYTES, self._wanted_bytes - self._bytes)
                try:
                    self._disk.fallocate(self._fd, self._bytes, step)
                except OSError:
                    # Part of the step may be allocated: cut back to what is whole.
                    self._resize(self._bytes)
                    return
                self._bytes += step

    def give(self, length: int) -> bool:
        """Give at least `length` bytes back to the disk; False if nothing is left to give."""
        with self._lock:
            if not self._bytes:
                return False
            steps = -(-length // _STEP_BYTES)
            self._resize(max(0, self._bytes - steps * _STEP_BYTES))
            return True

    def close(self) -> None:
        """Close the file; it goes on holding the disk."""
        self._disk.close(self._fd)

    def _resize(self, size_bytes: int) -> None:
        self._disk.truncate(self._fd, size_bytes)
        self._bytes = size_bytes
