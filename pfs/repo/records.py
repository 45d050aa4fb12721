"""The values of `refs.lmdb`: what is remembered of a repo, branch, tag, reflog entry, commit and view.

All are frozen structs, stored as msgpack arrays; fields are only ever added at the end, with a default.
The keys and the invariants between records are in pfs.store.keys.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal, TypeVar

import msgspec

from pfs.errors import StoreError

MadeBy = Literal["person", "job"]
DEFAULT_BRANCH_NAME: Final = "main"
RETENTION_NS: Final = 30 * 24 * 3600 * 10**9  # how long a deleted name can be had back


class ReflogKind(StrEnum):
    """What happened to a branch or tag.  Kinds up to `MOVE` install a tree, the others only names."""

    INITIAL = "initial"
    COMMIT = "commit"
    CHECKPOINT = "checkpoint"
    MERGE = "merge"
    REVERT = "revert"
    RESTORE = "restore"
    IMPORT = "import"
    RUN = "run"
    CREATE = "create"
    MOVE = "move"
    RENAME = "rename"
    DELETE = "delete"
    UNDELETE = "undelete"

    @property
    def installs_tree(self) -> bool:
        """Whether a reader of the branch sees another commit from this record on."""
        return self not in _NAMES_ONLY


_NAMES_ONLY: Final = frozenset({ReflogKind.RENAME, ReflogKind.DELETE, ReflogKind.UNDELETE})


class RepoRecord(msgspec.Struct, frozen=True, array_like=True):
    """A named history.  `default_branch` is the ref id of a branch."""

    repo_id: int
    name: str
    created_ns: int
    default_branch: int
    deleted_ns: int | None = None


class BranchRecord(msgspec.Struct, frozen=True, array_like=True):
    """A movable name.  `head` is the newest commit; `base` the newest frozen tree, commit or checkpoint.

    `view` is the view number of its working tree, which it keeps for life.  `journal_generation` is the
    generation that the base was frozen from: what the journal holds of it and before is in the base.
    """

    branch_id: int
    repo_id: int
    name: str
    head: bytes
    base: bytes
    born_ns: int
    deleted_ns: int | None = None
    made_by: MadeBy = "person"
    protected: bool = False
    view: int = 0
    journal_generation: int = 0

    @property
    def ref_id(self) -> int:
        """The number of the branch among branches and tags."""
        return self.branch_id


class TagRecord(msgspec.Struct, frozen=True, array_like=True):
    """A name that never moves."""

    tag_id: int
    repo_id: int
    name: str
    target: bytes
    created_ns: int
    message: str
    author: str
    deleted_ns: int | None = None

    @property
    def ref_id(self) -> int:
        """The number of the tag among branches and tags."""
        return self.tag_id


class ReflogRecord(msgspec.Struct, frozen=True, array_like=True):
    """One thing that happened to a branch or tag.

    `time_ns` is never before the record before it, even where the clock went back; `old` is what the ref
    showed before (empty at birth), `new` what it showed after.
    """

    seq: int
    ref_id: int
    time_ns: int
    old: bytes
    new: bytes
    kind: ReflogKind
    who: str
    message: str


class CommitRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a commit without reading it: enough to walk the ancestry.

    `kind` is a pfs.objects.commit.CommitKind.  `depth` counts the first parents down to the root, so that
    `~N` past the root needs no walk.
    """

    time_ns: int
    kind: int
    branch_id: int
    parents: tuple[bytes, ...]
    depth: int


class ViewRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a view number stands for: a branch's working tree (`branch_id`), or a commit under a spelling.

    An empty spelling is the view of the files of the commit, another one that of its directories.
    """

    number: int
    repo_id: int
    branch_id: int = 0
    commit: bytes = b""
    spelling: bytes = b""


Record = RepoRecord | BranchRecord | TagRecord | ReflogRecord | CommitRecord | ViewRecord
AnyRecord = TypeVar(
    "AnyRecord", RepoRecord, BranchRecord, TagRecord, ReflogRecord, CommitRecord, ViewRecord, int
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoders: Final[dict[type, msgspec.msgpack.Decoder[Any]]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (RepoRecord, BranchRecord, TagRecord, ReflogRecord, CommitRecord, ViewRecord, int)
}


def encode(record: Record | int) -> bytes:
    """The stored bytes of a record or of a number."""
    return _encoder.encode(record)


def decode(kind: type[AnyRecord], value: bytes) -> AnyRecord:
    """A stored value as a record of `kind`.  StoreError if it is none."""
    try:
        record: AnyRecord = _decoders[kind].decode(value)
    except msgspec.MsgspecError as error:
        raise StoreError(f"refs: a {kind.__name__} is malformed: {error}", hint="run 'pfs fsck'") from error
    return record
