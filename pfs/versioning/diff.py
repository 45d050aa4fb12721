"""What differs between two commits, one change a path.

Paths are matched first, what is then left over by file id: a directory that was moved is one change, however
much is in it.  Equal subtrees are never read.  Changes come in the order of their (new) paths.  A difference
in ctime alone is none.  What differs inside a file is left to others.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from pfs.errors import NotFound
from pfs.objects.entry import Entry, FileType
from pfs.versioning.read import CommitFiles


class Status(StrEnum):
    """How a path changed.  ATTRIBUTES: only mode, owner, times or xattrs."""

    ADDED = "added"
    DELETED = "deleted"
    MODIFIED = "modified"
    TYPE = "type"
    ATTRIBUTES = "attributes"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Change:
    """One change.  `old_path` is set where it is another than `path`."""

    status: Status
    path: bytes
    old: Entry | None
    new: Entry | None
    old_path: bytes | None = None


def diff(old: CommitFiles, new: CommitFiles, path: bytes = b"") -> Iterator[Change]:
    """What changed from one commit to another, at and below a path.  NotFound if neither has the path."""
    comparison = _Comparison(old, new)
    before, after = old.find(path), new.find(path)
    if before is None and after is None:
        raise NotFound(f"{path.decode(errors='replace')}: neither revision has this path")
    comparison.compare(path, before, path, after)
    comparison.match_renames()
    comparison.add_changed_links(path)
    yield from sorted(comparison.changes, key=lambda change: change.path)


def status_of(old: Entry, new: Entry) -> Status | None:
    """How two versions of one entry differ, None if they do not.  A directory's contents do not count."""
    if old.type != new.type:
        return Status.TYPE
    kept = (old.mode, old.uid, old.gid, old.xattrs) == (new.mode, new.uid, new.gid, new.xattrs)
    same_time = old.mtime_ns == new.mtime_ns
    if (old.content, old.size, old.target) == (new.content, new.size, new.target):
        return None if kept and same_time else Status.ATTRIBUTES
    if old.type != FileType.DIRECTORY:
        return Status.MODIFIED
    return None if kept else Status.ATTRIBUTES  # its time changed because what is in it did


@dataclass(slots=True)
class _Unmatched:
    """What only one of the commits has at its path."""

    path: bytes
    entry: Entry
    files: CommitFiles
    expanded: bool = False

    def children(self) -> Iterator[_Unmatched]:
        for child in self.files.children(self.entry):
            yield _Unmatched(_join(self.path, child.name), child, self.files)


_Pool = defaultdict[int, list[_Unmatched]]


@dataclass(slots=True)
class _Comparison:
    """The state of one diff.  Directories wait in a queue: a tree may be deeper than Python's stack."""

    old: CommitFiles
    new: CommitFiles
    changes: list[Change] = field(default_factory=list)
    _waiting: deque[tuple[bytes, bytes, bytes, bytes]] = field(default_factory=deque)
    _deleted: _Pool = field(default_factory=lambda: defaultdict(list))
    _added: _Pool = field(default_factory=lambda: defaultdict(list))
    _unexpanded: list[tuple[_Pool, _Unmatched]] = field(default_factory=list)
    _moved: dict[bytes, bytes] = field(default_factory=dict)

    def compare(self, old_path: bytes, old: Entry | None, new_path: bytes, new: Entry | None) -> None:
        """Note how two entries differ; what is below directories waits for `match_renames`."""
        if old is not None and new is not None:
            self._note(old_path, old, new_path, new)
            if old.type == new.type == FileType.DIRECTORY:
                self._waiting.append((old_path, old.content, new_path, new.content))
                return
            # A directory that became something else: all that was in it is gone, and the other way round.
            for gone in _Unmatched(old_path, old, self.old).children() if _is_directory(old) else ():
                self._pool(self._deleted, gone)
            for made in _Unmatched(new_path, new, self.new).children() if _is_directory(new) else ():
                self._pool(self._added, made)
        elif old is not None:
            self._pool(self._deleted, _Unmatched(old_path, old, self.old))
        elif new is not None:
            self._pool(self._added, _Unmatched(new_path, new, self.new))

    def match_renames(self) -> None:
        """Pair what is left over by file id, level by level, until only what was made or removed is left."""
        while True:
            self._compare_waiting()
            if self._match():
                continue
            if not self._unexpanded:
                break
            self._expand()
        for found in chain.from_iterable(self._deleted.values()):
            self.changes.append(Change(Status.DELETED, found.path, found.entry, None))
        for found in chain.from_iterable(self._added.values()):
            self.changes.append(Change(Status.ADDED, found.path, None, found.entry))
        self.changes = [left for change in self.changes if (left := self._explained(change)) is not None]

    def add_changed_links(self, below: bytes) -> None:
        """Note attribute changes of inodes with several names, of which directories show only contents."""
        names: dict[int, list[tuple[bytes, Entry, Entry]]] = defaultdict(list)
        links = self.new.readers.links
        for _, old, new in links.diff(self.old.commit.links, self.new.commit.links):
            if old is None or new is None or status_of(old.entry, new.entry) is not Status.ATTRIBUTES:
                continue
            for parent, name in set(old.names) & set(new.names):
                names[parent].append((name, old.entry, new.entry))
        for directory, parent in _find_directories(self.new, set(names)):
            for name, before, after in names[parent]:
                path = _join(directory, name)
                if _is_below(path, below):
                    self.changes.append(Change(Status.ATTRIBUTES, path, before, after))

    def _note(self, old_path: bytes, old: Entry, new_path: bytes, new: Entry) -> None:
        status = status_of(old, new)
        if status is not None:
            self.changes.append(_change(status, old_path, old, new_path, new))

    def _compare_waiting(self) -> None:
        entries = self.new.readers.entries
        while self._waiting:
            old_path, old_root, new_path, new_root = self._waiting.popleft()
            for name, old, new in entries.diff(old_root, new_root):
                self.compare(
                    _join(old_path, name),
                    None if old is None else self.old.resolved(old),
                    _join(new_path, name),
                    None if new is None else self.new.resolved(new),
                )

    def _pool(self, pool: _Pool, found: _Unmatched) -> None:
        pool[found.entry.file_id].append(found)
        if _is_directory(found.entry):
            self._unexpanded.append((pool, found))

    def _match(self) -> bool:
        """Pair what has one id and one type on both sides; whether there was any."""
        paired = False
        for file_id in self._deleted.keys() & self._added.keys():
            gone, made = self._deleted[file_id], self._added[file_id]
            while gone and made and gone[-1].entry.type == made[-1].entry.type:
                self._rename(gone.pop(), made.pop())
                paired = True
            for pool in (self._deleted, self._added):
                if not pool[file_id]:
                    del pool[file_id]
        return paired

    def _rename(self, gone: _Unmatched, made: _Unmatched) -> None:
        self._moved[gone.path] = made.path
        self.changes.append(Change(Status.RENAMED, made.path, gone.entry, made.entry, gone.path))
        if not _is_directory(made.entry) or gone.expanded or made.expanded:
            return  # what is in the other one is expanded with its turn, and paired one by one
        gone.expanded = made.expanded = True
        if gone.entry.content != made.entry.content:
            self._waiting.append((gone.path, gone.entry.content, made.path, made.entry.content))

    def _expand(self) -> None:
        level, self._unexpanded = self._unexpanded, []
        for pool, found in level:
            if not found.expanded:
                found.expanded = True
                for child in found.children():
                    self._pool(pool, child)

    def _explained(self, change: Change) -> Change | None:
        """The change, or what is left of it where the rename of its directory says the rest."""
        if change.status is not Status.RENAMED or change.old_path is None:
            return change
        assert change.old is not None
        assert change.new is not None
        old_directory, _, old_name = change.old_path.rpartition(b"/")
        new_directory, _, new_name = change.path.rpartition(b"/")
        if old_name != new_name or self._moved.get(old_directory) != new_directory:
            return change
        status = status_of(change.old, change.new)
        return (
            None if status is None else _change(status, change.old_path, change.old, change.path, change.new)
        )


def _change(status: Status, old_path: bytes, old: Entry, path: bytes, new: Entry) -> Change:
    return Change(status, path, old, new, None if old_path == path else old_path)


def _find_directories(files: CommitFiles, wanted: set[int]) -> Iterator[tuple[bytes, int]]:
    """(path, file id) of the directories with these ids; reads the tree until all are found."""
    waiting = deque([(b"", files.commit.root)])
    missing = set(wanted)
    while waiting and missing:
        path, directory = waiting.popleft()
        if directory.file_id in missing:
            missing.remove(directory.file_id)
            yield path, directory.file_id
        if directory.detail:
            below = files.readers.entries.scan(directory.content)
            waiting.extend((_join(path, child.name), child) for child in below if _is_directory(child))


def _is_directory(entry: Entry) -> bool:
    return entry.type == FileType.DIRECTORY


def _is_below(path: bytes, above: bytes) -> bool:
    return not above or path == above or path.startswith(above + b"/")


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
