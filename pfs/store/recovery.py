"""Opening a store: bring packs, object index and refs into one consistent state, whatever was left.

Promises: what a returned sync or commit had made durable is there; the rest is whole or gone; every
repair is a note.  A stretch is *settled* up to where a pack row or the refs' state says that the pack was
synced: damage in it is loss, which is noted and never touched.  Damage behind it is what a crash tears:
cut off at the end of a pack, else made a void record.  What a crash leaves where: pfs.store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pfs.disk import Disk
from pfs.errors import CorruptObject, StoreError
from pfs.objects.ids import Kind
from pfs.store import environment
from pfs.store.check import check_index
from pfs.store.environment import DamagedEnvironment, Environment
from pfs.store.layout import Claim, CleanMark
from pfs.store.object_index import BATCH_ENTRIES, ObjectIndex, PackRow
from pfs.store.pack_writer import PACK_BYTES, OpenPack
from pfs.store.packs import PackFiles, Place
from pfs.store.record import (
    HEADER_BYTES,
    PACK_HEADER_BYTES,
    VOID,
    Damage,
    Record,
    pack_header,
    parse_pack_header,
    scan,
    void_header,
)
from pfs.store.refs import ChangeSet, Refs, State, decode_changes

# The open pack, those that wait for their sync, and one more.
_UNSYNCED_PACKS_MAX: Final = 5


class Recovered(NamedTuple):
    """What a store goes on with.  `notes`: what was found and done, in words; empty after a clean stop."""

    objects: ObjectIndex
    refs: Refs
    packs: list[OpenPack]
    sequence: int
    notes: list[str]


def recover(claim: Claim, files: PackFiles, *, pack_bytes: int = PACK_BYTES) -> Recovered:
    """Make a claimed store ready.  OSError, NoSpace and StoreError where that can't be done."""
    recovery = _Recovery(claim, files, pack_bytes)
    try:
        return recovery.run()
    except BaseException:
        recovery.close()
        raise


def change_sets(files: PackFiles, notes: list[str]) -> list[ChangeSet]:
    """The change sets of all REFS records in the packs, in order of their sequence numbers."""
    found = []
    for number in files.numbers():
        for record in scan(
            files.reader(number), files.seed(number), PACK_HEADER_BYTES, files.size(number), payloads=False
        ):
            if isinstance(record, Record) and record.kind == Kind.REFS:
                try:
                    change_set = decode_changes(files.read_payload(number, record))
                except CorruptObject as error:
                    notes.append(f"a change of refs is lost: {error}")
                else:
                    found.append((change_set.sequence, number, record.offset, change_set))
    return [row[3] for row in sorted(found, key=lambda row: row[:3])]


class _Recovery:
    def __init__(self, claim: Claim, files: PackFiles, pack_bytes: int) -> None:
        self._claim = claim
        self._disk: Disk = claim.disk
        self._files = files
        self._pack_bytes = pack_bytes
        self._notes: list[str] = []
        self._mark: CleanMark | None = None
        self._clean = False
        self._settled_is_known = False
        self._state = State()
        self._rows: dict[int, PackRow] = {}
        self._environments: dict[Path, Environment] = {}
        self._newest = 0
        self._missing: set[int] = set()  # packs that are known and have no file
        self._short: set[int] = set()  # packs that lost their end

    def run(self) -> Recovered:
        claim = self._claim
        self._mark = claim.read_clean_mark()
        if not claim.read_only:
            claim.remove_clean_mark()
        thorough = self._mark is None and not claim.same_boot
        refs = self._usable_refs(thorough=thorough)
        index = self._usable_index(thorough=thorough)
        self._clean = self._is_as_marked(index, refs)
        self._settled_is_known = index is not None and refs is not None
        numbers = self._own_packs()
        self._newest = max(numbers, default=0)
        if index is None:
            index, packs = self._rebuild_index(numbers)
        else:
            packs = self._read_tails(index, numbers)
        if self._short or self._missing:
            self._forget_lost(index)
        if refs is None:
            refs = self._rebuild_refs(packs)
        packs = self._with_open_pack(packs)
        sequences = [pack.last_sequence for pack in packs] + [
            row.last_sequence for row in self._rows.values()
        ]
        return Recovered(index, refs, packs, max([self._state.sequence, *sequences]), self._notes)

    def close(self) -> None:
        """Close what was opened: an environment can't be opened twice in one process."""
        for opened in self._environments.values():
            opened.close()

    # The two LMDB environments

    def _usable_refs(self, *, thorough: bool) -> Refs | None:
        path = self._claim.refs_lmdb
        damage = environment.find_damage(self._disk, path, thorough=thorough)
        if damage is None:
            try:
                refs = Refs(self._opened(path))
                problems = refs.find_damage()
                if not problems:
                    self._state = refs.state()
                    return refs
                damage = "; ".join(problems)
            except DamagedEnvironment as error:
                damage = str(error)
        self._to_be_rebuilt(path, damage)
        return None

    def _usable_index(self, *, thorough: bool) -> ObjectIndex | None:
        path = self._claim.objects_lmdb
        damage = environment.find_damage(self._disk, path, thorough=thorough)
        if damage is None:
            try:
                index = ObjectIndex(self._opened(path))
                self._rows = index.rows()
                return index
            except DamagedEnvironment as error:
                damage = str(error)
        self._to_be_rebuilt(path, damage)
        return None

    def _opened(self, path: Path) -> Environment:
        """Open an environment; `close` closes it, should recovery end with an error."""
        opened = Environment(self._disk, path, read_only=self._claim.read_only)
        self._environments[path] = opened
        return opened

    def _to_be_rebuilt(self, path: Path, damage: str) -> None:
        if path in self._environments:
            self._environments.pop(path).close()
        if self._claim.read_only:
            raise StoreError(f"{path}: {damage}", hint="open the store for writing once: it is rebuilt")
        if not self._claim.is_new:
            self._notes.append(f"{path.name} was rebuilt from the packs: {damage}")

    def _rebuild_index(self, numbers: list[int]) -> tuple[ObjectIndex, list[OpenPack]]:
        packs: list[OpenPack] = []

        def fill(env: Environment) -> None:
            index = ObjectIndex(env)
            index.start()
            batch: dict[bytes, Place] = {}
            rows: dict[int, PackRow] = {}
            for number in numbers:
                pack = self._read_tail(number, last=number == numbers[-1])
                if pack is None:
                    continue
                batch.update(pack.entries)
                rows[number] = self._rows[number] = _row(pack)
                packs[:] = [OpenPack(number, *self._rows[number])]
                if len(batch) >= BATCH_ENTRIES:
                    index.add(batch, rows)
                    batch, rows = {}, {}
            if rows:
                index.add(batch, rows)

        environment.build(self._disk, self._claim.objects_lmdb, fill)
        return ObjectIndex(self._opened(self._claim.objects_lmdb)), packs

    def _rebuild_refs(self, packs: list[OpenPack]) -> Refs:
        # All that was read is durable by now: its tails were synced, or it was closed properly.
        durable_end = max([(pack.number, pack.end) for pack in packs], default=(0, 0))
        found = change_sets(self._files, self._notes)
        environment.build(self._disk, self._claim.refs_lmdb, lambda env: Refs(env).fill(found, durable_end))
        refs = Refs(self._opened(self._claim.refs_lmdb))
        self._state = refs.state()
        return refs

    # The packs

    def _own_packs(self) -> list[int]:
        """The packs of this store; what is missing or foreign is noted."""
        numbers = self._files.numbers()
        expected = {number for number, row in self._rows.items() if row.indexed_bytes}
        if self._state.durable_pack:
            expected.add(self._state.durable_pack)
        self._missing = expected.difference(numbers)
        self._notes += [f"{self._files.path(number).name} is missing" for number in sorted(self._missing)]
        own = []
        for number in numbers:
            header = parse_pack_header(self._files.reader(number)(PACK_HEADER_BYTES, 0))
            if header is not None and header != (self._files.store_uuid, number):
                self._notes.append(f"{self._files.path(number).name} belongs to another store or number")
            else:
                own.append(number)
                if header is None and self._settled(number):
                    self._notes.append(f"{self._files.path(number).name}: its header is damaged")
        return own

    def _read_tails(self, index: ObjectIndex, numbers: list[int]) -> list[OpenPack]:
        """Read what is not indexed yet; index it but for the last pack, which goes on growing."""
        packs = []
        for number in numbers:
            row = self._rows.get(number)
            is_last = number == numbers[-1]
            if not is_last and row is not None and row.indexed_bytes == self._files.size(number):
                continue
            pack = self._read_tail(number, last=is_last)
            if pack is None:
                continue
            if not self._claim.read_only and (not is_last or pack.end >= self._pack_bytes):
                index.add(pack.entries, {number: _row(pack)})
                self._rows[number] = _row(pack)
            else:
                packs.append(pack)
        return packs

    def _forget_lost(self, index: ObjectIndex) -> None:
        """Remove entries that lead into what is lost, or putting the same bytes again would store nothing."""
        if self._claim.read_only:
            return
        ends = {number: self._files.size(number) for number in self._files.numbers()}
        lost: list[bytes] = []
        count = 0
        for finding in check_index(index, self._files, ends):
            if finding.kind == "wrong_entry":
                lost.append(finding.object_id)
                count += 1
            if len(lost) == BATCH_ENTRIES:
                index.remove(lost)
                lost.clear()
        index.remove(lost)
        # No bytes of them are indexed any more: should a pack come back, it is read from its beginning.
        gone = {number: self._rows.get(number, PackRow(0, 0, 0)) for number in self._missing}
        index.add({}, {number: PackRow(0, 0, row.last_sequence) for number, row in gone.items()})
        if count:
            self._notes.append(f"{count} objects were in it and are gone")

    def _settled(self, number: int) -> int:
        """Bytes of a pack that were synced for certain; 0 if nothing is known."""
        row = self._rows.get(number)
        indexed = 0 if row is None else row.indexed_bytes
        if number < self._state.durable_pack:
            return max(indexed, self._files.size(number))
        return max(indexed, self._state.durable_offset if number == self._state.durable_pack else 0)

    def _read_tail(self, number: int, *, last: bool) -> OpenPack | None:
        """The records of a pack from where its index ends, mended.  None: nothing is left of it."""
        row = self._rows.get(number, PackRow(PACK_HEADER_BYTES, 0, 0))
        settled = self._settled(number)
        size = self._files.size(number)
        name = self._files.path(number).name
        if size < settled:
            self._notes.append(f"{name} has {size} bytes where {settled} were synced")
            self._short.add(number)
        pack = OpenPack(number, size, row.records, row.last_sequence)
        torn: list[Damage] = []
        read, seed = self._files.reader(number), self._files.seed(number)
        start = min(max(row.indexed_bytes, PACK_HEADER_BYTES), size)
        for found in scan(read, seed, start, size, payloads=not self._clean):
            if isinstance(found, Record):
                if found.kind != VOID:
                    self._take(pack, found)
            elif self._is_torn(found, settled, end_of_last=last and found.end == size):
                torn.append(found)
            else:
                self._notes.append(f"{name} at {found.offset}: {found.reason}")
        if not self._claim.read_only and not self._clean:
            return self._mend(pack, torn, settled)
        return pack

    def _is_torn(self, damage: Damage, settled: int, *, end_of_last: bool) -> bool:
        """Whether a crash may have torn this; with LMDB lost that is assumed only at the very end."""
        if self._clean or damage.offset < settled:
            return False
        return self._settled_is_known or settled > 0 or end_of_last

    def _take(self, pack: OpenPack, record: Record) -> None:
        place = Place(pack.number, record.offset, record.end - record.offset)
        pack.entries.setdefault(record.object_id, place)
        if record.kind == Kind.REFS:
            try:
                changes = decode_changes(self._files.read_payload(pack.number, record))
            except CorruptObject as error:
                self._notes.append(str(error))
            else:
                pack.last_sequence = max(pack.last_sequence, changes.sequence)

    def _mend(self, pack: OpenPack, torn: list[Damage], settled: int) -> OpenPack | None:
        """Cut or void what is torn, then make the rest durable, which it may not be yet.

        The rest is written again where it is: after a failed sync the page cache holds bytes that the
        disk does not, and counts them as written.
        """
        path = self._files.path(pack.number)
        fd = self._disk.open(path, os.O_RDWR)
        try:
            for damage in torn:
                self._notes.append(
                    f"{path.name} at {damage.offset}: {damage.reason}: not acknowledged, removed"
                )
                if damage.end == pack.end:
                    pack.end = damage.offset
                    self._disk.truncate(fd, pack.end)
                else:
                    length = damage.end - damage.offset - HEADER_BYTES
                    header = void_header(length, self._files.seed(pack.number), damage.offset)
                    self._disk.pwrite(fd, header, damage.offset)
            if pack.end <= PACK_HEADER_BYTES and not settled:
                self._files.forget(pack.number)
                self._disk.unlink(path)
                return None
            if not settled:
                self._disk.pwrite(fd, pack_header(self._files.store_uuid, pack.number), 0)
            if not self._claim.other_boot and pack.number > self._newest - _UNSYNCED_PACKS_MAX:
                for offset, stretch in self._stretches(fd, settled, pack.end):
                    self._disk.pwrite(fd, stretch, offset)
            if pack.end > settled or torn:
                self._disk.fdatasync(fd)
        finally:
            self._disk.close(fd)
        self._disk.sync_directory(self._files.directory)
        return pack

    def _remove(self, pack: OpenPack, fd: int, damage: Damage) -> None:
        """Cut a torn stretch off the end of its pack, or make it a void record."""
        name = self._files.path(pack.number).name
        self._notes.append(f"{name} at {damage.offset}: {damage.reason}: not acknowledged, removed")
        if damage.end == pack.end:
            pack.end = damage.offset
            self._disk.truncate(fd, pack.end)
        elif damage.end - damage.offset >= HEADER_BYTES:
            length = damage.end - damage.offset - HEADER_BYTES
            header = void_header(length, self._files.seed(pack.number), damage.offset)
            self._disk.pwrite(fd, header, damage.offset)

    def _stretches(self, fd: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        step = 1024 * 1024
        for offset in range(start, end, step):
            yield offset, self._disk.pread(fd, min(step, end - offset), offset)

    def _with_open_pack(self, packs: list[OpenPack]) -> list[OpenPack]:
        """Add the pack that gets the next record, unless the last one is it."""
        known = [*self._files.numbers(), *self._rows, self._state.durable_pack]
        newest = max(known)
        last = packs[-1] if packs else None
        if last and last.number == newest and last.end < self._pack_bytes and newest not in self._short:
            return packs
        return [*packs, OpenPack(newest + 1)]

    def _is_as_marked(self, index: ObjectIndex | None, refs: Refs | None) -> bool:
        """Whether everything is as the last close left it: then no payload needs to be checked."""
        if self._mark is None or index is None or refs is None:
            return False
        numbers = self._files.numbers()
        last = numbers[-1] if numbers else 0
        return self._mark == CleanMark(
            index.environment.last_transaction,
            refs.environment.last_transaction,
            last,
            self._files.size(last) if last else 0,
        )


def _row(pack: OpenPack) -> PackRow:
    return PackRow(pack.end, pack.indexed + len(pack.entries), pack.last_sequence)
