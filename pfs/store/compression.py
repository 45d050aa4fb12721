"""Payloads to what a record stores, and back.

Promises: safe in any thread (zstandard's objects are not: a shared compressor crashes, a shared
decompressor returns wrong bytes, so each thread has its own), no frame can unfold to more than
PAYLOAD_BYTES_MAX, whatever it claims, and `decode` gives only what matches its id.
"""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from pfs.errors import CorruptObject
from pfs.objects.ids import Kind, object_id
from pfs.store.record import PLAIN, ZSTD

# The largest object.  Chunks are below 96 KiB and nodes about 4 KiB; a list of rows may reach some MiB.
PAYLOAD_BYTES_MAX: Final = 32 * 1024 * 1024
_LEVEL: Final = 1
# A frame costs 9 bytes or more: below this nothing is won.
_COMPRESS_FROM_BYTES: Final = 64


class _Local(threading.local):
    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_local = _Local()


def compress(payload: bytes | memoryview) -> tuple[int, bytes]:
    """(codec, stored bytes); plain where compressing would not make it smaller."""
    if len(payload) >= _COMPRESS_FROM_BYTES:
        stored = _local.compressor.compress(payload)
        if len(stored) < len(payload):
            return ZSTD, stored
    return PLAIN, bytes(payload)


def decompress(codec: int, stored: bytes) -> bytes:
    """The payload.  ValueError if it can't be had: an unknown codec, a damaged or an oversized frame."""
    if codec == PLAIN:
        return stored
    if codec != ZSTD:
        raise ValueError(f"codec {codec} is not known")
    try:
        # The decompressor ignores its own limit where the frame states a size: look first.
        size = zstandard.frame_content_size(stored)
        if not 0 <= size <= PAYLOAD_BYTES_MAX:
            raise ValueError(f"a frame of {size} bytes; the limit is {PAYLOAD_BYTES_MAX}")
        return _local.decompressor.decompress(stored, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def decode(kind: int, codec: int, wanted: bytes, stored: bytes, where: str) -> bytes:
    """The payload that a record at `where` stores.  CorruptObject if it is not that of the wanted id."""
    try:
        payload = decompress(codec, stored)
        matches = object_id(Kind(kind), payload) == wanted
    except ValueError as error:
        raise CorruptObject(wanted, where, str(error)) from error
    if not matches:
        raise CorruptObject(wanted, where)
    return payload
