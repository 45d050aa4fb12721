"""Files of working trees as lineage sees them: what is committed there, where they are, their bytes kept.

The recorder names a file by its place (repo, branch, file id); this is where a place becomes a node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from pfs.lineage.live.state import Held, Place, Seen
from pfs.overlay import files
from pfs.overlay.branches import Branches
from pfs.overlay.content import Committed, Content, layers, resolve
from pfs.overlay.node import Node, path_of
from pfs.overlay.tree import Tree
from pfs.overlay.worktree import WorkingTree

TOKEN_BYTES = 8  # of a layer's number
DEPTH_MAX = 64  # layers of one file, above which a checkpoint makes chunks of them


class Kept:
    """The bytes of a version that has ended: layers held, until a commit has stored them as chunks."""

    __slots__ = ("content", "generation", "held", "tree")

    def __init__(self, tree: WorkingTree, content: Content) -> None:
        self.tree = tree
        self.content = content
        self.held = layers(content)
        self.generation = tree.generation.number

    def release(self) -> None:
        """Let go of the layers."""
        files.release(self.tree, self.held)
        self.held = []


class LiveFiles:
    """What the recorder may ask of working trees.  On the event loop."""

    def __init__(self, branches: Branches, repo_of: Callable[[Tree], int]) -> None:
        self._branches = branches
        self._repo_of = repo_of
        self._repos: dict[int, int] = {}  # branch → repo, as far as was asked
        self._kept: defaultdict[int, dict[Kept, None]] = defaultdict(dict)

    def place(self, node: Node) -> Place:
        """The place of a file in a working tree."""
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        branch = tree.branch_id
        repo = self._repos.get(branch)
        if repo is None:
            repo = self._repos[branch] = self._repo_of(tree)
        return Place(repo, branch, node.file_id)

    def node(self, place: Place) -> Node | None:
        """The file at a place, as long as the kernel knows it or it differs from what is committed."""
        tree = self._branches.find(place.branch)
        node = None if tree is None else tree.nodes.get(place.file_id)
        return node if node is not None and node.tree is tree else None

    def kept(self, branch: int, generation: int) -> list[Kept]:
        """What ended in a branch up to a generation and is in no chunks yet, the oldest first."""
        return [kept for kept in self._kept[branch] if kept.generation <= generation and kept.held]

    def freeze(self, place: Place) -> Held:
        """Keep what the file shows now: nothing written later shows in it."""
        node = self.node(place)
        if node is None:
            return Held(None, 0, 0)
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        content = files.hold(tree, node)
        return self._keep(tree, content, tree.attributes(node).mtime_ns, place)

    def _keep(self, tree: WorkingTree, content: Content, mtime_ns: int, place: Place) -> Held:
        kept = Kept(tree, content)
        if kept.held:
            self._kept[place.branch][kept] = None
        if len(kept.held) > DEPTH_MAX:
            tree.is_deep = True
        token = kept.held[0].number.to_bytes(TOKEN_BYTES, "little") if kept.held else b""
        return Held(kept, content.size, mtime_ns, token)

    def held(self, place: Place, token: bytes, size: int, mtime_ns: int) -> Held | None:
        """After a crash: the bytes behind a token, while the file still stands on them."""
        node = self.node(place)
        if node is None or not token:
            return None
        tree, number = node.tree, int.from_bytes(token, "little")
        assert isinstance(tree, WorkingTree)
        for layer in layers(tree.content(node)):
            if layer.number == number and layer.size == size:
                layer.closed = True
                for below in layers(layer):
                    below.holds += 1
                return self._keep(tree, layer, mtime_ns, place)
        return None

    def release(self, place: Place, held: Held) -> None:
        """Nobody asks for these bytes any more."""
        kept = held.content
        if isinstance(kept, Kept):
            self._kept[place.branch].pop(kept, None)
            kept.release()

    def path(self, place: Place) -> bytes:
        """Where the file is now; b"" where no name leads to it."""
        node = self.node(place)
        if node is None:
            return b""
        tree = node.tree
        return path_of(node) if isinstance(tree, WorkingTree) and tree.is_linked(node) else b""

    def committed(self, place: Place) -> Seen | None:
        """What the file holds, where no recorded version says so."""
        node = self.node(place)
        return None if node is None else self.seen(node)

    def seen(self, node: Node) -> Seen:
        """What a file of a commit holds, or one of a working tree that nobody has changed."""
        tree = node.tree
        assert isinstance(tree, Tree)
        content = resolve(tree.content(node))
        attributes = tree.attributes(node)
        origin = node.state.origin if node.state is not None else tree.entry(node).origin
        branch = tree.branch_id if isinstance(tree, WorkingTree) else 0
        stored = content if isinstance(content, Committed) else Committed(b"", 0, 0)
        return Seen(
            self._repo_of(tree),
            branch,
            path_of(node),
            node.file_id,
            stored.content,
            stored.height,
            attributes.size,
            attributes.mtime_ns,
            origin,
        )
