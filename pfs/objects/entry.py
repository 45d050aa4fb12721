"""Rows of the two trees of a commit: entries of directories, and links.

A directory's tree holds one `Entry` per name. An inode with more than one name stands in the links
tree as a `LinkRow`; at each of its names the directory holds an entry of type LINK that repeats only
name, file id and content, so that a diff of directories sees a change at every name.
Format: msgpack arrays in the order of the fields; names and ids as bin, times in ns since 1970 (UTC).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, ClassVar, TypeAlias

import msgspec

from pfs.objects.codec import Id, IdOrNothing, NotNegative

Pairs: TypeAlias = tuple[tuple[bytes, bytes], ...]
Content: TypeAlias = Annotated[bytes, IdOrNothing]
Count: TypeAlias = Annotated[int, NotNegative]
Origin: TypeAlias = tuple[Annotated[bytes, Id], Count]


class FileType(IntEnum):
    """What stands behind a name."""

    REGULAR = 1
    DIRECTORY = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5
    LINK = 6


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """One name of a directory and what it stands for.

    REGULAR: size in bytes; content = id of the only chunk (detail 0) or of the file node of height `detail`.
    DIRECTORY: size = number of entries, detail = number of subdirectories, content = root tree node.
    SYMLINK: size = length of the target, which stands in `target` or, when long, in the chunk `content`.
    LINK: only name, file_id, type and content mean something; the rest is zero or empty.
    mode: permission bits (07777) only. xattrs: sorted pairs or the id of an ATTRIBUTES object.
    origin: (id of a lineage segment, row in it) that says what made this version.
    """

    KEY_FIELD: ClassVar[str] = "name"

    name: bytes
    file_id: Count
    type: Annotated[int, msgspec.Meta(ge=1, le=6)]
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o7777)] = 0
    uid: Count = 0
    gid: Count = 0
    size: Count = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    content: Content = b""
    detail: Count = 0
    target: bytes = b""
    xattrs: Pairs | Annotated[bytes, Id] = ()
    origin: Origin | None = None

    @staticmethod
    def count_directories(rows: Sequence[Entry]) -> int:
        """How many of these rows are directories."""
        return [row.type for row in rows].count(2)

    def same_version(self, other: Entry) -> bool:
        """Equal in everything but ctime: a difference in ctime alone is no change."""
        return self == other or (
            self.ctime_ns != other.ctime_ns
            and msgspec.structs.replace(self, ctime_ns=other.ctime_ns) == other
        )


class LinkRow(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """An inode with more than one name.

    key: its file id, 8 bytes big endian (so that keys sort by id). entry: its attributes, with the name b"".
    names: sorted (file id of the parent directory, name).
    """

    KEY_FIELD: ClassVar[str] = "key"

    key: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    entry: Entry
    names: tuple[tuple[Count, bytes], ...]

    @staticmethod
    def count_directories(_rows: Sequence[LinkRow]) -> int:
        """A directory has one name: none."""
        return 0

    def same_version(self, other: LinkRow) -> bool:
        """Equal in everything but ctime."""
        return self.names == other.names and self.key == other.key and self.entry.same_version(other.entry)


def link_key(file_id: int) -> bytes:
    """The key of an inode in the links tree."""
    return file_id.to_bytes(8, "big")
