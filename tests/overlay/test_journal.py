"""The journal's file: what is read back after it was torn, damaged, or written on a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pfs.disk import Disk, FaultyDisk, RecordingDisk
from pfs.errors import StoreError
from pfs.overlay.journal import FIRST_FILL_BYTES, Journal, Op, read_segment, segment_path, segments

BRANCH = 7
BOOT = b"0123456789abcdef"


def make(directory: Path, disk: Disk | None = None) -> Journal:
    journal = Journal(disk or Disk(), directory, BRANCH, BOOT)
    journal.start(1)
    return journal


def numbers(directory: Path, generation: int = 1) -> list[int]:
    segment = read_segment(Disk(), directory, BRANCH, generation)
    assert segment is not None
    return [number for number, _ in segment.records]


def test_records_come_back_in_order(tmp_path: Path) -> None:
    journal = make(tmp_path)
    assert journal.append(Op.LOCATE, 5, 1, b"\xff\n") == 1
    assert journal.append(Op.MARK, 5, 2**40, 1, None) == 2
    journal.start(2)
    assert journal.append(Op.LINK, 5, 1, b"x", 9) == 3
    journal.close()
    first = read_segment(Disk(), tmp_path, BRANCH, 1)
    second = read_segment(Disk(), tmp_path, BRANCH, 2)
    assert first is not None
    assert second is not None
    assert first.records == [(1, [Op.LOCATE, 5, 1, b"\xff\n"]), (2, [Op.MARK, 5, 2**40, 1, None])]
    assert (second.first, second.records) == (3, [(3, [Op.LINK, 5, 1, b"x", 9])])
    assert (first.boot_id, segments(Disk(), tmp_path)) == (BOOT, [1, 2])


def test_a_tail_torn_at_any_byte_ends_the_journal(tmp_path: Path) -> None:
    journal = make(tmp_path)
    ends = []
    for number in range(5):
        journal.append(Op.LOCATE, number, 1, b"n" * number)
        ends.append(journal.size_bytes)
    journal.close()
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    for length in range(64, ends[-1] + 1):
        whole_records = sum(end <= length for end in ends)
        for torn in (whole[:length], whole[:length].ljust(len(whole), b"\0")):
            path.write_bytes(torn)
            found = len(numbers(tmp_path))
            # zeros may be what was there anyway
            assert found == whole_records or torn[: ends[found - 1]] == whole[: ends[found - 1]]
            assert found >= whole_records


def test_a_flipped_bit_ends_the_journal_before_its_record(tmp_path: Path) -> None:
    journal = make(tmp_path)
    ends = [64]
    for number in range(3):
        journal.append(Op.LOCATE, number, 1, b"name")
        ends.append(journal.size_bytes)
    journal.close()
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    for at in range(64, ends[-1]):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert numbers(tmp_path) == list(range(1, sum(end <= at for end in ends[1:]) + 1))


def test_records_of_another_place_are_no_records(tmp_path: Path) -> None:
    """What a recycled block may hold: whole records with other numbers."""
    journal = make(tmp_path)
    for number in range(4):
        journal.append(Op.LOCATE, number, 1, b"name")
    size = journal.size_bytes
    journal.close()
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    length = (size - 64) // 4
    path.write_bytes(whole[: 64 + length] + whole[64 + 2 * length : size])
    assert numbers(tmp_path) == [1]


@pytest.mark.parametrize("at", range(0, 64, 3))
def test_a_damaged_header_is_said(tmp_path: Path, at: int) -> None:
    make(tmp_path).close()
    path = segment_path(tmp_path, 1)
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(StoreError):
        read_segment(Disk(), tmp_path, BRANCH, 1)


@pytest.mark.parametrize("content", [b"", b"pfs", bytes(64), bytes(65536)])
def test_a_header_that_was_never_written_is_no_segment(tmp_path: Path, content: bytes) -> None:
    segment_path(tmp_path, 1).write_bytes(content)
    assert read_segment(Disk(), tmp_path, BRANCH, 1) is None


def test_the_journal_of_another_branch_is_refused(tmp_path: Path) -> None:
    make(tmp_path).close()
    with pytest.raises(StoreError, match="not the journal of branch 8"):
        read_segment(Disk(), tmp_path, BRANCH + 1, 1)


def test_a_record_that_cannot_be_written_is_not_there(tmp_path: Path) -> None:
    disk = FaultyDisk("", errno.ENOSPC)
    journal = make(tmp_path, disk)
    journal.append(Op.LOCATE, 1, 1, b"a")
    for letter in "ES":
        disk.done, disk.script = 0, letter
        with pytest.raises(OSError, match="No space"):
            journal.append(Op.LOCATE, 2, 1, b"long" * 20)
        assert numbers(tmp_path)[-1] == journal.sequence
    journal.append(Op.LOCATE, 3, 1, b"b")
    assert numbers(tmp_path) == [1, 2]
    journal.close()


def test_a_disk_too_full_to_fill_ahead_still_takes_records(tmp_path: Path) -> None:
    disk = FaultyDisk("", errno.ENOSPC)
    journal = make(tmp_path, disk)
    record = (Op.XATTR, 1, b"user.x", b"v" * 30_000, 0)
    journal.append(*record)
    journal.append(*record)
    disk.done, disk.script = 0, "E"  # the zeros ahead; the record itself fits
    journal.append(*record)
    disk.script = ""
    journal.append(*record)
    assert numbers(tmp_path) == [1, 2, 3, 4]
    journal.close()


def test_what_is_reserved_is_there_when_the_disk_is_full(tmp_path: Path) -> None:
    disk = RecordingDisk()
    journal = make(tmp_path, disk)
    journal.append(Op.XATTR, 1, b"user.x", b"v" * (FIRST_FILL_BYTES - 200), 0)
    journal.reserve(1000)
    size = os.stat(segment_path(tmp_path, 1)).st_size
    assert size >= journal.size_bytes + 1000
    journal.append(Op.LOWER, 1, 2**60)
    assert os.stat(segment_path(tmp_path, 1)).st_size == size
    journal.close()


def test_a_generation_that_cannot_begin_leaves_the_last_one(tmp_path: Path) -> None:
    for script in ("E", ".E", ".S"):
        directory = tmp_path / script
        directory.mkdir()
        disk = FaultyDisk("", errno.ENOSPC)
        journal = make(directory, disk)
        disk.done, disk.script = 0, script
        with pytest.raises(OSError, match="No space"):
            journal.start(2)
        disk.script = ""
        assert segments(disk, directory) == [1]
        journal.append(Op.LOCATE, 1, 1, b"a")
        journal.start(2)
        journal.append(Op.LOCATE, 1, 1, b"a")
        journal.close()
        assert (numbers(directory), numbers(directory, 2)) == ([1], [2])


def test_a_sync_covers_older_generations_once(tmp_path: Path) -> None:
    disk = RecordingDisk()
    journal = make(tmp_path, disk)
    journal.append(Op.LOCATE, 1, 1, b"a")
    journal.start(2)
    journal.append(Op.LOCATE, 2, 1, b"a")
    first, second = journal.begin_sync(), journal.begin_sync()
    journal.start(3)
    start = len(disk.log)
    first.run()
    journal.end_sync(first)
    second.run()
    journal.end_sync(second)
    assert [line.split()[0] for line in disk.names(start)] == ["fdatasync", "fdatasync", "sync_directory"] * 2
    assert journal.synced_sequence == 2
    start = len(disk.log)
    third = journal.begin_sync()
    third.run()
    journal.end_sync(third)
    assert disk.names(start) == [
        f"fdatasync {2:016x}",  # it had a younger one's sync to wait for
        f"fdatasync {3:016x}",
        f"sync_directory {tmp_path.name}",
    ]
    journal.discard(2)
    assert segments(disk, tmp_path) == [3]
    journal.close()
