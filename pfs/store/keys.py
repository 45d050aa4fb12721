"""Every key of `refs.lmdb`, made here and nowhere else.  This page is the schema (the format of refs).

A key is one letter, then fixed-width big-endian numbers (u64), then at most one name or id at the end, so
that the order of the keys is the order of the numbers, and a prefix selects a table, a repo or a ref.  A
ref is a branch or a tag; both draw their numbers from one counter.  Repos and refs are keyed by number, not
by name: a rename changes one record, and a deleted one keeps its record for 30 days while its name is free
again. Values are msgpack of the structs in pfs.repo.records unless another owner is named.  Invariants, for
fsck:

r REPO            RepoRecord. At most one live repo has a name. `default_branch` is a live branch of it.
b REPO REF        BranchRecord. Ref numbers are never reused. At most one live branch or tag of a repo has
                  a name. `head` and `base` have a commit row. `base` is the newest frozen tree of the
                  branch.
t REPO REF        TagRecord. As for branches; `target` has a commit row.
l REF TIME SEQ    ReflogRecord. Within a ref TIME (ns) never falls and SEQ rises; SEQ 0 is its birth. The
                  newest record of a live branch that installs a tree names its `base`.
c REPO COMMIT     CommitRecord. One for each commit and surviving checkpoint of the repo, written in the
                  transaction that first names it. The parents have rows, the first one of depth - 1.
v NUMBER          ViewRecord. Numbers from 2 up, below 2^23, never reused.
w REPO COMMIT SPELLING  a number: the inverse of `v` for the views of commits.
n NAME            a number, the next that a counter gives out; it never falls. `file` is above every file id
                  in any commit.
s NAME            text: a setting of the store.
j REF             owned by pfs.overlay: where the replay of the branch's journal starts.
o OWNER 0 HASH    owned by the layer of that name: whatever else must change in the same transaction.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

MAX_KEY_BYTES: Final = 511  # LMDB's limit for a key with default page size
COMMIT_ID_BYTES: Final = 32
_U64: Final = struct.Struct(">Q")
_U64_MAX: Final = 2**64 - 1
_HASH_BYTES: Final = 16

REPOS: Final = b"r"
VIEWS: Final = b"v"
COUNTERS: Final = b"n"
SETTINGS: Final = b"s"


def repo(repo_id: int) -> bytes:
    """The record of one repo."""
    return REPOS + _U64.pack(repo_id)


def branches(repo_id: int) -> bytes:
    """Prefix of all branch records of one repo."""
    return b"b" + _U64.pack(repo_id)


def branch(repo_id: int, ref_id: int) -> bytes:
    """The record of one branch, live or deleted."""
    return branches(repo_id) + _U64.pack(ref_id)


def tags(repo_id: int) -> bytes:
    """Prefix of all tag records of one repo."""
    return b"t" + _U64.pack(repo_id)


def tag(repo_id: int, ref_id: int) -> bytes:
    """The record of one tag, live or deleted."""
    return tags(repo_id) + _U64.pack(ref_id)


def reflog_of(ref_id: int) -> bytes:
    """Prefix of the reflog of one branch or tag."""
    return b"l" + _U64.pack(ref_id)


def reflog(ref_id: int, time_ns: int, seq: int) -> bytes:
    """One reflog record.  The time comes first, so that a date is found by one seek."""
    return reflog_of(ref_id) + _U64.pack(time_ns) + _U64.pack(seq)


def reflog_until(ref_id: int, time_ns: int) -> bytes:
    """The greatest possible key of a reflog record at or before a time."""
    return reflog(ref_id, time_ns, _U64_MAX)


def commits(repo_id: int, id_prefix: bytes = b"") -> bytes:
    """Prefix of the commit rows of one repo whose ids begin with `id_prefix`."""
    return b"c" + _U64.pack(repo_id) + id_prefix


def commit(repo_id: int, commit_id: bytes) -> bytes:
    """The row of one commit or checkpoint."""
    if len(commit_id) != COMMIT_ID_BYTES:
        raise ValueError(f"a commit id has {COMMIT_ID_BYTES} bytes, not {len(commit_id)}")
    return commits(repo_id, commit_id)


def view(number: int) -> bytes:
    """What a view number stands for."""
    return VIEWS + _U64.pack(number)


def view_of(repo_id: int, commit_id: bytes, spelling: bytes) -> bytes:
    """The view number of a commit under one spelling; an empty spelling is the view of its files."""
    return _checked(b"w" + _U64.pack(repo_id) + commit_id + spelling)


def counter(name: str) -> bytes:
    """A counter of the store: `repo`, `ref`, `view` or `file`."""
    return _checked(COUNTERS + name.encode())


def setting(name: str) -> bytes:
    """A setting of the store, by its dotted name."""
    return _checked(SETTINGS + name.encode())


def journal(ref_id: int) -> bytes:
    """Where the journal of a branch begins that no batch covers yet."""
    return b"j" + _U64.pack(ref_id)


def other(owner: str, name: bytes) -> bytes:
    """A key of another layer, made from a name of any length (paths too), which is hashed."""
    return _checked(b"o" + owner.encode() + b"\0" + hashlib.blake2b(name, digest_size=_HASH_BYTES).digest())


def reflog_position(key: bytes) -> tuple[int, int, int]:
    """Take a reflog key apart: (ref id, time in ns, seq)."""
    ref_id, time_ns, seq = struct.unpack_from(">QQQ", key, 1)
    return ref_id, time_ns, seq


def commit_id_of(key: bytes) -> bytes:
    """The commit id at the end of a commit row's key."""
    return key[-COMMIT_ID_BYTES:]


def _checked(key: bytes) -> bytes:
    if len(key) > MAX_KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes; the limit is {MAX_KEY_BYTES}")
    return key
