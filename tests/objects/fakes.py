"""A store in a dictionary that records what it is asked."""

from __future__ import annotations

from pfs.errors import MissingObject
from pfs.objects.ids import Kind, object_id


class MemoryObjects:
    """ObjectReader and ObjectWriter over a dictionary; `reads` and `writes` list the ids in order."""

    def __init__(self) -> None:
        self.payloads: dict[tuple[Kind, bytes], bytes] = {}
        self.reads: list[bytes] = []
        self.writes: list[bytes] = []

    def get(self, kind: Kind, object_id: bytes) -> bytes:
        self.reads.append(object_id)
        if (kind, object_id) not in self.payloads:
            raise MissingObject(object_id)
        return self.payloads[kind, object_id]

    def put(self, kind: Kind, payload: bytes) -> bytes:
        new_id = object_id(kind, payload)
        if (kind, new_id) not in self.payloads:
            self.writes.append(new_id)
            self.payloads[kind, new_id] = payload
        return new_id

    def forget_calls(self) -> None:
        self.reads.clear()
        self.writes.clear()


class WarmObjects(MemoryObjects):
    """Also answers `get_cached`, from the ids in `warm`."""

    def __init__(self) -> None:
        super().__init__()
        self.warm: set[bytes] = set()

    def get_cached(self, kind: Kind, object_id: bytes) -> bytes | None:
        return self.payloads.get((kind, object_id)) if object_id in self.warm else None
