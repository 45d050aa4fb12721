"""Inodes of a tree: a light `Node` for each one known, a `State` for each one changed or open.

A Node says where a clean inode is found: its name in its parent's committed
directory.  A State holds what differs.  States are stacked by generation: one
of a sealed generation never changes again, the next change forks a new top.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

from pfs.objects.entry import FileType
from pfs.overlay.content import EMPTY, Content

REMOVED = 0  # in a delta: the name is gone


class Attributes(NamedTuple):
    """What stat says of an inode, but for its number."""

    type: int
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    atime_ns: int


class Node:
    """One inode that the kernel knows or that has a state.  Owned by its tree, on the event loop."""

    __slots__ = ("file_id", "lookups", "name", "opens", "parent", "state", "tree")

    def __init__(self, tree: View, file_id: int, parent: int, name: bytes) -> None:
        self.tree = tree
        self.file_id = file_id
        self.parent = parent
        self.name = name
        self.lookups = 0
        self.opens = 0
        self.state: State | None = None


class View(ABC):
    """What one mounted spelling shows, or what no tree holds: nodes, and what the kernel asks of them."""

    writable = False
    view: int
    root: Node
    nodes: dict[int, Node]

    @abstractmethod
    def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The inode that a name leads to."""

    @abstractmethod
    def attributes(self, node: Node) -> Attributes:
        """What stat says."""

    @abstractmethod
    def target(self, node: Node) -> bytes:
        """Where a symbolic link leads."""

    @abstractmethod
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """The stored extended attributes; not to be changed."""

    def view_of(self, node: Node) -> int:  # noqa: ARG002
        """The upper part of an inode's number."""
        return self.view

    def open(self, node: Node) -> None:
        """Keep an inode although the kernel may forget it."""
        node.opens += 1

    def close(self, node: Node) -> None:
        """Take back one `open`."""
        node.opens -= 1
        self._drop_unused(node)

    def forget(self, node: Node, lookups: int) -> None:
        """The kernel has dropped `lookups` references."""
        node.lookups -= lookups
        self._drop_unused(node)

    @abstractmethod
    def _drop_unused(self, node: Node) -> None:
        """Let go of an inode that nobody holds."""


class State:
    """The attributes and content of an inode as of one generation (0: as committed).

    `delta` maps names of a directory to file ids or REMOVED, over `older` and
    finally over the committed tree `root`.  `links` names every (parent, name)
    of an inode that is no directory; it is empty once the last one is removed.
    """

    __slots__ = (
        "atime_ns",
        "content",
        "ctime_ns",
        "delta",
        "entries",
        "generation",
        "gid",
        "link_row",
        "links",
        "mode",
        "mtime_ns",
        "older",
        "origin",
        "removed",
        "root",
        "subdirectories",
        "target",
        "type",
        "uid",
        "xattrs",
    )

    def __init__(self, kind: int, mode: int, uid: int, gid: int, time_ns: int) -> None:
        self.generation = 0
        self.type = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime_ns: int | None = time_ns  # None: that of the top layer, after a restart
        self.ctime_ns = time_ns
        self.atime_ns: int | None = None  # None: as mtime
        self.content: Content = EMPTY
        self.target = b""
        self.xattrs: dict[bytes, bytes] = {}
        self.origin: tuple[bytes, int] | None = None
        self.links: tuple[tuple[int, bytes], ...] = ()
        self.link_row = False  # the committed links tree has a row (may have one: a directory) for this inode
        self.delta: dict[bytes, int] = {}
        self.older: State | None = None
        self.removed = False  # a directory that no name leads to
        self.root = b""
        self.entries = 0
        self.subdirectories = 0

    def fork(self) -> State:
        """A new top over this one, for the next generation."""
        top = State(self.type, self.mode, self.uid, self.gid, 0)
        top.mtime_ns = self.mtime_ns
        top.ctime_ns = self.ctime_ns
        top.atime_ns = self.atime_ns
        top.content = self.content
        top.target = self.target
        top.xattrs = self.xattrs.copy()
        top.origin = self.origin
        top.links = self.links
        top.link_row = self.link_row
        top.entries = self.entries
        top.subdirectories = self.subdirectories
        top.removed = self.removed
        if self.type == FileType.DIRECTORY:
            top.older = self
        return top

    def bottom(self) -> State:
        """The oldest state of a directory: its `root` is the committed tree below all deltas."""
        state = self
        while state.older is not None:
            state = state.older
        return state

    @property
    def size(self) -> int:
        """Bytes of a file or of a link's target."""
        return len(self.target) if self.type == FileType.SYMLINK else self.content.size


@dataclass(slots=True)
class Generation:
    """What was changed between two freezes: the dirty states, and where every inode on the way was.

    Sealed by a freeze; from then on its dictionaries and states are immutable.
    """

    number: int
    dirty: dict[int, State] = field(default_factory=dict)
    located: dict[int, tuple[int, bytes]] = field(default_factory=dict)


def whole_delta(state: State) -> dict[bytes, int]:
    """What a directory's states say of its names, over the committed tree: the newest word counts."""
    if state.older is None:
        return state.delta
    chain = [state]
    while chain[-1].older is not None:
        chain.append(chain[-1].older)
    names: dict[bytes, int] = {}
    for older in reversed(chain):
        names.update(older.delta)
    return names


def path_of(node: Node, *names: bytes) -> bytes:
    """The path of a node, or of a name below it, in its repo: by the name it was last reached through."""
    tree, parts = node.tree, list(reversed(names))
    at: Node | None = node
    while at is not None and at is not tree.root:
        parts.append(at.name)
        at = tree.nodes.get(at.parent)
    return b"/".join(reversed(parts))
