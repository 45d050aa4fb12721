"""What commits take of what is live, what stays, and what recording costs."""

from __future__ import annotations

from msgspec import msgpack
from msgspec.structs import replace

from pfs.lineage.facts import ChangeKind, Ending, Relation, raw_version_id
from pfs.lineage.live.state import Place
from pfs.lineage.segment import decode, encode
from pfs.lineage.segment.order import in_order
from tests.lineage.stage import BRANCH, REPO, Stage, content_id

# generations and commits


def test_a_write_after_a_commit_begins_a_version(stage: Stage) -> None:
    grip = stage.open("prog", b"log", "wc")
    stage.put(grip, b"1")
    first = stage.newest(b"log")
    group = stage.commit()
    assert [fact.id for fact in group.versions] == [first]
    stage.put(grip, b"2")
    fact = stage.version(b"log")
    assert (fact.previous, fact.relation) == (first, Relation.APPENDED)
    assert stage.frozen == []


def test_what_a_commit_has_ended_is_read_without_its_being_told(stage: Stage) -> None:
    first = stage.write("prog", b"log", b"1")
    stage.commit(told=False)
    stage.read("reader", b"log")
    assert stage.sources("reader") == [first]


def test_what_was_stored_is_known_before_the_index_has_it(stage: Stage) -> None:
    made = stage.write("prog", b"out", b"1")
    stage.commit()
    ((origin, _),) = stage.rows.items()
    stage.rows.clear()
    stage.recorder.tidy()
    assert stage.newest(b"out") == made
    assert stage.recorder.source.origin(*origin) == made
    stage.rows[origin] = made
    stage.recorder.tidy()
    assert stage.newest(b"out") == made
    assert stage.recorder.source.origin(*origin) == 0


def test_a_group_has_all_that_is_upstream_and_nothing_else(stage: Stage) -> None:
    raw = stage.raw(b"raw", b"r")
    stage.start("make")
    stage.start("sort", "make")
    stage.read("sort", b"raw")
    middle = stage.write("sort", b"tmp", b"m")
    stage.start("head", "make")
    stage.read("head", b"tmp")
    stage.unlink("head", b"tmp")
    out = stage.write("head", b"out", b"o")
    stage.read("onlooker", b"out")
    group = stage.commit()
    in_order(group)
    assert [fact.id for fact in group.versions] == [middle, out]
    assert [fact.id for fact, _ in group.used] == [raw]
    assert [piece.activity.argv[0] for piece in group.slices] == [b"make", b"sort", b"head"]
    assert all(fact.is_known for fact in group.versions)


def test_the_next_group_begins_where_the_last_has_ended(stage: Stage) -> None:
    stage.raw(b"a", b"1")
    stage.raw(b"b", b"2")
    stage.read("prog", b"a")
    first = stage.write("prog", b"out", b"1")
    stage.commit()
    stage.read("prog", b"b")
    stage.write("prog", b"out", b"2")
    group = stage.commit()
    in_order(group)
    (piece,) = group.slices
    assert (piece.first, len(piece.inputs), bool(piece.before)) == (1, 1, True)
    assert [(fact.id, origin is not None) for fact, origin in group.used] == [
        (first, True),
        (stage.sources("prog")[1], False),
    ]
    assert stage.sources("prog")[0] == raw_version_id(REPO, (1).to_bytes(8, "little"), content_id(b"1"))


def test_an_end_that_came_after_the_commit_goes_into_the_next(stage: Stage) -> None:
    stage.write("prog", b"out", b"1")
    assert stage.commit().slices[0].ending is None
    stage.end("prog")
    stage.write("other", b"else", b"1")
    endings = [piece.ending for piece in stage.commit().slices]
    assert [ending is not None for ending in endings] == [True, False]
    assert all(piece.ending is None for piece in stage.commit().slices)


def test_a_temporary_file_that_led_nowhere_leaves_no_changes(stage: Stage) -> None:
    for path in (b"tmp", b"kept"):
        stage.write("prog", path, b"1")
        stage.recorder.change(stage.actors["prog"], ChangeKind.CREATE, stage.place(path), path)
    stage.unlink("prog", b"tmp")
    group = stage.commit()
    assert [change.path for change in group.changes] == [b"kept"]
    assert [fact.path for fact in group.versions] == [b"kept"]


def test_a_failed_commit_leaves_all_for_the_next(stage: Stage) -> None:
    out = stage.write("prog", b"out", b"1")
    stage.commit(told=False)
    stage.write("prog", b"other", b"1")
    outputs = stage.recorder.outputs(BRANCH, [1, 2])
    assert {version.id for version in outputs.values()} == {out, stage.newest(b"other")}


def test_once_stored_nothing_stays(stage: Stage) -> None:
    stage.raw(b"raw", b"1")
    for number in range(20):
        name = f"prog{number}"
        stage.start(name)
        stage.read(name, b"raw" if number == 0 else b"out%d" % (number - 1))
        stage.write(name, b"out%d" % number, b"x")
        stage.end(name)
    stage.commit()
    stage.time_ns += 2 * 3600 * 10**9
    stage.write("late", b"late", b"1")
    stage.end("late")
    stage.time_ns += 2 * 3600 * 10**9
    stage.commit()
    while stage.recorder.tidy():
        pass
    tables = stage.recorder._tables
    assert not tables.versions
    assert not tables.externals
    assert not tables.consumers
    assert not tables.revised
    assert not tables.paths
    assert not tables.files
    assert len(stage.released) == len(stage.frozen)
    assert {actor.activity.argv[0] for actor in tables.actors.values()} <= {b"late"}


def test_readers_that_led_nowhere_go(stage: Stage) -> None:
    stage.write("prog", b"out", b"1")
    stage.read("cat", b"out")
    stage.write("prog", b"out", b"2", "wt")
    assert stage.released == []
    stage.end("cat")
    stage.time_ns += 2 * 3600 * 10**9
    stage.commit()
    assert [held.content for held in stage.released] == [b"1"]
    assert stage.recorder.source.activity(stage.actors["cat"].id) is None


# costs


def test_what_tells_nothing_new_writes_nothing(stage: Stage) -> None:
    stage.raw(b"raw", b"1")
    out = stage.open("prog", b"out", "wc")
    grip = stage.open("prog", b"raw")
    stage.put(out, b"1")
    before, asked = len(stage.notes.records), stage.asked_paths
    for _ in range(100):
        stage.put(out, b"1")
        stage.get(grip)
        stage.read("prog", b"raw")
    assert len(stage.notes.records) == before
    assert stage.asked_paths == asked


def test_a_file_made_written_and_closed_is_one_record(stage: Stage) -> None:
    stage.start("prog")
    before = len(stage.notes.records)
    stage.write("prog", b"out", b"1")
    assert len(stage.notes.records) == before + 1


def test_a_commit_of_one_file_does_not_look_at_the_others(stage: Stage) -> None:
    grip = stage.open("tar", b"0", "wc")
    for number in range(1, 2000):
        stage.names[b"%d" % number] = number + 1
        stage.bytes[number + 1] = b""
        place = Place(REPO, BRANCH + 1, number + 1)
        other = stage.recorder.open(stage.actors["tar"], place, 1, reads=False, writes=True, creates=True)
        stage.recorder.close(other)
    stage.put(grip, b"1")
    records, asked = len(stage.notes.records), stage.asked_paths
    group = stage.commit()
    assert len(group.versions) == 1
    assert len(stage.notes.records) - records <= 2
    assert stage.asked_paths - asked <= 4


def test_a_description_may_come_later(stage: Stage) -> None:
    actor = stage.start("prog", reason="late")
    stage.recorder.describe(actor, replace(actor.activity, reason="", cwd=b"/"))
    found = stage.recorder.source.activity(actor.id)
    assert found is not None
    assert (found.cwd, found.reason) == (b"/", "")


def test_an_ended_process_is_no_longer_among_the_living(stage: Stage) -> None:
    actor = stage.start("prog")
    assert stage.recorder.actors() == [actor]
    stage.recorder.end(actor, Ending(1))
    stage.recorder.end(actor, Ending(2))
    assert stage.recorder.actors() == []
    assert stage.recorder.source.ending(actor.id) == Ending(1)


def test_a_log_that_everybody_writes_costs_each_the_same(stage: Stage) -> None:
    grip = stage.open("make", b"log", "wc")
    stage.put(grip, b"make")
    sizes = []
    for number in range(400):
        name = f"job{number}"
        stage.start(name, "make", forked=True)
        start = len(stage.notes.records)
        stage.put(grip, b"text", name=name)
        stage.end(name)
        sizes.append(sum(len(msgpack.encode(record)) for record in stage.notes.records[start:]))
    assert max(sizes[200:]) <= max(sizes[:20]) + 20
    assert len(stage.version(b"log").writers) == 401
    assert len(grip.holders) == 1
    assert stage.frozen == []


def test_what_is_sealed_is_what_segments_hold(stage: Stage) -> None:
    stage.raw(b"raw", b"1")
    stage.read("sort", b"raw")
    stage.write("sort", b"tmp", b"m" * 99)
    stage.read("head", b"tmp")
    stage.write("head", b"out", b"o")
    for _ in range(2):
        group = stage.commit()
        (segment,) = encode(group, store=bytes(16))
        assert decode(segment.payload).versions == group.versions
        assert segment.rows == [fact.id for fact in group.versions]
        stage.read("head", b"raw")
        stage.write("head", b"out", b"more")
