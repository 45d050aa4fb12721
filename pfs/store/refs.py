"""`refs.lmdb`: the few mutable names of a store.  One transaction here is the only commit point.

Format: each key (made in pfs.store.keys) has a value of 8 bytes BLAKE2b of key and content, then the
content.  The key "\\0" is ours: sequence number u64 of the newest change set, pack u32 and offset u64
before which all packs were durable at that time, sum u64 of all other keys' checksums mod 2^64.
LMDB has no checksums of its own and a flipped bit in a page mostly goes unseen: the value's checksum finds
a wrong value, the sum finds one that is missing, came back or lost its key.

A REFS record in a pack holds one change set: msgpack [1, sequence number, [[key, content or nil], …]],
sorted by key.  Replaying all of them by sequence number gives this table again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from pfs.objects import codec
from pfs.objects.ids import Kind
from pfs.store.environment import DamagedEnvironment, Environment, Transaction

_CHECKSUM_BYTES: Final = 8
_OUR_KEY: Final = b"\0"
_STATE: Final = struct.Struct("<QIQQ")
_SUM_LIMIT: Final = 1 << 64
_RECORD_FORMAT: Final = 1

Changes = Mapping[bytes, bytes | None]
"""Key → new content, or None to remove the key."""


class ChangeSet(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one commit point changed; the payload of a REFS record."""

    format: int
    sequence: int
    changes: tuple[tuple[bytes, bytes | None], ...]


class State(NamedTuple):
    """How far the table has come: see the module's docstring."""

    sequence: int = 0
    durable_pack: int = 0
    durable_offset: int = 0
    checksum: int = 0


_decoder = codec.Decoder(ChangeSet, Kind.REFS)


def encode_changes(sequence: int, changes: Changes) -> bytes:
    """The payload of a REFS record."""
    return codec.encode(ChangeSet(_RECORD_FORMAT, sequence, tuple(sorted(changes.items()))))


def decode_changes(payload: bytes) -> ChangeSet:
    """The change set of a REFS record; CorruptObject if it holds none that this pfs understands."""
    found = _decoder.decode(payload)
    if found.format != _RECORD_FORMAT:
        raise codec.corrupt(Kind.REFS, payload, f"change set of format {found.format}")
    return found


class Refs:
    """The table.  Reads in any thread; `apply` on the writer thread."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def get(self, key: bytes, /) -> bytes | None:
        """The content of a key, or None.  DamagedEnvironment if it is damaged."""
        (value,) = self.environment.get_many((key,))
        return None if value is None else self._content(key, value)

    def scan(self, prefix: bytes, /) -> list[tuple[bytes, bytes]]:
        """All keys that begin with `prefix` and their contents, in key order, of one instant."""
        found = []
        with self.environment.read() as transaction, transaction.cursor() as cursor:
            alive = cursor.set_range(prefix or b"\1")
            while alive:
                key, value = cursor.item()
                if not key.startswith(prefix):
                    break
                found.append((key, value))
                alive = cursor.next()
        return [(key, self._content(key, value)) for key, value in found]

    def first(self, prefix: bytes, bound: bytes, /) -> tuple[bytes, bytes] | None:
        """The first key with a prefix that is not before `bound`, and its value."""
        with self.environment.read() as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(bound) or not cursor.key().startswith(prefix):
                return None
            return cursor.key(), self._content(cursor.key(), cursor.value())

    def last(self, prefix: bytes, bound: bytes | None = None, /) -> tuple[bytes, bytes] | None:
        """The greatest key that begins with `prefix` and is not above `bound`, and its content."""
        with self.environment.read() as transaction, transaction.cursor() as cursor:
            above = _after(prefix) if bound is None else bound
            if above is None or not cursor.set_range(above):
                alive = cursor.last()
            else:
                alive = True if cursor.key() == bound else cursor.prev()
            item = cursor.item() if alive else (b"", b"")
        key, value = item
        if not alive or not key.startswith(prefix) or key == _OUR_KEY:
            return None
        return key, self._content(key, value)

    def state(self) -> State:
        """How far the table has come.  DamagedEnvironment if that is damaged."""
        with self.environment.read() as transaction:
            return self._state(transaction)

    def apply(self, change_sets: Sequence[Changes], sequence: int, durable_end: tuple[int, int]) -> None:
        """Apply change sets in order, in one transaction: the commit point."""

        def change(transaction: Transaction) -> None:
            checksum = self._state(transaction).checksum
            for changes in change_sets:
                checksum += _put(transaction, changes.items())
            self._put_state(transaction, State(sequence, *durable_end, checksum % _SUM_LIMIT))

        self.environment.write(change)

    def fill(self, change_sets: Iterable[ChangeSet], durable_end: tuple[int, int]) -> None:
        """Fill a new table from the change sets of all REFS records, in order of their sequence numbers."""

        def change(transaction: Transaction) -> None:
            checksum = sequence = 0
            for found in change_sets:
                checksum += _put(transaction, found.changes)
                sequence = found.sequence
            self._put_state(transaction, State(sequence, *durable_end, checksum % _SUM_LIMIT))

        self.environment.write(change)

    def find_damage(self) -> list[str]:
        """Check every value and the sum of all; what is wrong, in words."""
        damage = []
        checksum = 0
        with self.environment.read() as transaction, transaction.cursor() as cursor:
            for key, value in cursor:
                if key == _OUR_KEY:
                    continue
                checksum += _checksum_in(value)
                if value[:_CHECKSUM_BYTES] != _checksum(key, value[_CHECKSUM_BYTES:]):
                    damage.append(f"the value of {key!r} does not match its checksum")
            try:
                state = self._state(transaction)
            except DamagedEnvironment as error:
                return [*damage, str(error)]
        if not damage and checksum % _SUM_LIMIT != state.checksum:
            damage.append("keys are missing or came back: the sum of all checksums is wrong")
        return damage

    def _state(self, transaction: Transaction) -> State:
        value = transaction.get(_OUR_KEY)
        if value is None or len(value) != _CHECKSUM_BYTES + _STATE.size:
            raise self._damaged(_OUR_KEY)
        return State(*_STATE.unpack(self._content(_OUR_KEY, value)))

    def _put_state(self, transaction: Transaction, state: State) -> None:
        content = _STATE.pack(*state)
        transaction.put(_OUR_KEY, _checksum(_OUR_KEY, content) + content)

    def _content(self, key: bytes, value: bytes) -> bytes:
        content = value[_CHECKSUM_BYTES:]
        if value[:_CHECKSUM_BYTES] != _checksum(key, content):
            raise self._damaged(key)
        return content

    def _damaged(self, key: bytes) -> DamagedEnvironment:
        return DamagedEnvironment(
            f"{self.environment.path}: the value of {key!r} does not match its checksum"
        )


def _put(transaction: Transaction, changes: Iterable[tuple[bytes, bytes | None]]) -> int:
    """Write changes; by how much the sum of checksums grows."""
    grows = 0
    for key, content in changes:
        old = transaction.get(key)
        if old is not None:
            grows -= _checksum_in(old)
        if content is None:
            transaction.delete(key)
        else:
            value = _checksum(key, content) + content
            transaction.put(key, value)
            grows += _checksum_in(value)
    return grows


def _checksum(key: bytes, content: bytes) -> bytes:
    length = len(key).to_bytes(2, "little")
    return hashlib.blake2b(length + key + content, digest_size=_CHECKSUM_BYTES).digest()


def _checksum_in(value: bytes) -> int:
    return int.from_bytes(value[:_CHECKSUM_BYTES], "little")


def _after(prefix: bytes) -> bytes | None:
    """The least key above all that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
