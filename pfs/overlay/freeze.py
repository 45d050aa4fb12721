"""From a sealed generation to objects: the only way down.

Runs in a thread over immutable states.  Files first (cut into chunks, several
at a time), then directories from the deepest up: each directory's edits are the
names of its delta and the entries of changed children, applied to its committed
tree in one pass.  A directory that did not change itself gets a new entry only
because of what is below it.  Links are rows of their own tree.  Nothing here
is visible until a commit names the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from pfs.errors import CorruptObject
from pfs.objects.attributes import store_target, store_xattrs
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.tree import edit
from pfs.overlay.content import Committed, Content, Layer, layers, resolve
from pfs.overlay.cutter import Cutter
from pfs.overlay.node import REMOVED, Generation, State, whole_delta
from pfs.overlay.tree import Readers

FILES_PER_TASK = 64

Origin = tuple[bytes, int]  # a lineage segment and a row in it
Origins = Callable[
    [], Mapping[int, Origin]
]  # asked once all files are cut: where each file's version came from


@dataclass(slots=True)
class Frozen:
    """What a generation became."""

    root: Entry
    links: bytes
    directories: list[tuple[int, bytes]] = field(default_factory=list)  # top down: (file id, committed tree)
    layers: list[Layer] = field(default_factory=list)  # working files that nothing needs any more
    origins: Mapping[int, Origin] = field(default_factory=dict)  # of files written to, by file id


class Freezer:
    """Turns one sealed generation into trees.  Owned by one thread."""

    def __init__(
        self,
        readers: Readers,
        cutter: Cutter,
        sealed: Generation,
        root: Entry,
        links: bytes,
        executor: ThreadPoolExecutor,
        origins: Origins = dict,
    ) -> None:
        self._readers = readers
        self._ask_origins = origins
        self._origins: Mapping[int, Origin] = {}
        self._cutter = cutter
        self._sealed = sealed
        self._root = root
        self._links = links
        self._executor = executor
        self._edits: defaultdict[int, dict[bytes, Entry | None]] = defaultdict(dict)
        self._link_edits: dict[bytes, LinkRow | None] = {}
        self._entries: dict[int, Entry] = {}

    def run(self) -> Frozen:
        """Cut, build, link.  Raises OSError, NoSpace, CorruptObject; then nothing was changed."""
        finished = self._cut_files()
        self._origins = self._ask_origins()
        for file_id, state in self._sealed.dirty.items():
            self._place(file_id, state)
        self._place_links()
        directories = self._build_directories()
        links = self._links
        if self._link_edits:
            links = edit(self._readers.links, self._readers.store, links, self._link_edits)
        return Frozen(self._root, links, directories, finished, self._origins)

    # files

    def _cut_files(self) -> list[Layer]:
        files = [
            state
            for state in self._sealed.dirty.values()
            if state.type == FileType.REGULAR and state.links and isinstance(state.content, Layer)
        ]
        finished: list[Layer] = []
        tasks = [files[at : at + FILES_PER_TASK] for at in range(0, len(files), FILES_PER_TASK)]
        for done in self._executor.map(self._cut_some, tasks):
            finished.extend(done)
        return finished

    def _cut_some(self, states: Iterable[State]) -> list[Layer]:
        finished: list[Layer] = []
        for state in states:
            top = state.content
            if not isinstance(top, Layer) or top.done is not None:
                continue
            if top.mtime_ns is None:
                known_ns = state.mtime_ns
                top.mtime_ns = self._cutter.working.stat_mtime_ns(top) if known_ns is None else known_ns
            if top.ready is None:  # else a commit that failed later had got so far
                top.ready = self._cutter.cut(top)
            finished.extend(layers(top))
        return finished

    # entries

    def _place(self, file_id: int, state: State) -> None:
        """Enter a changed inode into the edits of the directories that name it."""
        if state.type == FileType.DIRECTORY:
            edits = self._edits[file_id]
            for name, child in whole_delta(state).items():
                if child == REMOVED:
                    edits.setdefault(name, None)
            if state.removed and state.link_row:
                self._link_edits[link_key(file_id)] = None
            return
        if not state.links:  # unlinked, and perhaps still open: its bytes were not cut
            if state.link_row:
                self._link_edits[link_key(file_id)] = None
            return
        entry = self._entry(file_id, state)
        if len(state.links) > 1:
            names = tuple(sorted(state.links))
            row = LinkRow(link_key(file_id), msgspec.structs.replace(entry, name=b""), names)
            self._link_edits[row.key] = self._unless_same_link(row)
            for parent, name in names:
                self._edits[parent][name] = Entry(name, file_id, int(FileType.LINK), content=entry.content)
            return
        if state.link_row:
            self._link_edits[link_key(file_id)] = None
        for parent, name in state.links:
            self._edits[parent][name] = msgspec.structs.replace(entry, name=name)

    def _unless_same_link(self, row: LinkRow) -> LinkRow:
        old = self._readers.links.get(self._links, row.key) if self._links else None
        return old if old is not None and old.same_version(row) else row

    def _place_links(self) -> None:
        """Directories on the way to a linked name have a row that says where they are."""
        for row in list(self._link_edits.values()):
            for parent, _ in row.names if row is not None else ():
                self._place_way(parent)

    def _place_way(self, directory: int) -> None:
        while directory != self._root.file_id:
            key = link_key(directory)
            if key in self._link_edits:
                return
            if directory not in self._sealed.located:
                return
            parent, name = self._sealed.located[directory]
            entry = Entry(b"", directory, int(FileType.DIRECTORY))
            self._link_edits[key] = LinkRow(key, entry, ((parent, name),))
            directory = parent

    def _entry(self, file_id: int, state: State) -> Entry:
        store = self._readers.store
        content, detail, size, target = b"", 0, 0, b""
        if state.type == FileType.REGULAR:
            committed = _committed(state.content)
            content, detail, size = committed.content, committed.height, committed.size
        elif state.type == FileType.SYMLINK:
            size = len(state.target)
            content, target = store_target(store, state.target)
        mtime_ns = state.mtime_ns
        ctime_ns = state.ctime_ns
        if mtime_ns is None:
            assert isinstance(state.content, Layer)
            assert state.content.mtime_ns is not None
            mtime_ns = state.content.mtime_ns
            ctime_ns = max(ctime_ns, mtime_ns)
        return Entry(
            b"",
            file_id,
            state.type,
            state.mode,
            state.uid,
            state.gid,
            size,
            mtime_ns,
            ctime_ns,
            content,
            detail,
            target,
            store_xattrs(store, state.xattrs),
            self._origins.get(file_id, _origin(state)),
        )

    # directories

    def _build_directories(self) -> list[tuple[int, bytes]]:
        """From the deepest up to the root; a removed directory is left out."""
        depths: dict[int, int] = {self._root.file_id: 0}
        levels: dict[int, list[int]] = defaultdict(list)
        todo = {self._root.file_id, *self._edits}
        for directory in list(todo):
            for step in self._way(directory, depths):
                todo.add(step)
        for directory in todo:
            if directory in depths:
                levels[depths[directory]].append(directory)
        for depth in sorted(levels):  # from the top, so that each finds its parent's entry known
            for directory in levels[depth]:
                self._old_entry(directory)
        built: list[tuple[int, bytes]] = []
        for depth in sorted(levels, reverse=True):
            for directory in levels[depth]:
                built.append((directory, self._build(directory)))
        built.reverse()
        return built

    def _way(self, directory: int, depths: dict[int, int]) -> list[int]:
        """The directories from here to one whose depth is known, all given theirs; none for a removed one."""
        way: list[int] = []
        at = directory
        while at not in depths:
            way.append(at)
            state = self._sealed.dirty.get(at)
            located = self._sealed.located.get(at)
            if state is not None and state.removed:
                return []
            if located is None:
                raise CorruptObject(b"", "the overlay", f"nothing says where directory {at} is")
            at = located[0]
        depth = depths[at]
        for step in reversed(way):
            depth += 1
            depths[step] = depth
        return way

    def _build(self, directory: int) -> bytes:
        """Apply a directory's edits, and enter what it is now into its parent's."""
        readers = self._readers
        state = self._sealed.dirty.get(directory)
        old = self._old_entry(directory)
        root = state.bottom().root if state is not None else old.content
        edits = {
            name: row if row is None or not root else self._unless_same(root, name, row)
            for name, row in self._edits.get(directory, {}).items()
        }
        root = edit(readers.entries, readers.store, root, edits) if edits else root
        entries, subdirectories = readers.entries.counts(root) if root else (0, 0)
        if state is not None:
            entry = self._entry(directory, state)
        else:
            entry = old
        entry = msgspec.structs.replace(entry, name=b"", content=root, size=entries, detail=subdirectories)
        if directory == self._root.file_id:
            self._root = self._root if self._root.same_version(entry) else entry
        else:
            parent, name = self._sealed.located[directory]
            self._edits[parent][name] = msgspec.structs.replace(entry, name=name)
            key = link_key(directory)
            if key not in self._link_edits and self._links and state is not None:
                known = readers.links.get(self._links, key)
                if known is not None and known.names != ((parent, name),):
                    self._link_edits[key] = msgspec.structs.replace(known, names=((parent, name),))
        return root

    def _unless_same(self, root: bytes, name: bytes, row: Entry) -> Entry:
        """The committed row where only ctime differs: that is no change."""
        old = self._readers.entries.get(root, name)
        return old if old is not None and old.same_version(row) else row

    def _old_entry(self, directory: int) -> Entry:
        """The committed entry of a directory that did not change itself."""
        if directory == self._root.file_id:
            return self._root
        known = self._entries.get(directory)
        if known is not None:
            return known
        state = self._sealed.dirty.get(directory)
        if state is not None:
            return Entry(b"", directory, int(FileType.DIRECTORY), content=state.bottom().root)
        parent, name = self._sealed.located[directory]
        root = self._old_entry(parent).content
        found = self._readers.entries.get(root, name)
        if found is None:
            raise CorruptObject(root, "a directory", f"it has no entry {name!r}")
        self._entries[directory] = found
        return found


def _origin(state: State) -> Origin | None:
    """That of a version made by an earlier commit; bytes that nobody was recorded writing have none."""
    content = state.content
    return None if isinstance(content, Layer) and content.done is None else state.origin


def _committed(content: Content) -> Committed:
    content = resolve(content)
    if isinstance(content, Layer):
        assert content.ready is not None
        return content.ready
    return content
