"""Reading the files of one commit: entries by path, listings, bytes.  For threads; needs no mount.

A symlink is never followed: it is itself the thing that is meant, and its bytes are its target.  What names a
commit is left to pfs.namespace, who may read it to pfs.access (`chain` gives what that has to judge).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from pfs.errors import CorruptObject, NotFound, UsageError
from pfs.namespace.grammar import Spelling
from pfs.namespace.resolve import Resolution, Resolver, Shows
from pfs.namespace.spell import parse_place
from pfs.objects.attributes import load_target, load_xattrs
from pfs.objects.commit import Commit
from pfs.objects.entry import Entry, FileType, link_key
from pfs.objects.ids import Kind
from pfs.overlay.tree import Readers


class CommitFiles:
    """The files of one commit.  Any thread may read."""

    def __init__(self, readers: Readers, commit: Commit) -> None:
        self.readers = readers
        self.commit = commit

    def chain(self, path: bytes) -> list[Entry]:
        """The entries from the root down to a path (its components joined by `/`).  NotFound."""
        chain = [self.commit.root]
        for name in path.split(b"/") if path else ():
            above = chain[-1]
            found = None
            if above.type == FileType.DIRECTORY:
                found = self.readers.entries.get(above.content, name)
            if found is None:
                raise NotFound(f"{os.fsdecode(path)}: no such file or directory")
            chain.append(self.resolved(found))
        return chain

    def entry(self, path: bytes) -> Entry:
        """The entry at a path; a link is shown as the inode behind it.  NotFound."""
        return self.chain(path)[-1]

    def find(self, path: bytes) -> Entry | None:
        """The entry at a path, or None."""
        try:
            return self.entry(path)
        except NotFound:
            return None

    def resolved(self, entry: Entry) -> Entry:
        """The entry itself, or for one of several names of an inode what the links tree says of it."""
        if entry.type != FileType.LINK:
            return entry
        row = self.readers.links.get(self.commit.links, link_key(entry.file_id))
        if row is None:
            raise CorruptObject(
                self.commit.links, "the links tree", f"it has no row for inode {entry.file_id}"
            )
        return msgspec.structs.replace(row.entry, name=entry.name)

    def children(self, directory: Entry) -> Iterator[Entry]:
        """What is in a directory, in the order of the names' bytes."""
        for entry in self.readers.entries.scan(directory.content):
            yield self.resolved(entry)

    def listing(self, path: bytes) -> Iterator[Entry]:
        """As `ls`: what is in the directory at a path, or the one entry if it is none.  NotFound."""
        entry = self.entry(path)
        return self.children(entry) if entry.type == FileType.DIRECTORY else iter([entry])

    def target(self, entry: Entry) -> bytes:
        """Where a symlink points."""
        return load_target(self.readers.store, entry)

    def xattrs(self, entry: Entry) -> dict[bytes, bytes]:
        """The extended attributes of an entry."""
        return load_xattrs(self.readers.store, entry.xattrs)

    def read(self, path: bytes, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of the file at a path, a chunk at most at a time.  NotFound, UsageError."""
        entry = self.entry(path)
        if entry.type == FileType.SYMLINK:
            target = self.target(entry)
            return iter([target[offset : len(target) if length is None else offset + length]])
        if entry.type != FileType.REGULAR:
            word = FileType(entry.type).name.lower()
            raise UsageError(f"{os.fsdecode(path) or '/'}: a {word} has no bytes to read")
        end = entry.size if length is None else min(entry.size, offset + length)
        return read_entry(self.readers, entry, offset, end)


def read_entry(readers: Readers, entry: Entry, offset: int, end: int) -> Iterator[bytes]:
    """The bytes [offset, end) of a regular file's entry, a chunk at most at a time."""
    if offset >= end:
        return
    for start, row in readers.files.rows(entry.content, entry.detail, entry.size, offset):
        chunk = readers.store.get(Kind.CHUNK, row.chunk)
        if len(chunk) != row.length:
            raise CorruptObject(row.chunk, "a chunk", f"{len(chunk)} bytes where a file has {row.length}")
        while offset < min(end, start + row.size):
            within = (offset - start) % row.length
            piece = chunk[within : within + end - offset]
            yield piece
            offset += len(piece)
        if offset >= end:
            return


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """What a `REPO[@REV][:PATH]` means: the revision, the commit read for it, and the path in it."""

    spelling: Spelling
    resolution: Resolution
    commit_id: bytes
    files: CommitFiles
    path: bytes


def open_place(resolver: Resolver, readers: Readers, text: str | bytes) -> OpenPlace:
    """Find what a place means; a working tree is read as it was last frozen.

    NotFound for an unknown revision; the path is not looked up yet.
    """
    place = parse_place(text)
    resolution = resolver.resolve_spelling(place.spelling)
    commit_id = frozen_commit(resolution)
    commit = resolution.repo.commits.read(commit_id)
    return OpenPlace(place.spelling, resolution, commit_id, CommitFiles(readers, commit), place.path or b"")


def frozen_commit(resolution: Resolution) -> bytes:
    """The newest commit or checkpoint with what is shown: of a working tree its base, not its head."""
    if resolution.shows is Shows.WORKING_TREE and resolution.branch is not None:
        return resolution.branch.base
    return resolution.commit_id
