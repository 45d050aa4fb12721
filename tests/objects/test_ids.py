from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pfs.objects.ids import ID_BYTES, Kind, object_id


@given(st.sampled_from(Kind), st.binary(max_size=3000))
def test_an_id_is_blake3_under_the_context_of_its_kind(kind: Kind, payload: bytes) -> None:
    context = f"pfs 2026 {kind.name.lower()} v1"
    assert object_id(kind, payload) == blake3(payload, derive_key_context=context).digest()
    assert object_id(kind, memoryview(bytearray(payload))) == object_id(kind, payload)


def test_kinds_never_share_an_id() -> None:
    ids = {object_id(kind, b"the same bytes") for kind in Kind}
    assert len(ids) == len(Kind) == 7
    assert {len(one) for one in ids} == {ID_BYTES}


@pytest.mark.parametrize(
    ("kind", "number"),
    [("CHUNK", 1), ("FILE", 2), ("TREE", 3), ("COMMIT", 4), ("ATTRIBUTES", 5), ("LINEAGE", 6), ("REFS", 7)],
)
def test_numbers_of_kinds_are_part_of_the_format(kind: str, number: int) -> None:
    assert Kind[kind] == number
