"""A repo of many files, built with the library: what `scripts/make_repo` does."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pfs.disk import Disk
from pfs.errors import PfsError
from pfs.objects.commit import Author, Commit, CommitKind, encode_commit
from pfs.objects.entry import Entry, FileType
from pfs.objects.ids import Kind
from pfs.objects.tree import TreeReader, build
from pfs.repo.repositories import Repositories
from pfs.store.store import Store

BATCH_FILES = 1000
CACHE_BYTES = 1 << 20


class Maker:
    """Puts folders of numbered files into a store."""

    def __init__(self, store: Store, repositories: Repositories, now_ns: int) -> None:
        self._store = store
        self._file_ids = repositories.file_ids
        self._counts = TreeReader(store, Entry, CACHE_BYTES)
        self._now_ns = now_ns
        self._owner = (os.geteuid(), os.getegid())
        self._made = 0

    def folder(self, name: bytes, files: int) -> Entry:
        """A directory of so many files."""
        return self.directory(name, self._files(files))

    def directory(self, name: bytes, entries: Iterable[Entry], file_id: int = 0) -> Entry:
        """A directory of entries that come in the order of their names."""
        root = build(self._store, entries)
        count, below = self._counts.counts(root) if root else (0, 0)
        return Entry(
            name, file_id or self._file_ids.take(), int(FileType.DIRECTORY), 0o755, *self._owner,
            size=count, mtime_ns=self._now_ns, ctime_ns=self._now_ns, content=root, detail=below,
        )  # fmt: skip

    def _files(self, count: int) -> Iterator[Entry]:
        digits = len(str(count - 1))
        for first in range(0, count, BATCH_FILES):
            numbers = range(first, min(count, first + BATCH_FILES))
            texts = [b"%d\n" % (self._made + number) for number in numbers]
            chunks = self._store.put_many(Kind.CHUNK, texts)
            file_id = self._file_ids.take(len(numbers))
            for number, text, chunk in zip(numbers, texts, chunks, strict=True):
                yield Entry(
                    b"file%0*d" % (digits, number), file_id + number - first, int(FileType.REGULAR), 0o644,
                    *self._owner, size=len(text), mtime_ns=self._now_ns, ctime_ns=self._now_ns, content=chunk,
                )  # fmt: skip
        self._made += count


def make_repo(store_path: Path, name: str, files: int, wide: int = 0) -> None:
    """Make the repo.  Raises PfsError."""
    author = Author(os.geteuid(), "make_repo", "localhost")
    with Store.open(store_path, Disk()) as store:
        repositories = Repositories(store, time.time_ns)
        repo = repositories.create(name, author, uid=os.geteuid(), gid=os.getegid())
        maker = Maker(store, repositories, time.time_ns())
        each = 1000 if files >= 100_000 else max(1, files // 10)
        rest = files - wide
        sizes = [min(each, rest - at) for at in range(0, rest, each)]
        digits = len(str(len(sizes)))
        folders: Iterator[Entry] = (
            maker.folder(b"folder%0*d" % (digits, n), size) for n, size in enumerate(sizes)
        )
        if wide:
            folders = itertools.chain(folders, (maker.folder(b"wide", wide) for _ in range(1)))
        branch = repo.default_branch
        first = repo.commits.read(branch.head)
        root = maker.directory(b"", folders, first.root.file_id)
        commit = Commit(
            kind=int(CommitKind.IMPORT), root=root, links=b"", parents=(branch.head,), branch=branch.name,
            time_ns=time.time_ns(), author=author, message=f"{files} files",
            next_file_id=repositories.file_ids.next,
        )  # fmt: skip
        repo.record_commit(branch.branch_id, store.put(Kind.COMMIT, encode_commit(commit)))


def main(arguments: list[str]) -> int:
    """Parse, make, say how long it took."""
    parser = argparse.ArgumentParser(prog="scripts/make_repo", description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("repo")
    parser.add_argument("files", type=int)
    parser.add_argument("--wide", type=int, default=0, metavar="N", help="files in one folder of their own")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        make_repo(given.store, given.repo, given.files, given.wide)
    except PfsError as error:
        print(f"scripts/make_repo: {error}", file=sys.stderr)
        return error.exit_code
    seconds = time.monotonic() - started
    print(f"{given.repo}: {given.files} files in {seconds:.1f} s, {seconds / given.files * 1e6:.0f} us each")
    return 0
