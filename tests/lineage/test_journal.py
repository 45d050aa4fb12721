"""The lineage journal: what survives which accident, and what it costs."""

from __future__ import annotations

import errno
import struct
import zlib
from pathlib import Path

import pytest

from pfs.disk import Disk, FaultyDisk, RecordingDisk
from pfs.lineage.facts import Activity, ActivityKey, ChangeKind, activity_id
from pfs.lineage.live import journal as journals
from pfs.lineage.live.journal import COMPACT_BYTES_MIN, COMPACT_FILES_MAX, FIRST_FILL_BYTES, Journal, files
from pfs.lineage.live.state import Actor, Held, Place, Seen
from pfs.lineage.recording.recorder import Recorder

BOOT = bytes(range(16))


def started(directory: Path, disk: Disk | None = None) -> Journal:
    """A journal as a new daemon begins it."""
    journal = Journal(disk or Disk(), directory, BOOT)
    for _ in journal.read():
        pass
    journal.start()
    return journal


def read(directory: Path) -> list[list[object]]:
    return list(Journal(Disk(), directory, BOOT).read())


def test_what_was_appended_is_read_back_across_daemons(tmp_path: Path) -> None:
    first = started(tmp_path)
    first.append([(1, b"a"), (2, None)])
    first.append([(3,)])
    second = started(tmp_path)  # the first was killed: nothing was closed or synced
    second.append([(4, [5, -6], "ü")])
    assert read(tmp_path) == [[[1, b"a"], [2, None]], [[3]], [[4, [5, -6], "ü"]]]
    assert second.sequence == 3
    assert files(Disk(), tmp_path) == [1, 2]


def test_the_format(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.append([(7,)])
    raw = (tmp_path / f"{1:016x}").read_bytes()
    assert len(raw) == FIRST_FILL_BYTES
    header = raw[:64]
    assert header == b"pfslinj1" + struct.pack("<QQ", 1, 1) + BOOT + bytes(20) + header[60:]
    assert header[60:] == struct.pack("<I", zlib.crc32(header[:60]))
    payload = b"\x91\x91\x07"
    checksum = zlib.crc32(struct.pack("<Q", 1) + payload)
    assert raw[64 : 64 + 16 + 3] == struct.pack("<IIQ", 3, checksum, 1) + payload
    assert not any(raw[64 + 16 + 3 :])


def test_an_append_is_one_write(tmp_path: Path) -> None:
    disk = RecordingDisk()
    journal = started(tmp_path, disk)
    start = len(disk.log)
    journal.append([(1, b"x" * 100), (2,)])
    assert disk.names(start) == [f"pwrite {1:016x}"]


def test_the_file_is_filled_ahead_in_steps(tmp_path: Path) -> None:
    disk = RecordingDisk()
    journal = started(tmp_path, disk)
    start = len(disk.log)
    for _ in range(70):
        journal.append([(1, b"x" * 1000)])
    fills = [operation.length for operation in disk.log[start:] if operation.length > 2000]
    assert fills == [2 * FIRST_FILL_BYTES]
    assert len(read(tmp_path)) == 70


def test_every_torn_tail_leaves_a_prefix(tmp_path: Path) -> None:
    journal = started(tmp_path)
    ends = [journal.size_bytes]
    for number in range(6):
        journal.append([(number, b"data")])
        ends.append(journal.size_bytes)
    path = tmp_path / f"{1:016x}"
    raw = path.read_bytes()[: ends[-1]]
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        whole = sum(end <= length for end in ends[1:])
        assert [record[0][0] for record in read(tmp_path)] == list(range(whole))


def test_every_damaged_byte_leaves_a_prefix(tmp_path: Path) -> None:
    journal = started(tmp_path)
    for number in range(4):
        journal.append([(number, b"data")])
    path = tmp_path / f"{1:016x}"
    raw = path.read_bytes()[: journal.size_bytes]
    for at in range(len(raw)):
        damaged = bytearray(raw)
        damaged[at] ^= 0x55
        path.write_bytes(damaged)
        found = [record[0][0] for record in read(tmp_path)]
        assert found == list(range(len(found)))
        assert len(found) < 4


def test_a_record_of_another_place_is_not_taken(tmp_path: Path) -> None:
    journal = started(tmp_path)
    for number in range(3):
        journal.append([(number,)])
    path = tmp_path / f"{1:016x}"
    raw = path.read_bytes()
    size = (journal.size_bytes - 64) // 3
    path.write_bytes(raw[: 64 + size] + raw[64 + 2 * size : 64 + 3 * size])
    assert len(read(tmp_path)) == 1


def test_what_a_full_disk_keeps_out_comes_later_and_in_order(tmp_path: Path) -> None:
    disk = FaultyDisk("", errno.ENOSPC, names=frozenset({"pwrite"}))
    journal = started(tmp_path, disk)
    journal.append([(0,)])
    disk.done, disk.script = 0, "ESE"
    for number in range(1, 4):
        journal.append([(number,)])
    assert read(tmp_path) == [[[0]]]
    journal.append([(4,)])
    assert read(tmp_path) == [[[number]] for number in range(5)]
    assert journal.lost_records == 0


def test_a_disk_that_stays_full_costs_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "BACKLOG_BYTES_MAX", 20)
    disk = FaultyDisk("", errno.ENOSPC, names=frozenset({"pwrite"}))
    journal = started(tmp_path, disk)
    disk.done, disk.script = 0, "E" * 10
    for number in range(10):
        journal.append([(number, b"12")])
    assert journal.lost_records == 8
    journal.append([(10, b"12")])
    assert [record[0][0] for record in read(tmp_path)] == [8, 9, 10]


def test_a_full_disk_cannot_begin_a_file_and_leaves_none(tmp_path: Path) -> None:
    disk = FaultyDisk("E", errno.ENOSPC, names=frozenset({"pwrite"}))
    with pytest.raises(OSError, match="No space"):
        Journal(disk, tmp_path, BOOT).start()
    assert files(disk, tmp_path) == []


def test_a_compaction_is_durable_before_anything_goes(tmp_path: Path) -> None:
    disk = RecordingDisk()
    journal = started(tmp_path, disk)
    journal.append([(1,)])
    journal.sync()
    journal.begin_compaction()
    journal.append([(2,)])
    journal.end_compaction()
    start = len(disk.log)
    journal.sync()
    assert disk.names(start) == [
        f"fdatasync {2:016x}",
        f"sync_directory {tmp_path.name}",
        f"unlink {1:016x}",
    ]
    assert read(tmp_path) == [[[2]]]
    start = len(disk.log)
    journal.sync()
    assert disk.names(start) == [f"fdatasync {2:016x}"]


def test_a_crash_within_a_compaction_loses_nothing(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.append([(1,)])
    journal.begin_compaction()
    journal.append([(2,)])
    journal.sync()
    assert read(tmp_path) == [[[1]], [[2]]]


def test_a_compaction_on_a_full_disk_removes_nothing(tmp_path: Path) -> None:
    disk = FaultyDisk("", errno.ENOSPC, names=frozenset({"pwrite"}))
    journal = started(tmp_path, disk)
    journal.append([(1,)])
    journal.begin_compaction()
    disk.done, disk.script = 0, "E"
    journal.append([(2,)])
    journal.end_compaction()
    journal.sync()
    assert files(disk, tmp_path) == [1, 2]
    journal.append([(3,)])
    assert read(tmp_path) == [[[1]], [[2]], [[3]]]


def test_when_a_compaction_is_worth_while(tmp_path: Path) -> None:
    for _ in range(COMPACT_FILES_MAX):
        assert not started(tmp_path).is_bloated
    journal = started(tmp_path)
    assert journal.is_bloated
    journal.begin_compaction()
    journal.end_compaction()
    assert not journal.is_bloated
    journal.sync()
    journal.append([(1, bytes(COMPACT_BYTES_MIN + 1000))])
    assert journal.is_bloated
    journal.begin_compaction()
    journal.append([(1, bytes(COMPACT_BYTES_MIN))])
    journal.end_compaction()
    journal.sync()
    journal.append([(1, bytes(COMPACT_BYTES_MIN))])
    assert not journal.is_bloated


# with a recorder


class Plain:
    """Files that are what their numbers say."""

    def freeze(self, place: Place) -> Held:
        return Held(None, place.file_id, 1, b"t")

    def held(self, place: Place, token: bytes, size: int, mtime_ns: int) -> Held | None:
        return Held(None, size, mtime_ns, token)

    def release(self, place: Place, held: Held) -> None: ...

    def path(self, place: Place) -> bytes:
        return b"%d" % place.file_id

    def committed(self, place: Place) -> Seen | None:
        return Seen(1, 1, b"", place.file_id, bytes(32), 0, 9, 1) if place.file_id < 100 else None


class Daemon:
    """One life of a daemon over a journal."""

    def __init__(self, directory: Path) -> None:
        self.time_ns = 0
        self.journal = Journal(Disk(), directory, BOOT)
        self.recorder = Recorder(Plain(), self.journal, self.now)
        self.recorder.replay(self.journal.read())
        self.journal.start()
        self.recorder.reopened(1, 0)

    def now(self) -> int:
        self.time_ns += 1
        return self.time_ns

    def actor(self, pid: int, parent: Actor | None = None, *, interactive: bool = False) -> Actor:
        key = ActivityKey(BOOT, pid, 1, 0)
        activity = Activity(id=activity_id(key), key=key, argv=(b"%d" % pid,), interactive=interactive)
        return self.recorder.begin(activity, parent)

    def save(self, pid: int, number: int, how: str) -> None:
        """An editor looks at two files and saves one; it goes on to hold it open."""
        actor = self.actor(pid, interactive=True)
        for place in (Place(1, 1, number + 1), Place(1, 1, number)):
            self.recorder.close(self.recorder.open(actor, place, 1, reads=True, writes=False))
        grip = self.recorder.open(actor, place, 1, reads=False, writes=True, truncates=how == "t")
        if how == "c":
            self.recorder.truncate(actor, place, 1, 4, 9)
        self.recorder.write(grip, actor, 1, 0, 0 if how == "t" else 9)

    def act(self, pid: int, reads: int, writes: int, kind: str = "c") -> None:
        actor = self.actor(pid)
        grip = self.recorder.open(actor, Place(1, 1, reads), 1, reads=True, writes=False)
        self.recorder.close(grip)
        grip = self.recorder.open(
            actor, Place(1, 1, writes), 1, reads=False, writes=True, creates=kind == "c"
        )
        self.recorder.write(grip, actor, 1, 0, 0 if kind == "c" else 9)
        self.recorder.close(grip)

    def facts(self) -> dict[int, object]:
        source = self.recorder.source
        found: dict[int, object] = {}
        for activity in source.activities():
            inputs = [(one.source, one.watermark) for one in source.inputs(activity)]
            outputs = [source.version(version) for version in source.outputs(activity)]
            found[activity] = (source.activity(activity), inputs, outputs, source.ending(activity))
        return found


def busy(daemon: Daemon) -> None:
    for pid in range(1, 30):
        daemon.act(pid, pid % 100, 100 + pid)
        if pid % 3 == 0:
            daemon.act(pid, 99 + pid, 99 + pid, "w")
    daemon.recorder.connect(daemon.actor(1), daemon.actor(2))
    daemon.act(2, 1, 200)
    daemon.recorder.change(daemon.actor(3), ChangeKind.CHMOD, Place(1, 1, 5), b"5")


def test_a_killed_daemon_has_forgotten_nothing(tmp_path: Path) -> None:
    first = Daemon(tmp_path)
    busy(first)
    second = Daemon(tmp_path)
    assert second.facts() == first.facts()
    assert second.recorder.changes(1) == first.recorder.changes(1)
    third = Daemon(tmp_path)
    assert third.facts() == first.facts()
    second.act(2, 3, 201)
    first.act(2, 3, 201)
    assert list(second.recorder.source.outputs(second.actor(2).id)) == list(
        first.recorder.source.outputs(first.actor(2).id)
    )


@pytest.mark.parametrize("how", ["t", "c", "w"], ids=["emptied", "cut", "in place"])
def test_what_an_editor_saved_comes_from_the_same_after_a_kill(tmp_path: Path, how: str) -> None:
    first = Daemon(tmp_path)
    first.save(1, 10, how)
    (version,) = first.recorder.source.outputs(first.actor(1).id)
    fact = first.recorder.source.version(version)
    assert fact is not None
    assert fact.focus == (1,)
    assert Daemon(tmp_path).facts() == first.facts()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 1000])
def test_what_happens_during_a_compaction_is_kept_too(tmp_path: Path, steps: int) -> None:
    daemon = Daemon(tmp_path)
    busy(daemon)
    many = daemon.actor(1000)
    for number in range(700):  # more than one step, so that others come between
        daemon.recorder.outside_read(many, b"/data/%d" % number, number, 1)
    while not daemon.journal.is_bloated:
        daemon.journal.append([(7, 1 << 40, *([1 << 40] * 90_000))])
    for step in range(steps):
        more = daemon.recorder.tidy()
        daemon.act(1, 50 + step % 40, 300 + step % 40, "c" if step < 40 else "w")
        daemon.act(2000 + step, 300 + step % 40, 400 + step)
        daemon.recorder.outside_read(many, b"/more/%d" % step, step, 1)
        if not more:
            break
    if steps == 1000:
        daemon.journal.sync()
        assert len(files(Disk(), tmp_path)) == 1
    assert Daemon(tmp_path).facts() == daemon.facts()
