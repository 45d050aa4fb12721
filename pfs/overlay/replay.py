"""Reading a branch's journal back: the working tree as it was, after a clean stop, a kill or a power cut.

Killed (the boot id is ours): all that was written is there, and every record
counts.  After a reboot only synced bytes are, so of each file's LAYER, DIRTY and
LOWER records only those up to its last MARK of that boot count; without one the
old bytes show.  A file that was renamed over another one and not marked since
ends what is replayed of that boot, and so does a gap in the numbers: what is
before it is a state that was, and holds all that was ever synced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pfs.errors import StoreError
from pfs.overlay import attributes, names
from pfs.overlay.content import Committed, Layer, layers
from pfs.overlay.journal import Op, Segment, read_segment, segments
from pfs.overlay.node import Generation, Node
from pfs.overlay.worktree import WorkingTree


class _Mark(NamedTuple):
    size: int
    sequence: int
    mtime_ns: int


class _Cut(NamedTuple):
    end: int
    content: Committed
    size: int
    mtime_ns: int | None


class Replay:
    """Applies the records of a branch's journal to a fresh working tree, once."""

    def __init__(self, tree: WorkingTree, base_generation: int = 0) -> None:
        self._tree = tree
        self._base_generation = base_generation
        self._marks: dict[tuple[bytes, int], _Mark] = {}
        self._lost: dict[tuple[bytes, int], int] = {}
        self._replaced: list[tuple[bytes, int, int]] = []  # boot, number of the rename, file
        self._last: dict[bytes, int] = {}
        self._cuts: dict[tuple[bytes, int], _Cut] = {}
        self._layers: dict[int, tuple[Layer, int, bytes]] = {}
        self._segment = Segment(0, b"", 0, [])
        self._number = 0
        self.records = 0
        self.file_id_max = 0

    def begin(self) -> None:
        """Give up what nobody needs and begin a new generation, after `show`.  Raises OSError."""
        tree, journal = self._tree, self._tree.journal
        self._remove_leftovers()
        if not tree.generation.dirty:
            journal.discard(tree.generation.number - 1)
        journal.start(tree.generation.number)
        for generation in segments(tree.disk, journal.directory):
            if generation != tree.generation.number:
                journal.adopt(generation)

    def show(self) -> None:
        """Apply the records after the tree's base, in order; nothing is written.

        Raises StoreError where the journal contradicts the base, OSError.
        """
        tree, journal = self._tree, self._tree.journal
        found = self._read()
        tree.generation = Generation(
            max([self._base_generation, *segments(tree.disk, journal.directory)]) + 1
        )
        journal.replaying = True
        try:
            for segment in found:
                self._segment = segment
                last = self._last_safe(segment.boot_id)
                for number, record in segment.records:
                    if number <= last:
                        self._number = number
                        self._apply(record)
                        self.records += 1
            self._settle()
        finally:
            journal.replaying = False

    def _read(self) -> list[Segment]:
        tree, journal = self._tree, self._tree.journal
        found: list[Segment] = []
        for index, generation in enumerate(segments(tree.disk, journal.directory)):
            segment = read_segment(tree.disk, journal.directory, tree.branch_id, generation)
            if segment is None:
                continue
            if index == 0:
                journal.sequence = segment.first - 1
            if segment.first == journal.sequence + 1:
                found.append(segment)
                for number, record in segment.records:
                    journal.sequence = number
                    self._look_ahead(segment.boot_id, number, record)
            elif segment.boot_id == journal.boot_id:
                raise StoreError(
                    f"journal of branch {tree.branch_id}: records before {segment.first} are lost"
                )
            else:  # those before were not on the disk yet, so nobody was told that these are
                self._look_ahead_numbers(segment)
        return found

    def _look_ahead(self, boot_id: bytes, number: int, record: list[Any]) -> None:
        """Gather what has to be known before earlier records are applied."""
        op = record[0]
        self._last[boot_id] = number
        if op == Op.MARK:
            self._marks[boot_id, record[1]] = _Mark(*record[2:])
        elif op == Op.LOST:
            self._lost[boot_id, record[1]] = number
        elif op == Op.RENAME:
            self._replaced.extend((boot_id, number, file_id) for file_id in record[7])
        elif op == Op.CUT:
            numbers, end, content, height, cut_size, size, mtime_ns = record[1:]
            cut = _Cut(end, Committed(content, height, cut_size), size, mtime_ns)
            for layer in numbers:
                known = self._cuts.get((boot_id, layer))
                if known is None or known.end < end:
                    self._cuts[boot_id, layer] = cut._replace(
                        mtime_ns=mtime_ns if layer == numbers[0] else None
                    )
        self._look_ahead_number(record)

    def _last_safe(self, boot_id: bytes) -> int:
        """Up to where the records of a boot count.

        After a reboot nothing that ends between the rename of a file over another one and its mark, or the
        loss of its names, is a state to show: its name would stand there without its bytes.
        """
        last = self._last.get(boot_id, 0)
        if boot_id == self._tree.journal.boot_id:
            return last
        for _, renamed, file_id in sorted(
            (entry for entry in self._replaced if entry[0] == boot_id), reverse=True
        ):
            marked, lost = self._marks.get((boot_id, file_id)), self._lost.get((boot_id, file_id), 0)
            is_marked = marked is not None and marked.sequence >= renamed
            if renamed <= last and not is_marked and not renamed < lost <= last:
                last = renamed - 1
        return last

    def _look_ahead_numbers(self, segment: Segment) -> None:
        for _, record in segment.records:
            self._look_ahead_number(record)

    def _look_ahead_number(self, record: list[Any]) -> None:
        """Numbers that were given out are not given out again, even where their records do not count."""
        if record[0] == Op.LAYER:
            self._tree.next_layer = max(self._tree.next_layer, record[2] + 1)
        elif record[0] == Op.CREATE:
            self.file_id_max = max(self.file_id_max, record[3])

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
        return marked is not None and self._number <= marked.sequence

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
        names.apply_create(
            self._tree, above, name, file_id, kind, mode, uid, gid, time_ns, target, dict(xattrs)
        )

    def _remove(self, parent: int, name: bytes, file_id: int, time_ns: int) -> None:
        node = self._node(file_id)
        names.apply_remove(self._tree, self._node(parent), name, node, time_ns)
        self._tree.release_if_unused(node)

    def _rename(
        self,
        old_parent: int,
        old_name: bytes,
        new_parent: int,
        new_name: bytes,
        exchange: bool,
        time_ns: int,
        installed: list[int],
    ) -> None:
        tree = self._tree
        source, destination = self._node(old_parent), self._node(new_parent)
        moved = tree.lookup(source, old_name)
        other = tree.lookup(destination, new_name)
        if moved is None:
            raise StoreError(f"journal of branch {tree.branch_id}: {old_name!r} to be renamed is not there")
        if other is not None:
            for file_id in installed if self._segment.boot_id == tree.journal.boot_id else ():
                tree.installed[file_id] = self._node(file_id), self._number
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

    def _known(self, *_fields: Any) -> None:
        """Gathered before the first record was applied."""

    def _settle(self) -> None:
        """Take sizes and times from the working files, and show what was cut of them."""
        tree = self._tree
        for layer, file_id, boot_id in self._layers.values():
            try:
                status = tree.disk.stat(tree.working.path(layer))
                layer.size, mtime_ns = status.st_size, status.st_mtime_ns
            except FileNotFoundError:
                layer.size, layer.mtime_ns = 0, tree.now_ns()
            cut = self._cuts.get((boot_id, layer.number))
            if boot_id != tree.journal.boot_id:
                layer.closed = True
                marked = self._marks[boot_id, file_id]
                layer.size, layer.mtime_ns = min(layer.size, marked.size), marked.mtime_ns
            elif cut is not None:
                layer.closed, layer.mtime_ns = True, cut.mtime_ns or mtime_ns
            if cut is not None:
                layer.cut, layer.cut_end = cut.content, cut.end
                layer.size = max(layer.size, cut.end)
            layer.low = min(layer.low, layer.size)
            layer.dirty.clip(layer.low)
        for node in self._own_nodes():
            if node.state is not None and layers(node.state.content):
                tree.unsynced[node.file_id] = node

    def _own_nodes(self) -> list[Node]:
        """The nodes of this tree: default branches share one table."""
        return [node for node in self._tree.nodes.values() if node.tree is self._tree]

    def _remove_leftovers(self) -> None:
        """Let the working files that no layer names go, once what was replayed is durable."""
        tree = self._tree
        live = self._live_layers()
        tree.discarded.clear()
        for name in tree.disk.listdir(tree.working.directory):
            tree.next_layer = max(tree.next_layer, int(name, 16) + 1)  # its name is taken until then
            if name not in live:
                tree.discarded.append((tree.journal.sequence, tree.working.directory / name))

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
    Op.CUT: Replay._known,
    Op.MARK: Replay._known,
    Op.LOST: Replay._known,
}
