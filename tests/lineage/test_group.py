"""What a commit stores together, as facts."""

from __future__ import annotations

import msgspec
import pytest

from pfs.lineage.facts import Input
from pfs.lineage.group import Group, Origin, Slice
from tests.lineage import workloads


def test_the_end_of_a_slice_counts_all_inputs_of_its_activity() -> None:
    piece = workloads.make(1).slices[1]
    assert Slice(piece.activity, 0, ()).end == 0
    assert Slice(piece.activity, 4, (Input(1), Input(2)), None, bytes(32)).end == 6


def test_groups_share_nothing_and_do_not_change() -> None:
    first, second = Group(), Group()
    first.versions.append(workloads.make(1).versions[0])
    assert second.versions == []
    for name in Group.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(first, name, [])


def test_a_group_survives_a_journal() -> None:
    group = workloads.make(3)
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(group), type=Group)
    assert back == group
    assert {type(origin) for _, origin in back.used} <= {Origin, type(None)}
