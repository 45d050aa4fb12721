"""A look at single objects and at the figures of a store, for `pfs debug`; JSON, no promise of its shape."""

from __future__ import annotations

from typing import Any

import msgspec

from pfs.errors import CorruptObject, MissingObject, UsageError
from pfs.objects.ids import Kind
from pfs.store.store import Store

Json = Any
_ID_DIGITS = 64


def inspect_object(store: Store, object_id: str) -> Json:
    """{"id", "kind", "bytes", "holds"}: what an object holds, ids in hex; of a chunk only its length.

    UsageError for text that is no id, MissingObject, CorruptObject.
    """
    try:
        raw = bytes.fromhex(object_id)
    except ValueError:
        raw = b""
    if len(object_id) != _ID_DIGITS or len(raw) != _ID_DIGITS // 2:
        raise UsageError(f"{object_id}: an object id has {_ID_DIGITS} hex digits")
    if not store.contains(raw):
        raise MissingObject(raw)
    kind, payload = _find(store, raw)
    holds = None if kind is Kind.CHUNK else _plain(msgspec.msgpack.decode(payload))
    return {"id": object_id, "kind": kind.name.lower(), "bytes": len(payload), "holds": holds}


def statistics(store: Store) -> Json:
    """Counts and sizes of an open store."""
    return {**store.statistics()._asdict(), **store.disk_usage()._asdict()}


def _find(store: Store, object_id: bytes) -> tuple[Kind, bytes]:
    """The object whatever its kind; the last refusal where none fits."""
    refusal: CorruptObject | None = None
    for kind in Kind:
        try:
            return kind, store.get(kind, object_id)
        except CorruptObject as error:
            refusal = error
    assert refusal is not None
    raise refusal


def _plain(value: object) -> Json:
    """Decoded msgpack as JSON: bytes as hex, but names, which are text, as text."""
    if isinstance(value, bytes):
        return value.hex() if len(value) == _ID_DIGITS // 2 else value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
