"""Commits made from dictionaries of paths, on the workshop's store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from pfs.objects.attributes import store_target
from pfs.objects.commit import Commit
from pfs.objects.entry import Entry, FileType, LinkRow, link_key
from pfs.objects.file import ChunkRow, FileReader, FileWriter
from pfs.objects.ids import Kind
from pfs.objects.tree import TreeReader, build
from pfs.overlay.tree import Readers
from pfs.versioning.read import CommitFiles
from tests.repo.workshop import Workshop

CACHE_BYTES = 1 << 20


@dataclass(frozen=True)
class Thing:
    """What stands at a path.  Two with one file id are two names of an inode."""

    file_id: int
    data: tuple[bytes, ...] = ()  # the chunks of a file; none and `is_directory` False: an empty file
    is_directory: bool = False
    target: bytes | None = None
    mode: int = 0o644
    mtime_ns: int = 0
    ctime_ns: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = field(default=())


Paths = Mapping[str, Thing]


def folder(file_id: int, **fields: object) -> Thing:
    return replace(Thing(file_id, is_directory=True, mode=0o755), **fields)  # type: ignore[arg-type]


class TreeMaker:
    """Builds trees in the workshop's store and reads them."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        store = workshop.store
        self.readers = Readers(
            store,  # type: ignore[arg-type]
            TreeReader(store, Entry, CACHE_BYTES),
            TreeReader(store, LinkRow, CACHE_BYTES),
            FileReader(store, CACHE_BYTES),
        )

    def files(self, paths: Paths) -> CommitFiles:
        """A commit, which no branch shows, of these paths."""
        return CommitFiles(self.readers, self._commit(paths))

    def commit(self, paths: Paths, branch: str = "main", **fields: object) -> bytes:
        """A commit of these paths on a branch."""
        made = self._commit(paths)
        return self.workshop.commit(branch, root=made.root, links=made.links, next_file_id=10_000, **fields)

    def _commit(self, paths: Paths) -> Commit:
        known = {path.encode(): thing for path, thing in paths.items()}
        names: dict[int, list[bytes]] = {}
        for path, thing in known.items():
            if not thing.is_directory:
                names.setdefault(thing.file_id, []).append(path)
        linked = {file_id for file_id, found in names.items() if len(found) > 1}
        top = self._directory(known, b"", linked)
        root = Entry(b"", 1, FileType.DIRECTORY, 0o755, content=top.content, size=top.size, detail=top.detail)
        rows = []
        for file_id in sorted(linked):
            places = [path.rpartition(b"/") for path in names[file_id]]
            parents = sorted((known[above].file_id if above else 1, name) for above, _, name in places)
            entry = self._plain(known[names[file_id][0]], b"")
            rows.append(LinkRow(link_key(file_id), entry, tuple(parents)))
        first = self.workshop.repo.commits.read(self.workshop.repo.default_branch.head)
        return msgspec.structs.replace(first, root=root, links=build(self.workshop.store, rows))

    def _directory(self, known: Mapping[bytes, Thing], path: bytes, linked: set[int]) -> Entry:
        above = path + b"/" if path else b""
        rows = []
        for child in sorted(known):
            name = child[len(above) :]
            if not child.startswith(above) or not name or b"/" in name:
                continue
            thing = known[child]
            if thing.is_directory:
                below = self._directory(known, child, linked)
                rows.append(msgspec.structs.replace(self._plain(thing, name), **_counts(below)))
            elif thing.file_id in linked:
                rows.append(
                    Entry(name, thing.file_id, FileType.LINK, content=self._plain(thing, name).content)
                )
            else:
                rows.append(self._plain(thing, name))
        subdirectories = Entry.count_directories(rows)
        content = build(self.workshop.store, sorted(rows, key=lambda row: row.name))
        return Entry(b"", 0, FileType.DIRECTORY, content=content, size=len(rows), detail=subdirectories)

    def _plain(self, thing: Thing, name: bytes) -> Entry:
        kind = FileType.DIRECTORY if thing.is_directory else FileType.REGULAR
        entry = Entry(
            name,
            thing.file_id,
            kind,
            thing.mode,
            mtime_ns=thing.mtime_ns,
            ctime_ns=thing.ctime_ns,
            xattrs=thing.xattrs,
        )
        store = self.workshop.store
        if thing.target is not None:
            content, target = store_target(store, thing.target)
            return msgspec.structs.replace(
                entry, type=FileType.SYMLINK, content=content, target=target, size=len(thing.target)
            )
        writer = FileWriter(store)
        for chunk in thing.data:
            writer.append(ChunkRow(store.put(Kind.CHUNK, chunk), len(chunk)))
        made = writer.finish()
        return msgspec.structs.replace(entry, content=made.content, detail=made.height, size=made.size)


def _counts(directory: Entry) -> dict[str, object]:
    return {"content": directory.content, "size": directory.size, "detail": directory.detail}
