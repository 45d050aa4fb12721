"""What may be too long for a row: extended attributes and the targets of symlinks.

Up to 256 encoded bytes stay in the row; more become an object that the row names, so no row grows
without bound. The same value is always stored the same way, or equal trees would differ.
"""

from __future__ import annotations

from collections.abc import Mapping

from pfs.objects.codec import Decoder, corrupt, encode
from pfs.objects.entry import Entry, Pairs
from pfs.objects.ids import Kind
from pfs.objects.ports import ObjectReader, ObjectWriter

INLINE_BYTES_MAX = 256

_PAIRS: Decoder[Pairs] = Decoder(Pairs, Kind.ATTRIBUTES)


def encode_xattrs(xattrs: Mapping[bytes, bytes]) -> bytes:
    """Payload of an ATTRIBUTES object: an array of [name, value], sorted by name."""
    return encode(tuple(sorted(xattrs.items())))


def decode_xattrs(payload: bytes) -> dict[bytes, bytes]:
    """The attributes of an ATTRIBUTES object; CorruptObject if it is malformed."""
    pairs = _PAIRS.decode(payload)
    names = [name for name, _ in pairs]
    if names != sorted(set(names)):
        raise corrupt(Kind.ATTRIBUTES, payload, "names not in order")
    return dict(pairs)


def store_xattrs(writer: ObjectWriter, xattrs: Mapping[bytes, bytes]) -> Pairs | bytes:
    """The value of `Entry.xattrs`: the pairs themselves, or the id of the object made of them."""
    pairs = tuple(sorted(xattrs.items()))
    payload = encode(pairs)
    return pairs if len(payload) <= INLINE_BYTES_MAX else writer.put(Kind.ATTRIBUTES, payload)


def load_xattrs(reader: ObjectReader, xattrs: Pairs | bytes) -> dict[bytes, bytes]:
    """The attributes that a value of `Entry.xattrs` stands for."""
    if isinstance(xattrs, bytes):
        return decode_xattrs(reader.get(Kind.ATTRIBUTES, xattrs))
    return dict(xattrs)


def store_target(writer: ObjectWriter, target: bytes) -> tuple[bytes, bytes]:
    """(content, target) of a symlink's entry."""
    if len(target) <= INLINE_BYTES_MAX:
        return b"", target
    return writer.put(Kind.CHUNK, target), b""


def load_target(reader: ObjectReader, entry: Entry) -> bytes:
    """Where a symlink points."""
    return reader.get(Kind.CHUNK, entry.content) if entry.content else entry.target
