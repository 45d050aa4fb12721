"""One process a store: open it, mount it, serve until unmounted or told to end, close it.

Order at start: limits and signals → store (its lock says that we are alone) →
journals replayed → mount → control socket → "ready".  At the end, whatever the
reason: no new requests → everything synced → checkpoints of dirty branches →
journals and store closed with a clean mark.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from pfs import _native
from pfs.control.mountpoint import harden, prepare
from pfs.control.server import Peer, serve
from pfs.control.wire import encode_line
from pfs.daemon.build import Daemon
from pfs.daemon.control import handlers
from pfs.daemon.fusectl import device_of, raise_background_limits
from pfs.daemon.loop_watch import LoopWatch
from pfs.disk import Disk
from pfs.errors import Denied, NotFound, PfsError
from pfs.fuse import mount
from pfs.store.store import Store

SWITCH_INTERVAL_SECONDS = 1e-4  # a busy background thread must not hold the loop for the default 5 ms
MMAP_THRESHOLD_BYTES = 64 * 1024 * 1024  # pyfuse3 allocates 1 MiB a request: keep that off mmap
RESERVE_BYTES_MAX = 256 * 1024 * 1024
RESERVE_SHARE = 16  # at most this part of the free disk
MOUNT_LOOK_SECONDS = 1.0
FLUSH_SECONDS_MAX = 10.0  # for mapped files when told to end
RESTART_SECONDS = 5.0  # before a background task that failed is started again
# A collection holds everybody up: one of the youngest for 2 ms, one of all for 0.3 s with a million inodes.
GC_THRESHOLDS = (10_000, 250, 1_000_000)

_log = structlog.get_logger("daemon")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    store: Path
    mount_point: Path
    read_only: bool = False
    allow_other: bool = False
    capture: bool = True  # whether lineage is recorded
    ready_fd: int = -1


def run(options: Options) -> None:
    """Mount and serve until the end.  Raises PfsError where there is nothing to serve."""
    _prepare_process()
    disk = Disk()
    reserve_bytes = 0 if options.read_only else _reserve_bytes(disk, options.store)
    store = Store.open(options.store, disk, read_only=options.read_only, reserve_bytes=reserve_bytes)
    for note in store.notes:
        _log.warning("mended", store=str(options.store), what=note)
    try:
        trio.run(_serve, options, store)
    except BaseExceptionGroup as group:
        failures = group.subgroup(PfsError)
        if failures is None:
            raise
        raise _first(failures) from None
    finally:
        store.close()


def _reserve_bytes(disk: Disk, store: Path) -> int:
    """What is held back so that commits work on a full disk: less on a small one."""
    above = next(path for path in (store, *store.parents) if path.exists())
    below = disk.statvfs(above)
    return min(RESERVE_BYTES_MAX, below.f_bavail * below.f_frsize // RESERVE_SHARE)


def _first(group: BaseExceptionGroup[PfsError]) -> PfsError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, PfsError)
    return found


def _prepare_process() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    sys.setrecursionlimit(10_000)
    _native.set_mmap_threshold(MMAP_THRESHOLD_BYTES)
    gc.set_threshold(*GC_THRESHOLDS)
    os.umask(0)
    os.chdir("/")


async def _serve(options: Options, store: Store) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        daemon = Daemon(
            store,
            options.mount_point,
            time.time_ns,
            read_only=options.read_only,
            capture=options.capture and not options.read_only,
        )
        daemon.replay()
        watch = LoopWatch()
        trio.lowlevel.add_instrument(watch)
        _mount(options, daemon)
        gc.collect()
        gc.freeze()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_on_signal, signals, daemon)
                nursery.start_soon(partial(_requests, nursery.cancel_scope))
                served = partial(serve, options.store, handlers(daemon, watch), mode=0o666, admit=_admit)
                await nursery.start(served)
                for task in daemon.background_tasks():
                    nursery.start_soon(_kept_running, task)
                nursery.start_soon(_report_ready, options)
                nursery.start_soon(_end_when_unmounted, options.mount_point)
        finally:
            daemon.state = "stopping"
            with trio.CancelScope(shield=True):
                await _finish(daemon)


def _mount(options: Options, daemon: Daemon) -> None:
    where = options.mount_point
    names = {f"fsname=pfs:{options.store}", "subtype=pfs", "default_permissions"}
    if options.allow_other or os.geteuid() == 0:
        names.add("allow_other")
    if options.read_only:
        names.add("ro")
    try:
        bare = prepare(where)
    except FileNotFoundError:
        raise NotFound(f"{where}: no such directory", hint=f"mkdir {where}") from None
    except OSError as error:
        raise Denied(f"{where}: {error.strerror}", hint="choose a directory of your own") from None
    try:
        mount.mount(daemon.filesystem, where, names)
    finally:
        harden(bare)
        os.close(bare)
    if os.geteuid() == 0:
        raise_background_limits(where)


async def _requests(scope: trio.CancelScope) -> None:
    """Answer the kernel until the mount is gone; then everything ends."""
    await mount.answer()
    scope.cancel()


def _admit(peer: Peer, op: str) -> None:
    """Everybody may ask; the handlers look at who it is and at what is asked for."""


async def _kept_running(task: Callable[[], Awaitable[None]]) -> None:
    """Start a background task again when a defect ends it: the mount goes on."""
    while True:
        try:
            await task()
        except Exception:
            _log.exception("background task failed", task=task.__qualname__)
        await trio.sleep(RESTART_SECONDS)


async def _end_when_unmounted(mount_point: Path) -> None:
    """End when our mount has gone although a copy in another mount namespace keeps its connection alive."""
    while True:
        await trio.sleep(MOUNT_LOOK_SECONDS)
        if await trio.to_thread.run_sync(device_of, mount_point) is None:
            mount.end()
            return


async def _end_on_signal(signals: AsyncIterator[int], daemon: Daemon) -> None:
    """End as for an unmount; first the stores through mmap, which only we can fetch."""
    async for number in signals:
        _log.info("ending", signal=signal.Signals(number).name)
        with trio.move_on_after(FLUSH_SECONDS_MAX):
            for tree in daemon.branches.opened():
                await daemon.mapped.flush(tree)
        mount.end()
        return


async def _report_ready(options: Options) -> None:
    """Say that the mount answers, once it does: ask it as a program would, from a thread."""
    await trio.to_thread.run_sync(os.lstat, options.mount_point)
    if options.ready_fd >= 0:
        os.write(options.ready_fd, encode_line({"ok": True, "pid": os.getpid()}))
        os.close(options.ready_fd)
    _notify_systemd()
    _log.info("mounted", store=str(options.store), mount_point=str(options.mount_point), pid=os.getpid())


def _notify_systemd() -> None:
    """sd_notify(3): READY=1, where systemd started us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(b"READY=1")


async def _finish(daemon: Daemon) -> None:
    """Unmount, then make everything durable."""
    mount.close()
    await daemon.finish()
    _log.info("ended", pid=os.getpid())
