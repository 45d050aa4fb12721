"""What happened to names, from the lineage index, the oldest first (keys: pfs.lineage.index.database)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from pfs.lineage.facts import Change
from pfs.lineage.index.facts import PATH_STEM_BYTES, number_key, path_prefix
from pfs.lineage.index.graph import explained
from pfs.store.environment import Environment

# Records read in one transaction.
_READ_ENTRIES: Final = 1000

_change_record = msgspec.msgpack.Decoder(Change)


class _When(msgspec.Struct, array_like=True):
    """The beginning of a Change."""

    time_ns: int


_when_record = msgspec.msgpack.Decoder(_When)


def at(environment: Environment, repo: int, path: bytes) -> Iterator[Change]:
    """Changes of one name."""
    for change in _read(environment, set(_posted(environment, path_prefix(b"c", repo, path)))):
        if change.repo == repo and path in (change.path, change.to_path):
            yield change


def below(environment: Environment, repo: int, path: bytes) -> Iterator[Change]:
    """Changes of a directory and all below it."""
    own = path_prefix(b"c", repo, path)
    numbers = set(_posted(environment, own))
    if not path or len(path) > PATH_STEM_BYTES:
        # All that begin so: of a long path only its stem stands in the key, and of the root nothing.
        own = path_prefix(b"c", repo, path[:PATH_STEM_BYTES])
        numbers.update(_posted(environment, own[:-1]))
    else:
        numbers.update(_posted(environment, own[:-1] + b"/"))
    for change in _read(environment, numbers):
        names = (change.path, change.to_path or change.path)
        if any(not path or name == path or name.startswith(path + b"/") for name in names):
            yield change


def _posted(environment: Environment, prefix: bytes) -> Iterator[int]:
    """All numbers posted under keys that begin so, in no one transaction."""
    key = prefix
    while True:
        batch: list[bytes] = []
        with environment.read() as transaction, transaction.cursor() as cursor:
            alive = cursor.set_range(key)
            while alive and cursor.key().startswith(prefix) and len(batch) < _READ_ENTRIES:
                key = cursor.key() + b"\0"
                batch.append(cursor.value())
                alive = cursor.next()
        for value in batch:
            yield from array("I", value)
        if len(batch) < _READ_ENTRIES:
            return


def _read(environment: Environment, numbers: Iterable[int]) -> Iterator[Change]:
    """Changes in the order in which they happened; those that several segments hold once."""
    last: Change | None = None
    for records in _batches(environment, _in_time(environment, numbers)):
        with explained(environment):
            found = [_change_record.decode(record) for record in records]
        for change in found:
            if change != last:
                yield change
            last = change


def _in_time(environment: Environment, numbers: Iterable[int]) -> list[int]:
    ordered = sorted(numbers)
    times = array("q")
    for records in _batches(environment, ordered):
        with explained(environment):
            times.extend(_when_record.decode(record).time_ns for record in records)
    return [ordered[place] for place in sorted(range(len(ordered)), key=times.__getitem__)]


def _batches(environment: Environment, numbers: list[int]) -> Iterator[list[bytes]]:
    for first in range(0, len(numbers), _READ_ENTRIES):
        keys = [number_key(b"C", number) for number in numbers[first : first + _READ_ENTRIES]]
        yield [record or b"" for record in environment.get_many(keys)]
