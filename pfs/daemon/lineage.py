"""Everything lineage needs in a daemon, built and closed as one.

The connector is taken up before anything is mounted, so that no process is missed that could ask; where it
can't be had, /proc alone answers and `pfs doctor` says so.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

import structlog
import trio

from pfs import _native
from pfs.errors import PfsError
from pfs.lineage.facts import Activity
from pfs.lineage.index.both import Both
from pfs.lineage.index.database import open_index
from pfs.lineage.live.journal import Journal
from pfs.lineage.live.state import Actor
from pfs.lineage.outside.mount_table import Mounts
from pfs.lineage.outside.rules import OutsideRules
from pfs.lineage.outside.watch import OutsideWatch
from pfs.lineage.outside.words import DescribeFiles
from pfs.lineage.processes.describe import activity
from pfs.lineage.processes.exits_last import ExitsLast
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.table import Processes
from pfs.lineage.recording.recorder import Recorder
from pfs.lineage.redaction.secrets import Redactor, load_key
from pfs.overlay.branches import Branches
from pfs.overlay.tree import Tree
from pfs.overlay.worktree import WorkingTree
from pfs.repo.records import BranchRecord
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.lineage_segments import mend_index
from pfs.versioning.sealer import Sealer
from pfs.vfs.capture import Capture
from pfs.vfs.lineage_xattrs import LineageXattrs
from pfs.vfs.live_files import LiveFiles
from pfs.vfs.outside_files import OutsideFiles

INDEX_NAME = "lineage.lmdb"
JOURNAL_NAME = "lineage"
SYNC_SECONDS = 1.0

_log = structlog.get_logger("lineage")


class Lineage:
    """Recording, storing and finding of lineage.  Made on the event loop."""

    def __init__(
        self,
        store: Store,
        branches: Branches,
        repositories: Repositories,
        repo_of: Callable[[Tree], int],
        shown_name: Callable[[Tree], bytes],
        mount_point: os.PathLike[str],
        own_threads: set[int],
        now_ns: Callable[[], int],
    ) -> None:
        disk = store.disk
        self._store = store
        self._repositories = repositories
        self.index, damage = open_index(disk, store.path / INDEX_NAME)
        if damage:
            _log.warning("lineage index made anew", why=damage)
        self._redactor = Redactor(load_key(store.path, disk))
        self._host = socket.gethostname()
        files = LiveFiles(branches, repo_of)
        directory = store.path / JOURNAL_NAME
        with suppress(FileExistsError):
            disk.mkdir(directory)
        self.journal = Journal(disk, directory, disk.boot_id())
        self.recorder = Recorder(files, self.journal, now_ns, self.index.origin)
        self.recorder.replay(self.journal.read())
        self.journal.start()
        branches.on_open = self._opened
        leave_out = OutsideRules().and_also(*map(real_path, (store.path, mount_point))).leave_out
        self._mounts = Mounts()
        self._listener = _listener(leave_out)
        given = DescribeFiles(_native.proc_read, self._mounts, leave_out)
        connector = _connector()
        exits = ExitsLast(connector) if connector is not None and self._listener is not None else None
        self.processes = Processes(
            exits or connector, disk.boot_id(), now_ns=now_ns, own=[os.getpid()], reader=given
        )
        self.capture = Capture(
            self.processes,
            self.recorder,
            files,
            self._describe,
            os.fsencode(mount_point),
            own_threads,
            shown_name,
        )
        told = [source.fileno() for source in (connector, self._listener) if source is not None]
        is_quiet = partial(_native.is_quiet, *told)
        watch = OutsideWatch(
            self._listener, self.processes, self.recorder, leave_out, now_ns, exits, is_quiet
        )
        self.outside = OutsideFiles(self.capture, watch, self._listener, self._mounts, given, leave_out)
        self.sealer = Sealer(self.recorder, files, self.index, store)
        self.source = Both(self.recorder.source, self.index)
        own_uid = os.geteuid()
        self.xattrs = LineageXattrs(
            self.source,
            lambda node: self.recorder.newest(files.place(node)),
            lambda asker, uid: asker in (0, own_uid, uid),
        )

    def _opened(self, tree: WorkingTree, branch: BranchRecord) -> None:
        """A working tree is open, maybe after a crash; what we do with its files is not told to us."""
        self.recorder.reopened(tree.branch_id, branch.journal_generation)
        if self._listener is not None:
            _leave_out(self._listener, tree.working.directory)

    def background_tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs beside the requests."""
        return [self._keep_up, *self.capture.background_tasks(), *self.outside.background_tasks()]

    def mend(self) -> None:
        """Index what a crash has left unindexed: before anybody asks, or a stored version counts as raw."""
        try:
            added = mend_index(self.index, self._repositories, self._store)
        except (OSError, PfsError) as error:
            _log.warning("lineage index not mended", error=str(error))
        else:
            if added:
                _log.info("lineage indexed", segments=added)

    def counters(self) -> dict[str, int]:
        """Numbers for `pfs debug` and tests."""
        return {
            "process_events": int(self.processes.has_connector),
            "process_events_lost": self.processes.overflows,
            "request_pids": int(self.capture.knows_callers),
            "outside_files": int(self._listener is not None),
            "live_activities": len(self.recorder.actors()),
            "lineage_journal_bytes": self.journal.size_bytes,
        }

    async def _keep_up(self) -> None:
        """What may wait: compaction in steps, then the sync that power loss asks for."""
        while True:
            await trio.sleep(SYNC_SECONDS)
            while self.recorder.tidy():
                await trio.lowlevel.checkpoint()
            await trio.to_thread.run_sync(self.journal.sync)

    def _describe(self, image: Image, parent: Actor | None) -> tuple[Activity, bool]:
        return activity(image, parent.id if parent is not None else 0, self._host, user_name, self._redactor)

    def close(self) -> None:
        """Index what is waiting, close the journal."""
        self.capture.close()
        self.sealer.close()
        self.journal.close()
        self.index.close()
        if self._listener is not None:
            self._listener.close()
        self._mounts.close()


def _connector() -> _native.Connector | None:
    try:
        return _native.Connector()
    except OSError as error:
        _log.info("no proc connector", why=error.strerror)
        return None


def _listener(leave_out: Callable[[bytes], bool]) -> _native.Outside | None:
    """Hears of files beyond the mount; None where the kernel does not tell us."""
    try:
        return _native.Outside(leave_out)
    except OSError as error:
        _log.info("files beyond the mount are known by command lines only", why=error.strerror)
        return None


def _leave_out(listener: _native.Outside, directory: Path) -> None:
    """Where the kernel can't (before 6.0), each event is taken and dropped."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            listener.leave_out(fd)
    finally:
        os.close(fd)


def real_path(path: os.PathLike[str]) -> bytes:
    """As the kernel names it."""
    return os.path.realpath(os.fsencode(path))


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user; digits where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
