"""What a mounted tree answers, whether it is a working tree or a commit.

`Tree` keeps the nodes that the kernel knows and reads committed entries;
`CommitTree` is the immutable kind.  A working tree adds what has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pfs.errors import CorruptObject
from pfs.objects.attributes import load_target, load_xattrs
from pfs.objects.commit import Commit
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.file import FileReader
from pfs.objects.tree import TreeReader
from pfs.overlay.content import Committed, Content
from pfs.overlay.node import Attributes, Node, State, View
from pfs.store.store import Store

DIRECTORY_CACHE_ENTRIES = 20_000


@dataclass(slots=True)
class Readers:
    """The shared readers of one store: its entries, link rows and chunk lists, with their caches."""

    store: Store
    entries: TreeReader[Entry]
    links: TreeReader[LinkRow]
    files: FileReader


class Listed(NamedTuple):
    """One name of a directory listing; `position` is where a reader goes on after it.

    `entry` is what is committed under the name, where it comes from there.
    """

    name: bytes
    file_id: int
    type: int
    position: int
    entry: Entry | None = None


class Tree(View):
    """Nodes over one committed root.  Owned by the event loop."""

    def __init__(
        self, readers: Readers, root: Entry, links: bytes, view: int, nodes: dict[int, Node] | None = None
    ) -> None:
        self.readers = readers
        self.links = links
        self.view = view
        self.root = Node(self, root.file_id, 0, b"")
        self.root_entry = root
        self.nodes: dict[int, Node] = {} if nodes is None else nodes
        self.nodes[root.file_id] = self.root
        self._directories: dict[int, Entry] = {}

    # committed entries

    def entry(self, node: Node) -> Entry:
        """The committed entry of a clean node; of a linked inode, the one in the links tree."""
        known = self._directories.get(node.file_id)
        if known is not None:
            return known
        chain: list[Node] = []
        at = node
        while at is not self.root and at.file_id not in self._directories and at.state is None:
            parent = self.nodes.get(at.parent)
            if parent is None:  # reached by another of its names
                return self.link_row(node.file_id).entry
            chain.append(at)
            at = parent
        root = self._committed_root(at)
        entry = self.root_entry if at is self.root else self._directories.get(at.file_id)
        for step in reversed(chain):
            found = self.readers.entries.get(root, step.name)
            if found is None:
                raise CorruptObject(root, "a directory", f"it has no entry {step.name!r}")
            entry = found
            if entry.type == FileType.LINK:
                entry = self.link_row(entry.file_id).entry
            elif entry.type == FileType.DIRECTORY:
                if len(self._directories) >= DIRECTORY_CACHE_ENTRIES:
                    self._directories.clear()
                self._directories[entry.file_id] = entry
            root = entry.content
        assert entry is not None
        return entry

    def link_row(self, file_id: int) -> LinkRow:
        """The links-tree row of an inode with several names.  Raises CorruptObject."""
        row = self.readers.links.get(self.links, link_key(file_id))
        if row is None:
            raise CorruptObject(self.links, "the links tree", f"it has no row for inode {file_id}")
        return row

    def _committed_root(self, node: Node) -> bytes:
        """The committed tree that a directory's names are looked up in, below any delta."""
        if node.state is not None:
            return node.state.bottom().root
        if node is self.root:
            return self.root_entry.content
        return self.entry(node).content

    # what the kernel asks

    def node(self, file_id: int, parent: int, name: bytes) -> Node:
        """The node of an inode, made at its first look-up."""
        node = self.nodes.get(file_id)
        if node is None:
            node = self.nodes[file_id] = Node(self, file_id, parent, name)
        return node

    def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The inode that a name leads to."""
        entry = self.readers.entries.get(self._committed_root(parent), name)
        return None if entry is None else self.node(entry.file_id, parent.file_id, name)

    def attributes(self, node: Node) -> Attributes:
        """What stat says."""
        entry = self.root_entry if node is self.root else self.entry(node)
        if entry.type == FileType.DIRECTORY:
            return _attributes(entry, 2 + entry.detail)
        nlink = 1
        row = self.readers.links.get(self.links, link_key(entry.file_id)) if self.links else None
        if row is not None:
            nlink = len(row.names)
        return _attributes(entry, nlink)

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """The stored extended attributes; not to be changed."""
        entry = self.root_entry if node is self.root else self.entry(node)
        return load_xattrs(self.readers.store, entry.xattrs)

    def target(self, node: Node) -> bytes:
        """Where a symbolic link leads."""
        return load_target(self.readers.store, self.entry(node))

    def content(self, node: Node) -> Content:
        """The bytes of a regular file as they are now."""
        return entry_content(self.entry(node))

    def listing(self, node: Node) -> Listing:
        """An immutable view of a directory."""
        return Listing(self.readers.entries, self._committed_root(node), {}, [])

    def listed(self, directory: Node, listed: Listed) -> tuple[Node, Attributes] | None:
        """The inode of a name of a listing, with its attributes as they are now; None if the name is gone."""
        node = self.lookup(directory, listed.name)
        return None if node is None else (node, self.attributes(node))

    def _drop_unused(self, node: Node) -> None:
        if node.lookups <= 0 and node.opens == 0 and node.state is None and node is not self.root:
            self.nodes.pop(node.file_id, None)


class CommitTree(Tree):
    """The tree of one commit under one spelling: nothing in it ever changes.

    Its directories have inode numbers of their own (`view`), its files share
    those of the commit (`file_view`) with every other spelling.
    """

    def __init__(
        self,
        readers: Readers,
        commit_id: bytes,
        commit: Commit,
        view: int,
        file_view: int,
        file_nodes: dict[int, Node],
    ) -> None:
        super().__init__(readers, commit.root, commit.links, view)
        self.commit_id = commit_id
        self.commit = commit
        self.file_view = file_view
        self.file_nodes = file_nodes

    def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The inode that a name leads to."""
        entry = self.readers.entries.get(self._committed_root(parent), name)
        return None if entry is None else self._entry_node(parent, entry)

    def listed(self, directory: Node, listed: Listed) -> tuple[Node, Attributes] | None:
        """The inode of a name of a listing, with its attributes: those of the entry at hand."""
        entry = listed.entry
        if entry is None or entry.type == FileType.LINK:
            return super().listed(directory, listed)
        node = self._entry_node(directory, entry)
        return node, _attributes(entry, 2 + entry.detail if entry.type == FileType.DIRECTORY else 1)

    def _entry_node(self, directory: Node, entry: Entry) -> Node:
        parent, name = directory, entry.name
        if entry.type == FileType.DIRECTORY:
            return self.node(entry.file_id, parent.file_id, name)
        node = self.file_nodes.get(entry.file_id)
        if node is None:
            node = self.file_nodes[entry.file_id] = Node(self, entry.file_id, parent.file_id, name)
        else:  # seen under another spelling or name: whoever asks now has its directories at hand
            node.tree, node.parent, node.name = self, parent.file_id, name
        return node

    def view_of(self, node: Node) -> int:
        """The upper part of an inode's number."""
        return self.view if self.nodes.get(node.file_id) is node else self.file_view

    def _drop_unused(self, node: Node) -> None:
        if node.lookups <= 0 and node.opens == 0 and node is not self.root:
            nodes = self.nodes if self.nodes.get(node.file_id) is node else self.file_nodes
            nodes.pop(node.file_id, None)


class Listing:
    """A directory as it was when it was opened: the committed names, then the changed ones.

    Positions below the committed count are positions in the committed tree, those
    above number the changed names, so any position can be taken up again.
    """

    def __init__(
        self,
        entries: TreeReader[Entry],
        root: bytes,
        hidden: dict[bytes, int],
        added: list[Listed],
    ) -> None:
        self._entries = entries
        self._root = root
        self._hidden = hidden
        self._added = added
        self._committed = entries.counts(root)[0] if root else 0
        self._rows: Iterator[Listed] | None = None
        self._at = 0

    def names(self, position: int) -> Iterator[Listed]:
        """The entries from `position` on; consecutive calls go on where the last one stopped."""
        if self._rows is None or position != self._at:
            self._at = position
            self._rows = self._iterate(position)
        for listed in self._rows:
            self._at = listed.position
            yield listed

    def _iterate(self, position: int) -> Iterator[Listed]:
        if position < self._committed:
            at = position
            for entry in self._entries.scan(self._root, start=position):
                at += 1
                if entry.name not in self._hidden:
                    yield Listed(entry.name, entry.file_id, entry.type, at, entry)
            position = self._committed
        for number in range(position - self._committed, len(self._added)):
            added = self._added[number]
            yield Listed(added.name, added.file_id, added.type, self._committed + number + 1)


def entry_content(entry: Entry) -> Committed:
    """The committed bytes of a regular file's entry."""
    return Committed(entry.content, entry.detail, entry.size)


def _attributes(entry: Entry, nlink: int) -> Attributes:
    return Attributes(
        entry.type,
        entry.mode,
        nlink,
        entry.uid,
        entry.gid,
        entry.size,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.mtime_ns,
    )


def state_of_entry(entry: Entry, store: Store) -> State:
    """A clean state (generation 0) with what an entry says; names are the caller's."""
    state = State(entry.type, entry.mode, entry.uid, entry.gid, entry.mtime_ns)
    state.ctime_ns = entry.ctime_ns
    state.xattrs = load_xattrs(store, entry.xattrs)
    state.origin = entry.origin
    if entry.type == FileType.DIRECTORY:
        state.root = entry.content
        state.entries = entry.size
        state.subdirectories = entry.detail
    elif entry.type == FileType.SYMLINK:
        state.target = load_target(store, entry)
    elif entry.type == FileType.REGULAR:
        state.content = entry_content(entry)
    return state
