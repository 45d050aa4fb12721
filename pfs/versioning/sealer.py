"""Lineage into commits: what was recorded of a sealed generation becomes segments under the commit's hash.

Order, within a commit: on the loop `begin` names the versions that the generation ends → in the commit's
thread, versions that somebody has seen and that were overwritten since are cut, before the files they were
part of; once all content ids are known the group is encoded and put, and each file's entry gets the row
that made it → after the commit point, on the loop, `finish` lets the recorder forget; the index follows in
a thread of its own.  A commit that fails leaves all of it live for the next one; an index that misses a
segment is mended when the store is opened.  What can't be written is left out and logged, and the files that
it made have no origin: a defect in what was recorded never stands in the way of anybody's data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol, cast

import structlog
from msgspec.structs import replace

from pfs.errors import CorruptObject, PfsError
from pfs.lineage.facts import Change
from pfs.lineage.group import Group, Origin
from pfs.lineage.index.database import Index
from pfs.lineage.live.state import LiveVersion
from pfs.lineage.recording.recorder import Recorder
from pfs.lineage.segment import decode, encode
from pfs.objects.ids import Kind
from pfs.overlay.content import Committed, Content, Layer, resolve
from pfs.overlay.cutter import Cutter
from pfs.overlay.node import Generation, State
from pfs.overlay.worktree import WorkingTree
from pfs.store.store import Store

_log = structlog.get_logger("lineage")


# What code raises that was given facts which can't be; a full or broken disk raises others.
DEFECTS: Final = (ValueError, LookupError, ArithmeticError, TypeError, AttributeError, CorruptObject)


class Part(NamedTuple):
    """One segment: its bytes, the versions of its rows, and its facts as they are read back."""

    payload: bytes
    rows: list[int]
    group: Group


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

    def begin(
        self, tree: WorkingTree, sealed: Generation, numbers: list[int], after: tuple[bytes, ...]
    ) -> Sealing:
        """What these generations, merged into `sealed`, have ended.  On the loop.

        after: the newest segments of the checkpoints since the last commit.
        """
        return Sealing(self, tree, sealed, numbers, after)

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

    def __init__(
        self,
        sealer: Sealer,
        tree: WorkingTree,
        sealed: Generation,
        numbers: list[int],
        after: tuple[bytes, ...],
    ) -> None:
        self._sealer = sealer
        self._branch = tree.branch_id
        self._numbers = numbers
        self._after = after
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
        stored: dict[int, LiveVersion] = {}
        for file_id, version in self._outputs.items():
            state = self._sealed.dirty.get(file_id)
            if state is not None and state.links:
                content = _stored(state.content)
                if content is not None:
                    version.contain(content.content, content.height, content.size, _mtime_ns(state))
                    stored[file_id] = version
        self._group, parts = self._encoded(list(stored.values()))
        for payload, rows, group in parts:
            segment = self._sealer.store.put(Kind.LINEAGE, payload)
            self.segments.append(segment)
            self._groups.append((segment, group))
            self._rows.update({version: Origin(segment, row) for row, version in enumerate(rows)})
        return {
            file_id: self._rows[version.id] for file_id, version in stored.items() if version.id in self._rows
        }

    def _encoded(self, outputs: list[LiveVersion]) -> tuple[Group, list[Part]]:
        """The group of these outputs, and its segments; without those that can't be written."""
        try:
            return self._encode(outputs, self._changes)
        except DEFECTS as error:
            _log.error("lineage that can't be stored", error=repr(error), outputs=len(outputs), exc_info=True)
        bad = set(self._defects(outputs))
        changes = self._changes if self._is_sound([], self._changes) else []
        _log.error(
            "stored without it", files=[os.fsdecode(version.path) for version in bad], changes=bool(changes)
        )
        try:
            return self._encode([version for version in outputs if version not in bad], changes)
        except DEFECTS:
            return Group(), []

    def _encode(self, outputs: list[LiveVersion], changes: list[Change]) -> tuple[Group, list[Part]]:
        recorder = self._sealer.recorder
        for version in recorder.upstream(outputs):
            held = version.frozen
            if version.content is None and held is not None and held.content is not None:
                kept: KeptBytes = cast("KeptBytes", held.content)
                content = _stored(kept.content)
                if content is not None:
                    version.contain(content.content, content.height, content.size, held.mtime_ns)
        group = replace(recorder.group(outputs, changes), after=self._after)
        segments = encode(group, store=self._sealer.store_id)
        return group, [Part(payload, rows, decode(payload)) for payload, rows in segments]

    def _is_sound(self, outputs: list[LiveVersion], changes: list[Change]) -> bool:
        try:
            self._encode(outputs, changes)
        except DEFECTS:
            return False
        return True

    def _defects(self, outputs: list[LiveVersion]) -> Iterator[LiveVersion]:
        """Those of some outputs that can't be written, by halves: nearly all can."""
        if self._is_sound(outputs, []):
            return
        if len(outputs) <= 1:
            yield from outputs
            return
        middle = len(outputs) // 2
        yield from self._defects(outputs[:middle])
        yield from self._defects(outputs[middle:])

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
