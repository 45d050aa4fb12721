"""Inodes that no tree holds: the mount's root, `.pfs` directories, symlinks of revisions.

They live in view 1, are made at look-up and gone at forget.  What one shows is a
`Shown…` value; the same path below the same directory keeps its number as long
as the kernel knows it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from pfs.objects.acl import ACCESS_XATTR
from pfs.objects.entry import FileType
from pfs.overlay.node import Attributes, Node, View
from pfs.overlay.tree import Listed
from pfs.vfs.caller import Caller

SPECIAL_VIEW = 1

Explain = Callable[[Caller], Awaitable[bytes]]
Write = Callable[[bytes, int, int], Awaitable[None]]  # text, uid, pid of the writer


@dataclass(frozen=True, slots=True)
class ShownDirectory:
    """A directory: `lookup` finds what a name leads to, `names` lists (name, type)."""

    lookup: Callable[[bytes], Shown | None]
    names: Callable[[], Iterable[tuple[bytes, FileType]]]
    mode: int = 0o555
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class ShownLink:
    """A symbolic link, never cached."""

    target: bytes
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file whose text is made at each open; `write` takes each write to it, if it takes any.

    `explain` makes the text where that takes a while and depends on who opens it.
    One that is `guarded` by a directory has its owner, mode and ACL: whoever may write there may
    write to it, and the kernel sees to that.
    """

    read: Callable[[], bytes]
    write: Write | None = None
    guarded: Node | None = None
    time_ns: int = 0
    explain: Explain | None = None


Shown = ShownDirectory | ShownLink | ShownFile


class Special(Node):
    """One such inode."""

    __slots__ = ("key", "shown")

    def __init__(self, tree: SpecialTree, file_id: int, key: tuple[int, bytes], shown: Shown) -> None:
        super().__init__(tree, file_id, key[0], key[1])
        self.key = key
        self.shown = shown


class SpecialTree(View):
    """All special inodes.  Owned by the event loop; answers what a Tree answers."""

    view = SPECIAL_VIEW

    def __init__(self, root: ShownDirectory, uid: int, gid: int, now_ns: Callable[[], int]) -> None:
        self._uid, self._gid = uid, gid
        self._now_ns = now_ns
        self._born_ns = now_ns()
        self._by_key: dict[tuple[int, bytes], Special] = {}
        self._next = 2
        self.nodes: dict[int, Node] = {}
        self.root = Special(self, 1, (0, b""), root)

    def show(self, parent: int, name: bytes, shown: Shown) -> Special:
        """The inode at `name` below the inode number `parent`."""
        key = (parent, name)
        node = self._by_key.get(key)
        if node is None:
            node = Special(self, self._next, key, shown)
            self._next += 1
            self._by_key[key] = node
            self.nodes[node.file_id] = node
        else:
            node.shown = shown
        return node

    def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The inode that a name leads to."""
        shown = self._shown(parent)
        assert isinstance(shown, ShownDirectory)
        found = shown.lookup(name)
        return None if found is None else self.show(self.number(parent), name, found)

    def number(self, node: Node) -> int:
        """The inode number: the mount's root is 1."""
        return 1 if node is self.root else SPECIAL_VIEW << 40 | node.file_id

    def attributes(self, node: Node) -> Attributes:
        """What stat says."""
        shown = self._shown(node)
        time_ns = shown.time_ns or self._born_ns
        uid, gid = self._uid, self._gid
        match shown:
            case ShownDirectory():
                kind, mode, size, nlink = FileType.DIRECTORY, shown.mode, 0, 2
            case ShownLink():
                kind, mode, size, nlink = FileType.SYMLINK, 0o777, len(shown.target), 1
            case ShownFile():
                kind, size, nlink = FileType.REGULAR, 0, 1
                mode = 0o444
                if shown.guarded is not None:
                    guard = shown.guarded.tree.attributes(shown.guarded)
                    mode, uid, gid = guard.mode & 0o666, guard.uid, guard.gid
        return Attributes(kind, mode, nlink, uid, gid, size, time_ns, time_ns, time_ns)

    def target(self, node: Node) -> bytes:
        """Where a symbolic link leads."""
        shown = self._shown(node)
        assert isinstance(shown, ShownLink)
        return shown.target

    def names(self, node: Node) -> list[Listed]:
        """The names of a directory, with positions."""
        shown = self._shown(node)
        assert isinstance(shown, ShownDirectory)
        return [Listed(name, 0, int(kind), at) for at, (name, kind) in enumerate(shown.names(), 1)]

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """None is stored; a guarded file shows the ACL of its guard."""
        shown = self._shown(node)
        if not isinstance(shown, ShownFile) or shown.guarded is None:
            return {}
        access = shown.guarded.tree.xattrs(shown.guarded).get(ACCESS_XATTR)
        return {} if access is None else {ACCESS_XATTR: access}

    def _drop_unused(self, node: Node) -> None:
        if node.lookups <= 0 and not node.opens and isinstance(node, Special) and node is not self.root:
            self.nodes.pop(node.file_id, None)
            self._by_key.pop(node.key, None)

    def _shown(self, node: Node) -> Shown:
        assert isinstance(node, Special)
        return node.shown
