"""Who may ask the daemon for what (pfs/access.py has the rule): the entries that guard a request.

The daemon's own user and root may ask everything.  Changing a repo's names needs
write permission on the root of its working tree; reading needs read permission
on a path as it was and, where it still exists, as it is today.
"""

from __future__ import annotations

import os

from pfs.access import Asker, Protection, may_change_names, may_read_version, protection_of
from pfs.control.server import Peer
from pfs.errors import Denied, NotFound
from pfs.objects.attributes import load_xattrs
from pfs.objects.entry import Entry
from pfs.overlay.tree import Readers
from pfs.overlay.worktree import WorkingTree
from pfs.repo.repo import Repo
from pfs.versioning.read import CommitFiles, OpenPlace


class Permissions:
    """Asks the rule of a running daemon's trees."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._own_uid = os.geteuid()
        self._shown_uid = None if self._own_uid == 0 else self._own_uid

    def is_owner(self, peer: Peer) -> bool:
        """Whether the peer may ask everything."""
        return peer.uid in (0, self._own_uid)

    def check_change(self, peer: Peer, repo: Repo, tree: WorkingTree) -> None:
        """Denied unless the peer may commit, branch and tag."""
        if not self.is_owner(peer) and not may_change_names(self._root(tree), _asker(peer)):
            raise Denied(f"{repo.name}: changing its names needs write permission on its root")

    def check_read(self, peer: Peer, place: OpenPlace) -> None:
        """Denied unless the peer may read a place, by its path then and today."""
        if self.is_owner(peer):
            return
        then = self._guards(place.files, place.path)
        repo = place.resolution.repo
        now = CommitFiles(self._readers, repo.commits.read(repo.default_branch.base))
        try:
            today = self._guards(now, place.path)
        except NotFound:
            today = None
        if not may_read_version(then, today, _asker(peer)):
            path = os.fsdecode(place.path)
            raise Denied(f"{repo.name}{':' + path if path else ''}: you may not read this")

    def _guards(self, files: CommitFiles, path: bytes) -> list[Protection]:
        return [self._protection(entry) for entry in files.chain(path)]

    def _protection(self, entry: Entry) -> Protection:
        return protection_of(entry, load_xattrs(self._readers.store, entry.xattrs), self._shown_uid)

    def _root(self, tree: WorkingTree) -> Protection:
        now = tree.attributes(tree.root)
        entry = Entry(b"", tree.root.file_id, now.type, now.mode, now.uid, now.gid)
        return protection_of(entry, tree.xattrs(tree.root), self._shown_uid)


def _asker(peer: Peer) -> Asker:
    return Asker(peer.uid, peer.groups | {peer.gid})
