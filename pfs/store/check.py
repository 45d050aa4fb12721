"""fsck of objects: packs, object index and refs against each other.

Promises: every finding is reported, not the first only; nothing is changed; memory does not grow with the
store.  Safe beside readers and writers: it looks at the packs as they were when it began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pfs.errors import CorruptObject
from pfs.objects.ids import Kind
from pfs.store.object_index import ObjectIndex
from pfs.store.packs import PackFiles, Place, Progress
from pfs.store.record import (
    HEADER_BYTES,
    PACK_HEADER_BYTES,
    VOID,
    Damage,
    Record,
    parse_header,
    parse_pack_header,
    scan,
)

Find = Callable[[bytes], Place | None]
"""Object id → where the store would read it."""


class Finding(NamedTuple):
    """Something that is not as it should be.  `pack` and `offset` are -1, `object_id` empty, where unknown.

    kind: damaged_record, damaged_pack_header, missing_pack, short_pack, not_indexed, wrong_entry (leads to no
    record of that id), duplicate_record (harmless: it only takes space), refs.
    """

    kind: str
    message: str
    pack: int = -1
    offset: int = -1
    object_id: bytes = b""
    harmless: bool = False


def check_packs(
    files: PackFiles, ends: Mapping[int, int], find: Find, progress: Progress, *, payloads: bool
) -> Iterator[Finding]:
    """Walk all records up to the `ends` of the packs.  With `payloads`: decode and hash each one."""
    total, before = sum(ends.values()), 0
    for number, end in sorted(ends.items()):
        name = files.path(number).name
        header = parse_pack_header(files.reader(number)(PACK_HEADER_BYTES, 0))
        if header != (files.store_uuid, number):
            yield Finding("damaged_pack_header", f"{name}: its header is damaged or foreign", number, 0)
        for found in scan(files.reader(number), files.seed(number), PACK_HEADER_BYTES, end, payloads=False):
            if isinstance(found, Damage):
                yield _damaged(name, number, found.offset, found.object_id, found.reason)
            elif found.kind != VOID:
                yield from _check_record(files, ends, number, found, find, payloads=payloads)
            progress(before + found.end, total)
        before += end


def check_index(index: ObjectIndex, files: PackFiles, ends: Mapping[int, int]) -> Iterator[Finding]:
    """Walk all entries of `objects.lmdb`: does each lead to the header of its object?"""
    for number, row in index.rows().items():
        name = files.path(number).name
        if number not in ends:
            yield Finding("missing_pack", f"{name} is missing", number)
        elif row.indexed_bytes > ends[number]:
            yield Finding(
                "short_pack",
                f"{name} has {ends[number]} bytes where {row.indexed_bytes} were indexed",
                number,
            )
    for object_id, place in index.entries():
        if place is None or not leads_to(files, ends, object_id, place):
            pack, offset = (-1, -1) if place is None else place[:2]
            message = f"the index entry of {object_id.hex()[:16]} leads to no record of it"
            yield Finding("wrong_entry", message, pack, offset, object_id)


def leads_to(files: PackFiles, ends: Mapping[int, int], object_id: bytes, place: Place) -> bool:
    """Whether the header of a record of this object and length is at a place."""
    if place.offset + place.length > ends.get(place.pack, 0):
        return False
    raw = files.reader(place.pack)(HEADER_BYTES, place.offset)
    record = parse_header(raw, files.seed(place.pack), place.offset)
    return record is not None and record.object_id == object_id and record.end == place.offset + place.length


def _check_record(
    files: PackFiles, ends: Mapping[int, int], number: int, record: Record, find: Find, *, payloads: bool
) -> Iterator[Finding]:
    name = files.path(number).name
    object_id = record.object_id
    if payloads:
        try:
            files.read_payload(number, record)
        except (CorruptObject, OSError) as error:
            reason = error.reason if isinstance(error, CorruptObject) else str(error)
            yield _damaged(name, number, record.offset, object_id, reason, record.kind)
            return
    place = find(object_id)
    here = Place(number, record.offset, record.end - record.offset)
    if place is None:
        message = f"{name} at {record.offset}: object {object_id.hex()[:16]} is not in the object index"
        yield Finding("not_indexed", message, *here[:2], object_id)
    elif place != here and leads_to(files, ends, object_id, place):
        message = f"{name} at {record.offset}: object {object_id.hex()[:16]} is also in pack {place.pack}"
        yield Finding("duplicate_record", message, *here[:2], object_id, harmless=True)


def _damaged(
    name: str, pack: int, offset: int, object_id: bytes, reason: str, kind: int | None = None
) -> Finding:
    what = f"object {object_id.hex()[:16]}" if object_id else "an object that can't be named"
    if kind is not None and kind in list(Kind):
        what = f"{Kind(kind).name.lower()} {object_id.hex()[:16]}"
    return Finding("damaged_record", f"{name} at {offset}: {what}: {reason}", pack, offset, object_id)
