"""One LMDB environment: looked at before it is opened, built aside when new, kept within what LMDB bears.

Promises: a file that LMDB would trip over (short, foreign, broken) is found before LMDB maps it;
errors come out as NoSpace or StoreError; 4 MiB of disk stay reserved, so that deletes work on a full
disk.  Leaves to others: the meaning of keys and values, and rebuilding from the packs what is damaged.
All write transactions are made on the store's writer thread (or before that runs).
"""

from __future__ import annotations

import errno
import importlib.util
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import lmdb

from pfs.disk import Disk
from pfs.errors import NoSpace, PfsError, StoreError

# lmdb < 3 has no verifier; values carry checksums all the same.
_VERIFIER: Any = importlib.import_module("lmdb.verify") if importlib.util.find_spec("lmdb.verify") else None

T = TypeVar("T")
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

# Costs nothing until used, and is never resized: that would need all readers to stop.
_MAP_BYTES: Final = 1 << 40
_MAP_BYTES_MIN: Final = 1 << 30
# A delete rewrites a few pages of a tree before any page comes free.
RESERVE_BYTES: Final = 4 * 1024 * 1024
_READERS_MAX: Final = 126
# Read transactions kept for the next reader: one for each thread that reads at once.
_SPARE_TRANSACTIONS: Final = 8
# Checking the structure takes 30 to 170 MB/s: below this at each start, above it only after a power cut.
VERIFY_BYTES_MAX: Final = 4 * 1024 * 1024

# LMDB 0.9's meta page: 16 bytes of page header (flags at 10), then MDB_meta.
_META: Final = struct.Struct("<10xHxxxxIIQQ")
_META_PAGE: Final = 0x08
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_PAGE_SIZE_AT: Final = 40
_LAST_PAGE_AT: Final = 136  # two u64: last page, transaction number
_META_BYTES: Final = 152
_PAGE_BYTES_ALLOWED: Final = frozenset({4096, 8192, 16384, 32768})
# 3.0 bundles two engines with different files: ours is the old one, whatever the environment says.
_ENGINE: Final[dict[str, Any]] = {} if lmdb.__version__.startswith(("1.", "2.")) else {"lib_version": 0}


# What LMDB says of a file that is broken; any other error says nothing about the file.
_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)


class DamagedEnvironment(StoreError):
    """An LMDB environment that is broken and can be rebuilt from the packs."""

    hint = "mount again: it is rebuilt from the packs"


class Environment:
    """An open LMDB environment.  Reads in any thread; writes on the writer thread."""

    def __init__(self, disk: Disk, path: Path, *, read_only: bool = False) -> None:
        """Open an environment that `find_damage` found good; DamagedEnvironment if LMDB finds it is not."""
        self.path = path
        self._disk = disk
        self._env = _open(path, read_only=read_only)
        self._reserve_fd = -1
        self._reserved_to = 0
        if not read_only:
            self._env.reader_check()
            self._reserve_fd = disk.open(path / "data.mdb", os.O_RDWR)
            self._reserve()

    @property
    def last_transaction(self) -> int:
        """Number of the newest write transaction."""
        return int(self._env.info()["last_txnid"])

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A read transaction, to be ended within a second: pages it sees are not used again meanwhile."""
        try:
            with self._env.begin() as transaction:
                yield transaction
        except lmdb.Error as error:
            raise self._translated(error) from error

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """The values of some keys, of one instant.  The hot path: `read` costs as much again."""
        try:
            with self._env.begin() as transaction:
                return [transaction.get(key) for key in keys]
        except lmdb.Error as error:
            raise self._translated(error) from error

    def write(self, change: Callable[[Transaction], T]) -> T:
        """One write transaction, durable when this returns; nothing of it after an error."""
        try:
            with self._env.begin(write=True) as transaction:
                result = change(transaction)
        except lmdb.Error as error:
            raise self._translated(error) from error
        self._disk.lmdb_committed(self.path / "data.mdb")
        self._reserve()
        return result

    def entries(self) -> int:
        """Number of keys."""
        return int(self._env.stat()["entries"])

    def check_readers(self) -> int:
        """Free the slots of readers that died; how many there were."""
        return int(self._env.reader_check())

    def close(self) -> None:
        """Close it; no transaction may be open."""
        self._env.close()
        if self._reserve_fd >= 0:
            self._disk.close(self._reserve_fd)
            self._reserve_fd = -1

    def _reserve(self) -> None:
        """Keep disk reserved behind the last page.  On a full disk this fails and is tried again later."""
        if self._reserve_fd < 0:
            return
        used = (int(self._env.info()["last_pgno"]) + 1) * int(self._env.stat()["psize"])
        if used + RESERVE_BYTES // 2 <= self._reserved_to:
            return
        try:
            self._disk.fallocate_keep(self._reserve_fd, used, RESERVE_BYTES)
        except OSError:
            return
        self._reserved_to = used + RESERVE_BYTES

    def _translated(self, error: lmdb.Error) -> PfsError:
        code = _code(error)
        full = code == errno.ENOSPC or isinstance(error, lmdb.MapFullError)
        # A short write on a full disk comes out as EIO.
        if code == errno.EIO:
            full = self._disk.statvfs(self.path).f_bavail == 0
        if full:
            return NoSpace(f"{self.path}: {error}")
        if isinstance(error, _DAMAGE):
            return DamagedEnvironment(f"{self.path}: {error}")
        return StoreError(f"{self.path}: {error}")


def find_damage(disk: Disk, path: Path, *, thorough: bool) -> str | None:
    """Why an environment can't be used as it is, or None.  `thorough`: check the structure at any size."""
    try:
        fd = disk.open(path / "data.mdb", os.O_RDONLY)
    except FileNotFoundError:
        return "missing"
    try:
        size = disk.fstat(fd).st_size
        damage = _find_damage_in_metas(disk, fd, size)
    except OSError as error:
        damage = str(error.strerror)
    finally:
        disk.close(fd)
    if damage is not None or _VERIFIER is None or not (thorough or size <= VERIFY_BYTES_MAX):
        return damage
    try:
        problems = _VERIFIER.verify(str(path / "data.mdb"))
    except _VERIFIER.VerifyError as error:
        return str(error)
    return str(problems[0]) if problems else None


def build(disk: Disk, path: Path, fill: Callable[[Environment], None]) -> None:
    """Make a new environment in place of `path`.  Commit point: the rename.

    A crash before it leaves `path.new`, removed by the next build, and perhaps no `path`: built again.
    """
    aside = path.with_name(path.name + ".new")
    _remove(disk, aside)
    disk.mkdir(aside)
    environment = Environment(disk, aside)
    try:
        fill(environment)
    finally:
        environment.close()
    disk.sync_directory(aside)
    _remove(disk, path)
    disk.rename(aside, path)
    disk.sync_directory(path.parent)


def _remove(disk: Disk, path: Path) -> None:
    try:
        names = disk.listdir(path)
    except FileNotFoundError:
        return
    for name in names:
        disk.unlink(path / name)
    disk.rmdir(path)


def _find_damage_in_metas(disk: Disk, fd: int, size: int) -> str | None:
    first = disk.pread(fd, _META_BYTES, 0)
    if len(first) < _META_BYTES:
        return f"{size} bytes"
    (page_bytes,) = struct.unpack_from("<I", first, _PAGE_SIZE_AT)
    if page_bytes not in _PAGE_BYTES_ALLOWED:
        return f"page size {page_bytes}"
    newest = (-1, 0)
    for raw in (first, disk.pread(fd, _META_BYTES, page_bytes)):
        if len(raw) < _META_BYTES:
            return f"{size} bytes"
        flags, magic, version, _, _ = _META.unpack_from(raw)
        if not flags & _META_PAGE or magic != _MAGIC or version != _VERSION:
            return "a meta page is damaged"
        last_page, transaction = struct.unpack_from("<QQ", raw, _LAST_PAGE_AT)
        newest = max(newest, (transaction, last_page))
    needed = (newest[1] + 1) * page_bytes
    return None if size >= needed else f"{size} bytes where {needed} are needed"


def _code(error: lmdb.Error) -> int:
    """The errno or LMDB's number; 0 for what the binding itself refuses."""
    return int(getattr(error, "code", 0))


def _open(path: Path, *, read_only: bool) -> lmdb.Environment:
    map_bytes = _MAP_BYTES
    while True:
        try:
            return lmdb.open(
                str(path),
                map_size=map_bytes,
                readonly=read_only,
                lock=not read_only,
                create=not read_only,
                max_readers=_READERS_MAX,
                max_spare_txns=_SPARE_TRANSACTIONS,
                mode=0o600,
                **_ENGINE,
            )
        except lmdb.MemoryError as error:
            map_bytes //= 2
            if map_bytes < _MAP_BYTES_MIN:
                raise StoreError(f"{path}: no address space for its map") from error
        except lmdb.Error as error:
            if _code(error) == errno.ENOSPC:
                raise NoSpace(f"{path}: {error}") from error
            if isinstance(error, _DAMAGE):
                raise DamagedEnvironment(f"{path}: {error}") from error
            raise StoreError(f"{path}: {error}") from error
