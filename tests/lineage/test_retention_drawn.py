"""Retention on drawn histories, against what closures say."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.lineage.facts import Level, Relation, Version
from pfs.lineage.retention import DAY_NS, FOREVER, Keep, Reason, Retention, Settings
from tests.lineage.drawn import Drawn, LiveSource, Reference, facts
from tests.lineage.retained import World
from tests.lineage.sources import FactSource

SOURCE = Keep(Reason.SOURCE, FOREVER)


@st.composite
def histories(draw: st.DrawFn) -> Drawn:
    """Processes that each read some versions and what others tell, write a file, and end."""
    world = World()
    paths = st.sampled_from([f"f{number}" for number in range(8)])
    versions = [world.raw("f0"), world.raw("f1")]
    processes: list[int] = []
    for _ in range(draw(st.integers(3, 12))):
        if draw(st.integers(0, 5)) == 0:
            versions.append(world.raw(draw(paths), bytes([len(versions)])))
        process = world.process("prog", interactive=draw(st.integers(0, 9)) == 0)
        for version in draw(st.lists(st.sampled_from(versions), max_size=3, unique=True)):
            world.read(process, version, draw(st.sampled_from([*[Level.OBSERVED] * 9, Level.UNLIKELY])))
        for told in draw(st.lists(st.sampled_from(processes), max_size=1)) if processes else []:
            world.informs(told, process)
        relation = draw(st.sampled_from([*[Relation.CREATED] * 5, Relation.IN_PLACE]))
        previous = draw(st.sampled_from(versions)) if relation is Relation.IN_PLACE else 0
        versions.append(world.write(process, draw(paths), previous=previous, relation=relation))
        world.ends(process)
        processes.append(process)
    return Drawn(world.source, [], LiveSource())


def drawn_world(drawn: Drawn, which: set[int]) -> tuple[World, list[Version]]:
    versions = list(drawn.source.versions_by_id.values())
    anchors = {version.id for place, version in enumerate(versions) if place in which}
    world = World(source=drawn.source, anchors=anchors, now_ns=max(version.time_ns for version in versions))
    world.gone = {version.id: world.now_ns for version in versions}
    return world, versions


def is_same_file(one: Version, other: Version) -> bool:
    return one.file_id == other.file_id or one.path == other.path


# So long that no other rule but those for ever keeps longer.
LONG = 1000 * DAY_NS


@given(st.one_of(facts(), histories()), st.sets(st.integers(0, 15), max_size=4))
@settings(deadline=None)
def test_sources_are_those_that_the_closure_finds(drawn: Drawn, which: set[int]) -> None:
    """Against the fixpoint of the rules, in a world without the other states of the version's own file."""
    world, versions = drawn_world(drawn, which)
    retention = Retention(world.source, world, Settings(intermediate_ns=LONG), world.now_ns)
    for version in versions:
        others = {one.id: one for one in versions if one.id == version.id or not is_same_file(one, version)}
        alone = FactSource(
            activities_by_id=drawn.source.activities_by_id,
            inputs_by_activity=drawn.source.inputs_by_activity,
            versions_by_id=others,
        )
        reached = set(Reference(alone, Level.UNOBSERVED, 1_000).down([version.id]).versions) - {version.id}
        expected = (
            {Reason.ANCHORED}
            if version.id in world.anchors
            else {Reason.SOURCE, Reason.INTERMEDIATE}
            if reached & world.anchors
            else {Reason.PREDECESSOR, Reason.READ, Reason.NOTHING}
        )
        assert retention.of(version.id).reason in expected


@given(histories(), st.sets(st.integers(0, 13), min_size=1, max_size=4))
@settings(deadline=None)
def test_intermediates_can_be_made_again_of_what_stays(drawn: Drawn, which: set[int]) -> None:
    world, versions = drawn_world(drawn, which)
    retention = Retention(world.source, world, Settings(intermediate_ns=LONG), world.now_ns)
    # What is anchored need not be made.
    cut = {
        version.id: Version(id=version.id, repo=version.repo, path=version.path)
        if version.id in world.anchors
        else version
        for version in versions
    }
    source = FactSource(
        activities_by_id=drawn.source.activities_by_id,
        inputs_by_activity=drawn.source.inputs_by_activity,
        versions_by_id=cut,
    )
    for version in versions:
        if retention.of(version.id).reason is not Reason.INTERMEDIATE:
            continue
        upstream = Reference(source, Level.UNOBSERVED, 1_000).up([version.id])
        assert not any(drawn.source.activities_by_id[who].interactive for who in upstream.activities)
        for needed in upstream.versions:
            if not cut[needed].writers:
                assert retention.of(needed) in (Keep(Reason.ANCHORED, FOREVER), SOURCE)
