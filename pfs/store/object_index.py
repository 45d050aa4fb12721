"""`objects.lmdb`: where each object is.  Rebuildable from the packs at any time.

Format: keys of 32 bytes are object ids; their values are pack u32, offset of the record u64, bytes of
header and payload u32.  Keys of 8 bytes, "pack" and a number (u32, big-endian), say how far a pack is
indexed: bytes u64 (0: the pack is lost), records u32, sequence number of its newest REFS record u64, CRC-32
u32 of the 20 bytes before.  A pack row is written in one transaction with its entries and only after the
pack was synced up to there, so it also says what a power cut can't have touched.  An entry needs no
checksum of its own: the record it leads to carries the id.  The key "format" says "1".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pfs.objects.ids import ID_BYTES
from pfs.store.environment import DamagedEnvironment, Environment, Transaction
from pfs.store.packs import Place

_PLACE: Final = struct.Struct("<IQI")
_ROW: Final = struct.Struct("<QIQ")
_ROW_PREFIX: Final = b"pack"
_FORMAT_KEY: Final = b"format"
_FORMAT: Final = b"1"
_NUMBER: Final = struct.Struct(">I")
_CHECKSUM: Final = struct.Struct("<I")
# Entries read or written in one transaction: short enough for other readers, long enough to be cheap.
BATCH_ENTRIES: Final = 100_000
_READ_ENTRIES: Final = 10_000


class PackRow(NamedTuple):
    """How far a pack is indexed: bytes from its beginning, records in them, newest REFS sequence number."""

    indexed_bytes: int
    records: int
    last_sequence: int


class ObjectIndex:
    """Look-ups in any thread; `add` on the writer thread."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def start(self) -> None:
        """Make a new environment an index.  One that has no transaction yet might not open again."""

        def change(transaction: Transaction) -> None:
            transaction.put(_FORMAT_KEY, _FORMAT)

        self.environment.write(change)

    def count(self) -> int:
        """Number of objects."""
        return self.environment.entries() - len(self.rows()) - 1

    def find(self, object_id: bytes) -> Place | None:
        """Where an object is."""
        (value,) = self.environment.get_many((object_id,))
        return None if value is None else _place(value)

    def known(self, object_ids: Collection[bytes]) -> set[bytes]:
        """Those of some ids that are here."""
        values = self.environment.get_many(object_ids)
        return {found for found, value in zip(object_ids, values, strict=True) if value is not None}

    def rows(self) -> dict[int, PackRow]:
        """All pack rows that are whole.  DamagedEnvironment if this is no index of ours."""
        found = {}
        with self.environment.read() as transaction, transaction.cursor() as cursor:
            if transaction.get(_FORMAT_KEY) != _FORMAT:
                raise DamagedEnvironment(
                    f"{self.environment.path}: no object index of format {_FORMAT.decode()}"
                )
            alive = cursor.set_range(_ROW_PREFIX)
            while alive and cursor.key().startswith(_ROW_PREFIX):
                key, value = cursor.item()
                if len(key) == len(_ROW_PREFIX) + _NUMBER.size and _is_whole(value):
                    (number,) = _NUMBER.unpack_from(key, len(_ROW_PREFIX))
                    found[number] = PackRow(*_ROW.unpack_from(value))
                alive = cursor.next()
        return found

    def add(self, entries: Mapping[bytes, Place], rows: Mapping[int, PackRow]) -> None:
        """Write entries and the rows of their packs in one transaction."""
        batch = sorted(entries.items())

        def change(transaction: Transaction) -> None:
            for object_id, place in batch:
                transaction.put(object_id, _PLACE.pack(*place))
            for number, row in rows.items():
                value = _ROW.pack(*row)
                transaction.put(_ROW_PREFIX + _NUMBER.pack(number), value + _CHECKSUM.pack(zlib.crc32(value)))

        self.environment.write(change)

    def remove(self, object_ids: Sequence[bytes]) -> None:
        """Remove entries that lead nowhere."""

        def change(transaction: Transaction) -> None:
            for object_id in sorted(object_ids):
                transaction.delete(object_id)

        self.environment.write(change)

    def entries(self) -> Iterator[tuple[bytes, Place | None]]:
        """All entries in the order of their ids; None for a value that makes no sense."""
        key = b""
        while True:
            batch: list[tuple[bytes, Place | None]] = []
            with self.environment.read() as transaction, transaction.cursor() as cursor:
                alive = cursor.set_range(key + b"\0") if key else cursor.first()
                while alive and len(batch) < _READ_ENTRIES:
                    key, value = cursor.item()
                    if key != _FORMAT_KEY and not _is_row(key):
                        batch.append((key, _place(value) if len(key) == ID_BYTES else None))
                    alive = cursor.next()
            yield from batch
            if not alive:
                return


def _is_row(key: bytes) -> bool:
    return key.startswith(_ROW_PREFIX) and len(key) == len(_ROW_PREFIX) + _NUMBER.size


def _is_whole(value: bytes) -> bool:
    size = _ROW.size
    return len(value) == size + 4 and zlib.crc32(value[:size]) == _CHECKSUM.unpack_from(value, size)[0]


def _place(value: bytes) -> Place | None:
    return Place(*_PLACE.unpack(value)) if len(value) == _PLACE.size else None
