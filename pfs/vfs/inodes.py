"""Inode numbers: view × 2^40 + file id, and back to nodes.

View 0 is shared by the working trees of all default branches, view 1 by what
`.pfs` shows; every other branch, commit and spelling has a view of its own.
"""

from __future__ import annotations

import errno

from pfs.overlay.names import failure
from pfs.overlay.node import Node
from pfs.overlay.tree import CommitTree, Tree
from pfs.vfs.special import SpecialTree

VIEW_SHIFT = 40
_MASK = (1 << VIEW_SHIFT) - 1
ROOT_INODE = 1


class Inodes:
    """Which node an inode number means.  Owned by the event loop."""

    def __init__(self, special: SpecialTree, default_nodes: dict[int, Node]) -> None:
        self._special = special
        self._default = default_nodes
        self._views: dict[int, dict[int, Node]] = {0: default_nodes, special.view: special.nodes}

    def add(self, tree: Tree) -> None:
        """Make a tree's nodes known."""
        if tree.view:
            self._views[tree.view] = tree.nodes
        if isinstance(tree, CommitTree):
            self._views[tree.file_view] = tree.file_nodes

    def nodes_of(self, view: int) -> dict[int, Node]:
        """The nodes of a view; an empty table for a new one."""
        return self._views.setdefault(view, {})

    def remove(self, view: int) -> None:
        """Forget a view."""
        self._views.pop(view, None)

    def node(self, inode: int) -> Node:
        """The node of a number.  Raises ESTALE for an unknown one."""
        if inode == ROOT_INODE:
            return self._special.root
        nodes = self._views.get(inode >> VIEW_SHIFT)
        node = nodes.get(inode & _MASK) if nodes is not None else None
        if node is None:
            raise failure(errno.ESTALE)
        return node

    def find(self, inode: int) -> Node | None:
        """The node of a number, or None."""
        if inode == ROOT_INODE:
            return self._special.root
        nodes = self._views.get(inode >> VIEW_SHIFT)
        return None if nodes is None else nodes.get(inode & _MASK)

    def number(self, node: Node) -> int:
        """The number of a node."""
        tree = node.tree
        if isinstance(tree, SpecialTree):
            return tree.number(node)
        view = tree.view_of(node)
        return view << VIEW_SHIFT | node.file_id if view else node.file_id
