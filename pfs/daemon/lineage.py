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
from functools import lru_cache

import structlog
import trio

from pfs import _native
from pfs.lineage.both import Both
from pfs.lineage.describe import activity
from pfs.lineage.facts import Activity
from pfs.lineage.image import Image
from pfs.lineage.index import Index, open_index
from pfs.lineage.journal import Journal
from pfs.lineage.live import Actor
from pfs.lineage.processes import Processes
from pfs.lineage.recorder import Recorder
from pfs.lineage.secrets import Redactor, load_key
from pfs.overlay.branches import Branches
from pfs.overlay.tree import Tree
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.lineage_segments import mend_index
from pfs.versioning.sealer import Sealer
from pfs.vfs.capture import Capture
from pfs.vfs.live_files import LiveFiles

INDEX_NAME = "lineage.lmdb"
JOURNAL_NAME = "lineage"
SYNC_SECONDS = 1.0
DRAIN_SECONDS = 0.05  # of the connector, beside the drain at each request: its buffer never fills

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
        branches.on_open = lambda tree, branch: self.recorder.reopened(
            tree.branch_id, branch.journal_generation
        )
        self.processes = Processes(_connector(), disk.boot_id(), now_ns=now_ns, own=[os.getpid()])
        self.capture = Capture(
            self.processes, self.recorder, files, self._describe, os.fsencode(mount_point), own_threads, shown_name
        )
        self.sealer = Sealer(self.recorder, files, self.index, store)
        self.source = Both(self.recorder.source, self.index)

    def background_tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs beside the requests."""
        return [self._drain, self._keep_up, self.capture.describe_executed]

    async def mend(self) -> None:
        """Index what a crash has left unindexed."""
        try:
            added = await trio.to_thread.run_sync(mend_index, self.index, self._repositories, self._store)
        except Exception:
            _log.exception("lineage index not mended")
        else:
            if added:
                _log.info("lineage indexed", segments=added)

    async def _drain(self) -> None:
        while True:
            self.processes.drain()
            await trio.sleep(DRAIN_SECONDS)

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
        self.sealer.close()
        self.journal.close()
        self.index.close()


def _connector() -> _native.Connector | None:
    try:
        return _native.Connector()
    except OSError as error:
        _log.info("no proc connector", why=error.strerror)
        return None


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user; digits where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
