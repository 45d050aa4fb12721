"""What has to hold in a commit's tree as a whole, where looking at each node once does not show it.

A file id stands for one inode.  An inode with several names is a LINK entry at
each of them and one row of the links tree that lists exactly these.  A directory
may have a row, too (on the way to a linked name): then it says where it is.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

from pfs.errors import CorruptObject
from pfs.objects.commit import Commit
from pfs.objects.entry import Entry, FileType, LinkRow
from pfs.overlay.tree import Readers

Name = tuple[int, bytes]


def check_whole_tree(readers: Readers, commit: Commit) -> list[tuple[str, str]]:
    """(path, what is wrong) of a commit; nothing where nodes can't be read: that is others' to report."""
    try:
        return list(_check(readers, commit))
    except CorruptObject:
        return []


def _check(readers: Readers, commit: Commit) -> Iterator[tuple[str, str]]:
    found = _Found()
    found.directories[commit.root.file_id] = (0, b"")
    waiting = [(b"", commit.root)]
    while waiting:
        path, directory = waiting.pop()
        before: bytes | None = None
        for entry in readers.entries.scan(directory.content) if directory.content else ():
            child = path + b"/" + entry.name if path else entry.name
            if before is not None and before >= entry.name:
                yield os.fsdecode(child), "its name is not in order"
            before = entry.name
            yield from found.add(child, directory.file_id, entry)
            if entry.type == FileType.DIRECTORY:
                waiting.append((child, entry))
    rows = readers.links.scan(commit.links) if commit.links else ()
    yield from found.check_links({row.entry.file_id: row for row in rows})


class _Found:
    """What a walk over all directories has met."""

    def __init__(self) -> None:
        self.paths: dict[int, bytes] = {}
        self.directories: dict[int, Name] = {}
        self.links: defaultdict[int, list[Name]] = defaultdict(list)

    def add(self, path: bytes, parent: int, entry: Entry) -> Iterator[tuple[str, str]]:
        if entry.type == FileType.LINK:
            self.links[entry.file_id].append((parent, entry.name))
            self.paths.setdefault(entry.file_id, path)
            return
        other = self.paths.setdefault(entry.file_id, path)
        if other is not path or entry.file_id in self.links or entry.file_id in self.directories:
            yield (
                os.fsdecode(path),
                f"file id {entry.file_id} is also that of {os.fsdecode(other) or '/'}",
            )
        if entry.type == FileType.DIRECTORY:
            self.directories[entry.file_id] = (parent, entry.name)

    def check_links(self, rows: dict[int, LinkRow]) -> Iterator[tuple[str, str]]:
        for file_id, names in self.links.items():
            path = os.fsdecode(self.paths[file_id])
            row = rows.get(file_id)
            if row is None:
                yield path, f"the links tree has no row for inode {file_id}"
            elif sorted(names) != list(row.names):
                yield path, f"inode {file_id} has {len(names)} names, its row {len(row.names)}, or others"
            elif len(names) < 2:
                yield path, f"inode {file_id} is a link with one name"
        for file_id, row in rows.items():
            if row.entry.type == FileType.DIRECTORY:
                if row.names != (self.directories.get(file_id),):
                    yield "", f"the links tree does not say where directory {file_id} is"
            elif file_id not in self.links:
                yield "", f"the links tree has a row for inode {file_id}, which is no link"
