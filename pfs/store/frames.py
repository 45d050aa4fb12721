"""Records one after the other in a journal's file, and where such a file ends.

A frame: length of the payload u32, CRC-32 of sequence number and payload u32, sequence number u64, payload.
All numbers little-endian.  A length of zero ends a file, as does the first frame whose checksum or number is
wrong: a torn tail.  Leaves to others: the header before, and what payloads say.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_HEAD: Final = struct.Struct("<IIQ")
_NUMBER: Final = struct.Struct("<Q")
FRAME_BYTES: Final = _HEAD.size  # beside the payload


def framed(number: int, payload: bytes) -> bytes:
    """A record as it stands in a file."""
    return _HEAD.pack(len(payload), _checksum(number, payload), number) + payload


def frames(raw: bytes, at: int, expected: int) -> Iterator[tuple[int, bytes]]:
    """(number, payload) of each whole record from `at` on, numbered from `expected`, up to the torn tail."""
    while at + FRAME_BYTES <= len(raw):
        length, checksum, number = _HEAD.unpack_from(raw, at)
        at += FRAME_BYTES
        payload = raw[at : at + length]
        if length == 0 or number != expected or len(payload) != length:
            return
        if checksum != _checksum(number, payload):
            return
        yield number, payload
        at += length
        expected += 1


def _checksum(number: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_NUMBER.pack(number)))
