"""Files beyond the mount that a process was given: words of its command line, and its standard input.

For where the kernel does not tell which files are opened.  Runs in the thread that reads a description.  A
path is walked part by part, so that no FUSE file system (we would wait for ourselves) and no automount point
is touched, through no symbolic link either.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pfs.lineage.outside.mount_table import Mounts, MountTable

WORDS_MAX: Final = 256  # of one command line that are looked at
NAMED_MAX: Final = 64  # files that one process was given
PATH_BYTES_MAX: Final = 4096
LINKS_MAX: Final = 16  # symbolic links on the way to one file

Read = Callable[[int], dict[str, Any] | None]


class Named(NamedTuple):
    """A regular file, and whether it was open as standard input (else a word names it)."""

    path: bytes
    size: int
    mtime_ns: int
    is_open: bool


class DescribeFiles:
    """A reader of descriptions that adds, as `named`, which files beyond the mount a process was given."""

    def __init__(self, read: Read, mounts: Mounts, leave_out: Callable[[bytes], bool]) -> None:
        # File systems whose opens are told: words say nothing new there; and whether there are no others.
        self.told_devices: Container[int] = ()
        self.all_told = False
        self._read = read
        self._mounts = mounts
        self._leave_out = leave_out

    def __call__(self, pid: int) -> dict[str, Any] | None:
        """What `read` gives, and `named`.  Blocks as a look at any file may; raises what `read` raises."""
        found = self._read(pid)
        if found is not None:
            walk = _Walk(self._mounts.table())
            found["named"] = tuple(self._given(found, walk))
        return found

    def _given(self, found: Mapping[str, Any], walk: _Walk) -> Iterator[Named]:
        seen = {found["exe"]}
        for word, is_open in candidates(found, words=not self.all_told):
            looked = walk.find(word)
            if looked is None:
                continue
            path, state = looked
            is_told = not is_open and state.st_dev in self.told_devices
            if path not in seen and not is_told and not self._leave_out(path):
                yield Named(path, state.st_size, state.st_mtime_ns, is_open)
                seen.add(path)
                if len(seen) > NAMED_MAX:
                    return


def candidates(found: Mapping[str, Any], *, words: bool) -> Iterator[tuple[bytes, bool]]:
    """(absolute path, whether it is open for reading) of all that a description may name a file by.

    words: not its standard input alone.
    """
    for number, target, flags in found["fds"]:
        if number == 0 and target.startswith(b"/") and flags & os.O_ACCMODE != os.O_WRONLY:
            yield target, True
    if not words:
        return
    cwd: bytes = found["cwd"]
    for word in found["cmdline"].split(b"\0")[1:WORDS_MAX]:
        for name in file_names(word):
            if name.startswith(b"/"):
                yield name, False
            elif cwd.startswith(b"/"):
                yield _join(cwd, name), False


def file_names(word: bytes) -> Iterator[bytes]:
    """How a word of a command line may name a file: `FILE`, `@FILE`, `--flag=FILE`, `if=FILE`, `-f/FILE`."""
    if not word or len(word) > PATH_BYTES_MAX:
        return
    if not word.startswith((b"-", b"@")):
        yield word
    _, _, value = word.partition(b"=")
    if value:
        yield value
    elif word.startswith(b"@"):
        yield word[1:]
    elif word.startswith(b"-") and not word.startswith(b"--") and b"/" in word:
        yield word[word.index(b"/") :]


def _join(cwd: bytes, name: bytes) -> bytes:
    """What a name means in a directory that is named without links: `..` leads out of it unseen."""
    while name.startswith(b"../"):
        cwd, name = cwd.rpartition(b"/")[0], name[3:].lstrip(b"/")
    return cwd + b"/" + name


class _Walk:
    """Looks at paths for one description."""

    def __init__(self, table: MountTable) -> None:
        self._table = table
        self._directories: set[bytes] = {b""}  # known to be no links

    def find(self, path: bytes) -> tuple[bytes, os.stat_result] | None:
        """The regular file behind an absolute path: its real path and state."""
        try:
            return self._find(path)
        except (OSError, ValueError):  # not there, no access; a NUL
            return None

    def _find(self, path: bytes) -> tuple[bytes, os.stat_result] | None:
        at, links = b"", 0
        todo = path.split(b"/")[::-1]
        while todo:
            part = todo.pop()
            if part == b"..":
                at = at.rpartition(b"/")[0]
                continue
            if part in (b"", b"."):
                continue
            here = at + b"/" + part
            if here in self._table.untouchable:
                return None
            if here in self._directories:
                at = here
                continue
            state = os.lstat(here)
            if stat.S_ISLNK(state.st_mode):
                links += 1
                target = os.readlink(here)
                if links > LINKS_MAX:
                    return None
                todo += target.split(b"/")[::-1]
                at = b"" if target.startswith(b"/") else at
            elif stat.S_ISDIR(state.st_mode):
                self._directories.add(here)
                at = here
            else:
                return (here, state) if stat.S_ISREG(state.st_mode) and not any(todo) else None
        return None
