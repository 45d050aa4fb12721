"""The format of packs: a header, then records.  Pure functions over bytes.

All numbers little-endian.  Pack header, 36 bytes:

| offset | size | what |
|---|---|---|
| 0 | 8 | magic "PFSPACK1"; the digit is the format of what follows |
| 8 | 4 | number of the pack, as in its file name |
| 12 | 4 | zero |
| 16 | 16 | uuid of the store |
| 32 | 4 | CRC-32 of bytes 0 to 31 |

Record, 50 bytes and the payload:

| offset | size | what |
|---|---|---|
| 0 | 4 | magic "PfsR", so that a lost place can be found again |
| 4 | 4 | length of the stored payload |
| 8 | 1 | kind of object (pfs.objects.ids.Kind); 0: void, to be stepped over |
| 9 | 1 | codec of the payload: 0 plain, 1 one zstd frame that states its size |
| 10 | 4 | CRC-32 of the stored payload |
| 14 | 32 | object id, of the payload before it was coded |
| 46 | 4 | CRC-32 of store uuid, pack number (u32), offset of the record (u64) and bytes 0 to 45 |

The last checksum binds a record to its place: a pack that somebody keeps *as a file in pfs* has
whole records inside payloads, and the search after a damaged record must not take one for ours.
The payload's checksum tells a torn record from a whole one without decoding it; the id remains
the proof of the content.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

PACK_MAGIC: Final = b"PFSPACK1"
RECORD_MAGIC: Final = b"PfsR"
VOID: Final = 0  # the kind of a record that holds nothing any more
PLAIN: Final = 0
ZSTD: Final = 1

_PACK_HEADER: Final = struct.Struct("<8sII16s")
_HEAD: Final = struct.Struct("<4sIBBI32s")
_CHECKSUM: Final = struct.Struct("<I")
_OFFSET: Final = struct.Struct("<Q")
PACK_HEADER_BYTES: Final = _PACK_HEADER.size + _CHECKSUM.size
HEADER_BYTES: Final = _HEAD.size + _CHECKSUM.size

# One read of the scanner: large enough to be sequential, small enough for many packs at once.
_WINDOW_BYTES: Final = 256 * 1024

Read = Callable[[int, int], bytes]
"""(length, offset) → bytes of one pack; fewer only at its end."""


class Record(NamedTuple):
    """One record as its header says.  `offset` is that of the header, `length` that of the payload."""

    offset: int
    kind: int
    codec: int
    object_id: bytes
    length: int
    payload_checksum: int

    @property
    def payload_offset(self) -> int:
        """Where the stored payload begins."""
        return self.offset + HEADER_BYTES

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + HEADER_BYTES + self.length


class Damage(NamedTuple):
    """A stretch that holds no whole record.  `object_id` is empty unless its header can still be read."""

    offset: int
    end: int
    object_id: bytes
    reason: str


def pack_header(store_uuid: bytes, number: int) -> bytes:
    """The first bytes of a pack."""
    head = _PACK_HEADER.pack(PACK_MAGIC, number, 0, store_uuid)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def parse_pack_header(raw: bytes) -> tuple[bytes, int] | None:
    """(uuid of the store, number of the pack), or None if the header is damaged."""
    if len(raw) < PACK_HEADER_BYTES or zlib.crc32(raw[:32]) != _CHECKSUM.unpack_from(raw, 32)[0]:
        return None
    magic, number, _, store_uuid = _PACK_HEADER.unpack_from(raw)
    return (store_uuid, number) if magic == PACK_MAGIC else None


def place_seed(store_uuid: bytes, number: int) -> int:
    """What the checksums of all record headers of one pack begin with."""
    return zlib.crc32(store_uuid + _CHECKSUM.pack(number))


def head(kind: int, codec: int, object_id: bytes, stored: bytes) -> bytes:
    """The first 46 bytes of a header: all that does not depend on the record's place."""
    return _HEAD.pack(RECORD_MAGIC, len(stored), kind, codec, zlib.crc32(stored), object_id)


def seal_head(head_bytes: bytes, seed: int, offset: int) -> bytes:
    """The last 4 bytes of the header of a record that goes to `offset`."""
    return _CHECKSUM.pack(zlib.crc32(head_bytes, zlib.crc32(_OFFSET.pack(offset), seed)))


def void_header(length: int, seed: int, offset: int) -> bytes:
    """The header of a void record of `length` bytes of payload, which mean nothing."""
    head_bytes = _HEAD.pack(RECORD_MAGIC, length, VOID, PLAIN, 0, bytes(32))
    return head_bytes + seal_head(head_bytes, seed, offset)


def parse_header(raw: bytes | memoryview, seed: int, offset: int) -> Record | None:
    """The record whose header `raw` begins with, or None if that is no header of this place."""
    if len(raw) < HEADER_BYTES:
        return None
    expected = zlib.crc32(raw[: _HEAD.size], zlib.crc32(_OFFSET.pack(offset), seed))
    if expected != _CHECKSUM.unpack_from(raw, _HEAD.size)[0]:
        return None
    return unchecked_header(raw, offset) if raw[:4] == RECORD_MAGIC else None


def unchecked_header(raw: bytes | memoryview, offset: int) -> Record:
    """The record whose header `raw` begins with, for a header that never left memory."""
    _, length, kind, codec, payload_checksum, object_id = _HEAD.unpack_from(raw)
    return Record(offset, kind, codec, object_id, length, payload_checksum)


def scan(read: Read, seed: int, start: int, size: int, *, payloads: bool) -> Iterator[Record | Damage]:
    """All records of a pack from `start` to `size` in order, and every stretch between them that is none.

    With `payloads` their checksums are checked, too.  A record whose payload ends behind `size` is damage.
    """
    window = _Window(read, size)
    offset = start
    while offset < size:
        record = parse_header(window.at(offset, HEADER_BYTES), seed, offset)
        if record is None:
            end = _next_record(window, seed, offset + 1, size)
            yield Damage(offset, end, b"", "no record header")
            offset = end
        elif record.end > size:
            yield Damage(offset, size, record.object_id, f"cut short by {record.end - size} bytes")
            return
        else:
            if payloads and record.kind != VOID and not _is_whole(window, record):
                yield Damage(offset, record.end, record.object_id, "payload does not match its checksum")
            else:
                yield record
            offset = record.end


def _is_whole(window: _Window, record: Record) -> bool:
    return zlib.crc32(window.at(record.payload_offset, record.length)) == record.payload_checksum


def _next_record(window: _Window, seed: int, offset: int, size: int) -> int:
    """Offset of the next header at or after `offset`; `size` if there is none."""
    while offset + HEADER_BYTES <= size:
        stretch = bytes(window.at(offset, min(_WINDOW_BYTES, size - offset)))
        found = stretch.find(RECORD_MAGIC)
        if found < 0:
            offset += max(1, len(stretch) - len(RECORD_MAGIC) + 1)
            continue
        offset += found
        if parse_header(window.at(offset, HEADER_BYTES), seed, offset) is not None:
            return offset
        offset += 1
    return size


class _Window:
    """A sliding view of a pack, read in large pieces."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._start = 0
        self._bytes = memoryview(b"")

    def at(self, offset: int, length: int) -> memoryview:
        """The bytes of a range, fewer where the pack ends."""
        length = min(length, self._size - offset)
        inside = offset - self._start
        if inside < 0 or inside + length > len(self._bytes):
            self._bytes = memoryview(self._read(max(length, min(_WINDOW_BYTES, self._size - offset)), offset))
            self._start, inside = offset, 0
        return self._bytes[inside : inside + length]
