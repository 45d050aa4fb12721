"""The pack format: a scan finds every whole record, whatever lies between."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.store import record
from pfs.store.record import HEADER_BYTES, PACK_HEADER_BYTES, Damage, Record

UUID = bytes(range(16))
SEED = record.place_seed(UUID, 1)


def pack(payloads: list[bytes], seed: int = SEED) -> tuple[bytes, list[Record]]:
    raw = record.pack_header(UUID, 1)
    records = []
    for number, payload in enumerate(payloads):
        object_id = bytes([number]) * 32
        head = record.head(1, record.PLAIN, object_id, payload)
        records.append(Record(len(raw), 1, record.PLAIN, object_id, len(payload), zlib.crc32(payload)))
        raw += head + record.seal_head(head, seed, len(raw)) + payload
    return raw, records


def scan(raw: bytes, *, payloads: bool = True) -> list[Record | Damage]:
    def read(length: int, offset: int) -> bytes:
        return raw[offset : offset + length]

    return list(record.scan(read, SEED, PACK_HEADER_BYTES, len(raw), payloads=payloads))


def test_layout_is_frozen() -> None:
    raw, _ = pack([b"payload"])
    assert raw.hex() == (
        "5046535041434b3101000000000000000001020304050607"
        "08090a0b0c0d0e0f"
        + raw[32:36].hex()
        + "50667352070000000100"
        + zlib.crc32(b"payload").to_bytes(4, "little").hex()
        + "00" * 32
        + raw[82:86].hex()
        + b"payload".hex()
    )
    assert (PACK_HEADER_BYTES, HEADER_BYTES) == (36, 50)


def test_pack_header_round_trip() -> None:
    raw = record.pack_header(UUID, 7)
    assert record.parse_pack_header(raw) == (UUID, 7)
    for offset in range(len(raw)):
        damaged = raw[:offset] + bytes([raw[offset] ^ 1]) + raw[offset + 1 :]
        assert record.parse_pack_header(damaged) is None
    assert record.parse_pack_header(raw[:-1]) is None


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_whole_pack_has_no_damage(payloads: list[bytes]) -> None:
    raw, records = pack(payloads)
    assert scan(raw) == scan(raw, payloads=False) == records


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.data())
def test_one_damaged_byte_costs_one_record(payloads: list[bytes], data: st.DataObject) -> None:
    raw, records = pack(payloads)
    offset = data.draw(st.integers(PACK_HEADER_BYTES, len(raw) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = raw[:offset] + bytes([raw[offset] ^ 1 << bit]) + raw[offset + 1 :]
    (hit,) = (found for found in records if found.offset <= offset < found.end)
    found = scan(damaged)
    assert [row for row in found if isinstance(row, Record)] == [row for row in records if row != hit]
    (damage,) = (row for row in found if isinstance(row, Damage))
    assert (damage.offset, damage.end) == (hit.offset, hit.end)
    assert damage.object_id == (hit.object_id if offset >= hit.payload_offset else b"")


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.data())
def test_a_torn_end_costs_what_it_tore(payloads: list[bytes], data: st.DataObject) -> None:
    raw, records = pack(payloads)
    length = data.draw(st.integers(PACK_HEADER_BYTES, len(raw)))
    found = scan(raw[:length])
    assert [row for row in found if isinstance(row, Record)] == [row for row in records if row.end <= length]
    torn = [row for row in found if isinstance(row, Damage)]
    whole = max([PACK_HEADER_BYTES, *(row.end for row in records if row.end <= length)])
    assert [(row.offset, row.end) for row in torn] == ([(whole, length)] if whole < length else [])


def test_a_pack_kept_as_a_payload_is_not_taken_for_records() -> None:
    inner, _ = pack([b"a" * 100, b"b" * 100])
    raw, records = pack([inner, b"after"])
    damaged = raw[:PACK_HEADER_BYTES] + b"X" + raw[PACK_HEADER_BYTES + 1 :]
    assert scan(damaged) == [
        Damage(PACK_HEADER_BYTES, records[1].offset, b"", "no record header"),
        records[1],
    ]


def test_a_hole_of_zeros_longer_than_a_window_is_stepped_over() -> None:
    raw, records = pack([b"first", b"x" * 700_000, b"last"])
    hole = records[1]
    damaged = raw[: hole.offset] + bytes(hole.end - hole.offset) + raw[hole.end :]
    assert scan(damaged) == [records[0], Damage(hole.offset, hole.end, b"", "no record header"), records[2]]


def test_void_records_are_records_whatever_they_hold() -> None:
    raw, records = pack([b"first", b"gone", b"last"])
    gone = records[1]
    header = record.void_header(gone.length, SEED, gone.offset)
    voided = raw[: gone.offset] + header + b"junk" + raw[gone.end :]
    found = scan(voided)
    assert [row.kind for row in found if isinstance(row, Record)] == [1, record.VOID, 1]
    assert found[1].end == gone.end


@pytest.mark.parametrize("seed", [record.place_seed(UUID, 2), record.place_seed(bytes(16), 1)])
def test_records_of_another_pack_or_store_are_not_ours(seed: int) -> None:
    raw, _ = pack([b"payload"], seed)
    assert scan(raw) == [Damage(PACK_HEADER_BYTES, len(raw), b"", "no record header")]
