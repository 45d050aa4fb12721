"""Lineage into commits: what was recorded of a sealed generation becomes segments under the commit's hash.

Order, within a commit: on the loop `begin` names the versions that the generation ends → in the commit's
thread, versions that somebody has seen and that were overwritten since are cut, before the files they were
part of; once all content ids are known the group is encoded and put, and each file's entry gets the row
that made it → after the commit point, on the loop, `finish` lets the recorder forget; the index follows in
a thread of its own.  A commit that fails leaves all of it live for the next one; an index that misses a
segment is mended when the store is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, cast

import structlog

from pfs.errors import PfsError
from pfs.lineage.group import Group, Origin
from pfs.lineage.index import Index
from pfs.lineage.live import LiveVersion
from pfs.lineage.recorder import Recorder
from pfs.lineage.segment import decode, encode
from pfs.objects.ids import Kind
from pfs.overlay.content import Committed, Content, Layer, resolve
from pfs.overlay.cutter import Cutter
from pfs.overlay.node import Generation, State
from pfs.overlay.worktree import WorkingTree
from pfs.store.store import Store

_log = structlog.get_logger("lineage")


class KeptBytes(Protocol):
    """The bytes of a version that has ended; `content` becomes chunks."""

    content: Content

    def release(self) -> None:
        """Let go of its working files."""


class Keeper(Protocol):
    """Knows what is kept of versions that ended."""

    def kept(self, branch: int, generation: int) -> Sequence[KeptBytes]:
        """What ended in a branch up to a generation and is in no chunks yet, the oldest first."""


class Sealer:
    """Makes segments of what the recorder knows.  Owned by the event loop."""

    def __init__(self, recorder: Recorder, keeper: Keeper, index: Index, store: Store) -> None:
        self.recorder = recorder
        self.keeper = keeper
        self.store = store
        self.store_id = store.uuid
        self._index = index
        self._indexing = ThreadPoolExecutor(1, thread_name_prefix="index")

    def begin(self, tree: WorkingTree, sealed: Generation, numbers: list[int]) -> Sealing:
        """What these generations, merged into `sealed`, have ended.  On the loop."""
        return Sealing(self, tree, sealed, numbers)

    def index(self, groups: Iterable[tuple[bytes, Group]]) -> None:
        """Make segments known to questions; nobody waits for it."""
        self._indexing.submit(self._add, list(groups))

    def wait_indexed(self) -> None:
        """Return when what was committed before is known to questions.  In a thread."""
        self._indexing.submit(int).result()

    def _add(self, groups: list[tuple[bytes, Group]]) -> None:
        try:
            self._index.add_many(groups)
        except PfsError as error:
            _log.warning("lineage not indexed", error=str(error))

    def close(self) -> None:
        """Index what is waiting."""
        self._indexing.shutdown()


class Sealing:
    """The lineage of one commit."""

    def __init__(self, sealer: Sealer, tree: WorkingTree, sealed: Generation, numbers: list[int]) -> None:
        self._sealer = sealer
        self._branch = tree.branch_id
        self._numbers = numbers
        self._sealed = sealed
        recorder = sealer.recorder
        self._outputs = recorder.outputs(tree.branch_id, numbers)
        self._changes = recorder.changes(tree.branch_id)
        self._kept = sealer.keeper.kept(tree.branch_id, numbers[-1] if numbers else 0)
        self._group = Group()
        self._rows: dict[int, Origin] = {}
        self._groups: list[tuple[bytes, Group]] = []
        self.segments: list[bytes] = []

    def cut_kept(self, cutter: Cutter) -> None:
        """Store what is kept, in a thread; a layer below is cut before those above it."""
        for kept in self._kept:
            kept.content = cutter.cut(kept.content)

    def write(self) -> dict[int, Origin]:
        """Put the segments, once all files are cut; where each file's version came from.  In a thread."""
        recorder = self._sealer.recorder
        stored: dict[int, LiveVersion] = {}
        for file_id, version in self._outputs.items():
            state = self._sealed.dirty.get(file_id)
            if state is not None and state.links:
                content = _stored(state.content)
                if content is not None:
                    version.contain(content.content, content.height, content.size, _mtime_ns(state))
                    stored[file_id] = version
        for version in recorder.upstream(stored.values()):
            held = version.frozen
            if version.content is None and held is not None and held.content is not None:
                kept: KeptBytes = cast("KeptBytes", held.content)
                content = _stored(kept.content)
                if content is not None:
                    version.contain(content.content, content.height, content.size, held.mtime_ns)
        self._group = recorder.group(stored.values(), self._changes)
        for payload, rows in encode(self._group, store=self._sealer.store_id):
            segment = self._sealer.store.put(Kind.LINEAGE, payload)
            self.segments.append(segment)
            self._groups.append((segment, decode(payload)))
            self._rows.update({version: Origin(segment, row) for row, version in enumerate(rows)})
        return {
            file_id: self._rows[version.id] for file_id, version in stored.items() if version.id in self._rows
        }

    def finish(self) -> Iterator[None]:
        """The commit is durable: let go of what it holds, in steps.  On the loop."""
        self._sealer.index(self._groups)
        ends = {piece.activity.id: segment for segment, group in self._groups for piece in group.slices}
        yield from self._sealer.recorder.sealing(self._group, self._rows, self._branch, self._numbers, ends)
        for kept in self._kept:
            kept.release()


def _mtime_ns(state: State) -> int:
    known = state.mtime_ns
    if known is None and isinstance(state.content, Layer):
        known = state.content.mtime_ns
    return known or 0


def _stored(content: object) -> Committed | None:
    """The chunks of a content that has been cut."""
    assert isinstance(content, Committed | Layer)
    content = resolve(content)
    return content.ready if isinstance(content, Layer) else content
