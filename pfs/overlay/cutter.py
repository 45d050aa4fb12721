"""Cutting a frozen file into chunks: only what changed, from the front, giving working bytes back on the way.

Runs in threads; touches nothing but closed layers.  A file's changed ranges are
cut again until the cut points meet the old ones (chunker.py); holes are stepped
over.  After each stretch of new chunks: pack durable → `progress` (journals CUT
and makes it durable, then readers find the chunks) → punch.  So a file needs
STRETCH_BYTES beyond what it ends up holding; a crash between two of these
leaves chunks that no tree names, or working bytes that chunks hold as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pfs import chunker
from pfs.disk import Disk
from pfs.objects.file import ChunkRow, FileContent, replace
from pfs.objects.ids import Kind, object_id
from pfs.overlay.content import (
    EMPTY,
    Committed,
    Content,
    Layer,
    changed,
    committed_below,
    layers,
    pieces,
    resolve,
)
from pfs.overlay.files import read_blocking
from pfs.overlay.journal import JournalSync, Op
from pfs.overlay.tree import Readers
from pfs.overlay.working import WorkingFiles
from pfs.overlay.worktree import WorkingTree

STRETCH_BYTES = 64 * 1024 * 1024  # made durable and punched at once
BLOCK_BYTES = 4 * 1024 * 1024  # read and cut at once
BLOCK_BYTES_FIRST = 3 * chunker.MAX_BYTES  # after a small change the cut points mostly meet at once
ZERO_WINDOW_BYTES = 4 * 1024 * 1024  # first window in which a hole is looked for; grows

ZERO_CHUNK = object_id(Kind.CHUNK, bytes(chunker.MAX_BYTES))

Progress = Callable[[Layer, int, Committed], None]


@dataclass(slots=True)
class _Cuts:
    """The old chunk boundaries, as the chunker asks for them."""

    readers: Readers
    old: Committed

    @property
    def size(self) -> int:
        return self.old.size

    def at_or_after(self, offset: int) -> int:
        if offset >= self.old.size:
            return self.old.size
        first, row = self.readers.files.locate(self.old.content, self.old.height, self.old.size, offset)
        return first + -(-(offset - first) // row.length) * row.length


class Cutter:
    """Cuts the files of one branch; one instance serves several threads."""

    def __init__(
        self, readers: Readers, disk: Disk, working: WorkingFiles, progress: Progress | None
    ) -> None:
        """`progress` None: no working bytes are given back, for what other layers stand on."""
        self.readers = readers
        self._disk = disk
        self.working = working
        self.progress = progress

    def cut(self, content: Content) -> Committed:
        """The committed form of a closed content.  Raises OSError, NoSpace, CorruptObject."""
        top = resolve(content)
        if isinstance(top, Committed):
            return top
        if top.size == 0:
            return EMPTY
        below = committed_below(top)
        if top.size <= chunker.MIN_BYTES:
            chunk = self.read(top, 0, top.size)
            return Committed(self.readers.store.put(Kind.CHUNK, chunk), 0, top.size)
        return _FileCut(self, top, below).run()

    def read(self, content: Content, offset: int, size: int) -> bytes:
        """Bytes of a closed content, through its chunks and working files."""
        return read_blocking(self.working, self._disk, self.readers, content, offset, size)

    def punch(self, layer: Layer, end: int) -> None:
        """Give the working bytes [0, end) of a layer back to the disk."""
        if not layer.size:
            return
        try:
            fd = self._disk.open(self.working.path(layer))
        except FileNotFoundError:
            return
        try:
            self._disk.punch(fd, 0, min(end, layer.size))
        finally:
            self._disk.close(fd)

    def zero_end(self, content: Content, start: int) -> int:
        """Where a run of zeros that is known to start at `start` ends, without reading it."""
        window, size = ZERO_WINDOW_BYTES, content.size
        at = start
        while at < size:
            stop = min(size, at + window)
            for piece in pieces(content, at, stop):
                at = self._zero_end_of(piece.source, piece.start, piece.end)
                if at < piece.end:
                    return at
            window *= 16
        return at

    def _zero_end_of(self, source: Content | None, start: int, end: int) -> int:
        if source is None:
            return end
        if isinstance(source, Layer):
            try:
                fd = self._disk.open_read(self.working.path(source))
            except FileNotFoundError:
                return start
            try:
                data = self._disk.seek_data(fd, start)
                return end if data is None else min(end, data)
            finally:
                self._disk.close(fd)
        for first, row in self.readers.files.rows(source.content, source.height, source.size, start):
            if start >= end or row.chunk != ZERO_CHUNK:
                break
            start = min(end, first + row.length * row.repeat)
        return start


class _FileCut:
    """The cutting of one file."""

    def __init__(self, cutter: Cutter, top: Layer, below: Committed) -> None:
        self._cutter = cutter
        self._readers = cutter.readers
        self._top = top
        self._below = below
        self._old = _Cuts(cutter.readers, below)

    def run(self) -> Committed:
        """Cut range after range; what is before a range that was cut is final."""
        top, result, done = self._top, self._below, 0
        ranges = self._ranges()
        if top.cut is not None:
            result, done = self._resume(top.cut, top.cut_end, ranges)
        for dirty_start, dirty_end in ranges:
            if done == top.size:
                break
            if dirty_end <= done and dirty_end != top.size:
                continue
            start = max(done, chunker.restart(self._old, dirty_start))
            result, done = self._cut_range(result, start, dirty_end)
        return result

    def _resume(self, cut: Committed, end: int, ranges: list[tuple[int, int]]) -> tuple[Committed, int]:
        """Go on at the cut point `end`, where an earlier cutting stopped, until old cut points are met."""
        follow = self._old.at_or_after(min(end, self._below.size))
        rows = [row for _, row in self._readers.files.rows(*_content(cut))]
        result = self._replace(self._below, 0, follow, rows)
        begun = [last for first, last in ranges if chunker.restart(self._old, first) <= end]
        return self._cut_range(result, end, max([end, *begun]), follow - end)

    def _ranges(self) -> list[tuple[int, int]]:
        ranges = changed(self._top)
        size, old_size = self._top.size, self._below.size
        if size != old_size and (not ranges or ranges[-1][1] < size):
            ranges.append((min(size, old_size), size))
        return ranges

    def _cut_range(
        self, result: Committed, start: int, dirty_end: int, ahead: int = 0
    ) -> tuple[Committed, int]:
        """Put new chunks from `start` on until they meet old ones; the result, and how far it is final.

        Old chunks stand in `result` that many bytes `ahead` of where they belong.
        """
        rows: list[ChunkRow] = []
        durable_at = start
        may_meet = dirty_end < self._below.size
        for at, row in self._rows(start):
            rows.append(row)
            if at == self._top.size:
                break
            if may_meet and row.repeat == 1 and chunker.meets(self._old, at, dirty_end):
                return self._replace(result, start, at - ahead, rows), at
            if at - durable_at >= STRETCH_BYTES:
                partial = self._replace(result, start, result.size, rows)
                self._give_back(partial, at)
                durable_at = at
                if not may_meet:
                    result, start, rows = partial, at, []
        return self._replace(result, start, result.size, rows), self._top.size

    def _rows(self, start: int) -> Iterator[tuple[int, ChunkRow]]:
        """(end, row) for each new chunk or run of zero chunks from the cut point `start` on."""
        top, at = self._top, start
        length = BLOCK_BYTES_FIRST
        store = self._readers.store
        while at < top.size:
            zeros = chunker.whole_zero_chunks(at, self._cutter.zero_end(top, at))
            if zeros:
                store.put(Kind.CHUNK, bytes(chunker.MAX_BYTES))
                at += zeros * chunker.MAX_BYTES
                yield at, ChunkRow(ZERO_CHUNK, chunker.MAX_BYTES, zeros)
                continue
            length_now = min(length, top.size - at)
            block = self._cutter.read(top, at, length_now)
            cuts = chunker.cut(block, final=at + length_now == top.size)
            view = memoryview(block)
            bounds = list(zip([0, *cuts[:-1]], cuts, strict=True))
            ids = store.put_many(Kind.CHUNK, [view[first:last] for first, last in bounds])
            for chunk, (first, last) in zip(ids, bounds, strict=True):
                yield at + last, ChunkRow(chunk, last - first, 1)
            at += cuts[-1]
            length = min(BLOCK_BYTES, length * 2)

    def _replace(self, result: Committed, start: int, end: int, rows: list[ChunkRow]) -> Committed:
        readers = self._readers
        made: FileContent = replace(readers.files, readers.store, _content(result), start, end, rows)
        return Committed(*made)

    def _give_back(self, partial: Committed, end: int) -> None:
        """Make [0, end) durable in chunks, say so, then free the working bytes."""
        if self._cutter.progress is None:
            return
        self._readers.store.sync()
        self._cutter.progress(self._top, end, partial)
        for layer in layers(self._top):
            self._cutter.punch(layer, end)


def _content(committed: Committed) -> tuple[bytes, int, int]:
    return committed.content, committed.height, committed.size


class CutProgress:
    """Says in the journal that a stretch of a file is durable in chunks; called by the cutter's thread.

    `on_loop` calls a function with its arguments on the event loop, which owns the journal.
    """

    def __init__(self, tree: WorkingTree, on_loop: Callable[..., Any]) -> None:
        self._tree = tree
        self._on_loop = on_loop

    def __call__(self, layer: Layer, end: int, cut: Committed) -> None:
        """Journal it, make the journal durable, then let readers find the chunks."""
        stack = layers(layer)
        started: JournalSync = self._on_loop(self._append, stack, end, cut)
        try:
            started.run()
        except OSError as error:
            self._tree.broken = f"its journal can't be written: {error}"
            raise
        self._on_loop(self._tree.journal.end_sync, started)
        for shown in stack:
            if end > shown.cut_end:  # one below may have been cut further, and punched, as the top it was
                shown.cut = cut
                shown.cut_end = end

    def _append(self, stack: list[Layer], end: int, cut: Committed) -> JournalSync:
        journal, top = self._tree.journal, stack[0]
        numbers = [layer.number for layer in stack]
        journal.append(Op.CUT, numbers, end, cut.content, cut.height, cut.size, top.size, top.mtime_ns)
        return journal.begin_sync()
