"""A filesystem as plain dictionaries, and its comparison with a tree."""

from __future__ import annotations

import copy
import errno
from dataclasses import dataclass, field

from pfs.objects.entry import FileType
from pfs.overlay.node import Node
from pfs.overlay.tree import Tree
from tests.overlay.bench import Bench


@dataclass(eq=False)
class Inode:
    """What is behind a name.  `mtime_ns` None: not known yet, to be learnt from the tree."""

    kind: FileType
    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int | None = None
    data: bytes = b""
    target: bytes = b""
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    names: dict[bytes, Inode] = field(default_factory=dict)
    file_id: int = 0

    @property
    def is_directory(self) -> bool:
        return self.kind == FileType.DIRECTORY


class Model:
    """A tree of inodes."""

    def __init__(self) -> None:
        self.root = Inode(FileType.DIRECTORY, 0o755)

    def frozen(self) -> Model:
        """A copy that stays as it is."""
        return copy.deepcopy(self)

    def paths(self) -> list[tuple[bytes, ...]]:
        """All paths, the root's () first."""
        out: list[tuple[bytes, ...]] = [()]
        waiting: list[tuple[tuple[bytes, ...], Inode]] = [((), self.root)]
        while waiting:
            path, inode = waiting.pop()
            for name, child in sorted(inode.names.items()):
                out.append((*path, name))
                if child.is_directory:
                    waiting.append(((*path, name), child))
        return out

    def at(self, path: tuple[bytes, ...]) -> Inode:
        inode = self.root
        for name in path:
            inode = inode.names[name]
        return inode

    def links(self) -> dict[int, int]:
        """How many names each inode has, by Python's id."""
        counts: dict[int, int] = {}
        for path in self.paths():
            inode = self.at(path)
            counts[id(inode)] = counts.get(id(inode), 0) + 1
        return counts


def errno_of_rename(inode: Inode, other: Inode | None, how: str) -> int:
    """What a rename onto `other` is refused with, 0 where it is not."""
    if other is None:
        return errno.ENOENT if how == "exchange" else 0
    if how == "noreplace":
        return errno.EEXIST
    if how == "exchange" or other is inode:
        return 0
    if inode.is_directory != other.is_directory:
        return errno.ENOTDIR if inode.is_directory else errno.EISDIR
    return errno.ENOTEMPTY if other.names else 0


def same(bench: Bench, model: Model, tree: Tree) -> None:
    """Assert that a tree shows the model; what the kernel does to look is done, and undone."""
    counts = model.links()
    waiting = [((), model.root, tree.root)]
    seen: dict[int, int] = {}
    held: list[Node] = []
    while waiting:
        path, inode, node = waiting.pop()
        if seen.setdefault(id(inode), node.file_id) != node.file_id:
            raise AssertionError(f"{path}: two inodes {seen[id(inode)]} and {node.file_id} for one")
        same_inode(bench, path, inode, node, tree, counts[id(inode)])
        if not inode.is_directory:
            continue
        listing = tree.listing(node)
        listed = list(listing.names(0))
        assert sorted(row.name for row in listed) == sorted(inode.names), path
        for number, row in enumerate(listed):
            rest = [other.name for other in tree.listing(node).names(row.position)]
            assert rest == [other.name for other in listed[number + 1 :]], path
            assert row.type in (inode.names[row.name].kind, FileType.LINK), path
            found = tree.listed(node, row)
            assert found is not None
            assert found[1] == tree.attributes(found[0])
            assert found[0].file_id == row.file_id, (path, row)
        for name, child in inode.names.items():
            found_node = tree.lookup(node, name)
            assert found_node is not None, (path, name)
            found_node.lookups += 1
            held.append(found_node)
            waiting.append(((*path, name), child, found_node))
    for node in reversed(held):
        tree.forget(node, 1)


def same_inode(
    bench: Bench, path: tuple[bytes, ...], inode: Inode, node: Node, tree: Tree, nlink: int
) -> None:
    found = tree.attributes(node)
    assert (found.type, found.mode, found.uid, found.gid) == (
        inode.kind,
        inode.mode,
        inode.uid,
        inode.gid,
    ), path
    if inode.mtime_ns is not None:
        assert found.mtime_ns == inode.mtime_ns, path
    assert tree.xattrs(node) == inode.xattrs, path
    if inode.is_directory:
        subdirectories = sum(child.is_directory for child in inode.names.values())
        assert (found.size, found.nlink) == (len(inode.names), 2 + subdirectories), path
        return
    assert found.nlink == nlink, path
    if inode.kind == FileType.SYMLINK:
        assert tree.target(node) == inode.target, path
        assert found.size == len(inode.target), path
    elif inode.kind == FileType.REGULAR:
        assert found.size == len(inode.data), path
        data = bench.read(node)
        if data != inode.data:
            at = next(i for i, (a, b) in enumerate(zip(data, inode.data, strict=False)) if a != b)
            raise AssertionError(f"{path}: wrong from byte {at}, {len(data)} for {len(inode.data)} bytes")
