"""`user.pfs.*`: what pfs knows of an inode, as extended attributes that are never listed.

`origin` and the attributes of lineage (pfs.vfs.lineage_xattrs) say as much as is
known: an entry whose version no lineage record describes has none (ENODATA).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pfs.objects.entry import FileType
from pfs.overlay.content import Committed, resolve
from pfs.overlay.node import Node
from pfs.overlay.tree import CommitTree, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.repo.repo import Repo

if TYPE_CHECKING:  # loaded by those who have lineage recorded
    from pfs.vfs.lineage_xattrs import LineageXattrs

PREFIX = b"user.pfs."


class VirtualXattrs:
    """Answers getxattr of the reserved names."""

    def __init__(
        self, names_of: Callable[[Tree], tuple[Repo, bytes]], lineage: LineageXattrs | None = None
    ) -> None:
        self._names_of = names_of
        self._lineage = lineage
        self._answers: dict[bytes, Callable[[Node], bytes | None]] = {
            b"repo": lambda node: self._repo(node).name.encode(),
            b"branch": self._branch,
            b"commit": self._commit,
            b"content": _content,
            b"origin": _origin,
        }

    def get(self, node: Node, name: bytes, uid: int) -> bytes | None:
        """The value for a user who asks, or None where there is none."""
        if not isinstance(node.tree, Tree):
            return None
        name = name.removeprefix(PREFIX)
        answer = self._answers.get(name)
        if answer is not None:
            return answer(node)
        return None if self._lineage is None else self._lineage.get(node, name, uid)

    def _repo(self, node: Node) -> Repo:
        assert isinstance(node.tree, Tree)
        return self._names_of(node.tree)[0]

    def _branch(self, node: Node) -> bytes | None:
        tree = node.tree
        if not isinstance(tree, WorkingTree):
            return None
        return self._repo(node).branch_by_id(tree.branch_id).name.encode()

    def _commit(self, node: Node) -> bytes | None:
        """The commit shown; of a working tree the head, while the inode is as it is there."""
        tree = node.tree
        if isinstance(tree, CommitTree):
            return tree.commit_id.hex().encode()
        assert isinstance(tree, WorkingTree)
        branch = self._repo(node).branch_by_id(tree.branch_id)
        clean = node.state is None or node.state.generation == 0
        return branch.head.hex().encode() if clean and branch.base == branch.head else None


def _content(node: Node) -> bytes | None:
    """The content id of a regular file whose bytes are all in chunks."""
    tree = node.tree
    if not isinstance(tree, Tree) or tree.attributes(node).type != FileType.REGULAR:
        return None
    content = resolve(tree.content(node))
    return content.content.hex().encode() if isinstance(content, Committed) else None


def _origin(node: Node) -> bytes | None:
    assert isinstance(node.tree, Tree)
    origin = node.state.origin if node.state is not None else node.tree.entry(node).origin
    return None if origin is None else f"{origin[0].hex()}:{origin[1]}".encode()
