"""The working files of one branch: sparse files that hold the bytes of layers.

`DIRECTORY/<layer number, 16 hex>`.  Descriptors are kept in an LRU within a
limit; threads open their own.  Names are reused never, numbers grow.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from pfs.disk import Disk
from pfs.overlay.content import Layer

DESCRIPTORS_MAX = 512  # a branch; the daemon raises RLIMIT_NOFILE to its hard limit at start


class WorkingFiles:
    """Opens, reads and removes working files.  Owned by the event loop."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk = disk
        self.directory = directory
        self._fds: OrderedDict[int, int] = OrderedDict()
        self.created = 0  # files made so far, and how many of them have a durable name
        self.named = -1

    def path(self, layer: Layer) -> Path:
        """The file of a layer."""
        return self.directory / f"{layer.number:016x}"

    def create(self, layer: Layer) -> int:
        """Make the file of a new layer, as long as the layer.  Returns its descriptor; raises OSError."""
        path = self.path(layer)
        fd = self._disk.create(path)
        try:
            if layer.size:
                self._disk.truncate(fd, layer.size)
        except OSError:
            self._disk.close(fd)
            self._disk.unlink(path)
            raise
        self.created += 1
        self._keep(layer.number, fd)
        return fd

    def fd(self, layer: Layer) -> int:
        """A descriptor of the layer's file, to be used before the next call.  Raises OSError."""
        fd = self._fds.get(layer.number)
        if fd is None:
            fd = self._disk.open(self.path(layer), os.O_RDWR)
            self._keep(layer.number, fd)
        else:
            self._fds.move_to_end(layer.number)
        return fd

    def mtime_ns(self, layer: Layer) -> int:
        """When the file was last written to; 0 where it is gone."""
        known = layer.mtime_ns
        if known is not None:
            return known
        fd = self._fds.get(layer.number)
        status = self._disk.stat(self.path(layer)) if fd is None else self._disk.fstat(fd)
        return status.st_mtime_ns

    def stat_mtime_ns(self, layer: Layer) -> int:
        """As `mtime_ns`, for threads: by path."""
        try:
            return self._disk.stat(self.path(layer)).st_mtime_ns
        except FileNotFoundError:
            return 0

    def forget(self, layer: Layer) -> None:
        """Close the descriptor of a layer that nothing shows any more."""
        fd = self._fds.pop(layer.number, None)
        if fd is not None:
            self._disk.close(fd)

    def unlink(self, paths: Iterable[Path]) -> None:
        """Remove files; what can't be removed waits for the next start.  May run in a thread."""
        for path in paths:
            with contextlib.suppress(OSError):
                self._disk.unlink(path)

    def remove(self, layer: Layer) -> None:
        """`forget` and `unlink` one layer."""
        self.forget(layer)
        self.unlink([self.path(layer)])

    def close(self) -> None:
        """Close all descriptors."""
        while self._fds:
            self._disk.close(self._fds.popitem()[1])

    def _keep(self, number: int, fd: int) -> None:
        self._fds[number] = fd
        if len(self._fds) > DESCRIPTORS_MAX:
            self._disk.close(self._fds.popitem(last=False)[1])
