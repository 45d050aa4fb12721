"""The bytes of files in a working tree: write, truncate, read.

A write goes straight into the working file of the top layer; only the first
write below `low` to a range is journaled.  After a restart size and modification
time of a written file are those of that working file, so an ordinary write costs
two system calls and nothing else.  The second one gives it the time of the clock
that all other changes have: or `make` finds a file older than what it was made
from.  Reading is planned on the event loop (`pieces`) and may be carried out in a
thread (`read_pieces`).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from pfs.disk import Disk
from pfs.objects.ids import Kind
from pfs.objects.ports import NOT_CACHED
from pfs.overlay.content import Committed, Content, Layer, Piece, layers, pieces
from pfs.overlay.journal import Op
from pfs.overlay.names import failure
from pfs.overlay.node import Node, State
from pfs.overlay.tree import Readers
from pfs.overlay.working import WorkingFiles
from pfs.overlay.worktree import WorkingTree

FILE_BYTES_MAX = 2**62  # offsets stay signed 64-bit in every layer below
LOWER_BYTES_MAX = 64  # a LOWER record with its frame
READ_TRIES_MAX = 8  # a reader that the cutter overtook plans again


def top_layer(tree: WorkingTree, node: Node, state: State, size: int, low: int) -> Layer:
    """The layer that may be written to now; a new one shows `low` bytes of what was there.

    Raises OSError; then the file is as it was.
    """
    content = state.content
    if isinstance(content, Layer) and _is_open(tree, node, content):
        return content
    layer = Layer(tree.next_layer, tree.generation.number, size, low, content)
    tree.next_layer += 1
    tree.working.create(layer)
    try:
        tree.record(node, Op.LAYER, node.file_id, layer.number, size, low)
    except OSError:
        tree.working.remove(layer)
        raise
    state.content = layer
    return layer


def _is_open(tree: WorkingTree, node: Node, layer: Layer) -> bool:
    if layer.closed or layer.done is not None:
        return False
    if layer.generation == tree.generation.number:
        return True
    # what no name leads to is in no freeze to come
    return not tree.is_linked(node) and not any(node.file_id in sealed.dirty for sealed in tree.sealed)


def write(tree: WorkingTree, node: Node, offset: int, data: bytes) -> int:
    """Write `data` at `offset`; returns its length.  OSError: ENOSPC, EFBIG, EIO after a failed sync."""
    if node.file_id in tree.failed:
        raise failure(errno.EIO)
    end = offset + len(data)
    if end > FILE_BYTES_MAX:
        raise failure(errno.EFBIG)
    state = tree.touch(node)
    size = state.content.size
    layer = top_layer(tree, node, state, size, size)
    try:
        tree.disk.pwrite(tree.working.fd(layer), data, offset)
        if offset < layer.low:
            stop = min(end, layer.low)
            if not layer.dirty.covers(offset, stop):
                tree.record(node, Op.DIRTY, node.file_id, offset, stop)
                layer.dirty.add(offset, stop)
    except OSError:
        if end > layer.size:  # what is past the end must be zeros when the file grows
            tree.disk.truncate(tree.working.fd(layer), layer.size)
        raise
    if end > layer.size:
        layer.size = end
    _note_write(tree, state, layer)
    tree.unsynced[node.file_id] = node
    return len(data)


def truncate(tree: WorkingTree, node: Node, size: int) -> None:
    """Set the length; bytes past the old end are zeros.  Raises OSError."""
    if node.file_id in tree.failed and size:
        raise failure(errno.EIO)
    if size > FILE_BYTES_MAX:
        raise failure(errno.EFBIG)
    state = tree.touch(node)
    before = state.content
    tree.journal.reserve(LOWER_BYTES_MAX)  # once the bytes are gone the record must not fail
    layer = top_layer(tree, node, state, size, min(before.size, size))
    if layer is before:
        tree.disk.truncate(tree.working.fd(layer), size)
        layer.size = size
        if size < layer.low:
            layer.low = size
            layer.dirty.clip(size)
            try:
                tree.record(node, Op.LOWER, node.file_id, size)
            except OSError as error:  # the disk had room for it: the journal itself is damaged
                tree.broken = f"its journal can't be written: {error}"
                raise
    if not size:
        tree.failed.discard(node.file_id)
    _note_write(tree, state, layer)
    tree.unsynced[node.file_id] = node


def hold(tree: WorkingTree, node: Node) -> Content:
    """What a file shows now, kept until `release`: the next write goes into a new layer.

    Costs nothing but that layer.  The kept bytes survive whatever happens to the file.
    """
    content = tree.content(node)
    if isinstance(content, Layer) and not content.closed:
        content.mtime_ns = tree.attributes(node).mtime_ns
        content.closed = True
    for layer in layers(content):
        layer.holds += 1
    return content


def release(tree: WorkingTree, held: list[Layer]) -> None:
    """Take back one `hold`, of which `held` were the layers."""
    for layer in held:
        layer.holds -= 1
        if layer.discarded and not layer.holds:
            tree.discard_layer(layer)


def _note_write(tree: WorkingTree, state: State, layer: Layer) -> None:
    """The time of a write, in memory and on the working file: the kernel's own is a tick behind."""
    now_ns = tree.note_change()
    tree.disk.utime(tree.working.fd(layer), now_ns, now_ns)
    state.mtime_ns = state.ctime_ns = now_ns


def set_mtime(tree: WorkingTree, state: State, mtime_ns: int) -> bool:
    """Give a file a modification time; True if the working file carries it now."""
    layer = state.content
    state.mtime_ns = mtime_ns
    if isinstance(layer, Layer) and not layer.closed and layer.generation == tree.generation.number:
        tree.disk.utime(tree.working.fd(layer), mtime_ns, mtime_ns)
        return True
    return False


def read_now(
    working: WorkingFiles | None, disk: Disk, readers: Readers, content: Content, offset: int, size: int
) -> bytes | None:
    """Read without waiting for a disk: None where that can't be had, and a thread has to do it."""
    end = min(offset + size, content.size)
    if working is not None and isinstance(content, Layer) and offset >= content.low and not content.cut_end:
        if offset >= end:
            return b""
        data = disk.preadv_nowait(working.fd(content), end - offset, offset)
        return data if data is not None and len(data) == end - offset and not content.cut_end else None
    parts: list[bytes] = []
    for piece in pieces(content, offset, end):
        part = _piece_now(working, disk, readers, piece)
        if part is None:
            return None
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _piece_now(working: WorkingFiles | None, disk: Disk, readers: Readers, piece: Piece) -> bytes | None:
    source, start, end = piece
    if source is None:
        return bytes(end - start)
    if isinstance(source, Layer):
        if source.done is not None or working is None:
            return None
        data = disk.preadv_nowait(working.fd(source), end - start, start)
        if data is None or len(data) != end - start or _overtaken(source, start):
            return None
        return data
    parts: list[bytes] = []
    while start < end:
        located = readers.files.locate_cached(source.content, source.height, source.size, start)
        if located is NOT_CACHED:
            return None
        first, row = located
        chunk = readers.store.get_cached(Kind.CHUNK, row.chunk)
        if chunk is None:
            return None
        skip = (start - first) % row.length
        part = chunk[skip : skip + end - start]
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_blocking(
    directory: WorkingFiles | None, disk: Disk, readers: Readers, content: Content, offset: int, size: int
) -> bytes:
    """Read in a thread, from the disk where need be.  Raises OSError, CorruptObject."""
    for _ in range(READ_TRIES_MAX):
        plan = pieces(content, offset, offset + size)
        data = read_pieces(directory, disk, readers, plan)
        if data is not None:
            return data
    raise failure(errno.EIO)


def read_pieces(
    working: WorkingFiles | None, disk: Disk, readers: Readers, plan: Sequence[Piece]
) -> bytes | None:
    """The bytes of a plan; None where the cutter took a working file away meanwhile: plan again."""
    parts: list[bytes] = []
    for source, start, end in plan:
        if source is None:
            parts.append(bytes(end - start))
        elif isinstance(source, Committed):
            parts.extend(read_committed(readers, source, start, end))
        else:
            assert working is not None
            data = _read_layer(working, disk, source, start, end)
            if data is None or _overtaken(source, start):
                return None
            parts.append(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_layer(working: WorkingFiles, disk: Disk, layer: Layer, start: int, end: int) -> bytes | None:
    """Read with a descriptor of our own: the loop may close its at any time."""
    try:
        fd = disk.open_read(working.path(layer))
    except FileNotFoundError:
        return None
    try:
        data = disk.pread(fd, end - start, start)
    finally:
        disk.close(fd)
    return data.ljust(end - start, b"\0")


def read_committed(readers: Readers, source: Committed, start: int, end: int) -> list[bytes]:
    """The bytes [start, end) of committed content, chunk by chunk."""
    parts: list[bytes] = []
    for first, row in readers.files.rows(source.content, source.height, source.size, start):
        if first >= end or start >= end:
            break
        chunk = readers.store.get(Kind.CHUNK, row.chunk)
        stop = min(end, first + row.length * row.repeat)
        while start < stop:
            skip = (start - first) % row.length
            part = chunk[skip : skip + stop - start]
            parts.append(part)
            start += len(part)
    return parts


def _overtaken(layer: Layer, start: int) -> bool:
    """Whether the cutter may have punched what was just read at `start`."""
    return layer.done is not None or start < layer.cut_end


def is_layered(content: Content) -> bool:
    """Whether any byte of the content is still in a working file."""
    return bool(layers(content))
