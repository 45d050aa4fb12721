"""Frozen bytes and ids: what was once written must be read, and written again the same, for ever.

golden_1.txt holds, for format 1, a line `name kind id payload` (hex) per object, and a line `name root id`
per tree or list too large to be written out. It is never edited; another format gets a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.objects.attributes import decode_xattrs, encode_xattrs
from pfs.objects.codec import encode
from pfs.objects.commit import Author, Commit, CommitKind, decode_commit, encode_commit
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.file import ChunkRow, FileReader, FileWriter
from pfs.objects.ids import Kind, object_id
from pfs.objects.ports import HashOnly
from pfs.objects.tree import TreeReader, build
from tests.objects.fakes import MemoryObjects

GOLDEN = [line.split(" ") for line in (Path(__file__).parent / "golden_1.txt").read_text().splitlines()]
WRITTEN_OUT = {
    name: (Kind[kind], bytes.fromhex(an_id), bytes.fromhex(payload))
    for name, kind, an_id, payload in (line for line in GOLDEN if len(line) == 4)
}
ROOTS = {name: bytes.fromhex(an_id) for name, _, an_id in (line for line in GOLDEN if len(line) == 3)}

CACHE_BYTES = 64 << 20
XATTRS = {b"user.comment": b"a\x00b", b"security.capability": b"\x01" * 20}
SEGMENT = bytes(range(32))

ENTRIES = (
    Entry(
        b"README",
        70_000,
        FileType.REGULAR,
        0o644,
        1000,
        1000,
        6,
        1767348672000000001,
        -1,
        object_id(Kind.CHUNK, b"hello\n"),
    ),
    Entry(b"dir", 4, FileType.DIRECTORY, 0o1777, 0, 0, 300, 1, 2, bytes([7]) * 32, 12),
    Entry(b"hard", 2**40 + 5, FileType.LINK, content=bytes([9]) * 32),
    Entry(b"link", 6, FileType.SYMLINK, 0o777, 0, 0, 6, 3, 3, target=b"README"),
    Entry(
        b"made",
        7,
        FileType.REGULAR,
        0o4755,
        65534,
        65534,
        2**37,
        5,
        6,
        bytes([8]) * 32,
        3,
        xattrs=tuple(sorted(XATTRS.items())),
        origin=(SEGMENT, 41),
    ),
    Entry(b"pipe", 8, FileType.FIFO, 0o600),
    Entry(b"socket \xff", 9, FileType.SOCKET, 0o600, xattrs=bytes([6]) * 32),
)
LINKS = (
    LinkRow(
        link_key(2**40 + 5), Entry(b"", 2**40 + 5, FileType.REGULAR, 0o644), ((1, b"hard"), (4, b"other"))
    ),
)
CHUNKS = (ChunkRow(bytes([1]) * 32, 98304, 218_453), ChunkRow(bytes([2]) * 32, 40_000, 1))
COMMIT = Commit(
    kind=CommitKind.RUN,
    root=Entry(b"", 1, FileType.DIRECTORY, 0o755, size=7, detail=1, content=bytes([5]) * 32),
    links=bytes([4]) * 32,
    parents=(bytes([3]) * 32,),
    branch="main",
    time_ns=1767348672123456789,
    author=Author(1000, "alice", "node7"),
    message="ünïcode\n",
    labels=(("job", "7"), ("tool", "make")),
    lineage=(SEGMENT,),
    next_file_id=2**40 + 6,
)

OBJECTS = {
    "chunk": (Kind.CHUNK, b"hello\n"),
    "attributes": (Kind.ATTRIBUTES, encode_xattrs(XATTRS)),
    "commit": (Kind.COMMIT, encode_commit(COMMIT)),
    "leaf": (Kind.TREE, encode((0, ENTRIES))),
    "links-leaf": (Kind.TREE, encode((0, LINKS))),
    "list": (Kind.FILE, encode((1, CHUNKS))),
    "lineage": (Kind.LINEAGE, b"segment"),
    "refs": (Kind.REFS, b"refs"),
}


def many_entries(count: int) -> Iterator[Entry]:
    for number in range(count):
        content = object_id(Kind.CHUNK, b"%d" % number)
        yield Entry(b"file%06d" % number, number + 2, 1 + number % 2, 0o644, 0, 0, number, number, 0, content)


def many_links(count: int) -> Iterator[LinkRow]:
    for number in range(count):
        yield LinkRow(link_key(number * 3), Entry(b"", number * 3, FileType.REGULAR), ((1, b"%d" % number),))


def many_chunks(count: int) -> Iterator[ChunkRow]:
    for number in range(count):
        yield ChunkRow(object_id(Kind.CHUNK, b"%d" % number), 32768 + number, 1 + number % 3)


def list_id(count: int) -> bytes:
    writer = FileWriter(HashOnly())
    writer.extend(many_chunks(count))
    return writer.finish().content


def roots() -> dict[str, bytes]:
    return {
        "tree-1000": build(HashOnly(), many_entries(1_000)),
        "tree-100000": build(HashOnly(), many_entries(100_000)),
        "links-10000": build(HashOnly(), many_links(10_000)),
        "list-1000": list_id(1_000),
        "list-1001": list_id(1_001),
        "list-100000": list_id(100_000),
    }


def test_every_object_is_written_as_it_was() -> None:
    assert {name: (kind, object_id(kind, payload), payload) for name, (kind, payload) in OBJECTS.items()} == (
        WRITTEN_OUT
    )


def test_every_root_is_what_it_was() -> None:
    assert roots() == ROOTS


def golden_objects() -> MemoryObjects:
    objects = MemoryObjects()
    for kind, _, payload in WRITTEN_OUT.values():
        objects.put(kind, payload)
    return objects


def test_what_was_written_is_read() -> None:
    objects = golden_objects()
    assert decode_commit(WRITTEN_OUT["commit"][2]) == COMMIT
    assert decode_xattrs(WRITTEN_OUT["attributes"][2]) == XATTRS
    assert tuple(TreeReader(objects, Entry, CACHE_BYTES).scan(WRITTEN_OUT["leaf"][1])) == ENTRIES
    assert tuple(TreeReader(objects, LinkRow, CACHE_BYTES).scan(WRITTEN_OUT["links-leaf"][1])) == LINKS
    size = sum(row.size for row in CHUNKS)
    rows = FileReader(objects, CACHE_BYTES).rows(WRITTEN_OUT["list"][1], 1, size)
    assert tuple(row for _, row in rows) == CHUNKS


@pytest.mark.parametrize(("kind", "row"), [("TREE", "leaf"), ("TREE", "links-leaf"), ("FILE", "list")])
def test_building_again_gives_the_same_id(kind: str, row: str) -> None:
    assert WRITTEN_OUT[row][0] is Kind[kind]
    if kind == "FILE":
        writer = FileWriter(HashOnly())
        writer.extend(CHUNKS)
        assert writer.finish().content == WRITTEN_OUT[row][1]
    else:
        rows: tuple[Entry, ...] | tuple[LinkRow, ...] = ENTRIES if row == "leaf" else LINKS
        assert build(HashOnly(), iter(rows)) == WRITTEN_OUT[row][1]
