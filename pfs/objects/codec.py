"""Structures to canonical bytes and back: the one place that knows msgpack.

Promises: equal structures give equal bytes, and a payload that does not fit raises CorruptObject, never
an error of the library. msgspec accepts more than one spelling of a value (wide integers, missing
trailing elements), so bytes that come from another store must pass `decode_canonical`, trees and chunk
lists be built again (`ports.HashOnly`); ours are protected by their hash.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from pfs.errors import CorruptObject
from pfs.objects.ids import ID_BYTES, Kind, object_id

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")

# Limits that the decoder holds; a struct made in memory is not checked.
Id = msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)
IdOrNothing = msgspec.Meta(max_length=ID_BYTES)
Positive = msgspec.Meta(gt=0)
NotNegative = msgspec.Meta(ge=0)


def encode(value: Any) -> bytes:
    """The canonical bytes of a structure."""
    return _ENCODER.encode(value)


class Decoder(Generic[T]):
    """Bytes of one kind of object to one type; shared by threads."""

    def __init__(self, type_: type[T], kind: Kind) -> None:
        self._decoder = msgspec.msgpack.Decoder(type_)
        self._kind = kind

    def decode(self, payload: bytes) -> T:
        """The structure; CorruptObject if the payload does not hold one."""
        try:
            return self._decoder.decode(payload)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise corrupt(self._kind, payload, str(error)) from error

    def decode_canonical(self, payload: bytes) -> T:
        """As `decode`, and CorruptObject too if these are not the bytes that we would have written."""
        value = self.decode(payload)
        if encode(value) != payload:
            raise corrupt(self._kind, payload, "not canonical")
        return value


def corrupt(kind: Kind, payload: bytes, reason: str) -> CorruptObject:
    """The error for a payload of `kind` that makes no sense."""
    return CorruptObject(object_id(kind, payload), kind.name.lower(), reason)
