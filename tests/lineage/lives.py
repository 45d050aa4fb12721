"""A process that lives through many commits."""

from __future__ import annotations

import random
from typing import Any

from pfs.lineage.facts import Flag, Level, Relation
from pfs.lineage.group import Group, Slice
from pfs.lineage.index.database import Index
from tests.lineage.drawn import segment_id
from tests.lineage.sources import Story


def long_life(index: Index, slices: int, chance: random.Random) -> tuple[Story, int, list[int]]:
    """One process that reads and writes, and told others, through many commits."""
    story = Story()
    tool = story.process("tool")
    other = story.process("other")
    outputs: list[int] = []
    stored = 0
    for number in range(slices):
        for _ in range(chance.choice([1, 1, 2, 30])):
            if chance.random() < 0.1:
                story.read(other, story.raw(f"o{story.now_ns}"))
                story.informs(other, tool)
            else:
                level = chance.choice([Level.OBSERVED, Level.AMBIENT])
                story.read(tool, story.raw(f"r{story.now_ns}"), level=level, flags=Flag.MMAP)
        known = len(story.source.inputs(tool))
        more: dict[str, Any] = chance.choice(
            [
                {},
                {"focus": (known // 2, known - 1), "rest": Level.UNLIKELY},
                {"others": (other,)},
                {"previous": outputs[-1] if outputs else 0, "relation": Relation.IN_PLACE},
            ]
        )
        outputs.append(story.write(tool, f"out{number}", bytes([number % 256]), **more))
        inputs = story.source.inputs_by_activity
        pieces = [
            Slice(story.source.activities_by_id[tool], stored, tuple(inputs[tool][stored:])),
            Slice(story.source.activities_by_id[other], 0, tuple(inputs[other])),
        ]
        stored = len(inputs[tool])
        made = story.source.version(outputs[-1])
        assert made is not None
        index.add(segment_id(number), Group(pieces, [made], [], []))
    return story, tool, outputs
