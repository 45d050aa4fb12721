"""Frozen segments: what was once written must be read, and written again the same, for ever.

golden/segment_1.txt holds, for format 1, a line `name id payload` (hex) per segment. It is never edited;
another format gets a file of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pfs.lineage.facts import (
    OUTSIDE,
    Activity,
    ActivityKey,
    Change,
    ChangeKind,
    Ending,
    Flag,
    Input,
    Level,
    Relation,
    Version,
    Writer,
    raw_version_id,
    version_id,
)
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.segment import decode, decode_canonical, encode, segments_below, store_of
from pfs.objects.ids import Kind, object_id

GOLDEN = {
    name: (bytes.fromhex(an_id), bytes.fromhex(payload))
    for name, an_id, payload in (
        line.split(" ")
        for line in (Path(__file__).parent / "golden" / "segment_1.txt").read_text().splitlines()
    )
}

STORE = bytes(range(16))
BOOT = b"boot number one."
BELOW = bytes([7]) * 32
BEFORE = bytes([8]) * 32
STARTED_NS = 1_767_348_672_123_456_789
# Ids are written out: those of keys and ordinals must not change either.
SHELL, SORT, CUT = 0x67CB_E47D_5F68_B382, 0xC140_F94B_165C_E4C4, 5
RAW = raw_version_id(3, (70_000).to_bytes(8, "little"), bytes([1]) * 32)
OUT, LOG = version_id(CUT, 0), 0xFFFF_FFFF_FFFF_FFFF
ENVIRONMENT = ((b"HOME", b"/home/alice"), (b"LANG", b"C"), (b"PATH", b"/usr/bin:/bin"))

PIPELINE = Group(
    [
        Slice(
            Activity(
                id=SHELL,
                key=ActivityKey(BOOT, 4_400, 123_000, 2),
                argv=(b"-bash",),
                exe=b"/bin/bash",
                cwd=b"/home/alice/pfs/proj",
                uid=1000,
                user="alice",
                host="node7",
                sid=4_400,
                group=4_400,
                terminal=True,
                started_ns=STARTED_NS - 10**12,
                interactive=True,
            )
        ),
        Slice(
            Activity(
                id=SORT,
                key=ActivityKey(BOOT, 4_410, 223_010, 1),
                parent=SHELL,
                argv=(b"sort", b"-u", b"raw.csv"),
                exe=b"/usr/bin/sort",
                cwd=b"/home/alice/pfs/proj",
                environment=ENVIRONMENT,
                uid=1000,
                user="alice",
                host="node7",
                cgroup=b"/user.slice",
                pid_namespace=4_026_531_836,
                sid=4_400,
                group=4_410,
                terminal=True,
                pipes=((1, 99_001, True),),
                started_ns=STARTED_NS,
            ),
            0,
            (Input(RAW, time_ns=STARTED_NS // 10**6 * 10**6),),
            Ending(STARTED_NS + 51_234_567, 0),
        ),
        Slice(
            Activity(
                id=CUT,
                key=ActivityKey(BOOT, 4_411, 223_011, 1),
                parent=SHELL,
                argv=(b"cut", b"-f1-9"),
                exe=b"/usr/bin/cut",
                exe_version=0x1234,
                cwd=b"/home/alice/pfs/proj",
                environment=(*ENVIRONMENT, (b"SEED", b"7")),
                uid=1000,
                user="ünï\udcff",
                host="node7",
                sid=4_400,
                group=4_410,
                pipes=((0, 99_001, False),),
                files=((1, b"data/clean.csv", True), (2, b"/dev/pts/3", True)),
                started_ns=STARTED_NS + 2_000_000,
                reason="gone before it was described",
            ),
            3,
            (
                Input(SORT, True, 1, Level.OBSERVED, Flag.PIPE, (STARTED_NS + 3_000_000) // 10**6 * 10**6),
                Input(0x1234, level=Level.ARGUMENT, time_ns=(STARTED_NS + 4_000_000) // 10**6 * 10**6),
            ),
            Ending(STARTED_NS + 52_000_000),
            BEFORE,
        ),
    ],
    [
        Version(
            id=OUT,
            repo=3,
            branch=1,
            file_id=70_001,
            path=b"data/clean.csv",
            relation=Relation.CREATED,
            writers=(Writer(CUT, 5),),
            time_ns=STARTED_NS + 50_000_000,
            content=bytes([2]) * 32,
            height=1,
            size=123_456,
            mtime_ns=STARTED_NS + 49_999_000,
        ),
        Version(
            id=LOG,
            repo=3,
            branch=1,
            file_id=70_002,
            path=b"log",
            relation=Relation.APPENDED,
            previous=OUT,
            writers=(Writer(CUT, 4, Flag.SHARED), Writer(SORT, 1, Flag.SHARED | Flag.MMAP)),
            time_ns=STARTED_NS + 51_000_000,
            size=7,
            mtime_ns=-1,
            is_known=False,
            focus=(3, 0),
            rest=Level.UNLIKELY,
        ),
    ],
    [
        (
            Version(
                id=RAW,
                repo=3,
                branch=1,
                file_id=70_000,
                path=b"raw.csv",
                time_ns=5,
                content=bytes([1]) * 32,
                size=1 << 40,
                mtime_ns=STARTED_NS - 10**15,
                imported="s3://bucket/raw.csv",
            ),
            None,
        ),
        (
            Version(
                id=0x1234,
                repo=OUTSIDE,
                path=b"/usr/share/table",
                content=bytes([2]) * 32,
                size=9,
                mtime_ns=STARTED_NS - 10**16,
            ),
            Origin(BELOW, 41),
        ),
    ],
    [
        Change(STARTED_NS + 1, CUT, ChangeKind.CREATE, 3, 1, b"data/clean.csv", b"", 70_001, OUT),
        Change(STARTED_NS + 2, 99, ChangeKind.RENAME, 3, 1, b"log.new", b"log", 70_002, 0x4321),
        Change(STARTED_NS + 3, 0, ChangeKind.REMOVE, 3, 2, b"old", b"", 12),
    ],
)
GROUPS = {
    "pipeline": PIPELINE,
    "change": Group([], [], [], PIPELINE.changes[2:]),
    "activity": Group(PIPELINE.slices[:1], [], [], []),
}


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_written_as_it_was(name: str) -> None:
    ((payload, rows),) = encode(GROUPS[name], store=STORE)
    assert (object_id(Kind.LINEAGE, payload), payload) == GOLDEN[name]
    assert rows == [version.id for version in GROUPS[name].versions]


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_written_is_read(name: str) -> None:
    _, payload = GOLDEN[name]
    assert decode(payload) == decode_canonical(payload) == GROUPS[name]
    assert store_of(payload) == STORE


def test_what_was_written_names_what_it_builds_on() -> None:
    assert segments_below(GOLDEN["pipeline"][1]) == (BEFORE, BELOW)
    assert segments_below(GOLDEN["change"][1]) == ()
