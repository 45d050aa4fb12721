"""Adds groups of facts to the lineage index, within one write transaction (keys: pfs.lineage.index.database).

What is there already is left or made better, never doubled: a version that was only spoken of gets its record
from the segment that holds it, whichever comes first.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from hashlib import blake2b
from typing import Final

import msgspec

from pfs.lineage.facts import Activity, Change, Version
from pfs.lineage.group import Group, Slice
from pfs.lineage.index.writer import Counters, GraphWriter
from pfs.store.environment import Transaction

# Ranks of a version's record: spoken of, with its way of being made elsewhere; raw; a row of a segment.
_SPOKEN_OF: Final = 0
_RAW: Final = 1
_ROW: Final = 2

# Numbers in one value: under LMDB's 2 KiB for a value that shares its page.
POSTINGS_MAX: Final = 480
ROWS_PART: Final = 480
# Words of one command line that are found by search; `ar` and `ld` get thousands of object files.
WORDS_MAX: Final = 1000

_PATH_BYTES_MAX: Final = 480
_PATH_HASH_BYTES: Final = 16
_PART_MAX: Final = (1 << 32) - 1
PATH_STEM_BYTES: Final = _PATH_BYTES_MAX - _PATH_HASH_BYTES
_WORD_HASH_BYTES: Final = 12

COUNTERS_KEY: Final = b"counters"

encode = msgspec.msgpack.encode
_activity_record = msgspec.msgpack.Decoder(tuple[bytes, Activity])
_environment_record = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])
_counters_record = msgspec.msgpack.Decoder(Counters)
version_record = msgspec.msgpack.Decoder(Version)


def number_key(tag: bytes, number: int) -> bytes:
    """The key of a record of a node or change."""
    return tag + number.to_bytes(4, "big")


def path_prefix(kind: bytes, repo: int, path: bytes) -> bytes:
    """Prefix of the postings of one path: `v` versions, `c` changes."""
    if len(path) > _PATH_BYTES_MAX:
        path = path[:PATH_STEM_BYTES] + blake2b(path, digest_size=_PATH_HASH_BYTES).digest()
    return b"P" + kind + repo.to_bytes(8, "big") + path + b"\0"


def content_prefix(content: bytes) -> bytes:
    """Prefix of the postings of the versions with a content id."""
    return b"H" + content[:16]


def word_prefix(kind: bytes, word: bytes) -> bytes:
    """Prefix of the postings of activities: `w` a word of argv, `x` the executable's path, `n` its name."""
    return b"W" + kind + blake2b(word, digest_size=_WORD_HASH_BYTES).digest()


def rows_key(segment: bytes, part: int) -> bytes:
    """The key of some rows of a segment."""
    return b"R" + segment + part.to_bytes(4, "big")


def segment_key(segment: bytes) -> bytes:
    """The key that says that a segment is indexed."""
    return b"S" + segment


def read_activity(transaction: Transaction, number: bytes) -> Activity | None:
    """The description of an activity; `number` as in a key."""
    record = transaction.get(b"A" + number)
    if record is None:
        return None
    digest, activity = _activity_record.decode(record)
    if not digest:
        return activity
    environment = _environment_record.decode(transaction.get(b"X" + digest) or b"")
    return msgspec.structs.replace(activity, environment=environment)


def read_postings(transaction: Transaction, prefix: bytes) -> list[int]:
    """All numbers posted under a prefix, in the order in which they came."""
    found = array("I")
    with transaction.cursor() as cursor:
        alive = cursor.set_range(prefix)
        while alive and cursor.key().startswith(prefix):
            if len(cursor.key()) == len(prefix) + 4:
                found.frombytes(cursor.value())
            alive = cursor.next()
    return list(found)


class FactsWriter:
    """Collects what groups add; `flush` puts it into the transaction.  On the writer thread."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._puts: dict[bytes, bytes] = {}
        self._postings: dict[bytes, list[int]] = defaultdict(list)
        counters = transaction.get(COUNTERS_KEY)
        self._counters = Counters() if counters is None else _counters_record.decode(counters)
        self._graph = GraphWriter(transaction.get, self._counters)

    def _get(self, key: bytes) -> bytes | None:
        value = self._puts.get(key)
        return self._transaction.get(key) if value is None else value

    def is_indexed(self, segment: bytes) -> bool:
        """Whether a segment is there, or was added before `flush`."""
        return self._get(segment_key(segment)) is not None

    def add(self, segment: bytes, group: Group) -> None:
        """All facts of a segment, unless it is indexed."""
        if self.is_indexed(segment):
            return
        self._graph.versions(
            [version.id for version, _ in group.used] + [version.id for version in group.versions]
        )
        for version, origin in group.used:
            self._add_version(version, _RAW if origin is None else _SPOKEN_OF)
        rows = [self._add_version(version, _ROW) for version in group.versions]
        for piece in group.slices:
            self._add_slice(piece)
        for change in group.changes:
            self._add_change(change)
        for first in range(0, len(rows), ROWS_PART):
            part = array("I", rows[first : first + ROWS_PART])
            self._puts[rows_key(segment, first // ROWS_PART)] = part.tobytes()
        self._puts[segment_key(segment)] = len(rows).to_bytes(4, "little")

    def _add_version(self, version: Version, rank: int) -> int:
        number = self._graph.add_version(version)
        key = number_key(b"V", number)
        known = None
        if (record := self._get(key)) is not None:
            if record[0] >= rank:
                return number
            known = version_record.decode(memoryview(record)[1:])
        self._puts[key] = bytes([rank]) + encode(version)
        if known is None or (known.repo, known.path) != (version.repo, version.path):
            self._postings[path_prefix(b"v", version.repo, version.path)].append(number)
        if version.content and (known is None or known.content != version.content):
            self._postings[content_prefix(version.content)].append(number)
        return number

    def _add_slice(self, piece: Slice) -> None:
        activity = piece.activity
        number = self._graph.add_activity(activity.id, interactive=activity.interactive)
        self._describe(number, activity)
        if piece.ending is not None:
            self._puts[number_key(b"E", number)] = encode(piece.ending)
        self._graph.add_inputs(activity.id, piece.first, piece.inputs)

    def _describe(self, number: int, activity: Activity) -> None:
        key = number_key(b"A", number)
        digest = b""
        if activity.environment:
            environment = encode(activity.environment)
            digest = blake2b(environment, digest_size=16).digest()
            if self._get(b"X" + digest) is None:
                self._puts[b"X" + digest] = environment
        record = encode((digest, msgspec.structs.replace(activity, environment=())))
        known = self._get(key)
        if known == record:
            return
        self._puts[key] = record
        before: set[bytes] = set()
        if known is not None:
            before = _word_prefixes(_activity_record.decode(known)[1])
        else:
            started = activity.started_ns.to_bytes(8, "big")
            self._puts[number_key(b"T" + started, number)] = activity.id.to_bytes(8, "little")
        for prefix in _word_prefixes(activity) - before:
            self._postings[prefix].append(number)

    def _add_change(self, change: Change) -> None:
        number = self._counters.change
        self._counters.change += 1
        self._puts[number_key(b"C", number)] = encode(change)
        for path in {change.path, change.to_path or change.path}:
            self._postings[path_prefix(b"c", change.repo, path)].append(number)

    def flush(self) -> None:
        """Put all of it, in the order of the keys."""
        self._graph.settle()
        self._post()
        puts = self._puts
        puts.update(self._graph.changes())
        for key, number in self._graph.new_ids.items():
            puts[key] = number.to_bytes(4, "big")
        puts[COUNTERS_KEY] = encode(self._counters)
        for key in sorted(puts):
            self._transaction.put(key, puts[key])

    def _post(self) -> None:
        """Add postings behind those that are there; their last value is filled up first."""
        with self._transaction.cursor() as cursor:
            for prefix, numbers in self._postings.items():
                part, merged = 0, array("I")
                alive = cursor.set_range(number_key(prefix, _PART_MAX))
                if (cursor.prev() if alive else cursor.last()) and cursor.key()[:-4] == prefix:
                    part, merged = int.from_bytes(cursor.key()[-4:], "big"), array("I", cursor.value())
                merged.extend(numbers)
                for first in range(0, len(merged), POSTINGS_MAX):
                    self._puts[number_key(prefix, part)] = merged[first : first + POSTINGS_MAX].tobytes()
                    part += 1
        self._postings.clear()


def _word_prefixes(activity: Activity) -> set[bytes]:
    found = {word_prefix(b"w", word) for word in activity.argv[:WORDS_MAX]}
    if activity.exe:
        found.add(word_prefix(b"x", activity.exe))
        found.add(word_prefix(b"n", activity.exe.rpartition(b"/")[2]))
    return found
