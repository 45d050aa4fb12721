from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import NotFound
from pfs.objects.entry import Entry, FileType
from pfs.versioning.diff import Change, Status, diff, status_of
from pfs.versioning.read import CommitFiles
from tests.repo.workshop import Workshop
from tests.versioning.trees import Paths, Thing, TreeMaker, folder

A, B = (b"a" * 10,), (b"b" * 20,)
BASE: dict[str, Thing] = {
    "d": folder(10),
    "d/one": Thing(11, A),
    "d/sub": folder(12),
    "d/sub/deep": Thing(13, B),
    "e": folder(14),
    "top": Thing(15, A),
}


def lines(maker: TreeMaker, old: Paths, new: Paths, path: bytes = b"") -> list[str]:
    return [line(change) for change in diff(maker.files(old), maker.files(new), path)]


def line(change: Change) -> str:
    old = "" if change.old_path is None else f"{change.old_path.decode()} -> "
    return f"{change.status} {old}{change.path.decode()}"


def without(paths: Paths, *gone: str) -> dict[str, Thing]:
    return {path: thing for path, thing in paths.items() if path not in gone}


def moved(paths: Paths, old: str, new: str) -> dict[str, Thing]:
    return {
        new + path[len(old) :] if path == old or path.startswith(old + "/") else path: thing
        for path, thing in paths.items()
    }


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (BASE, []),
        (BASE | {"d/one": Thing(11, B)}, ["modified d/one"]),
        (BASE | {"d/one": Thing(99, B)}, ["modified d/one"]),  # `sed -i`: the path counts before the id
        (BASE | {"top": Thing(15, A, ctime_ns=5)}, []),
        (BASE | {"top": Thing(15, A, mtime_ns=5)}, ["attributes top"]),
        (BASE | {"top": Thing(15, A, mode=0o600)}, ["attributes top"]),
        (BASE | {"top": Thing(15, A, xattrs=((b"user.x", b"1"),))}, ["attributes top"]),
        (BASE | {"e": folder(14, mode=0o700)}, ["attributes e"]),
        (BASE | {"e": folder(14, mtime_ns=7)}, ["attributes e"]),
        (BASE | {"e": folder(14, mtime_ns=7), "e/new": Thing(30)}, ["added e/new"]),
        (without(BASE, "d/sub/deep"), ["deleted d/sub/deep"]),
        (without(BASE, "d/sub/deep", "d/sub"), ["deleted d/sub", "deleted d/sub/deep"]),
        (BASE | {"n": folder(40), "n/x": Thing(41)}, ["added n", "added n/x"]),
        (moved(BASE, "top", "e/top"), ["renamed top -> e/top"]),
        (moved(BASE, "d", "e/d"), ["renamed d -> e/d"]),
        (moved(BASE, "d", "z") | {"z/one": Thing(11, B)}, ["renamed d -> z", "modified d/one -> z/one"]),
        (moved(BASE, "d", "z") | {"z/one": Thing(77, B)}, ["renamed d -> z", "modified d/one -> z/one"]),
        (moved(moved(BASE, "d", "z"), "z/one", "out"), ["renamed d/one -> out", "renamed d -> z"]),
        (
            moved(without(BASE, "d"), "d/sub", "sub") | {"d": Thing(10, B)},
            ["type d", "deleted d/one", "renamed d/sub -> sub"],
        ),
        (moved(BASE, "d", "n/d") | {"n": folder(50)}, ["added n", "renamed d -> n/d"]),
        (
            without(moved(BASE, "d/sub", "x"), "d", "d/one"),
            ["deleted d", "deleted d/one", "renamed d/sub -> x"],
        ),
        (BASE | {"top": Thing(15, target=b"d/one")}, ["type top"]),
        (BASE | {"top": Thing(15, A), "again": Thing(15, A)}, ["added again"]),
    ],
)
def test_changes(maker: TreeMaker, new: Paths, expected: list[str]) -> None:
    assert lines(maker, BASE, new) == expected


def test_a_diff_of_one_path(maker: TreeMaker) -> None:
    new = moved(BASE, "d/one", "e/one") | {"d/sub/deep": Thing(13, A)}
    assert lines(maker, BASE, new, b"d") == ["deleted d/one", "modified d/sub/deep"]
    assert lines(maker, BASE, new, b"d/sub/deep") == ["modified d/sub/deep"]
    assert lines(maker, BASE, new, b"e/one") == ["added e/one"]
    with pytest.raises(NotFound, match="neither"):
        lines(maker, BASE, new, b"d/none")


def test_inodes_with_several_names(maker: TreeMaker) -> None:
    inode = Thing(60, A)
    old = BASE | {"d/h1": inode, "e/h2": inode, "h3": inode}
    changed = replace(inode, data=B)
    new = old | {"d/h1": changed, "e/h2": changed, "h3": changed}
    assert lines(maker, old, new) == ["modified d/h1", "modified e/h2", "modified h3"]
    touched = replace(inode, mode=0o600)
    new = old | {"d/h1": touched, "e/h2": touched, "h3": touched}
    assert lines(maker, old, new) == ["attributes d/h1", "attributes e/h2", "attributes h3"]
    assert lines(maker, old, new, b"e") == ["attributes e/h2"]
    assert lines(maker, old, without(old, "h3")) == ["deleted h3"]
    assert lines(maker, old, without(old, "h3", "e/h2")) == ["deleted e/h2", "deleted h3"]
    assert lines(maker, without(old, "h3", "e/h2"), old) == ["added e/h2", "added h3"]
    assert lines(maker, old, moved(old, "h3", "h4")) == ["renamed h3 -> h4"]


def test_equal_subtrees_are_not_read(maker: TreeMaker) -> None:
    wide = {f"w{number}": folder(100 + number) for number in range(50)}
    wide |= {f"w{number}/f": Thing(300 + number, A) for number in range(50)}
    old, new = maker.files(wide), maker.files(moved(wide, "w7", "v7") | {"w9/f": Thing(309, B)})
    asked: list[bytes] = []

    class Counting:
        def get(self, kind: int, object_id: bytes) -> bytes:
            asked.append(object_id)
            return maker.workshop.store.get(kind, object_id)  # type: ignore[arg-type]

    fresh = type(maker.readers.entries)(Counting(), Entry, 1 << 20)
    readers = replace(maker.readers, entries=fresh)
    changes = diff(CommitFiles(readers, old.commit), CommitFiles(readers, new.commit))
    assert [line(change) for change in changes] == ["renamed w7 -> v7", "modified w9/f"]
    assert len(asked) < 15


def test_a_tree_deeper_than_the_stack(maker: TreeMaker) -> None:
    content, entry = b"", Entry(b"leaf", 5000, FileType.REGULAR)
    store = maker.workshop.store
    old = maker.files({})
    from pfs.objects.tree import build

    for depth in range(1500):
        content = build(store, [entry])
        entry = Entry(b"d", 6000 + depth, FileType.DIRECTORY, content=content, size=1, detail=int(depth > 0))
    new = maker.files({"x": folder(7)})
    import msgspec

    root = msgspec.structs.replace(new.commit.root, content=build(store, [entry]), size=1, detail=1)
    new = CommitFiles(maker.readers, msgspec.structs.replace(new.commit, root=root))
    assert len(list(diff(old, new))) == 1501
    assert len(list(diff(new, old))) == 1501


NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def trees(draw: st.DrawFn, ids: list[int]) -> dict[str, Thing]:
    """A small tree whose file ids are a permutation of a few, so that two trees share many."""
    paths: dict[str, Thing] = {}
    free = draw(st.permutations(ids))
    directories = [""]
    for file_id in free[: draw(st.integers(0, len(free)))]:
        above = draw(st.sampled_from(directories))
        path = f"{above}/{draw(NAMES)}" if above else draw(NAMES)
        if path in paths:
            continue
        if draw(st.booleans()):
            paths[path] = folder(file_id, mode=draw(st.sampled_from([0o755, 0o700])))
            directories.append(path)
        else:
            paths[path] = Thing(file_id, draw(st.sampled_from([(), A, B])))
    return paths


IDS = list(range(100, 112))


def flat(files: CommitFiles) -> dict[bytes, Entry]:
    found: dict[bytes, Entry] = {}
    waiting = [(b"", files.commit.root)]
    while waiting:
        path, entry = waiting.pop()
        found[path] = entry
        if entry.type == FileType.DIRECTORY:
            waiting += [((path + b"/" if path else b"") + one.name, one) for one in files.children(entry)]
    return found


@settings(max_examples=400, deadline=None)
@given(trees(IDS), trees(IDS))
def test_the_old_tree_and_the_changes_give_the_new_tree(old_paths: Paths, new_paths: Paths) -> None:
    maker = TreeMaker(Workshop())
    old, new = maker.files(old_paths), maker.files(new_paths)
    before, after = flat(old), flat(new)
    changes = list(diff(old, new))
    assert [change.path for change in changes] == sorted(change.path for change in changes)
    by_path: dict[bytes, Change] = {}
    for change in changes:
        if change.status is not Status.DELETED:
            assert change.path not in by_path
            by_path[change.path] = change

    def origin(path: bytes) -> bytes | None:
        """Where the thing at a path of the new tree was in the old one; None for what was added."""
        change = by_path.get(path)
        if change is not None:
            return None if change.status is Status.ADDED else (change.old_path or path)
        if not path:
            return path
        above, _, name = path.rpartition(b"/")
        parent = origin(above)
        return parent if parent is None else (parent + b"/" if parent else b"") + name

    used = set()
    for path, entry in after.items():
        was = origin(path)
        change = by_path.get(path)
        if was is None:
            assert change is not None, path
            assert path not in before or before[path].type != entry.type
            continue
        assert was not in used
        used.add(was)
        assert change is None or (change.old, change.new) == (before[was], entry)
        if change is None or change.status is not Status.RENAMED:
            assert status_of(before[was], entry) == (None if change is None else change.status)
    deleted = {change.path for change in changes if change.status is Status.DELETED}
    assert deleted == before.keys() - used
    added_ids = {change.new.file_id for change in changes if change.status is Status.ADDED and change.new}
    for path in deleted:
        gone = before[path]
        assert gone.file_id not in added_ids or all(
            one.type != gone.type for one in after.values() if one.file_id == gone.file_id
        )
