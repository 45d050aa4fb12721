"""Lineage into commits: what was recorded of a sealed generation becomes segments under the commit's hash.

Order, within a commit: on the loop `begin` names the versions that the generation ends → in the commit's
thread versions that somebody has seen and that were overwritten since are cut, before the files they were
part of; once all content ids are known the group is encoded and put, and each file's entry gets the row that
made it → after the commit point, on the loop, `finish` lets the recorder forget; the index follows in a thread.
A commit that fails leaves all of it live for the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pfs.lineage.evidence import apply_evidence
from pfs.lineage.group import Group, Origin
from pfs.lineage.index import Index
from pfs.lineage.live import LiveVersion
from pfs.lineage.recorder import Recorder
from pfs.lineage.segment import encode
from pfs.objects.ids import Kind
from pfs.overlay import files
from pfs.overlay.content import Layer, layers, resolve
from pfs.overlay.cutter import Cutter
from pfs.overlay.node import Generation
from pfs.overlay.worktree import WorkingTree
from pfs.store.store import Store


class Sealer:
    """Makes segments of what the recorder knows.  Owned by the committer."""

    def __init__(self, recorder: Recorder, index: Index, store: Store) -> None:
        self.recorder = recorder
        self.index = index
        self.store = store

    def begin(self, tree: WorkingTree, sealed: Sequence[Generation]) -> Sealing:
        """What these generations end; on the event loop."""
        raise NotImplementedError
