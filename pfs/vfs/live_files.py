"""Files of working trees as lineage sees them: what is committed there, where they are, their bytes held.

The recorder names a file by its place (repo, branch, file id); this is where a place becomes a node.
"""

from __future__ import annotations

from collections.abc import Callable

from pfs.lineage.live import Held, Place, Seen
from pfs.objects.entry import FileType
from pfs.overlay import files
from pfs.overlay.branches import Branches
from pfs.overlay.content import Committed, Content, Layer, resolve
from pfs.overlay.node import Node
from pfs.overlay.tree import CommitTree, Tree
from pfs.overlay.worktree import WorkingTree


class LiveFiles:
    """What the recorder may ask of working trees.  On the event loop."""

    def __init__(self, branches: Branches, repo_of: Callable[[Tree], int]) -> None:
        self._branches = branches
        self._repo_of = repo_of

    def place(self, node: Node) -> Place:
        """The place of a file in a working tree."""
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        return Place(self._repo_of(tree), tree.branch_id, node.file_id)

    def node(self, place: Place) -> Node | None:
        """The file at a place, as long as the kernel knows it or it differs from what is committed."""
        tree = self._branches.find(place.branch)
        node = None if tree is None else tree.nodes.get(place.file_id)
        return node if node is not None and node.tree is tree else None

    def freeze(self, place: Place) -> Held:
        """Keep what the file shows now: nothing written later shows in it."""
        node = self.node(place)
        if node is None:
            return Held(None, 0, 0)
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        content = files.hold(tree, node)
        return Held(content, content.size, tree.attributes(node).mtime_ns)

    def path(self, place: Place) -> bytes:
        """Where the file is now; b"" where no name leads to it."""
        node = self.node(place)
        return b"" if node is None else path_of(node)

    def committed(self, place: Place) -> Seen | None:
        """What the file holds, where no recorded version says so."""
        node = self.node(place)
        return None if node is None else self.seen(node)

    def seen(self, node: Node) -> Seen:
        """What a file of a commit holds, or one of a working tree that nobody has changed."""
        tree = node.tree
        assert isinstance(tree, Tree)
        content, known = _content(tree, node)
        attributes = tree.attributes(node)
        origin = node.state.origin if node.state is not None else tree.entry(node).origin
        branch = tree.branch_id if isinstance(tree, WorkingTree) else 0
        return Seen(
            self._repo_of(tree),
            branch,
            path_of(node),
            node.file_id,
            content.content if known else b"",
            content.height if known else 0,
            attributes.size,
            attributes.mtime_ns,
            origin,
        )


def path_of(node: Node, *names: bytes) -> bytes:
    """The path of a node, or of a name below it, in its repo: by the name it was last reached through."""
    tree, parts = node.tree, list(reversed(names))
    at: Node | None = node
    while at is not None and at is not tree.root:
        parts.append(at.name)
        at = tree.nodes.get(at.parent)
    return b"/".join(reversed(parts))


def _content(tree: Tree, node: Node) -> tuple[Committed, bool]:
    """The chunks of a file; False where its bytes are in no chunks yet."""
    content: Content = resolve(tree.content(node))
    if isinstance(content, Layer):
        return Committed(b"", 0, content.size), False
    return content, True
