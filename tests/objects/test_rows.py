"""Entries, links, attributes, commits: there and back, limits, refusals."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.errors import CorruptObject
from pfs.objects.attributes import (
    INLINE_BYTES_MAX,
    decode_xattrs,
    encode_xattrs,
    load_target,
    load_xattrs,
    store_target,
    store_xattrs,
)
from pfs.objects.codec import Decoder, encode
from pfs.objects.commit import Author, Commit, CommitKind, commit_id, decode_commit, encode_commit
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.ids import Kind, object_id
from tests.objects.fakes import MemoryObjects

object_ids = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**64 - 1)
times = st.integers(-(2**63), 2**63 - 1)
entries = st.builds(
    Entry,
    name=st.binary(max_size=255),
    file_id=counts,
    type=st.sampled_from([int(file_type) for file_type in FileType]),
    mode=st.integers(0, 0o7777),
    uid=counts,
    gid=counts,
    size=counts,
    mtime_ns=times,
    ctime_ns=times,
    content=st.one_of(st.just(b""), object_ids),
    detail=counts,
    target=st.binary(max_size=256),
    xattrs=st.one_of(
        object_ids,
        st.dictionaries(st.binary(), st.binary(), max_size=3).map(lambda d: tuple(sorted(d.items()))),
    ),
    origin=st.one_of(st.none(), st.tuples(object_ids, counts)),
)
roots = entries.map(lambda row: msgspec.structs.replace(row, name=b"", type=int(FileType.DIRECTORY)))
commits = st.builds(
    Commit,
    kind=st.sampled_from([int(kind) for kind in CommitKind]),
    root=roots,
    links=st.one_of(st.just(b""), object_ids),
    parents=st.lists(object_ids, max_size=3).map(tuple),
    branch=st.text(),
    time_ns=times,
    author=st.builds(Author, counts, st.text(), st.text()),
    message=st.text(),
    labels=st.dictionaries(st.text(), st.text(), max_size=3).map(lambda d: tuple(sorted(d.items()))),
    lineage=st.lists(object_ids, max_size=3).map(tuple),
    next_file_id=counts,
)


def root_entry() -> Entry:
    return Entry(b"", 1, FileType.DIRECTORY, 0o755)


def some_commit(**changes: object) -> Commit:
    fields: dict[str, object] = {
        "kind": CommitKind.COMMIT,
        "root": root_entry(),
        "links": b"",
        "parents": (),
        "branch": "main",
        "time_ns": 0,
        "author": Author(0, "root", "host"),
        "message": "",
        "next_file_id": 2,
    }
    return Commit(**{**fields, **changes})  # type: ignore[arg-type]


@given(entries)
def test_an_entry_comes_back(row: Entry) -> None:
    decoder = Decoder(Entry, Kind.TREE)
    assert decoder.decode(encode(row)) == row
    assert decoder.decode_canonical(encode(row)) == row
    link = LinkRow(link_key(row.file_id), row, ((1, b"a"), (2, b"b")))
    assert Decoder(LinkRow, Kind.TREE).decode_canonical(encode(link)) == link


@given(commits)
def test_a_commit_comes_back(commit: Commit) -> None:
    payload = encode_commit(commit)
    assert decode_commit(payload) == commit
    assert encode_commit(decode_commit(payload)) == payload
    assert commit_id(commit) == object_id(Kind.COMMIT, payload)


@given(entries, entries)
def test_ctime_alone_is_no_change(row: Entry, other: Entry) -> None:
    touched = msgspec.structs.replace(row, ctime_ns=row.ctime_ns ^ 1)
    assert row.same_version(row)
    assert row.same_version(touched)
    assert touched.same_version(row)
    assert row.same_version(other) == (msgspec.structs.replace(other, ctime_ns=row.ctime_ns) == row)


@pytest.mark.parametrize("field", [name for name in Entry.__struct_fields__ if name != "ctime_ns"])
def test_every_other_field_is_a_change(field: str) -> None:
    row = Entry(b"n", 7, FileType.REGULAR)
    values = {"name": b"m", "xattrs": ((b"user.a", b"1"),), "content": b"i" * 32, "target": b"t", "type": 3}
    value = (b"o" * 32, 3) if field == "origin" else values.get(field, 99)
    changed = msgspec.structs.replace(row, **{field: value})
    assert not row.same_version(changed)
    assert not row.same_version(msgspec.structs.replace(changed, ctime_ns=5))
    link = LinkRow(link_key(7), row, ((1, b"a"),))
    assert not link.same_version(msgspec.structs.replace(link, entry=changed))
    assert link.same_version(msgspec.structs.replace(link, entry=msgspec.structs.replace(row, ctime_ns=5)))
    assert not link.same_version(msgspec.structs.replace(link, names=((1, b"b"),)))


def test_directories_are_counted() -> None:
    rows = [Entry(b"%d" % number, number, number) for number in range(1, 7)]
    assert Entry.count_directories([*rows, *rows]) == 2
    assert LinkRow.count_directories([LinkRow(link_key(2), rows[1], ())]) == 0


@given(st.dictionaries(st.binary(max_size=60), st.binary(max_size=120), max_size=8))
def test_xattrs_come_back_inline_or_not(xattrs: dict[bytes, bytes]) -> None:
    objects = MemoryObjects()
    value = store_xattrs(objects, xattrs)
    assert load_xattrs(objects, value) == xattrs
    assert decode_xattrs(encode_xattrs(xattrs)) == xattrs
    shuffled = dict(reversed(xattrs.items()))
    assert store_xattrs(objects, shuffled) == value
    is_long = len(encode_xattrs(xattrs)) > INLINE_BYTES_MAX
    assert isinstance(value, bytes) == is_long
    assert len(objects.writes) == is_long


@pytest.mark.parametrize("length", [0, 1, 256, 257, 4095])
def test_long_targets_leave_the_row(length: int) -> None:
    objects = MemoryObjects()
    content, target = store_target(objects, b"t" * length)
    assert (content == b"") == (length <= INLINE_BYTES_MAX)
    row = Entry(b"l", 5, FileType.SYMLINK, size=length, content=content, target=target)
    assert load_target(objects, row) == b"t" * length


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", encode([[b"b", b""], [b"a", b""]]), encode([[b"a", b""], [b"a", b""]]), encode([[b"a"]])],
)
def test_malformed_attributes(payload: bytes) -> None:
    with pytest.raises(CorruptObject) as caught:
        decode_xattrs(payload)
    assert caught.value.object_id == object_id(Kind.ATTRIBUTES, payload)


def test_commits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        some_commit(labels=(("b", "1"), ("a", "2")))
    with pytest.raises(ValueError, match="labels"):
        some_commit(labels=(("a", "1"), ("a", "2")))
    with pytest.raises(ValueError, match="root"):
        some_commit(root=Entry(b"x", 1, FileType.DIRECTORY))
    with pytest.raises(ValueError, match="root"):
        some_commit(root=Entry(b"", 1, FileType.REGULAR))


def fields_of(commit: Commit) -> list[object]:
    fields: list[object] = msgspec.msgpack.decode(encode_commit(commit))
    return fields


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 2),
        (0, "1"),
        (1, 0),
        (1, 9),
        (2, None),
        (3, b"short " * 9),
        (4, [b"short"]),
        (5, 7),
        (9, [["b", "1"], ["a", "1"]]),
    ],
)
def test_a_malformed_commit_is_a_corrupt_object(index: int, value: object) -> None:
    fields = fields_of(some_commit())
    fields[index] = value
    payload = encode(fields)
    with pytest.raises(CorruptObject) as caught:
        decode_commit(payload)
    assert caught.value.object_id == object_id(Kind.COMMIT, payload)


@pytest.mark.parametrize(
    "payload", [b"", b"\x90", b"\x91" * 200_000, encode([*fields_of(some_commit()), 1]), encode({})]
)
def test_bytes_that_are_no_commit(payload: bytes) -> None:
    with pytest.raises(CorruptObject):
        decode_commit(payload)


def test_another_format_is_named() -> None:
    with pytest.raises(CorruptObject, match="commit format 2 is not known"):
        decode_commit(encode([2, *fields_of(some_commit())[1:]]))


def test_unusual_spellings_pass_only_where_the_hash_is_ours() -> None:
    decoder = Decoder(Entry, Kind.TREE)
    usual = encode(Entry(b"a", 1, 1))
    # bin 16 for the name in place of bin 8; a wide integer; missing elements that have defaults.
    unusual = [
        usual.replace(b"\xc4\x01a", b"\xc5\x00\x01a", 1),
        usual.replace(b"\xc4\x01a\x01", b"\xc4\x01a\xcd\x00\x01", 1),
        encode([b"a", 1, 1]),
    ]
    for payload in unusual:
        assert payload != usual
        assert decoder.decode(payload) == Entry(b"a", 1, 1)
        with pytest.raises(CorruptObject, match="canonical"):
            decoder.decode_canonical(payload)
