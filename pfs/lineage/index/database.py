"""`lineage.lmdb`: where every fact of every lineage segment is found.  Rebuildable from them at any time.

Promises: a segment is indexed wholly or not at all, and only once; answers are those of `facts.Source`.  A
crash between a commit and its indexing is mended by adding the segments that are missing.  Leaves to others:
reading segments, what is live (pfs.lineage.index.both), closures (pfs.lineage.index.closure).

Format: keys begin with a tag; numbers in keys are big-endian.  In values they are big-endian under `a` and
`v`, little-endian under `T` and `S`, else u32 of the machine's byte order.  Records are msgpack of what
pfs.lineage.facts has.

    format                     "1 little" or "1 big": the machine's byte order
    counters                   record: next number, ends of the arenas, next change
    a, v  id u64               number u32 of an activity, of a version
    n, f, i  block u32         a block: nodes, forward arena, inverse arena (pfs.lineage.index.graph)
    A  number                  hash of the environment, Activity without it
    X  hash (16)               environment
    E  number                  Ending
    V  number                  rank u8 (0 spoken of, 1 raw, 2 a row of a segment), Version
    C  change u32              Change
    Pv Pc  repo u64, path, NUL, part u32     postings of versions, of changes; of a path of more than 480
                                             bytes: its first 464 and a hash of 16
    H  first 16 of a content id, part u32    postings of versions
    Ww Wx Wn  hash (12), part u32            postings of activities: word of argv, executable, its name
    T  started_ns u64, number  id u64 of an activity
    R  segment (32), part u32  numbers of the versions in its rows, 480 a part
    S  segment (32)            rows u32: the segment is indexed

Postings are numbers, u32 each, at most 480 in a value, in the order in which they came.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from pfs.disk import Disk
from pfs.errors import StoreError
from pfs.lineage.facts import Activity, Change, Ending, Input, Version
from pfs.lineage.group import Group
from pfs.lineage.index import changes as index_changes
from pfs.lineage.index.facts import (
    COUNTERS_KEY,
    ROWS_PART,
    FactsWriter,
    content_prefix,
    encode,
    number_key,
    path_prefix,
    read_activity,
    read_postings,
    rows_key,
    segment_key,
    version_record,
    word_prefix,
)
from pfs.lineage.index.graph import INVERSE, POSITION_MAX, Graph, explained, id_key
from pfs.lineage.index.writer import Counters, GraphWriter
from pfs.store.environment import DamagedEnvironment, Environment, Transaction, build, find_damage

_FORMAT_KEY: Final = b"format"
_FORMAT: Final = f"1 {sys.byteorder}".encode()

# Facts written in one transaction: short enough for the writer thread, long enough to be cheap.
BATCH_FACTS: Final = 100_000
# Records read in one transaction by what walks over many.
_READ_ENTRIES: Final = 1000

_ending_record = msgspec.msgpack.Decoder(Ending)


class Index:
    """A `facts.Source` of what is stored.  Asked in any thread; `add`, `remove` on the writer thread."""

    def __init__(self, environment: Environment) -> None:
        """Made by `open_index`.  DamagedEnvironment if this is no lineage index of ours."""
        self._environment = environment
        (found,) = environment.get_many((_FORMAT_KEY,))
        if found != _FORMAT:
            raise DamagedEnvironment(f"{environment.path}: no lineage index of format {_FORMAT.decode()}")

    def close(self) -> None:
        """No question may be under way."""
        self._environment.close()

    # Adding

    def indexed(self, segment: bytes) -> bool:
        """Whether a segment is here."""
        return self._environment.get_many((segment_key(segment),))[0] is not None

    def missing(self, segments: Iterable[bytes]) -> list[bytes]:
        """Those of some segments that are not here."""
        ids = list(segments)
        found = self._environment.get_many(segment_key(segment) for segment in ids)
        return [segment for segment, value in zip(ids, found, strict=True) if value is None]

    def add(self, segment: bytes, group: Group) -> None:
        """The facts of a segment, unless it is here, in one transaction: the commit point."""
        self.add_many([(segment, group)])

    def add_many(self, groups: Iterable[tuple[bytes, Group]]) -> None:
        """Several segments, as many in one transaction as `BATCH_FACTS` says."""
        batch: list[tuple[bytes, Group]] = []
        facts = 0
        for segment, group in groups:
            batch.append((segment, group))
            facts += _facts_in(group)
            if facts >= BATCH_FACTS:
                self._write(batch)
                batch, facts = [], 0
        if batch:
            self._write(batch)

    def _write(self, batch: Sequence[tuple[bytes, Group]]) -> None:
        def change(transaction: Transaction) -> None:
            with explained(self._environment):
                writer = FactsWriter(transaction)
                for segment, group in batch:
                    writer.add(segment, group)
                writer.flush()

        self._environment.write(change)

    def remove(self, segment: bytes) -> None:
        """Forget a segment and its rows.  The facts it held stay until the next rebuild."""

        def change(transaction: Transaction) -> None:
            rows = int.from_bytes(transaction.get(segment_key(segment)) or b"", "little")
            for part in range((rows + ROWS_PART - 1) // ROWS_PART):
                transaction.delete(rows_key(segment, part))
            transaction.delete(segment_key(segment))

        self._environment.write(change)

    # Source

    def activity(self, activity: int) -> Activity | None:
        """The description of an activity."""
        with self._environment.read() as transaction, explained(self._environment):
            number = transaction.get(id_key(b"a", activity))
            return None if number is None else read_activity(transaction, number)

    def ending(self, activity: int) -> Ending | None:
        """How it ended."""
        with self._reading() as (transaction, graph):
            record = transaction.get(number_key(b"E", graph.find(b"a", activity)))
            return None if record is None else _ending_record.decode(record)

    def inputs(self, activity: int) -> Sequence[Input]:
        """All inputs of an activity; GAP (pfs.lineage.index.graph) where one is in no segment."""
        with self._reading() as (_, graph):
            number = graph.find(b"a", activity)
            return graph.inputs(graph.node(number)[2]) if number else ()

    def outputs(self, activity: int) -> Sequence[int]:
        """The versions that an activity wrote, in order."""
        with self._reading() as (_, graph):
            number = graph.find(b"a", activity)
            return graph.ids(graph.entries(INVERSE, graph.node(number)[4], 2)[::2]) if number else ()

    def version(self, version: int) -> Version | None:
        """A version."""
        (number,) = self._environment.get_many((id_key(b"v", version),))
        if number is None:
            return None
        (record,) = self._environment.get_many((b"V" + number,))
        with explained(self._environment):
            return None if record is None else version_record.decode(memoryview(record)[1:])

    def consumers(self, version: int) -> Sequence[tuple[int, int]]:
        """(activity, position) of everyone who used a version."""
        with self._reading() as (_, graph):
            number = graph.find(b"v", version)
            if not number:
                return ()
            words = graph.entries(INVERSE, graph.node(number)[5], 2)
            return list(zip(graph.ids(words[::2]), map(_position, words[1::2]), strict=True))

    def informed(self, activity: int) -> Sequence[tuple[int, int, int]]:
        """(activity, position, watermark of ours) of everyone whom an activity informed."""
        with self._reading() as (_, graph):
            number = graph.find(b"a", activity)
            if not number:
                return ()
            words = graph.entries(INVERSE, graph.node(number)[5], 3)
            return list(zip(graph.ids(words[::3]), map(_position, words[1::3]), words[2::3], strict=True))

    def revisions(self, version: int) -> Sequence[int]:
        """The versions whose `previous` this one is."""
        with self._reading() as (_, graph):
            number = graph.find(b"v", version)
            return graph.ids(graph.entries(INVERSE, graph.node(number)[6], 1)) if number else ()

    def versions_at(self, repo: int, path: bytes) -> Sequence[int]:
        """Every version that was at a path, the oldest first."""
        found = self._posted_versions(path_prefix(b"v", repo, path))
        mine = [version for version in found if version.repo == repo and version.path == path]
        return [version.id for version in sorted(mine, key=lambda version: version.time_ns)]

    def versions_with(self, content: bytes) -> Sequence[int]:
        """Every version with this content id; none for b"" (empty files, and those not known)."""
        if not content:
            return ()
        found = self._posted_versions(content_prefix(content))
        return [version.id for version in found if version.content == content]

    def changes_at(self, repo: int, path: bytes) -> Sequence[Change]:
        """What happened to a name, the oldest first."""
        return list(index_changes.at(self._environment, repo, path))

    def changes_below(self, repo: int, path: bytes) -> Iterator[Change]:
        """The same for a directory and all below it.  Sorting takes about 100 bytes for each."""
        return index_changes.below(self._environment, repo, path)

    def origin(self, segment: bytes, row: int) -> int:
        """The version that a row of a segment is; NOTHING where unknown."""
        part, at = divmod(row, ROWS_PART)
        with self._reading() as (transaction, graph):
            numbers = array("I", transaction.get(rows_key(segment, part)) or b"")
            return graph.ids((numbers[at],))[0] if at < len(numbers) else 0

    def activities(self, since_ns: int = 0) -> Iterator[int]:
        """All activities that began at or after a time, the newest first."""
        oldest = b"T" + since_ns.to_bytes(8, "big")
        key = b"U"
        while True:
            batch: list[int] = []
            with self._reading() as (transaction, _), transaction.cursor() as cursor:
                alive = cursor.prev() if cursor.set_range(key) else cursor.last()
                while alive and cursor.key() >= oldest and len(batch) < _READ_ENTRIES:
                    key = cursor.key()
                    batch.append(int.from_bytes(cursor.value(), "little"))
                    alive = cursor.prev()
            yield from batch
            if len(batch) < _READ_ENTRIES:
                return

    # Searching

    def activities_with(self, word: bytes) -> Sequence[int]:
        """Activities with a word in their command line, among its first 1,000; the newest first."""
        return self._search(word_prefix(b"w", word), lambda activity: word in activity.argv)

    def activities_of(self, program: bytes) -> Sequence[int]:
        """Activities whose executable has this path, or this name where it has no `/`; the newest first."""
        if b"/" in program:
            return self._search(word_prefix(b"x", program), lambda activity: activity.exe == program)
        found = word_prefix(b"n", program)
        return self._search(found, lambda activity: activity.exe.rpartition(b"/")[2] == program)

    def _search(self, prefix: bytes, is_wanted: Callable[[Activity], bool]) -> list[int]:
        with self._reading() as (transaction, _):
            numbers = dict.fromkeys(read_postings(transaction, prefix))
            found = [read_activity(transaction, number.to_bytes(4, "big")) for number in numbers]
        mine = [activity for activity in found if activity is not None and is_wanted(activity)]
        return [activity.id for activity in sorted(mine, key=lambda activity: -activity.started_ns)]

    # Reading

    @contextmanager
    def graph(self, more: Callable[[GraphWriter], None] | None = None) -> Iterator[Graph]:
        """The graph at this instant, for a second at most; `more` puts facts on top that are not stored."""
        with self._environment.read() as transaction, explained(self._environment):
            if more is None:
                yield Graph(transaction.get)
                return
            counters = msgspec.msgpack.decode(transaction.get(COUNTERS_KEY) or b"", type=Counters)
            writer = GraphWriter(transaction.get, counters)
            more(writer)
            writer.settle()
            yield writer

    @contextmanager
    def _reading(self) -> Iterator[tuple[Transaction, Graph]]:
        with self._environment.read() as transaction, explained(self._environment):
            yield transaction, Graph(transaction.get)

    def _posted_versions(self, prefix: bytes) -> list[Version]:
        with self._reading() as (transaction, _):
            numbers = dict.fromkeys(read_postings(transaction, prefix))
            found = [_read_version(transaction, number) for number in numbers]
        return [version for version in found if version is not None]


def open_index(
    disk: Disk, path: Path, *, thorough: bool = False, read_only: bool = False
) -> tuple[Index, str]:
    """An index and what was wrong with it: "" if nothing, else it is new and all segments are missing.

    `thorough`: check the structure at any size, after a power cut.  StoreError, NoSpace.
    """
    damage = find_damage(disk, path, thorough=thorough)
    if damage is None:
        environment = None
        try:
            environment = Environment(disk, path, read_only=read_only)
            return Index(environment), ""
        except DamagedEnvironment as error:
            damage = str(error)
            if environment is not None:
                environment.close()
    if read_only:
        raise StoreError(f"{path}: {damage}", hint="open the store for writing once: it is rebuilt")
    build(disk, path, _start)
    return Index(Environment(disk, path)), damage


def rebuild(disk: Disk, path: Path, groups: Iterable[tuple[bytes, Group]]) -> None:
    """Make the index anew from all (segment, group), while it is closed.  Commit point: a rename."""

    def fill(environment: Environment) -> None:
        _start(environment)
        Index(environment).add_many(groups)

    build(disk, path, fill)


def _start(environment: Environment) -> None:
    def change(transaction: Transaction) -> None:
        transaction.put(COUNTERS_KEY, encode(Counters()))
        transaction.put(_FORMAT_KEY, _FORMAT)

    environment.write(change)


def _read_version(transaction: Transaction, number: int) -> Version | None:
    record = transaction.get(number_key(b"V", number))
    return None if record is None else version_record.decode(memoryview(record)[1:])


def _position(word: int) -> int:
    return word & POSITION_MAX


def _facts_in(group: Group) -> int:
    inputs = sum(len(piece.inputs) for piece in group.slices)
    return inputs + len(group.slices) + len(group.versions) + len(group.used) + len(group.changes)
