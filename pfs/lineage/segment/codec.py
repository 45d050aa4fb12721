"""One lineage segment: facts to a payload and back (the format is in `stored`).

Promises: equal facts give equal payloads; a payload that does not make sense raises CorruptObject, whatever
it holds, and takes no more memory than the limits in `stored` allow.  What is read has been checked: every
reference leads somewhere, and no version depends on itself.
"""

from __future__ import annotations

from typing import NamedTuple

from pfs.lineage.group import Group, Slice
from pfs.lineage.segment import stored
from pfs.lineage.segment.activities import (
    read_activities,
    read_endings,
    read_keys,
    write_activities,
    write_argv,
)
from pfs.lineage.segment.changes import read_changes, write_changes
from pfs.lineage.segment.columns import read_ids, read_words, write_ids, write_words
from pfs.lineage.segment.inputs import InputsReader, write_inputs
from pfs.lineage.segment.names import Facts, Namer, Names
from pfs.lineage.segment.order import in_order
from pfs.lineage.segment.rows import read_rows, read_writers, write_rows
from pfs.lineage.segment.stored import Stored
from pfs.lineage.segment.versions import read_versions, write_versions
from pfs.objects.codec import corrupt, encode
from pfs.objects.ids import Kind


class Written(NamedTuple):
    """A payload, and how much it unfolds to (1: as much as is allowed)."""

    payload: bytes
    unfolds: float

    @property
    def fill(self) -> float:
        """How full the segment is; above 1 it is to be cut."""
        return max(self.unfolds, len(self.payload) / stored.SEGMENT_BYTES)


def write(facts: Facts, store: bytes) -> Written:
    """One segment with all these facts.  ValueError where a value is none that the format has room for."""
    names = Namer(facts)
    argv = write_argv(facts.slices, names)
    inputs = write_inputs(facts.slices, names)
    rows = write_rows(facts.versions, names)
    environments, boots, specs, slices = write_activities(facts.slices, argv, names)
    changes = write_changes(facts.changes, names)
    used = [facts.used[version] for version in names.used]
    versions = write_versions(used, facts.versions, names)
    for segment_id in facts.after:
        names.segment(segment_id)
    segment = Stored(
        stored.FORMAT,
        store,
        tuple(names.elsewhere),
        write_words(names.words),
        environments,
        boots,
        specs,
        slices,
        inputs,
        versions,
        rows,
        changes,
        write_ids(names.bare),
        write_ids(names.strangers),
    )
    try:
        payload = encode(segment)
    except OverflowError as error:
        raise ValueError("a number is out of range") from error
    unfolds = max(
        _facts(segment) / stored.FACTS_MAX,
        _items(segment) / stored.ITEMS_MAX,
        sum(map(len, names.words)) / stored.WORDS_BYTES_MAX,
    )
    return Written(payload, unfolds)


def _facts(segment: Stored) -> int:
    slices, versions, changes = segment.slices.spec, segment.versions.shape, segment.changes.kind
    return len(slices) + len(versions) + len(changes) + sum(segment.inputs.lengths)


def _items(segment: Stored) -> int:
    slices = segment.slices
    columns = (slices.argv_lengths, slices.pipes.lengths, slices.files.lengths, segment.environments.lengths)
    return sum(map(sum, columns)) + len(segment.rows.writer) + len(segment.rows.focus)


def decode(payload: bytes) -> Group:
    """The facts of a segment; its rows are `versions`, from 0.  CorruptObject if it is none."""
    if len(payload) > stored.PAYLOAD_BYTES_MAX:
        raise corrupt(Kind.LINEAGE, payload, f"a lineage segment of {len(payload)} bytes")
    head = _head(payload)
    if head.format != stored.FORMAT:
        raise corrupt(Kind.LINEAGE, payload, f"lineage segment format {head.format} is not known to this pfs")
    segment = stored.STORED.decode(payload)
    try:
        group = _read(segment)
        in_order(group)
    except (ValueError, IndexError, OverflowError) as error:
        raise corrupt(Kind.LINEAGE, payload, str(error)) from error
    return group


def decode_canonical(payload: bytes) -> Group:
    """As `decode`, and CorruptObject too if these are not the bytes that we would have written."""
    group = decode(payload)
    try:
        is_ours = write(facts_of(group), _head(payload).store).payload == payload
    except (ValueError, OverflowError):  # facts that nobody can write
        is_ours = False
    if not is_ours:
        raise corrupt(Kind.LINEAGE, payload, "not canonical")
    return group


def facts_of(group: Group) -> Facts:
    """All of a group, for one segment."""
    used = {version.id: (version, origin) for version, origin in group.used}
    return Facts(group.slices, group.versions, used, group.changes, group.after)


def segments_below(payload: bytes) -> tuple[bytes, ...]:
    """The ids of the segments that this one builds on.  Cheap: reads the begin only."""
    return _head(payload).elsewhere


def store_of(payload: bytes) -> bytes:
    """The uuid of the store whose repos and file ids a segment names."""
    return _head(payload).store


def _head(payload: bytes) -> stored.Head:
    return stored.HEAD.decode(payload)


def _read(segment: Stored) -> Group:
    if _facts(segment) > stored.FACTS_MAX or _items(segment) > stored.ITEMS_MAX:
        raise ValueError("more than a segment may hold")
    slices = segment.slices
    names = Names(
        read_words(segment.words, stored.WORDS_BYTES_MAX),
        segment.elsewhere,
        read_ids(segment.bare),
        read_ids(segment.strangers),
    )
    keys = read_keys(slices, segment.specs, segment.boots)
    names.activities = keys.ids
    names.ends = [first + count for first, count in zip(slices.first, segment.inputs.lengths, strict=True)]
    used, rows = read_versions(segment.versions, read_writers(segment.rows, names), names)
    rows = read_rows(segment.rows, rows, names)
    activities = read_activities(slices, segment.specs, segment.environments, keys, names)
    reader = InputsReader(segment.inputs, names)
    inputs = [reader.read(own, activity.started_ns) for own, activity in enumerate(activities)]
    reader.finish()
    before = [names.segment(number) for number in slices.before]
    parts = zip(activities, slices.first, inputs, read_endings(slices, keys.started_ns), before, strict=True)
    found = [Slice(*part) for part in parts]
    return Group(found, rows, used, read_changes(segment.changes, names), names.unnamed())
