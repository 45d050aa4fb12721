"""The directory of a store: what makes it one, who holds it, whether it was closed properly.

Format: `format` is JSON {"format": 1, "features": [], "chunker": 1, "uuid": hex, "needs": version}; it is
written first and by a rename, so a directory with it is a store, whatever else a crash left out.  `lock`
carries the flock; its 64 bytes name the holder (pid, boot id in hex) for messages.  `clean` is JSON,
written when all else is closed and removed before anything is changed: while it is there and true,
nothing needs to be checked.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from pfs.disk import FULL, Disk, write_durably
from pfs.errors import Busy, Denied, NoSpace, NotFound, ReadOnly, StoreError, UnsupportedFormat
from pfs.store.record import PACK_HEADER_BYTES, parse_pack_header

FORMAT: Final = 1
FEATURES: Final[frozenset[str]] = frozenset()
CHUNKER: Final = 1  # the rule by which contents are cut, pfs.chunker.FORMAT
NEEDS: Final = "0.1"  # the first version of pfs that understands what is written here
_LOCK_BYTES: Final = 64
# What a creation that was cut off, or a backup of the packs alone, may hold.
_OURS: Final = frozenset({"lock", "format.new", "packs"})


class Format(msgspec.Struct):
    """The file `format`."""

    format: int
    features: list[str]
    chunker: int
    uuid: str
    needs: str = NEEDS


class CleanMark(msgspec.Struct, frozen=True):
    """The file `clean`: the state that was closed.  Transactions by number, the last pack and its bytes."""

    objects_transaction: int
    refs_transaction: int
    last_pack: int
    last_pack_bytes: int


class Claim:
    """A store's directory, held by this process.  Owned by its Store."""

    def __init__(self, disk: Disk, path: Path, *, read_only: bool) -> None:
        self.disk = disk
        self.path = path
        self.read_only = read_only
        self.packs = path / "packs"
        self.objects_lmdb = path / "objects.lmdb"
        self.refs_lmdb = path / "refs.lmdb"
        self.store_uuid = b""
        self.is_new = False
        self.same_boot = False  # the last holder ran since this machine started
        self.other_boot = False  # it ran before that: what the page cache holds now came from the disk
        self._lock_fd = -1

    def take_lock(self) -> None:
        """Hold `lock` until `release`.  Busy names who has it."""
        path = self.path / "lock"
        try:
            self._lock_fd = self.disk.open(path, os.O_RDONLY if self.read_only else os.O_RDWR)
        except FileNotFoundError:
            if self.read_only:
                return
            self._lock_fd = self.disk.create(path)
        holder = self.disk.pread(self._lock_fd, _LOCK_BYTES, 0).decode("ascii", "replace").split()
        if not self.disk.lock(self._lock_fd, exclusive=not self.read_only):
            self.release()
            who = f"process {holder[0]}" if holder else "another process"
            raise Busy(f"{self.path}: the store is in use by {who}", hint="ask that process, or stop it")
        boot_id = self.disk.boot_id().hex()
        self.same_boot = len(holder) == 2 and holder[1] == boot_id
        self.other_boot = len(holder) == 2 and holder[1] != boot_id
        if not self.read_only:
            # Same length each time: needs no block on a full disk.
            line = f"{os.getpid()} {boot_id}".ljust(_LOCK_BYTES - 1) + "\n"
            self.disk.pwrite(self._lock_fd, line.encode(), 0)

    def doubt(self) -> None:
        """Make the next start look at everything, as after a power cut."""
        if self._lock_fd >= 0 and not self.read_only:
            self.disk.pwrite(self._lock_fd, b" " * (_LOCK_BYTES - 1) + b"\n", 0)

    def release(self) -> None:
        """Let others have the store."""
        if self._lock_fd >= 0:
            self.disk.close(self._lock_fd)
            self._lock_fd = -1

    def read_clean_mark(self) -> CleanMark | None:
        """The mark that the last close left, if it left one that can be read."""
        try:
            return msgspec.json.decode(self.disk.read_file(self.path / "clean"), type=CleanMark)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def remove_clean_mark(self) -> None:
        """From here on a crash is noticed.  Durable before anything else is changed."""
        try:
            self.disk.unlink(self.path / "clean")
        except FileNotFoundError:
            return
        self.disk.sync_directory(self.path)

    def write_clean_mark(self, mark: CleanMark) -> None:
        """The last thing a close does.  On a full disk there is none: the next start checks more."""
        try:
            write_durably(self.disk, self.path / "clean", msgspec.json.encode(mark))
        except OSError as error:
            if error.errno not in FULL:
                raise


def claim(disk: Disk, path: Path, *, create: bool, read_only: bool, lock: bool) -> Claim:
    """Hold the store in a directory, made if there is none and `create`.

    NotFound, StoreError (not a store), UnsupportedFormat, Busy, Denied, ReadOnly, NoSpace.
    """
    found = Claim(disk, path, read_only=read_only)
    with explained(path):
        names = _names(disk, path)
        may_create = create and not read_only
        if names is None:
            if not may_create:
                raise NotFound(f"{path}: there is no store", hint="'pfs mount DIR' makes one")
            _make_directory(disk, path)
        elif "format" not in names and not (may_create and _OURS.issuperset(names)):
            raise StoreError(
                f"{path}: not a store", hint="name an empty directory or one that does not exist"
            )
        try:
            if lock:
                found.take_lock()
            _read_or_make_format(found)
            if not read_only:
                _make_rest(found)
        except BaseException:
            found.release()
            raise
    return found


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """OSErrors of opening a store as errors that say what to do."""
    try:
        yield
    except PermissionError as error:
        where = error.filename or path
        raise Denied(f"{where}: {error.strerror}", hint="the store belongs to another user") from error
    except OSError as error:
        where = error.filename or path
        if error.errno == errno.EROFS:
            raise ReadOnly(
                f"{where}: {error.strerror}", hint="open it with --read-only, or mount its disk writable"
            ) from error
        if error.errno in FULL:
            raise NoSpace(f"{where}: {error.strerror}") from error
        raise StoreError(f"{where}: {error.strerror or error}") from error


def _names(disk: Disk, path: Path) -> list[str] | None:
    try:
        return disk.listdir(path)
    except FileNotFoundError:
        return None


def _make_directory(disk: Disk, path: Path) -> None:
    if _names(disk, path.parent) is None:
        _make_directory(disk, path.parent)
    disk.mkdir(path)
    disk.sync_directory(path.parent)


def _read_or_make_format(found: Claim) -> None:
    path = found.path / "format"
    try:
        raw = found.disk.read_file(path)
    except FileNotFoundError:
        store_uuid = _uuid_of_packs(found)
        found.is_new = store_uuid is None
        found.store_uuid = store_uuid or found.disk.new_uuid()
        made = Format(FORMAT, sorted(FEATURES), CHUNKER, found.store_uuid.hex())
        write_durably(found.disk, path, msgspec.json.encode(made) + b"\n")
        return
    try:
        known = msgspec.json.decode(raw, type=Format)
        found.store_uuid = bytes.fromhex(known.uuid)
    except (msgspec.MsgspecError, ValueError) as error:
        store_uuid = _uuid_of_packs(found)
        if store_uuid is None:
            raise StoreError(f"{path}: damaged: {error}") from error
        found.store_uuid = store_uuid
        return
    if known.format > FORMAT or known.chunker > CHUNKER:
        there, here = f"{known.format}.{known.chunker}", f"{FORMAT}.{CHUNKER}"
        raise UnsupportedFormat(str(found.path), there, here, known.needs)
    unknown = sorted(set(known.features) - FEATURES)
    if unknown:
        raise UnsupportedFormat(str(found.path), "with " + ", ".join(unknown), str(FORMAT), known.needs)


def _uuid_of_packs(found: Claim) -> bytes | None:
    """The uuid that the packs carry: a copy of them alone is a whole store."""
    for name in _names(found.disk, found.packs) or []:
        if name.endswith(".pack"):
            header = parse_pack_header(found.disk.read_file(found.packs / name)[:PACK_HEADER_BYTES])
            if header is not None:
                return header[0]
    return None


def _make_rest(found: Claim) -> None:
    if _names(found.disk, found.packs) is None:
        found.disk.mkdir(found.packs)
        found.disk.sync_directory(found.path)
