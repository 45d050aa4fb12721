"""The content id that a file beyond the mount would have in a store: so a copy is known to be one."""

from __future__ import annotations

import os
from typing import Final

from pfs import chunker
from pfs.lineage.outside.done import Fact
from pfs.objects.file import ChunkRow, FileContent, FileWriter
from pfs.objects.ids import Kind
from pfs.objects.ports import HashOnly

BLOCK_BYTES: Final = 4 * 1024 * 1024  # read and cut at once


def content_of(fact: Fact) -> FileContent | None:
    """In a thread.  None where the file is not there any more, or not what was read then."""
    try:
        fd = os.open(fact.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    try:
        if not _is_it(fd, fact):
            return None
        found = _content(fd)
        return found if _is_it(fd, fact) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _is_it(fd: int, fact: Fact) -> bool:
    state = os.fstat(fd)
    return (state.st_dev, state.st_ino) == fact.key and (state.st_size, state.st_mtime_ns) == fact[1:3]


def _content(fd: int) -> FileContent:
    nowhere = HashOnly()
    writer = FileWriter(nowhere)
    rest = b""
    while True:
        block = os.read(fd, BLOCK_BYTES)
        data = rest + block
        start = 0
        for end in chunker.cut(data, final=not block):
            writer.append(ChunkRow(nowhere.put(Kind.CHUNK, data[start:end]), end - start, 1))
            start = end
        rest = data[start:]
        if not block:
            return writer.finish()
