"""A connector whose exits are told late, when what the process did with files before them is known.

A process that has exited tells its parent what it learned, unless it wrote something: what it wrote beyond
the mount must be heard before.  Owned by the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pfs.lineage.processes.table import EventSource


class ExitsLast:
    """Holds exits back until they are released; all else is told at once."""

    def __init__(self, connector: EventSource) -> None:
        self._connector = connector
        self._held: list[tuple[Any, ...]] = []
        self._due = 0
        self.forked: dict[int, None] = {}  # processes that were made, until the caller clears it

    def drain(self) -> tuple[Sequence[tuple[Any, ...]], bool]:
        """What the connector tells but exits, after those that were released.  Raises what it raises."""
        events, overflowed = self._connector.drain()
        if not events and not self._due:
            return events, overflowed
        told = self._held[: self._due]
        del self._held[: self._due]
        self._due = 0
        for event in events:
            if event[0] == "exit":
                self._held.append(event)
            else:
                if event[0] == "fork" and event[3] == event[4]:
                    self.forked[event[4]] = None
                    told += self._given_back(event[4])
                told.append(event)
        return told, overflowed

    def _given_back(self, pid: int) -> list[tuple[Any, ...]]:
        """The exits of a process whose id has just been given to another."""
        back = [event for event in self._held if event[2] == pid]
        if back:
            self._held = [event for event in self._held if event[2] != pid]
        return back

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left of what the connector has told."""
        return not self._held and not self.forked

    def waiting(self) -> int:
        """How many exits are held back."""
        return len(self._held)

    def release(self, count: int) -> None:
        """The next `drain` tells the oldest of them."""
        self._due = count
