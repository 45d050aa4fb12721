"""Which bytes stay, why and until when: one test for each rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.lineage.facts import OUTSIDE, Flag, Level, Relation
from pfs.lineage.retention import (
    DAY_NS,
    FOREVER,
    HOUR_NS,
    MAY_GO,
    SECOND_NS,
    Keep,
    Reason,
    Settings,
    over_limit,
    thinned_until_ns,
)
from tests.lineage.retained import World
from tests.lineage.sources import Indexed

SOURCE = Keep(Reason.SOURCE, FOREVER)


@pytest.fixture
def world() -> World:
    return World()


def test_what_a_commit_has_stays(world: World) -> None:
    version = world.raw("a")
    world.anchors.add(version)
    world.scratch.add(b"a")
    assert world.keep(version) == Keep(Reason.ANCHORED, FOREVER)


def test_what_a_checkpoint_has_stays_as_long_as_that(world: World) -> None:
    version = world.raw("a")
    world.timeline[version] = world.now_ns + DAY_NS
    assert world.keep(version) == Keep(Reason.TIMELINE, world.now_ns + DAY_NS)
    world.timeline[version] = world.now_ns
    assert world.keep(version) == MAY_GO


def test_what_nobody_needs_may_go(world: World) -> None:
    assert world.keep(world.raw("a")) == MAY_GO
    assert world.keep(12345) == MAY_GO


@pytest.mark.parametrize("more", [{"repo": OUTSIDE}, {"is_known": False}])
def test_bytes_that_we_never_had_do_not_count(world: World, more: dict[str, object]) -> None:
    version = world.raw("a", **more)
    world.run("sort a", version, to="b", anchored=True)
    assert world.keep(version) == MAY_GO


def test_scratch_is_never_kept(world: World) -> None:
    version = world.raw("build/x.o")
    world.run("ld build/x.o", version, to="prog", anchored=True)
    assert world.keep(version) == SOURCE
    world.scratch.add(b"build/x.o")
    assert world.keep(version) == MAY_GO


def test_raw_version_stays_as_long_as_what_came_from_it(world: World) -> None:
    raw = world.raw("raw.csv")
    result = world.run("sort raw.csv", raw, to="clean.csv", anchored=True)
    assert world.keep(raw) == SOURCE
    # By then only a checkpoint has the result.
    world.anchors.clear()
    world.timeline[result] = world.now_ns + DAY_NS
    assert world.keep(raw) == Keep(Reason.SOURCE, world.now_ns + DAY_NS)
    world.timeline.clear()
    assert world.keep(raw) == MAY_GO


def test_raw_version_stays_through_intermediates_that_went(world: World) -> None:
    raw = world.raw("raw.csv")
    middle = world.run("sort raw.csv", raw, to="tmp/sorted")
    later = world.run("uniq tmp/sorted", middle, to="tmp/unique")
    world.run("cut tmp/unique", later, to="result.csv", anchored=True)
    world.tick(30 * 86400)
    assert world.keep(middle) == world.keep(later) == MAY_GO
    assert world.keep(raw) == SOURCE


def test_input_read_after_the_last_write_is_no_source(world: World) -> None:
    early, late = world.raw("early"), world.raw("late")
    process = world.process("prog")
    world.read(process, early)
    world.anchors.add(world.write(process, "out"))
    world.read(process, late)
    world.ends(process)
    assert world.keep(early) == SOURCE
    assert world.keep(late) == MAY_GO


def test_source_through_a_pipe_counts_up_to_its_watermark(world: World) -> None:
    first, second = world.raw("first"), world.raw("second")
    cat, sort = world.process("cat"), world.process("sort")
    world.read(cat, first)
    world.informs(cat, sort)
    world.read(cat, second)
    world.anchors.add(world.write(sort, "out"))
    world.ends(cat)
    world.ends(sort)
    assert world.keep(first) == SOURCE
    assert world.keep(second) == MAY_GO


@pytest.mark.parametrize(
    ("level", "expected"), [(Level.INFERRED, SOURCE), (Level.UNLIKELY, MAY_GO), (Level.AMBIENT, MAY_GO)]
)
def test_edges_that_answers_leave_out_keep_nothing(world: World, level: Level, expected: Keep) -> None:
    raw = world.raw("raw")
    process = world.process("prog")
    world.read(process, raw, level)
    world.anchors.add(world.write(process, "out"))
    world.ends(process)
    assert world.keep(raw) == expected


def test_only_what_an_output_is_a_copy_of_is_its_source(world: World) -> None:
    copied, beside = world.raw("copied"), world.raw("beside")
    process = world.process("cp", "-r")
    world.read(process, beside)
    world.read(process, copied)
    world.anchors.add(world.write(process, "out", focus=(1,), rest=Level.UNLIKELY))
    world.ends(process)
    assert world.keep(copied) == SOURCE
    assert world.keep(beside) == MAY_GO


def test_removed_temporary_file_stays_like_any_intermediate(world: World) -> None:
    raw = world.raw("raw.csv")
    world.anchors.add(raw)
    temporary = world.run("sort raw.csv", raw, to="/tmp.x")
    world.run("cut tmp.x", temporary, to="out.csv", anchored=True)
    assert world.keep(temporary) == Keep(Reason.INTERMEDIATE, world.gone[temporary] + 7 * DAY_NS)


def test_intermediate_goes_after_its_days(world: World) -> None:
    raw = world.raw("raw.csv")
    middle = world.run("sort raw.csv", raw, to="middle")
    result = world.run("cut middle", middle, to="result", anchored=True)
    gone_ns = world.gone[middle]
    assert world.keep(middle) == Keep(Reason.INTERMEDIATE, gone_ns + 7 * DAY_NS)
    assert world.keep(middle, intermediate_ns=DAY_NS) == Keep(Reason.INTERMEDIATE, gone_ns + DAY_NS)
    assert world.keep(middle, intermediate_ns=0) == MAY_GO
    # No longer than what came from it.
    world.anchors.clear()
    world.timeline[result] = gone_ns + HOUR_NS
    assert world.keep(middle) == Keep(Reason.INTERMEDIATE, gone_ns + HOUR_NS)
    world.tick(8 * 86400)
    assert world.keep(middle) == MAY_GO


def test_intermediates_of_intermediates_can_be_made_again(world: World) -> None:
    raw = world.raw("raw.csv")
    first = world.run("sort raw.csv", raw, to="first")
    second = world.run("uniq first", first, to="second")
    world.run("cut second", second, to="result", anchored=True)
    assert world.keep(first).reason == world.keep(second).reason == Reason.INTERMEDIATE


Spoil = Callable[[World, int], dict[str, object]]


def typed(world: World, process: int) -> dict[str, object]:
    return {"interactive": True}


def undescribed(world: World, process: int) -> dict[str, object]:
    return {"reason": "gone before it could be described"}


def downloaded(world: World, process: int) -> dict[str, object]:
    return {"files": ((5, b"socket:", True),)}


def with_data_from_outside(world: World, process: int) -> dict[str, object]:
    world.read(process, world.raw("/data/x.csv", repo=OUTSIDE))
    return {}


def with_bytes_that_were_not_kept(world: World, process: int) -> dict[str, object]:
    world.read(process, world.raw("huge", is_known=False))
    return {}


def told_by_one_that_read_nothing(world: World, process: int) -> dict[str, object]:
    world.informs(world.process("curl", "-s", "https://example.org"), process)
    return {}


def told_by_one_that_was_not_described(world: World, process: int) -> dict[str, object]:
    other = world.process("x", reason="late")
    world.read(other, world.raw("other"))
    world.informs(other, process)
    return {}


def with_an_earlier_state_of_the_same_file(world: World, process: int) -> dict[str, object]:
    base = world.raw("db")
    world.read(process, world.run("edit db", base, to="db", previous=base, relation=Relation.IN_PLACE))
    return {}


SPOILS: list[Spoil] = [
    typed,
    undescribed,
    downloaded,
    with_data_from_outside,
    with_bytes_that_were_not_kept,
    told_by_one_that_read_nothing,
    told_by_one_that_was_not_described,
    with_an_earlier_state_of_the_same_file,
]


@pytest.mark.parametrize("spoil", [None, *SPOILS], ids=lambda spoil: spoil.__name__ if spoil else "nothing")
def test_what_cannot_be_made_again_stays(world: World, spoil: Spoil | None) -> None:
    raw = world.raw("raw.csv")
    process = world.process("prog")
    world.read(process, raw)
    described = spoil(world, process) if spoil else {}
    activity = world.source.activities_by_id[process]
    world.source.activities_by_id[process] = type(activity)(
        **{name: getattr(activity, name) for name in activity.__struct_fields__} | described
    )
    middle = world.write(process, "middle")
    world.ends(process)
    world.gone[middle] = world.now_ns
    world.run("cut middle", middle, to="result", anchored=True)
    assert world.keep(middle).reason == (Reason.SOURCE if spoil else Reason.INTERMEDIATE)


def test_what_was_made_of_nothing_cannot_be_made_again(world: World) -> None:
    middle = world.run("curl -o middle https://example.org", to="middle")
    world.run("cut middle", middle, to="result", anchored=True)
    assert world.keep(middle) == SOURCE


def test_program_beyond_the_mount_is_no_lost_input(world: World) -> None:
    raw, program = world.raw("raw.csv"), world.raw("/opt/prog", repo=OUTSIDE)
    process = world.process("prog", exe_version=program)
    world.read(process, program)
    world.read(process, raw)
    middle = world.write(process, "middle")
    world.ends(process)
    world.run("cut middle", middle, to="result", anchored=True)
    world.gone[middle] = world.now_ns
    assert world.keep(middle).reason == Reason.INTERMEDIATE


def test_it_cannot_be_made_again_of_what_goes_before_its_outcome(world: World) -> None:
    # raw → middle → raw's own file again: only `middle`, not `raw`, is another file's source.
    raw = world.raw("data")
    middle = world.run("sort data", raw, to="middle")
    world.run("cp middle data", middle, to="data", previous=raw, relation=Relation.TRUNCATED, anchored=True)
    assert world.keep(middle) == SOURCE
    world.anchors.add(raw)
    assert world.keep(middle).reason == Reason.INTERMEDIATE


def test_beginning_of_an_appended_file_stays_with_it(world: World) -> None:
    first = world.raw("log")
    second = world.run("log", to="log", previous=first, relation=Relation.APPENDED)
    third = world.run("log", to="log", previous=second, relation=Relation.APPENDED, anchored=True)
    assert world.keep(first) == world.keep(second) == Keep(Reason.PREFIX, FOREVER)
    world.anchors.clear()
    world.timeline[third] = world.now_ns + 400 * DAY_NS
    assert world.keep(first) == Keep(Reason.PREFIX, world.now_ns + 400 * DAY_NS)


def test_beginning_is_none_once_the_file_was_changed_in_place(world: World) -> None:
    first = world.raw("log")
    world.run("edit", to="log", previous=first, relation=Relation.IN_PLACE, anchored=True)
    assert world.keep(first).reason == Reason.PREDECESSOR


def test_mere_predecessors_thin_out(world: World) -> None:
    """A database that was updated 100 times: at first all states, in the end one a day."""
    world.now_ns = 20_000 * DAY_NS - 8 * HOUR_NS
    versions = [world.raw("db")]
    for _ in range(99):
        world.tick(600)
        before = versions[-1]
        made = world.run("sqlite3 db", before, to="db", previous=before, relation=Relation.IN_PLACE)
        versions.append(made)
    world.anchors.add(versions[-1])
    # What read it and wrote elsewhere depends on it, not on the states before.
    world.run("report", versions[-1], to="report.txt", anchored=True)

    def kept() -> int:
        return sum(world.keep(version) != MAY_GO for version in versions)

    assert {world.keep(version).reason for version in versions} == {Reason.ANCHORED, Reason.PREDECESSOR}
    assert kept() == 100
    world.tick(2 * 86400)
    assert kept() == 17  # the last of each hour
    world.tick(8 * 86400)
    assert kept() == 2  # the last of each day
    world.tick(90 * 86400)
    assert kept() == 1


def test_predecessor_by_way_of_a_rename_thins_out_too(world: World) -> None:
    """`sed -i`: reads the file, writes another, renames that over it."""
    before = world.raw("conf")
    world.run(
        "sed -i s/a/b/ conf", before, to="conf", previous=before, relation=Relation.REPLACED, anchored=True
    )
    assert world.keep(before) == Keep(
        Reason.PREDECESSOR, world.source.versions_by_id[before].time_ns + DAY_NS
    )


def test_state_that_was_replaced_unseen_may_go(world: World) -> None:
    before = world.raw("out")
    world.run("make", to="out", previous=before, relation=Relation.TRUNCATED, anchored=True)
    assert world.keep(before) == MAY_GO


def test_the_rule_that_keeps_longest_counts(world: World) -> None:
    before = world.raw("db")
    world.run("sqlite3", before, to="db", previous=before, relation=Relation.IN_PLACE, anchored=True)
    assert world.keep(before).reason == Reason.PREDECESSOR
    world.run("dump", before, to="dump.sql", anchored=True)
    assert world.keep(before) == SOURCE


def test_moved_file_is_the_same_file(world: World) -> None:
    before = world.raw("a")
    file_id = world.files[b"a"]
    world.run("edit", to="b", previous=before, relation=Relation.IN_PLACE, file_id=file_id, anchored=True)
    assert world.keep(before).reason == Reason.PREDECESSOR


def test_same_path_of_another_branch_is_another_file(world: World) -> None:
    before = world.raw("a")
    world.run("cp", before, to="a", branch=2, anchored=True)
    assert world.keep(before) == SOURCE


def test_seen_version_stays_while_its_reader_may_still_write(world: World) -> None:
    version = world.raw("a")
    process = world.process("train")
    world.read(process, version)
    opened_ns = world.now_ns
    assert world.keep(version) == Keep(Reason.READ, opened_ns + HOUR_NS)
    # An hour after the last READ it counts as ended: editors and indexers never end.
    world.last_read[version] = opened_ns + 600 * SECOND_NS
    world.tick(3601)
    assert world.keep(version) == Keep(Reason.READ, opened_ns + 600 * SECOND_NS + HOUR_NS)
    assert world.keep(version, reader_ns=60 * SECOND_NS) == MAY_GO
    world.tick(3600)
    assert world.keep(version) == MAY_GO


def test_seen_version_goes_when_its_reader_has_ended(world: World) -> None:
    version = world.raw("a")
    process = world.process("cat")
    world.read(process, version)
    world.ends(process)
    assert world.keep(version) == MAY_GO


def test_reader_further_down_a_pipe_is_one(world: World) -> None:
    version = world.raw("a")
    cat, sort = world.process("cat"), world.process("sort")
    world.read(cat, version)
    world.informs(cat, sort, flags=Flag.PIPE)
    world.ends(cat)
    assert world.keep(version).reason == Reason.READ
    world.ends(sort)
    assert world.keep(version) == MAY_GO


def test_loop_of_pipes_ends(world: World) -> None:
    version = world.raw("a")
    one, other = world.process("one"), world.process("other")
    world.read(one, version)
    world.informs(one, other)
    world.informs(other, one)
    world.ends(one)
    world.ends(other)
    assert world.keep(version) == MAY_GO


def test_long_chain_needs_no_stack(world: World) -> None:
    first = before = world.raw("f0")
    for number in range(1, 3000):
        before = world.run("step", before, to=f"f{number}")
    world.anchors.add(before)
    world.source = Indexed(world.source)
    assert world.keep(first) == SOURCE
    assert world.keep(world.source.versions_at(1, b"f2998")[0]).reason == Reason.INTERMEDIATE


STEPS = Settings().thinning


@pytest.mark.parametrize(
    ("time_ns", "later_ns", "expected"),
    [
        (10 * DAY_NS, [], 100 * DAY_NS),
        (10 * DAY_NS, [10 * DAY_NS + 1], 11 * DAY_NS),  # in the same hour
        (10 * DAY_NS, [10 * DAY_NS + HOUR_NS], 17 * DAY_NS),  # in the next: the last of its hour
        (10 * DAY_NS, [11 * DAY_NS, 10 * DAY_NS + 2 * HOUR_NS], 17 * DAY_NS),
        (10 * DAY_NS, [11 * DAY_NS], 100 * DAY_NS),  # the last of its day
        (10 * DAY_NS - 1, [10 * DAY_NS], 100 * DAY_NS - 1),
        (10 * DAY_NS, [10 * DAY_NS], 11 * DAY_NS),
    ],
)
def test_thinning(time_ns: int, later_ns: list[int], expected: int) -> None:
    assert thinned_until_ns(time_ns, later_ns, STEPS) == expected


@given(
    st.lists(st.integers(0, 40 * DAY_NS), min_size=1, max_size=60, unique=True), st.integers(0, 130 * DAY_NS)
)
def test_thinned_row_has_one_state_for_each_stretch(times: list[int], now_ns: int) -> None:
    times.sort()
    now_ns += times[-1]
    left = [
        time_ns
        for place, time_ns in enumerate(times)
        if thinned_until_ns(time_ns, times[place + 1 :], STEPS) > now_ns
    ]
    ages = [(now_ns - time_ns, time_ns) for time_ns in times]
    assert [t for age, t in ages if age < DAY_NS] == [t for t in left if now_ns - t < DAY_NS]
    # Each hour of the week, and each day of the 90, that had a state has its last one still.
    for reach_ns, stretch_ns in STEPS[1:]:
        last = {t // stretch_ns: t for age, t in ages if age < reach_ns}
        assert set(last.values()) - {t for t in last.values() if _is_not_last(t, times, stretch_ns)} <= set(
            left
        )
    hours = [t // HOUR_NS for t in left if now_ns - t >= DAY_NS]
    assert len(hours) == len(set(hours))
    days = [t // DAY_NS for t in left if now_ns - t >= 7 * DAY_NS]
    assert len(days) == len(set(days))
    assert all(now_ns - t < 90 * DAY_NS for t in left)


def _is_not_last(time_ns: int, times: list[int], stretch_ns: int) -> bool:
    return any(each > time_ns and each // stretch_ns == time_ns // stretch_ns for each in times)


def test_oldest_intermediates_go_first_until_the_rest_fits() -> None:
    rows = [(30, 3, 10), (10, 1, 10), (20, 2, 10)]
    assert over_limit(rows, 30) == []
    assert over_limit(rows, 29) == [1]
    assert over_limit(rows, 10) == [1, 2]
    assert over_limit(rows, 0) == [1, 2, 3]
    assert over_limit([], 0) == []
