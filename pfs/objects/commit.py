"""The commit: one instant of one repo, and who made it.

Format (COMMIT object): a msgpack array of the fields of `Commit` in their order, the format number
first. Its id covers the root entry, the links tree, the parents and the lineage, and through their
ids everything below. A checkpoint is a commit of kind CHECKPOINT with the head as its parent.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, TypeAlias

import msgspec

from pfs.objects.codec import Decoder, Id, IdOrNothing, encode
from pfs.objects.entry import Count, Entry, FileType
from pfs.objects.ids import CommitId, Kind, object_id

FORMAT = 1

Ids: TypeAlias = tuple[Annotated[bytes, Id], ...]


class CommitKind(IntEnum):
    """Why a commit was made."""

    COMMIT = 1
    CHECKPOINT = 2
    MERGE = 3
    REVERT = 4
    RESTORE = 5
    IMPORT = 6
    RUN = 7
    INITIAL = 8


class Author(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """Who made a commit, and on which machine."""

    uid: Count
    name: str
    host: str


class Commit(
    msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True, forbid_unknown_fields=True
):
    """A commit.

    root: entry of the root directory, named b"". links: root of the links tree, b"" if there are none.
    labels: sorted (key, value), each key once. lineage: ids of its segments.
    next_file_id: above every file id in its trees.
    """

    format: int = FORMAT
    kind: Annotated[int, msgspec.Meta(ge=1, le=8)]
    root: Entry
    links: Annotated[bytes, IdOrNothing]
    parents: Ids
    branch: str
    time_ns: int
    author: Author
    message: str
    labels: tuple[tuple[str, str], ...] = ()
    lineage: Ids = ()
    next_file_id: Count

    def __post_init__(self) -> None:
        keys = [key for key, _ in self.labels]
        if self.format != FORMAT:
            raise ValueError(f"commit format {self.format} is not known to this pfs")
        if keys != sorted(set(keys)):
            raise ValueError("labels must be sorted, each key once")
        if self.root.name or self.root.type != FileType.DIRECTORY:
            raise ValueError("the root of a commit is a directory without a name")


_DECODER = Decoder(Commit, Kind.COMMIT)


def encode_commit(commit: Commit) -> bytes:
    """The payload of a commit."""
    return encode(commit)


def decode_commit(payload: bytes) -> Commit:
    """The commit; CorruptObject if the payload is not one, or one of another format."""
    return _DECODER.decode(payload)


def commit_id(commit: Commit) -> CommitId:
    """The id of a commit."""
    return CommitId(object_id(Kind.COMMIT, encode_commit(commit)))
