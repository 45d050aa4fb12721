"""How small what is stored is, as the store would keep it: the figures that the format was made for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from pfs.lineage.group import Group
from pfs.lineage.segment import encode
from pfs.lineage.segment.columns import Sequences, Wide, read_words, write_words
from pfs.lineage.segment.stored import (
    STORED,
    WORDS_BYTES_MAX,
    Changes,
    Ends,
    Environments,
    Inputs,
    Slices,
    Specs,
    Stored,
)
from pfs.objects.codec import encode as canonical
from pfs.store.compression import compress
from tests.lineage import workloads

STORE = b"a store's uuid.."
BUILD_BYTES_MAX = 1_000_000


class Cost(NamedTuple):
    """What a group takes in the packs: bytes, and of what."""

    segments: int
    stored_bytes: int
    activities: int
    per_activity: float
    edges: int
    per_edge: float
    versions: int
    per_version: float  # used ones and rows alike; 32 bytes of it are the content id
    per_change: float

    def __str__(self) -> str:
        return (
            f"{self.stored_bytes:,} bytes in {self.segments} segments; {self.activities} activities of "
            f"{self.per_activity:.1f} bytes, {self.edges} edges of {self.per_edge:.3f}, "
            f"{self.versions} versions of {self.per_version:.1f}, a change {self.per_change:.1f}"
        )


def stored_bytes(segment: Stored) -> int:
    return len(compress(canonical(segment))[1])


def without_inputs(segment: Stored) -> Stored:
    return replace(segment, inputs=Inputs([], [], [], Sequences([], []), [], []))


def without_changes(segment: Stored) -> Stored:
    changes = Changes(Wide(b"", []), [], [], [], [], [], [], [], [], [])
    return replace(segment, changes=changes)


def without_activities(segment: Stored) -> Stored:
    """No slices, and no words but those that versions and changes have."""
    nothing = Sequences([], [])
    ends = Ends([], [], [], [], nothing)
    words = read_words(segment.words, WORDS_BYTES_MAX)
    place, kept = 0, set()
    for difference in segment.versions.path:
        place += difference
        kept.add(place)
    slices = Slices(
        [], [], nothing, [], [], [], [], [], Wide(b"", []), [], Wide(b"", []), [], [], [], b"", ends, ends
    )
    return replace(
        segment,
        words=write_words([words[place] for place in sorted(kept)]),
        environments=Environments([], [], [], nothing),
        specs=Specs(*[[] for _ in Specs.__struct_fields__]),
        slices=slices,
    )


def cost(group: Group) -> Cost:
    segments = [STORED.decode(segment.payload) for segment in encode(group, store=STORE)]
    total = sum(map(stored_bytes, segments))

    def share(without: Callable[[Stored], Stored]) -> int:
        return total - sum(stored_bytes(without(segment)) for segment in segments)

    edges = sum(len(piece.inputs) for piece in group.slices)
    inputs, activities, changes = share(without_inputs), share(without_activities), share(without_changes)
    versions = len(group.versions) + len(group.used)
    return Cost(
        len(segments),
        total,
        len(group.slices),
        activities / len(group.slices),
        edges,
        inputs / edges,
        versions,
        (total - inputs - activities - changes) / versions,
        changes / max(1, len(group.changes)),
    )


def reported(capsys: pytest.CaptureFixture[str], what: str, group: Group) -> Cost:
    found = cost(group)
    with capsys.disabled():
        sys.stdout.write(f"\nlineage of {what}: {found}\n")
    return found


def test_a_make_of_ten_thousand_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """gcc, cc1 and as for each of 3,333 objects; of this, 32 bytes a version are content ids."""
    found = reported(capsys, "make, gcc", workloads.make(3_333, drivers=True))
    assert found.activities > 10_000
    assert found.stored_bytes < BUILD_BYTES_MAX
    assert found.per_edge <= 1
    assert found.per_activity <= 15


@pytest.mark.slow
def test_a_make_of_ten_thousand_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """One process each; the content ids of 20,000 sources and objects alone are 640,000 bytes."""
    found = reported(capsys, "make, clang", workloads.make(10_000))
    assert found.edges > 250_000
    assert found.per_edge <= 1
    assert found.stored_bytes < 2 * BUILD_BYTES_MAX


def test_a_pipeline_of_python_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each reads the same few hundred modules first."""
    found = reported(capsys, "python", workloads.pipeline(150))
    assert found.edges > 140_000
    assert found.per_edge <= 0.2
    assert found.per_activity <= 20


def test_a_file_written_again_and_again_costs_little(capsys: pytest.CaptureFixture[str]) -> None:
    """Two hundred processes update a database: one row each, each on top of the one before."""
    found = reported(capsys, "sqlite", workloads.updates(200))
    assert (found.stored_bytes - 32 * found.versions) / found.activities <= 40
