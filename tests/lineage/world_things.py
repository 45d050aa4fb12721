"""What a world has: files, handles, processes, a journal in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pfs.lineage.live.state import Actor, Grip, Place

_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode


@dataclass(eq=False)
class File:
    place: Place
    path: bytes
    data: bytearray = field(default_factory=bytearray)
    bytes_taint: list[int] = field(default_factory=list)
    taint: int = 0  # of all that was written since it was empty
    maker: int = 0  # whoever made or emptied it, until somebody writes
    mapped: bool = False
    raw: int = 0  # the bit of bytes that nobody recorded wrote, until their version shows itself
    handles: set[Handle] = field(default_factory=set)

    @property
    def truth(self) -> int:
        return self.taint or self.maker

    @property
    def exact(self) -> int:
        mask = 0
        for one in self.bytes_taint:
            mask |= one
        return mask


@dataclass(eq=False)
class Handle:
    file: File
    grip: Grip
    reads: bool
    writes: bool
    known: set[Process]  # those that are recorded to have used it


@dataclass(eq=False)
class Process:
    pid: int
    execs: int
    bit: int
    actor: Actor
    parent: Process | None
    taint: int = 0
    handles: dict[Handle, None] = field(default_factory=dict)
    sources: list[Process] = field(default_factory=list)
    fed: bool = False
    wrote: bool = False
    programs: int = 0  # what it opened to execute
    fork: tuple[int, int] | None = None  # of an image not met yet: what its parent knew, and the watermark
    alive: bool = True


class Notes:
    """A journal in memory: it goes through its own bytes, and has a compaction."""

    def __init__(self) -> None:
        self.older: list[bytes] = []
        self.records: list[bytes] = []
        self.is_bloated = False

    def append(self, records: Sequence[Sequence[Any]]) -> None:
        self.records.append(_encode(records))

    def begin_compaction(self) -> None:
        self.older, self.records = self.older + self.records, []
        self.is_bloated = False

    def end_compaction(self) -> None:
        self.older = []

    def read(self) -> list[Any]:
        return [_decode(record) for record in self.older + self.records]
