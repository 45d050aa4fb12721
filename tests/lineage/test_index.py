"""The lineage index answers as the facts do, in whatever order and however often they come."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.disk import Disk
from pfs.errors import StoreError
from pfs.lineage.facts import ChangeKind, Ending, Input, Level, Relation, Source, Version
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.index.closure import downstream, upstream
from pfs.lineage.index.database import Index, open_index, rebuild
from pfs.lineage.index.graph import GAP
from pfs.lineage.index.walk import Downstream, Question, Upstream
from pfs.lineage.segment import decode, encode
from pfs.store.environment import DamagedEnvironment
from tests.lineage.drawn import PATHS, Drawn, facts, indexed, segment_id
from tests.lineage.lives import long_life
from tests.lineage.sources import FactSource, Story

SEGMENT = segment_id(7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lineage.lmdb"


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    opened, why_new = open_index(Disk(), path)
    assert why_new == "missing"
    yield opened
    opened.close()


def as_source(index: Index) -> Source:
    return index


def group_of(source: FactSource, *, first: int = 0, end: int | None = None) -> Group:
    """All facts as one group, the inputs of each activity from a position to another."""
    slices = [
        Slice(one, first, tuple(source.inputs_by_activity[one.id][first:end]), source.endings.get(one.id))
        for one in source.activities_by_id.values()
    ]
    versions = source.versions_by_id.values()
    return Group(
        slices,
        [version for version in versions if version.writers],
        [(version, None) for version in versions if not version.writers],
        source.change_list,
    )


def assert_same(found: Source, wanted: FactSource, *, in_order: bool = True) -> None:
    """Every question about every fact."""
    same = list if in_order else sorted
    for one in wanted.activities_by_id:
        assert found.activity(one) == wanted.activity(one)
        assert found.ending(one) == wanted.ending(one)
        assert list(found.inputs(one)) == list(wanted.inputs(one))
        assert same(found.outputs(one)) == same(wanted.outputs(one))
        assert sorted(found.informed(one)) == sorted(wanted.informed(one))
    for version in wanted.versions_by_id.values():
        if version.writers or wanted.consumers(version.id) or wanted.revisions(version.id):
            assert found.version(version.id) == version
        assert sorted(found.consumers(version.id)) == sorted(wanted.consumers(version.id))
        assert same(found.revisions(version.id)) == same(wanted.revisions(version.id))
        if version.writers and version.content:
            with_writers = [one for one in wanted.versions_with(version.content) if wanted.version(one)]
            assert version.id in found.versions_with(version.content)
            assert set(found.versions_with(version.content)) <= set(with_writers)
    for path in PATHS:
        known = [one for one in wanted.versions_at(1, path) if found.version(one) is not None]
        assert list(found.versions_at(1, path)) == known
        assert list(found.changes_at(1, path)) == list(wanted.changes_at(1, path))
        assert list(found.changes_below(1, path)) == list(wanted.changes_below(1, path))
    assert list(found.changes_below(1, b"")) == wanted.change_list
    assert list(found.activities()) == list(wanted.activities())


@given(facts(whole=True))
@settings(max_examples=60, deadline=None)
def test_answers_as_the_facts_do(drawn: Drawn) -> None:
    with indexed(drawn) as index:
        assert_same(index, drawn.source)
        for number, group in enumerate(drawn.groups):
            for row, version in enumerate(group.versions):
                assert index.origin(segment_id(number), row) == version.id
            assert index.origin(segment_id(number), len(group.versions)) == 0


@given(facts(whole=True, once=True))
@settings(max_examples=60, deadline=None)
def test_segments_are_indexed_as_they_are_stored(drawn: Drawn) -> None:
    segments = [
        (one, decode(one.payload)) for group in drawn.groups for one in encode(group, store=bytes(16))
    ]
    with indexed(Drawn(drawn.source, [group for _, group in segments], drawn.live)) as index:
        for number, (segment, _) in enumerate(segments):
            rows = range(len(segment.rows))
            assert [index.origin(segment_id(number), row) for row in rows] == segment.rows
        roots = list(drawn.source.versions_by_id)
        for question in (upstream, downstream):
            assert sorted(question(index, roots).edges) == sorted(question(drawn.source, roots).edges)


@given(facts(whole=True, overlap_max=3), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_segments_is_no_matter(drawn: Drawn, chance: random.Random) -> None:
    numbers = list(range(len(drawn.groups))) * 2
    chance.shuffle(numbers)
    with indexed(Drawn(drawn.source, [], drawn.live)) as index:
        for number in numbers:
            index.add(segment_id(number), drawn.groups[number])
        assert_same(index, drawn.source, in_order=False)


def test_unknown_things_are_none_or_nothing(index: Index) -> None:
    for source in (as_source(index),):
        assert source.activity(5) is None
        assert source.ending(5) is None
        assert source.version(5) is None
        assert source.origin(SEGMENT, 0) == 0
        lists: list[Iterable[object]] = [
            source.inputs(5), source.outputs(5), source.consumers(5), source.informed(5), source.revisions(5),
            source.versions_at(1, b"x"), source.versions_with(b"x" * 32), source.versions_with(b""),
            source.changes_at(1, b"x"), source.changes_below(1, b"x"), source.activities(),
        ]  # fmt: skip
        assert all(not list(found) for found in lists)


def test_a_segment_is_added_once(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    story.change(tool, ChangeKind.REMOVE, "a")
    assert not index.indexed(SEGMENT)
    index.add(SEGMENT, group_of(story.source))
    index.add(SEGMENT, group_of(story.source))
    assert index.indexed(SEGMENT)
    assert index.missing([SEGMENT, segment_id(8)]) == [segment_id(8)]
    assert len(index.changes_at(1, b"a")) == 1
    assert len(list(index.activities())) == 1


def test_what_two_segments_hold_is_told_once(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    story.read(tool, story.raw("raw"))
    story.write(tool, "a")
    story.change(tool, ChangeKind.CREATE, "a")
    for number in range(2):
        index.add(segment_id(number), group_of(story.source))
    assert_same(index, story.source)


def test_a_removed_segment_has_no_rows(index: Index) -> None:
    story = Story()
    version = story.write(story.process("tool"), "a")
    index.add(SEGMENT, group_of(story.source))
    assert index.origin(SEGMENT, 0) == version
    index.remove(SEGMENT)
    index.remove(SEGMENT)
    assert not index.indexed(SEGMENT)
    assert index.origin(SEGMENT, 0) == 0
    index.add(SEGMENT, group_of(story.source))
    assert index.origin(SEGMENT, 0) == version
    assert index.versions_at(1, b"a") == [version]


def test_a_version_that_was_only_spoken_of_gets_its_record(index: Index) -> None:
    story = Story()
    before = story.write(story.process("tool"), "a", b"one")
    made = story.write(story.process("tool"), "a", b"two", previous=before, relation=Relation.APPENDED)
    old, new = story.source.version(before), story.source.version(made)
    assert old is not None
    assert new is not None
    spoken_of = msgspec.structs.replace(old, writers=(), relation=Relation.RAW)
    index.add(segment_id(1), Group([], [new], [(spoken_of, Origin(segment_id(0), 0))], []))
    assert index.version(before) == spoken_of
    assert index.origin(segment_id(0), 0) == 0
    index.add(segment_id(0), Group([], [old], [], []))
    index.add(segment_id(2), Group([], [], [(spoken_of, Origin(segment_id(0), 0))], []))
    assert index.version(before) == old
    assert index.outputs(old.writers[0].activity) == [before]
    assert index.versions_at(1, b"a") == [before, made]
    assert index.versions_with(old.content) == [before]
    assert index.revisions(before) == [made]


def test_a_better_description_replaces_the_one_before(index: Index) -> None:
    story = Story()
    tool = story.source.activities_by_id[story.process("tool", "old")]
    better = msgspec.structs.replace(tool, argv=(b"tool", b"new"), environment=((b"LANG", b"C"),))
    index.add(segment_id(0), Group([Slice(tool)]))
    index.add(segment_id(1), Group([Slice(better, ending=Ending(9, 1))]))
    assert index.activity(tool.id) == better
    assert index.ending(tool.id) == Ending(9, 1)
    assert index.activities_with(b"new") == [tool.id]
    assert index.activities_with(b"old") == []
    assert list(index.activities()) == [tool.id]


def test_an_ending_is_not_forgotten(index: Index) -> None:
    story = Story()
    tool = story.source.activities_by_id[story.process("tool")]
    index.add(segment_id(0), Group([Slice(tool, ending=Ending(9, 0))]))
    index.add(segment_id(1), Group([Slice(tool)]))
    assert index.ending(tool.id) == Ending(9, 0)


def test_positions_that_no_segment_has_are_gaps(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    versions = [story.raw(f"{number}") for number in range(6)]
    for version in versions:
        story.read(tool, version)
    made = story.write(tool, "out")
    inputs = story.source.inputs(tool)
    index.add(segment_id(0), group_of(story.source, first=4))
    assert list(index.inputs(tool)) == [GAP] * 4 + list(inputs[4:])
    assert sorted(upstream(index, [made]).versions) == sorted([made, *versions[4:]])
    index.add(segment_id(1), group_of(story.source, first=1, end=2))
    assert list(index.inputs(tool)) == [GAP, inputs[1], GAP, GAP, *inputs[4:]]
    index.add(segment_id(2), group_of(story.source))
    assert list(index.inputs(tool)) == list(inputs)
    assert index.consumers(versions[1]) == [(tool, 1)]
    assert sorted(upstream(index, [made]).versions) == sorted([made, *versions])


def test_a_life_of_many_slices(index: Index) -> None:
    story, tool, outputs = long_life(index, 150, random.Random(1))
    assert list(index.inputs(tool)) == list(story.source.inputs(tool))
    assert list(index.outputs(tool)) == outputs
    for roots in ([outputs[0]], [outputs[70]], outputs, outputs[::-1]):
        for level_max in (Level.UNOBSERVED, Level.AMBIENT):
            found = upstream(index, roots, level_max=level_max)
            wanted = Upstream(story.source, roots, Question(False, level_max, None, True)).run(None)
            assert wanted is not None
            assert sorted(found.edges) == sorted(wanted.edges)


def test_many_at_once(index: Index) -> None:
    story = Story()
    common = [story.raw(f"include/{number}.h") for number in range(1200)]
    outputs = []
    for number in range(12):
        tool = story.process("cc", "-c", f"{number}.c")
        for at in common:
            story.read(tool, at)
        outputs.append(story.write(tool, f"{number}.o", bytes([number])))
    linker = story.process("ld", *(f"{number}.o" for number in range(12)))
    for at in outputs:
        story.read(linker, at)
    program = story.write(linker, "program")
    copies = [
        story.write(linker, f"copy{n}", b"same", focus=(n % 12,), rest=Level.UNLIKELY) for n in range(1500)
    ]
    index.add(SEGMENT, group_of(story.source))
    source = story.source
    assert index.consumers(common[5]) == source.consumers(common[5])
    assert list(index.inputs(linker)) == list(source.inputs(linker))
    assert list(index.outputs(linker)) == [program, *copies]
    assert index.versions_with(source.versions_by_id[copies[0]].content) == copies
    assert index.origin(SEGMENT, 1400) == [*outputs, program, *copies][1400]
    assert len(index.activities_with(b"-c")) == 12
    for root in (common[7], outputs[3], program, copies[9]):
        for question, walk_of in ((upstream, Upstream), (downstream, Downstream)):
            asked = Question(walk_of is Downstream, Level.UNOBSERVED, None, True)
            wanted, found = walk_of(source, [root], asked).run(None), question(index, [root])
            assert wanted is not None
            assert sorted(found.edges) == sorted(wanted.edges)
            assert sorted(found.versions) == sorted(wanted.versions)


def test_searching_for_activities(index: Index) -> None:
    story = Story()
    old = story.process("sort", "-u", "raw.csv", exe=b"/usr/bin/sort")
    new = story.process("sort", "-n", exe=b"/opt/bin/sort")
    index.add(SEGMENT, group_of(story.source))
    assert index.activities_with(b"sort") == [new, old]
    assert index.activities_with(b"-u") == [old]
    assert index.activities_with(b"u") == []
    assert index.activities_of(b"sort") == [new, old]
    assert index.activities_of(b"/opt/bin/sort") == [new]
    assert index.activities_of(b"/bin/sort") == []


def test_activities_since(index: Index) -> None:
    story = Story()
    made = [story.process("tool") for _ in range(2500)]
    index.add(SEGMENT, group_of(story.source))
    assert list(index.activities()) == made[::-1]
    since = story.source.activities_by_id[made[2000]].started_ns
    assert list(index.activities(since)) == made[:1999:-1]
    assert list(index.activities(story.now_ns + 1)) == []


def test_names_of_any_length(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    deep = "/".join(["d" * 200] * 4)
    names = [
        "d",
        "d/e",
        "d.e",
        "d/e/f",
        "x" * 470,
        "x" * 470 + "/y",
        "x" * 480,
        "x" * 481,
        deep,
        deep + "/a",
        deep + "/b",
    ]
    versions = [story.write(tool, name, name.encode()) for name in names]
    changes = [
        story.change(tool, ChangeKind.CREATE, name, version=at)
        for name, at in zip(names, versions, strict=True)
    ]
    renamed = story.change(tool, ChangeKind.RENAME, "d.e", "d/g")
    index.add(SEGMENT, group_of(story.source))
    for name, version, change in zip(names, versions, changes, strict=True):
        assert index.versions_at(1, name.encode()) == [version]
        assert change in index.changes_at(1, name.encode())
        assert list(index.changes_below(1, name.encode())) == list(
            story.source.changes_below(1, name.encode())
        )
    assert index.changes_at(1, b"d/g") == [renamed]
    assert list(index.changes_below(1, b"d"))[-1] == renamed
    assert list(index.changes_below(1, deep[:700].encode())) == []
    assert index.versions_at(2, b"d") == []


def test_times_are_exact(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    times = [0, 5, 1_000_000, 999_999, 1 << 62, 3]
    for time_ns in times:
        story.put(tool, Input(story.raw(f"t{story.now_ns}"), time_ns=time_ns))
    index.add(SEGMENT, group_of(story.source))
    assert [item.time_ns for item in index.inputs(tool)] == times


def test_environments_are_shared_and_given_back(index: Index) -> None:
    story = Story()
    environment = ((b"LANG", b"C"), (b"PATH", b"/bin"))
    tools = [story.process("tool", environment=environment) for _ in range(3)]
    index.add(SEGMENT, group_of(story.source))
    found = [index.activity(tool) for tool in tools]
    assert [one.environment for one in found if one is not None] == [environment] * 3


def test_a_closed_index_opens_as_it_was(path: Path) -> None:
    story = Story()
    tool = story.process("tool")
    story.read(tool, story.raw("raw"))
    version = story.write(tool, "a")
    index, _ = open_index(Disk(), path)
    index.add(SEGMENT, group_of(story.source))
    index.close()
    index, why_new = open_index(Disk(), path)
    assert why_new == ""
    again = story.process("tool")
    story.read(again, version)
    story.write(again, "b")
    index.add(segment_id(8), group_of(story.source))
    assert index.consumers(version) == [(again, 0)]
    assert_same(index, story.source)
    index.close()


def damage(path: Path, what: str) -> None:
    file = path / "data.mdb"
    if what == "short":
        file.write_bytes(file.read_bytes()[:5000])
    elif what == "meta":
        file.write_bytes(bytes(8192) + file.read_bytes()[8192:])
    else:
        file.unlink()


@pytest.mark.parametrize("what", ["short", "meta", "missing"])
def test_a_damaged_index_is_new_and_lacks_all_segments(path: Path, what: str) -> None:
    index, _ = open_index(Disk(), path)
    index.add(SEGMENT, Group())
    index.close()
    damage(path, what)
    index, why_new = open_index(Disk(), path)
    assert why_new
    assert index.missing([SEGMENT]) == [SEGMENT]
    index.add(SEGMENT, Group())
    assert index.indexed(SEGMENT)
    index.close()


def test_a_damaged_index_is_not_mended_by_a_reader(path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_index(Disk(), path, read_only=True)
    assert caught.value.hint
    index, _ = open_index(Disk(), path)
    index.close()
    index, why_new = open_index(Disk(), path, read_only=True)
    assert why_new == ""
    index.close()


def test_what_cant_be_read_is_damage(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    story.read(tool, story.raw("raw"))
    version = story.write(tool, "a", previous=0)
    index.add(SEGMENT, group_of(story.source))
    environment = index._environment
    for key in (b"n" + bytes(4), b"f" + bytes(4)):
        (value,) = environment.get_many((key,))
        for broken in (value[:-5], value[:8], b"\xff" * 4080):
            environment.write(lambda transaction, key=key, broken=broken: transaction.put(key, broken))
            with pytest.raises(DamagedEnvironment):
                upstream(index, [version])
        environment.write(lambda transaction, key=key, value=value: transaction.put(key, value))
    assert len(upstream(index, [version]).versions) == 2
    environment.write(lambda transaction: transaction.put(b"f" + bytes(4), bytes(8)))
    with pytest.raises(DamagedEnvironment):
        index.inputs(tool)
    for number in range(1, 4):
        for tag in (b"A", b"V"):
            key = tag + number.to_bytes(4, "big")
            environment.write(lambda transaction, key=key: transaction.put(key, b"\2\xc1"))
    for question, identifier in ((index.activity, tool), (index.version, version)):
        with pytest.raises(DamagedEnvironment):
            question(identifier)


def test_rebuilding_gives_the_same(path: Path) -> None:
    story = Story()
    tool = story.process("tool")
    story.read(tool, story.raw("raw"))
    story.write(tool, "a")
    index, _ = open_index(Disk(), path)
    index.add(segment_id(1), Group())
    index.remove(segment_id(1))
    index.close()
    rebuild(Disk(), path, iter([(SEGMENT, group_of(story.source))]))
    index, why_new = open_index(Disk(), path)
    assert why_new == ""
    assert_same(index, story.source)
    index.close()


def test_nothing_of_a_segment_is_there_if_it_cant_be_added(index: Index) -> None:
    story = Story()
    tool = story.process("tool")
    story.write(tool, "a")
    bad = Version(id=5, repo=1, path=b"x", writers=(), content=b"c" * 32, previous=1 << 70)
    group = group_of(story.source)
    with pytest.raises(OverflowError):
        index.add(SEGMENT, Group(group.slices, [*group.versions, bad], [], []))
    assert not index.indexed(SEGMENT)
    assert index.activity(tool) is None
    index.add(SEGMENT, group)
    assert index.activity(tool) is not None
