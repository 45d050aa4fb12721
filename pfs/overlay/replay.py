"""Reading a branch's journal back: the working tree as it was, after a clean stop, a kill or a power cut.

Killed (the boot id is ours): everything that was written is there, and every
record counts.  After a reboot only synced bytes are there, so of each file's
LAYER, DIRTY and LOWER records only those up to its last MARK of that boot count;
without one the old bytes show.  A name that was renamed over another one before
its bytes were marked ends what is replayed of that boot: the records before it
are a state that was.  Replaying twice gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pfs.errors import StoreError
from pfs.overlay import attributes, names
from pfs.overlay.content import Committed, Layer, layers
from pfs.overlay.journal import Op, Segment, read_segment, segments
from pfs.overlay.node import Generation, Node
from pfs.overlay.worktree import WorkingTree


class _UnsafeError(Exception):
    """The rest of this boot's records builds on bytes that a power cut took."""


class Replay:
    """Applies the records of a branch's journal to a fresh working tree, once."""

    def __init__(self, tree: WorkingTree, base_generation: int = 0) -> None:
        self._tree = tree
        self._base_generation = base_generation
        self._marks: dict[tuple[bytes, int], tuple[int, int]] = {}
        self._layers: dict[int, tuple[Layer, int, bytes]] = {}
        self._unmarked: set[int] = set()
        self._segment = Segment(0, b"", [])
        self._number = 0
        self.records = 0
        self.file_id_max = 0
        self.cut_short = False

    def run(self) -> None:
        """Apply everything after the tree's base, and begin a new generation.

        Raises StoreError where the journal contradicts the base, OSError.
        """
        tree, journal = self._tree, self._tree.journal
        self.show()
        self._remove_leftovers()
        if not tree.generation.dirty:
            journal.discard(tree.generation.number - 1)
        journal.start(tree.generation.number)

    def show(self) -> None:
        """Apply the records in order; nothing is written.  Raises StoreError, OSError."""
        tree, journal = self._tree, self._tree.journal
        found = self._read()
        tree.generation = Generation(
            max([self._base_generation, *segments(tree.disk, journal.directory)]) + 1
        )
        journal.replaying = True
        unsafe_boot = None
        try:
            for segment in found:
                if segment.boot_id == unsafe_boot:
                    continue
                self._segment = segment
                try:
                    for number, record in segment.records:
                        self._number = number
                        self._apply(record)
                        self.records += 1
                except _UnsafeError:
                    unsafe_boot = segment.boot_id
                    self.cut_short = True
            self._settle()
        finally:
            journal.replaying = False

    def _read(self) -> list[Segment]:
        tree, journal = self._tree, self._tree.journal
        found: list[Segment] = []
        for generation in segments(tree.disk, journal.directory):
            segment = read_segment(tree.disk, journal.directory, tree.branch_id, generation)
            if segment is None:
                continue
            found.append(segment)
            for number, record in segment.records:
                journal.sequence = max(journal.sequence, number)
                if record[0] == Op.MARK:
                    self._marks[segment.boot_id, record[1]] = (record[3], record[2])
        return found

    def _apply(self, record: list[Any]) -> None:
        op, *fields = record
        action = _ACTIONS.get(op)
        if action is None:
            raise StoreError(f"journal of branch {self._tree.branch_id}: unknown record {op}")
        action(self, *fields)

    def _node(self, file_id: int) -> Node:
        node = self._tree.nodes.get(file_id)
        if node is None:
            raise StoreError(f"journal of branch {self._tree.branch_id}: no inode {file_id}")
        return node

    def _counts(self, file_id: int) -> bool:
        """Whether this record about a file's bytes may be believed."""
        boot_id = self._segment.boot_id
        if boot_id == self._tree.journal.boot_id:
            return True
        marked = self._marks.get((boot_id, file_id))
        if marked is not None and self._number <= marked[0]:
            return True
        self._unmarked.add(file_id)
        return False

    def _locate(self, file_id: int, parent: int, name: bytes) -> None:
        if file_id not in self._tree.nodes:
            self._tree.node(file_id, parent, name)

    def _create(
        self,
        parent: int,
        name: bytes,
        file_id: int,
        kind: int,
        mode: int,
        uid: int,
        gid: int,
        time_ns: int,
        target: bytes,
        xattrs: list[tuple[bytes, bytes]],
    ) -> None:
        above = self._node(parent)
        self.file_id_max = max(self.file_id_max, file_id)
        names.apply_create(
            self._tree, above, name, file_id, kind, mode, uid, gid, time_ns, target, dict(xattrs)
        )

    def _remove(self, parent: int, name: bytes, file_id: int, time_ns: int) -> None:
        node = self._node(file_id)
        names.apply_remove(self._tree, self._node(parent), name, node, time_ns)
        self._tree.release_if_unused(node)

    def _rename(
        self, old_parent: int, old_name: bytes, new_parent: int, new_name: bytes, exchange: bool, time_ns: int
    ) -> None:
        tree = self._tree
        source, destination = self._node(old_parent), self._node(new_parent)
        moved = tree.lookup(source, old_name)
        other = tree.lookup(destination, new_name)
        if moved is None:
            raise StoreError(f"journal of branch {tree.branch_id}: {old_name!r} to be renamed is not there")
        if other is not None and moved.file_id in self._unmarked:
            raise _UnsafeError
        names.apply_rename(tree, source, old_name, destination, new_name, exchange, time_ns)
        if other is not None:
            tree.release_if_unused(other)

    def _link(self, file_id: int, parent: int, name: bytes, time_ns: int) -> None:
        names.apply_link(self._tree, self._node(file_id), self._node(parent), name, time_ns)

    def _attributes(self, file_id: int, *fields: Any) -> None:
        attributes.apply_attributes(self._tree.touch(self._node(file_id)), *fields)

    def _xattr(self, file_id: int, name: bytes, value: bytes | None, ctime_ns: int) -> None:
        attributes.apply_xattr(self._tree.touch(self._node(file_id)), name, value, ctime_ns)

    def _layer(self, file_id: int, number: int, size: int, low: int) -> None:
        self._tree.next_layer = max(self._tree.next_layer, number + 1)
        if not self._counts(file_id):
            return
        state = self._tree.touch(self._node(file_id))
        for below in layers(state.content)[:1]:
            below.closed = True
        layer = Layer(number, self._tree.generation.number, size, low, state.content)
        state.content = layer
        state.mtime_ns = None
        self._layers[number] = (layer, file_id, self._segment.boot_id)

    def _top(self, file_id: int) -> Layer | None:
        node = self._tree.nodes.get(file_id)
        content = node.state.content if node is not None and node.state is not None else None
        return content if isinstance(content, Layer) else None

    def _dirty(self, file_id: int, start: int, end: int) -> None:
        layer = self._top(file_id)
        if layer is not None and self._counts(file_id):
            layer.dirty.add(start, min(end, layer.low))

    def _lower(self, file_id: int, size: int) -> None:
        layer = self._top(file_id)
        if layer is not None and self._counts(file_id):
            layer.low = min(layer.low, size)
            layer.dirty.clip(size)

    def _closed(self, number: int, size: int, mtime_ns: int) -> None:
        if number in self._layers:
            layer = self._layers[number][0]
            layer.size, layer.mtime_ns = size, mtime_ns

    def _cut(self, number: int, end: int, content: bytes, height: int, size: int) -> None:
        if number in self._layers:
            layer = self._layers[number][0]
            layer.cut, layer.cut_end = Committed(content, height, size), end

    def _mark(self, file_id: int, size: int, sequence: int) -> None:
        """Marks were gathered before the first record was applied."""

    def _settle(self) -> None:
        """Take sizes from the working files."""
        tree = self._tree
        for layer, file_id, boot_id in self._layers.values():
            path = tree.working.path(layer)
            if layer.mtime_ns is not None:
                layer.closed = True
                continue
            try:
                size = tree.disk.stat(path).st_size
            except FileNotFoundError:
                size = 0
                layer.mtime_ns = tree.now_ns()
            if boot_id != tree.journal.boot_id:
                layer.closed = True
                marked = self._marks.get((boot_id, file_id))
                size = size if marked is None else min(size, marked[1])
            layer.size = size
            layer.low = min(layer.low, size)
            layer.dirty.clip(layer.low)
        for node in self._own_nodes():
            if node.state is not None and layers(node.state.content):
                tree.unsynced[node.file_id] = node

    def _own_nodes(self) -> list[Node]:
        """The nodes of this tree: default branches share one table."""
        return [node for node in self._tree.nodes.values() if node.tree is self._tree]

    def _remove_leftovers(self) -> None:
        """Remove the working files that no layer names."""
        tree = self._tree
        live = self._live_layers()
        for name in tree.disk.listdir(tree.working.directory):
            if name not in live:
                tree.disk.unlink(tree.working.directory / name)

    def _live_layers(self) -> set[str]:
        tree = self._tree
        return {
            tree.working.path(layer).name
            for node in self._own_nodes()
            if node.state is not None
            for layer in layers(node.state.content)
        }


_ACTIONS: dict[int, Callable[..., None]] = {
    Op.LOCATE: Replay._locate,
    Op.CREATE: Replay._create,
    Op.REMOVE: Replay._remove,
    Op.RENAME: Replay._rename,
    Op.LINK: Replay._link,
    Op.ATTRIBUTES: Replay._attributes,
    Op.XATTR: Replay._xattr,
    Op.LAYER: Replay._layer,
    Op.DIRTY: Replay._dirty,
    Op.LOWER: Replay._lower,
    Op.CLOSED: Replay._closed,
    Op.CUT: Replay._cut,
    Op.MARK: Replay._mark,
}
