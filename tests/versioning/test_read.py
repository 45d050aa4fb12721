from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import CorruptObject, NotFound, UsageError
from pfs.namespace.resolve import Resolver
from pfs.objects.entry import FileType
from pfs.versioning.read import CommitFiles, open_place, read_entry
from tests.repo.workshop import Workshop
from tests.versioning.trees import Paths, Thing, TreeMaker, folder

ZEROS = bytes(50)
PATHS: Paths = {
    "d": folder(10),
    "d/one": Thing(11, (b"first ", b"second")),
    "d/empty": Thing(12),
    "d/link": Thing(13, target=b"one"),
    "d/far": Thing(14, target=b"x" * 1000),
    "h1": Thing(20, (b"linked",), mode=0o600),
    "d/h2": Thing(20, (b"linked",), mode=0o600),
    "hole": Thing(21, (b"a", *[ZEROS] * 1000, b"z")),
    "x": Thing(22, xattrs=((b"user.x", b"1"),)),
}


def test_entries_and_listings(maker: TreeMaker) -> None:
    files = maker.files(PATHS)
    assert [entry.name for entry in files.listing(b"")] == [b"d", b"h1", b"hole", b"x"]
    assert [entry.name for entry in files.listing(b"d")] == [b"empty", b"far", b"h2", b"link", b"one"]
    assert [entry.file_id for entry in files.listing(b"d/one")] == [11]
    assert [entry.file_id for entry in files.chain(b"d/one")] == [1, 10, 11]
    assert files.xattrs(files.entry(b"x")) == {b"user.x": b"1"}
    assert files.find(b"nope") is None


def test_a_name_of_several_shows_the_inode(maker: TreeMaker) -> None:
    files = maker.files(PATHS)
    for path, name in ((b"h1", b"h1"), (b"d/h2", b"h2")):
        entry = files.entry(path)
        assert (entry.name, entry.type, entry.mode, entry.size) == (name, FileType.REGULAR, 0o600, 6)
        assert b"".join(files.read(path)) == b"linked"


@pytest.mark.parametrize("path", [b"nope", b"d/nope", b"h1/x", b"d/link/x", b"d/one/"])
def test_what_is_not_there_is_not_found(maker: TreeMaker, path: bytes) -> None:
    with pytest.raises(NotFound, match="no such file or directory"):
        maker.files(PATHS).entry(path)


def test_bytes_of_files_and_links(maker: TreeMaker) -> None:
    files = maker.files(PATHS)
    assert list(files.read(b"d/one")) == [b"first ", b"second"]
    assert list(files.read(b"d/empty")) == []
    assert b"".join(files.read(b"d/link")) == b"one"
    assert b"".join(files.read(b"d/far", 990, 5)) == b"xxxxx"
    for path in (b"d", b""):
        with pytest.raises(UsageError, match="directory"):
            files.read(path)


def test_a_hole_is_read_once(maker: TreeMaker) -> None:
    pieces = list(maker.files(PATHS).read(b"hole"))
    assert b"".join(pieces) == b"a" + bytes(50_000) + b"z"
    assert len({id(piece) for piece in pieces[1:-1]}) == 1


def test_a_chunk_of_another_length_is_corrupt(maker: TreeMaker) -> None:
    files = maker.files({"f": Thing(5, (b"short",))})
    entry = files.entry(b"f")
    wrong = type(entry)(b"f", 5, FileType.REGULAR, content=entry.content, size=9)
    with pytest.raises(CorruptObject, match="5 bytes where a file has 9"):
        list(read_entry(files.readers, wrong, 0, 9))


CHUNKS = st.lists(st.sampled_from([b"a", b"bc", b"defg", bytes(7)]), max_size=20)


@settings(deadline=None)
@given(CHUNKS, st.integers(0, 90), st.one_of(st.none(), st.integers(0, 90)))
def test_any_stretch_of_a_file(chunks: list[bytes], offset: int, length: int | None) -> None:
    files = TreeMaker(Workshop()).files({"f": Thing(5, tuple(chunks))})
    whole = b"".join(chunks)
    end = len(whole) if length is None else offset + length
    assert b"".join(files.read(b"f", offset, length)) == whole[offset:end]


def test_places(workshop: Workshop, maker: TreeMaker) -> None:
    resolver = Resolver(workshop.repositories, workshop.clock)
    first = maker.commit({"f": Thing(5, (b"1",))})
    workshop.clock.tick()
    later = maker.workshop.repo.commits.read(first)
    files = maker.files({"f": Thing(5, (b"2",))})
    checkpoint = workshop.commit(kind=2, root=files.commit.root, parents=(first,))
    assert later.root != files.commit.root

    def text(place: str) -> tuple[bytes, bytes]:
        opened = open_place(resolver, maker.readers, place)
        return opened.commit_id, b"".join(opened.files.read(opened.path))

    assert text("proj:f") == (checkpoint, b"2")
    assert text("proj@main:/f") == (checkpoint, b"2")
    assert text("proj~0:f") == (first, b"1")
    with pytest.raises(NotFound):
        text("proj~9:f")
    opened = open_place(resolver, maker.readers, "proj")
    assert (opened.path, isinstance(opened.files, CommitFiles)) == (b"", True)
