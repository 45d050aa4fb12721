"""The working tree of a branch: what is committed below, what has changed above.

Everything that changes goes through `touch`, which makes a node's state belong
to the current generation: it journals where the inode is committed (LOCATE),
forks a sealed state, and enters the state in the generation's dirty set.
Order of a change: journal record, then memory, then the reply; a record that
can't be written leaves all as it was.  Names are changed by `names`, attributes
by `attributes`, bytes by `files`; this module keeps what they share.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pfs.disk import Disk
from pfs.errors import ReadOnly
from pfs.objects.entry import Entry, FileType, link_key
from pfs.overlay.content import Content, Layer, layers, resolve
from pfs.overlay.journal import Journal, Op
from pfs.overlay.node import REMOVED, Attributes, Generation, Node, State, whole_delta
from pfs.overlay.tree import Listed, Listing, Readers, Tree, state_of_entry
from pfs.overlay.working import WorkingFiles

ATIMES_MAX = 100_000  # access times that utimens set on files that are committed since


class WorkingTree(Tree):
    """The live state of one branch.  Owned by the event loop; the freezer reads sealed generations."""

    writable = True

    def __init__(
        self,
        readers: Readers,
        disk: Disk,
        directory: Path,
        branch_id: int,
        root: Entry,
        links: bytes,
        journal: Journal,
        allocate_file_id: Callable[[], int],
        now_ns: Callable[[], int],
        view: int = 0,
        nodes: dict[int, Node] | None = None,
    ) -> None:
        super().__init__(readers, root, links, view, nodes)
        self.disk = disk
        self.branch_id = branch_id
        self.journal = journal
        self.now_ns = now_ns
        self.allocate_file_id = allocate_file_id
        self.working = WorkingFiles(disk, directory)
        self.generation = Generation(max(1, journal.generation))
        self.sealed: list[Generation] = []
        self.root.state = state_of_entry(root, readers.store)
        self.changed_ns = 0
        self.next_layer = 1
        self.unsynced: dict[int, Node] = {}  # files written to since their last sync began
        self.syncing: dict[Node, int] = {}  # files whose syncs are under way, and how many
        self.sync_marked: dict[Node, int] = {}  # of these, the youngest sync that has ended
        self.syncs = 0
        self.installed: dict[int, tuple[Node, int]] = {}  # taken another's name by that record, unmarked
        self.discarded: deque[tuple[int, Path]] = deque()  # working files, and until when they stay
        self.failed: set[int] = set()
        self.broken = ""  # why the branch has turned read-only
        self.freezing = 0  # commits under way: they read what is sealed
        self._orphans: list[Node] = []
        self.is_deep = False  # some file has so many layers that it should be frozen soon
        self.writers = 0  # handles open for writing
        self.mappable: dict[Node, int] = {}  # inodes with read-write handles: stores through mmap may come
        self.atimes: OrderedDict[int, int] = OrderedDict()

    # state of an inode

    def load(self, node: Node) -> State:
        """The node's state; a clean one (generation 0) is made from what is committed."""
        if node.state is not None:
            return node.state
        entry = self.entry(node)
        state = state_of_entry(entry, self.readers.store)
        row = None
        if self.links and entry.type != FileType.DIRECTORY:
            row = self.readers.links.get(self.links, link_key(node.file_id))
        if entry.type == FileType.DIRECTORY:
            state.link_row = True
        elif row is None:
            state.links = ((node.parent, node.name),)
        else:
            state.links = row.names
            state.link_row = True
        state.atime_ns = self.atimes.pop(node.file_id, None)
        node.state = state
        return state

    def touch(self, node: Node) -> State:
        """The node's state in the current generation, free to be changed.  Raises OSError."""
        generation = self.generation
        state = node.state
        if self.broken:
            raise ReadOnly(f"branch {self.branch_id}: {self.broken}")
        if state is not None and state.generation == generation.number:
            return state
        state = self.load(node)
        self.locate(node)
        for parent, _ in state.links:
            self.locate_directory(parent)
        if state.generation != 0:
            state = state.fork()
        state.generation = generation.number
        node.state = state
        if self.is_linked(node):
            generation.dirty[node.file_id] = state
        return state

    def record(self, node: Node, *record: Any) -> None:
        """Journal a change of an inode, unless no name leads to it: such a one is gone after a restart."""
        if self.is_linked(node):
            self.journal.append(*record)

    def locate(self, node: Node) -> None:
        """Journal where a node and the directories above it are, once a generation."""
        located = self.generation.located
        chain: list[tuple[int, int, bytes]] = []
        file_id, parent, name = node.file_id, node.parent, node.name
        while file_id != self.root.file_id and file_id not in located and parent:
            chain.append((file_id, parent, name))
            file_id = parent
            if file_id == self.root.file_id:
                break
            parent, name = self.location(file_id)
        for file_id, parent, name in reversed(chain):
            self.journal.append(Op.LOCATE, file_id, parent, name)
            located[file_id] = (parent, name)

    def locate_directory(self, file_id: int) -> None:
        """`locate` for a directory of which only the file id is known."""
        if file_id != self.root.file_id and file_id not in self.generation.located:
            node = self.nodes.get(file_id)
            if node is None:
                parent, name = self.location(file_id)
                node = Node(self, file_id, parent, name)
            self.locate(node)

    def location(self, file_id: int) -> tuple[int, bytes]:
        """Parent and name of a directory; one that the kernel does not know is found in the links tree."""
        node = self.nodes.get(file_id)
        if node is not None:
            return node.parent, node.name
        return self.link_row(file_id).names[0]

    def new_node(self, parent: Node, name: bytes, file_id: int, state: State) -> Node:
        """Enter a new inode with its first state into the current generation."""
        node = Node(self, file_id, parent.file_id, name)
        node.state = state
        state.generation = self.generation.number
        self.nodes[file_id] = node
        self.generation.dirty[file_id] = state
        self.generation.located[file_id] = (parent.file_id, name)
        return node

    def note_change(self) -> int:
        """The time of a change that happens now."""
        self.changed_ns = self.now_ns()
        return self.changed_ns

    # what the kernel asks

    def lookup(self, parent: Node, name: bytes) -> Node | None:
        """The inode that a name leads to."""
        state = parent.state
        while state is not None:
            file_id = state.delta.get(name)
            if file_id is not None:
                return None if file_id == REMOVED else self.nodes[file_id]
            state = state.older
        entry = self.readers.entries.get(self._committed_root(parent), name)
        return None if entry is None else self.node(entry.file_id, parent.file_id, name)

    def attributes(self, node: Node) -> Attributes:
        """What stat says."""
        state = node.state
        if state is None:
            clean = super().attributes(node)
            atime_ns = self.atimes.get(node.file_id)
            return clean if atime_ns is None else clean._replace(atime_ns=atime_ns)
        mtime_ns = self.mtime_ns(state)
        directory = state.type == FileType.DIRECTORY
        nlink = len(state.links)
        if directory:
            nlink = 0 if state.removed else 2 + state.subdirectories
        return Attributes(
            state.type,
            state.mode,
            nlink,
            state.uid,
            state.gid,
            state.entries if directory else state.size,
            mtime_ns,
            max(state.ctime_ns, mtime_ns) if state.mtime_ns is None else state.ctime_ns,
            mtime_ns if state.atime_ns is None else state.atime_ns,
        )

    def mtime_ns(self, state: State) -> int:
        """The modification time; that of a file written to is its working file's."""
        if state.mtime_ns is not None:
            return state.mtime_ns
        layer = state.content
        assert isinstance(layer, Layer)
        known = layer.mtime_ns
        return self.working.mtime_ns(layer) if known is None else known

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """The stored extended attributes; not to be changed."""
        return super().xattrs(node) if node.state is None else node.state.xattrs

    def target(self, node: Node) -> bytes:
        """Where a symbolic link leads."""
        return super().target(node) if node.state is None else node.state.target

    def content(self, node: Node) -> Content:
        """The bytes of a regular file as they are now."""
        return super().content(node) if node.state is None else resolve(node.state.content)

    def listing(self, node: Node) -> Listing:
        """An immutable view of a directory."""
        hidden: dict[bytes, int] = {}
        if node.state is not None:
            hidden = dict(whole_delta(node.state))
        added = [
            Listed(name, file_id, self._type(file_id), 0)
            for name, file_id in hidden.items()
            if file_id != REMOVED
        ]
        return Listing(self.readers.entries, self._committed_root(node), hidden, added)

    def _type(self, file_id: int) -> int:
        node = self.nodes[file_id]
        return node.state.type if node.state is not None else self.entry(node).type

    def close(self, node: Node) -> None:
        """Take back one `open`; an unlinked file goes with its last."""
        node.opens -= 1
        self._drop_unused(node)

    def _drop_unused(self, node: Node) -> None:
        if node.opens or node is self.root:
            return
        state = node.state
        if state is not None and not self.is_linked(node):
            if node.lookups <= 0:
                self._release_orphan(node)
            return
        if state is not None and state.generation == 0:
            node.state = state = None
        if state is None and node.lookups <= 0:
            self.nodes.pop(node.file_id, None)

    def release_if_unused(self, node: Node) -> None:
        """Give back an inode that has lost its last name, if nobody holds it."""
        self._drop_unused(node)

    def committed_entry(self, root: bytes, name: bytes) -> Entry | None:
        """What a name leads to in a committed directory."""
        return self.readers.entries.get(root, name) if root else None

    def is_linked(self, node: Node) -> bool:
        """Whether any name leads to the inode."""
        state = node.state
        if state is None or node is self.root:
            return True
        return not state.removed if state.type == FileType.DIRECTORY else bool(state.links)

    def _release_orphan(self, node: Node) -> None:
        """Give back an inode that no name leads to and nobody holds, unless a freeze still reads it.

        After a commit that failed its sealed states stay, and the next one merges the later ones, without
        names, over them: nobody reads their bytes again.
        """
        is_sealed = any(node.file_id in sealed.dirty for sealed in self.sealed)
        if is_sealed and self.freezing:
            self._orphans.append(node)
            return
        state = node.state
        node.state = None
        self.nodes.pop(node.file_id, None)
        self.unsynced.pop(node.file_id, None)
        self.failed.discard(node.file_id)
        if state is None:
            return
        if not state.link_row and not is_sealed:
            self.generation.dirty.pop(node.file_id, None)
        self.discard_content(state.content)

    def discard_content(self, content: Content) -> None:
        """Give up the working files of a stack that nothing shows any more.

        They go when the journal says so durably (`take_discarded`): before, a power cut would bring back
        the name without its bytes.
        """
        for layer in layers(content):
            layer.discarded = True
            if not layer.holds:
                self.discard_layer(layer)

    def discard_layer(self, layer: Layer) -> None:
        """Give up one working file."""
        self.working.forget(layer)
        self.discarded.append((self.journal.sequence, self.working.path(layer)))

    def take_discarded(self) -> list[Path]:
        """The working files that no name leads to any more, by the durable part of the journal."""
        gone = []
        while self.discarded and self.discarded[0][0] <= self.journal.synced_sequence:
            gone.append(self.discarded.popleft()[1])
        return gone

    # freezing: O(1), then absorbed in slices

    def freeze(self) -> Generation:
        """Seal the current generation and begin the next, without a walk.  Raises OSError."""
        sealed = self.generation
        self.journal.start(sealed.number + 1)
        self.generation = Generation(sealed.number + 1)
        self.sealed.append(sealed)
        self.is_deep = False
        return sealed

    def is_dirty(self) -> bool:
        """Whether anything changed since the newest frozen tree, or is being frozen now."""
        return bool(self.generation.dirty or self.sealed)

    def absorb_root(self, root: Entry, links: bytes) -> None:
        """Show the frozen root below; the first step of absorbing a generation."""
        self.links = links
        self.root_entry = root
        self._directories.clear()

    def absorb_directory(self, file_id: int, root: bytes, generation: int) -> None:
        """A directory's committed tree is now `root`; its delta of that generation is in it."""
        self._directories.clear()
        node = self.nodes.get(file_id)
        if node is None or node.state is None:
            return
        state: State | None = node.state
        assert state is not None
        while state.generation > generation and state.older is not None:
            if state.older.generation <= generation:
                state.older = None
                break
            state = state.older
        if state.generation <= generation:
            state.delta = {}
            state.older = None
        state.root = root

    def absorb_state(self, file_id: int, state: State, origin: tuple[bytes, int] | None = None) -> None:
        """A sealed state is committed now: an inode that did not change since is clean again."""
        link_row = len(state.links) > 1 or state.type == FileType.DIRECTORY
        for later in self.sealed:
            if file_id in later.dirty:
                later.dirty[file_id].link_row = link_row
                if origin is not None:
                    later.dirty[file_id].origin = origin
        _settle(state.content)
        node = self.nodes.get(file_id)
        if node is None or node.state is None:
            return
        node.state.link_row = link_row
        if origin is not None:
            node.state.origin = origin
        if node.state is not state:
            for layer in layers(node.state.content):  # let go of the layers below
                layer.below = resolve(layer.below)
            return
        state.generation = 0
        content = resolve(state.content)
        if state.mtime_ns is None:
            state.mtime_ns = self.mtime_ns(state)
        state.content = content
        self.unsynced.pop(file_id, None)
        self.installed.pop(file_id, None)
        if state.atime_ns is not None and self.is_linked(node):
            self.atimes[file_id] = state.atime_ns
            if len(self.atimes) > ATIMES_MAX:
                self.atimes.popitem(last=False)
        self._drop_unused(node)

    def absorbed(self, sealed: list[Generation]) -> None:
        """The last step: the journal of these generations is no longer needed."""
        for generation in sealed:
            self.sealed.remove(generation)
            self.journal.discard(generation.number)
        self.release_orphans()

    def release_orphans(self) -> None:
        """Give back the inodes that a freeze has held."""
        orphans, self._orphans = self._orphans, []
        for node in orphans:
            self._drop_unused(node)


def _settle(content: Content) -> None:
    """The chunks of a stack are durable now: they show instead of its layers."""
    if isinstance(content, Layer) and content.ready is not None:
        for layer in layers(content):
            layer.done = content.ready
