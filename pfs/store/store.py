"""A store: objects that never change, and refs that do, durable at one commit point.

Promises: `put` and `get` are safe in any thread and never wait for a sync; `sync` and `commit_refs` return
when what they name is on stable storage, and many callers share one sync.  After a failed write or sync of
a pack the store is read-only (`failed` says why); reads go on.  Leaves to others: what objects and refs mean.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from pfs.disk import Disk
from pfs.errors import CorruptObject, MissingObject, NoSpace, PfsError, ReadOnly
from pfs.objects.cache import NodeCache
from pfs.objects.ids import Kind, object_id
from pfs.store import check, layout, recovery
from pfs.store.check import Finding
from pfs.store.compression import PAYLOAD_BYTES_MAX, decode
from pfs.store.figures import DiskUsage, Statistics, StoredObject
from pfs.store.keys import MAX_KEY_BYTES
from pfs.store.layout import Claim, CleanMark
from pfs.store.object_index import PackRow
from pfs.store.pack_writer import PACK_BYTES, OpenPack, PackWriter, Prepared, prepare
from pfs.store.packs import PackFiles, Place, Progress
from pfs.store.record import (
    HEADER_BYTES,
    PACK_HEADER_BYTES,
    VOID,
    Record,
    parse_header,
    scan,
    unchecked_header,
)
from pfs.store.recovery import Recovered
from pfs.store.refs import Changes, Refs, encode_changes
from pfs.store.reserve import Reserve
from pfs.store.writer_thread import WriterThread

CACHE_BYTES: Final = 64 * 1024 * 1024
# Sealed packs whose entries still wait in memory for objects.lmdb; who seals one more waits.
_SEALED_MAX: Final = 2


class _Payload:
    __slots__ = ("kind", "payload", "size_bytes")

    def __init__(self, kind: int, payload: bytes) -> None:
        self.kind = kind
        self.payload = payload
        self.size_bytes = len(payload) + 200  # what Python takes beside the bytes


class _PendingCommit:
    __slots__ = ("changes", "done", "position", "sequence")

    def __init__(self, changes: Changes, sequence: int, position: int) -> None:
        self.changes = changes
        self.sequence = sequence
        self.position = position
        self.done: Future[None] = Future()


class Store:
    """An open store.  Made by `open`; safe in any thread until `close`."""

    def __init__(
        self, claim: Claim, files: PackFiles, recovered: Recovered, pack_bytes: int, reserve: Reserve | None
    ) -> None:
        self.path = claim.path
        self.disk = claim.disk
        self.refs: Refs = recovered.refs
        self.notes: Sequence[str] = recovered.notes  # what opening found and mended
        self._claim = claim
        self._files = files
        self._index = recovered.objects
        self._writer = PackWriter(files, recovered.packs, pack_bytes=pack_bytes)
        self._writer.on_sealed = self._on_sealed
        self._reserve = reserve
        if reserve is not None:
            self._writer.on_full = reserve.give
        self._cache: NodeCache[_Payload] = NodeCache(CACHE_BYTES)
        self._thread = None if claim.read_only else WriterThread("pfs-lmdb")
        self._commit_lock = threading.Lock()  # order of change sets; never held over a sync
        self._sequence = recovered.sequence
        self._pending: deque[_PendingCommit] = deque()
        self._sealing: Future[None] | None = None
        self._damaged: set[bytes] = set()  # found so; putting the same bytes again stores them anew
        self._search_lock = threading.Lock()
        self._searched = False
        self._doubtful = False
        self.is_open = True

    @classmethod
    def open(
        cls,
        path: Path,
        disk: Disk,
        *,
        create: bool = True,
        read_only: bool = False,
        lock: bool = True,
        pack_bytes: int = PACK_BYTES,
        reserve_bytes: int = 0,
    ) -> Store:
        """Open the store in a directory, made if there is none; mends what a crash left.

        `reserve_bytes` of the disk are held back for packs, against a disk that others fill.

        NotFound, StoreError (not a store, beyond repair), UnsupportedFormat, Busy, Denied, ReadOnly, NoSpace.
        """
        claim = layout.claim(disk, path, create=create, read_only=read_only, lock=lock)
        files = PackFiles(disk, claim.packs, claim.store_uuid)
        try:
            with layout.explained(path):
                recovered = recovery.recover(claim, files, pack_bytes=pack_bytes)
                reserve = None
                if reserve_bytes and not read_only:
                    reserve = Reserve(disk, path / "reserve", reserve_bytes)
                    reserve.replenish()
            return cls(claim, files, recovered, pack_bytes, reserve)
        except BaseException:
            files.close()
            claim.release()
            raise

    @property
    def uuid(self) -> bytes:
        """What names this store, for ever: 16 bytes."""
        return self._claim.store_uuid

    @property
    def failed(self) -> str | None:
        """Why the store turned read-only; None while all is well."""
        return self._writer.failed

    # Objects

    def put(self, kind: Kind, payload: bytes | memoryview) -> bytes:
        """Store an object unless it is here; its id.  Durable only after `sync` or `commit_refs`.

        NoSpace: nothing was stored, try again later.  ReadOnly: the store failed or is open for reading.
        """
        return self.put_many(kind, [payload])[0]

    def put_many(self, kind: Kind, payloads: Sequence[bytes | memoryview]) -> list[bytes]:
        """Store objects of one kind; their ids in order.  Errors as `put`, then some may be stored."""
        self._check_writable()
        if any(len(payload) > PAYLOAD_BYTES_MAX for payload in payloads):
            raise ValueError(f"an object is limited to {PAYLOAD_BYTES_MAX} bytes")
        ids = [object_id(kind, payload) for payload in payloads]
        prepared: dict[bytes, Prepared] = {}
        while True:
            epoch = self._writer.epoch
            missing = self._missing(ids)
            records = []
            for found, payload in zip(ids, payloads, strict=True):
                if found in missing:
                    if found not in prepared:
                        prepared[found] = prepare(kind, found, payload)
                    records.append(prepared[found])
            if not records:
                return ids
            if self._writer.add(records, epoch):
                self._damaged.difference_update(ids)
                self._wait_for_sealing()
                return ids

    def get(self, kind: Kind, object_id: bytes) -> bytes:
        """The payload of an object, verified by its id.  MissingObject, CorruptObject."""
        held = self._cache.get(object_id)
        if held is None:
            held = _Payload(kind, self._load(kind, object_id))
            self._cache.put(object_id, held)
        elif held.kind != kind:
            raise CorruptObject(object_id, "the store", f"it is no {kind.name.lower()}")
        return held.payload

    def get_cached(self, kind: Kind, object_id: bytes) -> bytes | None:
        """The payload if it is in memory.  Never waits: for the event loop."""
        held = self._cache.get(object_id)
        return held.payload if held is not None and held.kind == kind else None

    def contains(self, object_id: bytes) -> bool:
        """Whether an object is here."""
        return self._find(object_id) is not None

    def verify(self, kind: Kind, object_id: bytes) -> None:
        """Read an object from where it rests and check it.  MissingObject, CorruptObject."""
        self._load(kind, object_id)

    def objects(self) -> Iterator[StoredObject]:
        """All records of all packs in the order in which they rest.  Damaged stretches are stepped over."""
        for number, end in sorted(self._ends().items()):
            read, seed = self._files.reader(number), self._files.seed(number)
            for found in scan(read, seed, PACK_HEADER_BYTES, end, payloads=False):
                if isinstance(found, Record) and found.kind != VOID:
                    length = found.end - found.offset
                    yield StoredObject(found.object_id, found.kind, number, found.offset, length)

    # Durability

    def sync(self) -> None:
        """Make everything put so far durable.  NoSpace: may be tried again.  StoreError: it never will be."""
        self._writer.sync()

    def commit_refs(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Make everything put so far and these changes of refs durable: all of it, or none of the changes.

        Order: objects and a REFS record into the pack, fdatasync, one transaction in refs.lmdb: the commit
        point.  NoSpace: nothing changed.  ReadOnly, StoreError: see `failed`.
        """
        self._check_writable()
        if not changes:
            return self.sync()
        if not all(0 < len(key) <= MAX_KEY_BYTES and key != b"\0" for key in changes):
            raise ValueError("a key of refs has 1 to 511 bytes and is not our own")
        with self._commit_lock:
            payload = encode_changes(self._sequence + 1, changes)
            record = prepare(Kind.REFS, object_id(Kind.REFS, payload), payload)
            position = self._writer.add_refs(record, self._sequence + 1)
            self._sequence += 1
            commit = _PendingCommit(dict(changes), self._sequence, position)
            self._pending.append(commit)
        self._sync_commit(commit, record.object_id)
        self._submit(self._apply_commits)
        return commit.done.result()

    def _sync_commit(self, commit: _PendingCommit, record_id: bytes) -> None:
        while True:
            try:
                return self._writer.sync(commit.position)
            except NoSpace:
                with self._commit_lock:
                    # Written by another thread meanwhile, as space came free: then go on.
                    if not self._writer.withdraw(record_id):
                        continue
                    self._pending.remove(commit)
                raise
            except PfsError:
                with self._commit_lock:
                    if commit in self._pending:
                        self._pending.remove(commit)
                raise

    def _apply_commits(self) -> None:
        """On the writer thread: all change sets whose records are durable, in one transaction."""
        with self._commit_lock:
            durable, durable_end = self._writer.durable, self._writer.durable_end
            ready: list[_PendingCommit] = []
            while self._pending and self._pending[0].position <= durable:
                ready.append(self._pending.popleft())
        if not ready:
            return
        try:
            self.refs.apply([commit.changes for commit in ready], ready[-1].sequence, durable_end)
        except Exception as error:  # each waiting thread gets it
            self._doubtful = self._doubtful or not isinstance(error, NoSpace)
            for commit in ready:
                commit.done.set_exception(error)
        else:
            for commit in ready:
                commit.done.set_result(None)

    # Figures and checks

    def statistics(self) -> Statistics:
        """Figures for `pfs status`."""
        ends = self._ends()
        waiting = sum(len(pack.entries) for pack in [*self._writer.sealed(), self._writer.open_pack()])
        return Statistics(
            packs=len(ends),
            packs_bytes=sum(ends.values()),
            objects=self._index.count() + waiting,
            unsynced_bytes=self._writer.unsynced_bytes,
            cache_bytes=self._cache.size_bytes,
            failed=self.failed,
        )

    def disk_usage(self) -> DiskUsage:
        """Disk that the store takes at rest; what is not committed yet is the overlay's to count."""
        packs = (self._files.path(number) for number in self._files.numbers())
        return DiskUsage(
            sum(self.disk.stat(path).st_blocks * 512 for path in packs),
            self.disk.stat(self._claim.objects_lmdb / "data.mdb").st_blocks * 512,
            self.disk.stat(self._claim.refs_lmdb / "data.mdb").st_blocks * 512,
        )

    def check(
        self, progress: Progress = lambda _done, _total: None, *, payloads: bool = True
    ) -> Iterator[Finding]:
        """Everything that is wrong with packs, object index and refs; changes nothing."""
        if not self._claim.read_only and self.failed is None:
            self._writer.flush()
        ends = self._ends()
        yield from check.check_packs(self._files, ends, self._find, progress, payloads=payloads)
        yield from check.check_index(self._index, self._files, ends)
        yield from (Finding("refs", f"refs.lmdb: {message}") for message in self.refs.find_damage())

    def repair_index(self) -> list[Finding]:
        """Add what `objects.lmdb` lacks and remove what leads nowhere; what was found."""
        self._check_writable()
        ends = self._ends()
        wrong = list(check.check_index(self._index, self._files, ends))
        ids = [finding.object_id for finding in wrong if finding.kind == "wrong_entry"]
        self._submit(lambda: self._index.remove(ids)).result()
        found = list(
            check.check_packs(self._files, ends, self._find, lambda _done, _total: None, payloads=False)
        )
        lost = [finding for finding in found if finding.kind == "not_indexed"]
        entries = {finding.object_id: self._place_of(finding) for finding in lost}
        self._submit(lambda: self._index.add(entries, {})).result()
        return [*wrong, *lost]

    def look_after(self) -> None:
        """Once a minute: free LMDB reader slots of threads that died, hold back disk that came free."""
        self._index.environment.check_readers()
        self.refs.environment.check_readers()
        if self._reserve is not None:
            self._reserve.replenish()

    def give_reserve(self) -> None:
        """Give the disk held back to what is outside of packs; taken again when there is room."""
        if self._reserve is not None:
            self._reserve.give(self._reserve.size_bytes)

    def close(self) -> None:
        """Make everything durable, index it, leave the clean mark.  NoSpace: closed, but not synced."""
        self.is_open = False
        error: PfsError | None = None
        if self._thread is not None:
            try:
                if self.failed is None:
                    self._writer.sync()
                    self._submit(self._index_everything).result()
            except PfsError as found:
                error = found
            self._thread.close()
        mark = self._clean_mark()
        self._index.environment.close()
        self.refs.environment.close()
        self._writer.close()
        self._files.close()
        if self._reserve is not None:
            self._reserve.close()
        if not self._claim.read_only:
            if self._doubtful:
                self._claim.doubt()
            elif error is None and self.failed is None:
                self._claim.write_clean_mark(mark)
        self._claim.release()
        if error is not None:
            raise error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Finding and reading

    def _missing(self, ids: Sequence[bytes]) -> set[bytes]:
        absent = {found for found in ids if self._writer.find(found) is None}
        if absent:
            absent -= self._index.known(absent)
        return absent | self._damaged.intersection(ids) if self._damaged else absent

    def _find(self, object_id: bytes) -> Place | None:
        place = self._writer.find(object_id)
        return self._index.find(object_id) if place is None else place

    def _load(self, kind: Kind, object_id: bytes) -> bytes:
        raw = self._writer.unwritten(object_id)
        if raw is not None:
            record, where = unchecked_header(raw, 0), "the write buffer"
        else:
            record, raw, where = self._read_record(object_id)
        if record.kind != kind:
            raise CorruptObject(object_id, where, f"it is no {kind.name.lower()}")
        try:
            return decode(kind, record.codec, object_id, raw[HEADER_BYTES:], where)
        except CorruptObject:
            self._damaged.add(object_id)
            raise

    def _read_record(self, object_id: bytes) -> tuple[Record, bytes, str]:
        place = self._find(object_id)
        found = self._record_at(object_id, place)
        if found is None:
            # Is the index wrong, or the pack?  A walk over all packs tells, once.
            place = self._search(object_id)
            found = self._record_at(object_id, place)
        if found is not None:
            return found
        if place is None:
            raise MissingObject(object_id)
        self._damaged.add(object_id)
        where = self._files.where(place.pack, place.offset)
        raise CorruptObject(object_id, where, "its record is damaged or gone")

    def _record_at(self, object_id: bytes, place: Place | None) -> tuple[Record, bytes, str] | None:
        """Header and bytes of an object's record if it is at a place."""
        if place is None:
            return None
        where = self._files.where(place.pack, place.offset)
        try:
            raw = self._files.read(place.pack, place.length, place.offset)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CorruptObject(object_id, where, str(error.strerror)) from error
        record = parse_header(raw, self._files.seed(place.pack), place.offset)
        if record is None or record.object_id != object_id or record.end - place.offset != len(raw):
            return None
        return record, raw, where

    def _search(self, object_id: bytes) -> Place | None:
        """The place of an object that the index does not know or knows wrongly, after mending the index."""
        with self._search_lock:
            if not self._searched and self._thread is not None and self.failed is None:
                self._searched = True
                self.repair_index()
        return self._find(object_id)

    def _ends(self) -> dict[int, int]:
        """Where the whole records of each pack end."""
        last, end = self._writer.written_end
        ends = {number: self._files.size(number) for number in self._files.numbers() if number < last}
        return {**ends, last: end} if end else ends

    def _place_of(self, finding: Finding) -> Place:
        raw = self._files.read(finding.pack, HEADER_BYTES, finding.offset)
        record = parse_header(raw, self._files.seed(finding.pack), finding.offset)
        length = HEADER_BYTES if record is None else record.end - record.offset
        return Place(finding.pack, finding.offset, length)

    # Writing

    def _check_writable(self) -> None:
        if self._thread is None:
            raise ReadOnly(f"{self.path}: the store is open for reading only")

    def _submit(self, job: Callable[[], None]) -> Future[None]:
        self._check_writable()
        assert self._thread is not None
        return self._thread.submit(job)

    def _on_sealed(self) -> None:
        self._sealing = self._submit(self._index_sealed)

    def _wait_for_sealing(self) -> None:
        """Who adds records faster than packs can be synced and indexed waits here, so memory stays small."""
        if self._sealing is not None and len(self._writer.sealed()) > _SEALED_MAX:
            self._sealing.exception()

    def _index_sealed(self) -> None:
        """On the writer thread: entries of sealed packs go to objects.lmdb once the packs are durable."""
        for pack in self._writer.sealed():
            self._writer.sync(pack.position)
            self._index_pack(pack)

    def _index_everything(self) -> None:
        self._index_sealed()
        pack = self._writer.open_pack()
        if pack.entries:
            self._index_pack(pack)

    def _index_pack(self, pack: OpenPack) -> None:
        row = PackRow(pack.end, pack.indexed + len(pack.entries), pack.last_sequence)
        self._index.add(pack.entries, {pack.number: row})
        self._writer.forget(pack)

    def _clean_mark(self) -> CleanMark:
        ends = self._ends()
        last = max(ends, default=0)
        return CleanMark(
            self._index.environment.last_transaction,
            self.refs.environment.last_transaction,
            last,
            ends.get(last, 0),
        )
