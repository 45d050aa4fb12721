"""What happened to one branch or tag, in order of time; dates are found in it by one seek.

Times never fall within one reflog: a record made while the clock was set back gets the time of the one
before it.  Nothing is written here; `next_record` makes what a transaction of the caller will write.
"""

from __future__ import annotations

from collections.abc import Iterator

from pfs.repo.backing import Refs
from pfs.repo.records import ReflogKind, ReflogRecord, decode, encode
from pfs.store import keys


def newest(refs: Refs, ref_id: int) -> ReflogRecord | None:
    """The last record of a reflog, None for a ref that was never made."""
    return _at_or_before(refs, keys.reflog_of(ref_id), None)


def newest_first(refs: Refs, ref_id: int, until_ns: int | None = None) -> Iterator[ReflogRecord]:
    """The records at or before a time (all, without one), newest first, each read when it is asked for."""
    prefix = keys.reflog_of(ref_id)
    bound = None if until_ns is None else keys.reflog_until(ref_id, until_ns)
    while (record := _at_or_before(refs, prefix, bound)) is not None:
        yield record
        if record.seq == 0:
            return
        bound = keys.reflog(ref_id, record.time_ns, record.seq - 1)


def shown_at(refs: Refs, ref_id: int, time_ns: int) -> bytes | None:
    """The newest commit or surviving checkpoint that the ref showed at a time; None before its birth."""
    if time_ns < 0:
        return None
    for record in newest_first(refs, ref_id, time_ns):
        if record.kind.installs_tree:
            return record.new
    return None


def installed_after(refs: Refs, ref_id: int, time_ns: int) -> bytes | None:
    """The first commit or surviving checkpoint that the ref came to show at or after a time."""
    prefix, bound = keys.reflog_of(ref_id), keys.reflog(ref_id, max(0, time_ns), 0)
    while (found := refs.first(prefix, bound)) is not None:
        record = decode(ReflogRecord, found[1])
        if record.kind.installs_tree:
            return record.new
        bound = found[0] + b"\0"
    return None


def next_record(
    refs: Refs,
    ref_id: int,
    *,
    time_ns: int,
    old: bytes,
    new: bytes,
    kind: ReflogKind,
    who: str,
    message: str = "",
) -> ReflogRecord:
    """The record that comes after the newest one.  The caller holds the lock of the names."""
    before = newest(refs, ref_id)
    seq = 0 if before is None else before.seq + 1
    not_before_ns = 0 if before is None else before.time_ns
    return ReflogRecord(seq, ref_id, max(time_ns, not_before_ns), old, new, kind, who, message)


def as_change(record: ReflogRecord) -> tuple[bytes, bytes]:
    """The key and value that store a record."""
    return keys.reflog(record.ref_id, record.time_ns, record.seq), encode(record)


def _at_or_before(refs: Refs, prefix: bytes, bound: bytes | None) -> ReflogRecord | None:
    found = refs.last(prefix, bound)
    return None if found is None else decode(ReflogRecord, found[1])
