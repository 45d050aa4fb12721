"""`pfs mount DIR`: start the daemon of the store, and return when the mount answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from pfs.cli.checks import check_can_mount
from pfs.cli.daemon_process import ProcessWatch, daemon_command, log_path, start_detached
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text
from pfs.cli.unmount import unmount_stale
from pfs.control.mounts import is_stale, mount_at
from pfs.control.wire import Json
from pfs.errors import Busy, NotFound, UsageError

# A daemon that is ending makes everything durable first.
ENDING_SECONDS_MAX = 120.0


@click.command("mount")
@click.argument("mount_point", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--foreground", is_flag=True, help="Stay in the foreground; log to stderr.")
@click.option("--read-only", is_flag=True, help="Refuse every change.")
@click.option("--allow-other", is_flag=True, help="Let other users in, by the modes of the files.")
@click.option("--no-capture", is_flag=True, help="Record no lineage; nothing can mend that later.")
@click.option("--at-login", is_flag=True, help="Mount now and at each login, by a systemd user unit.")
@takes_json
@click.pass_obj
def command(
    invocation: Invocation,
    mount_point: Path,
    foreground: bool,
    read_only: bool,
    no_capture: bool,
    allow_other: bool,
    at_login: bool,
) -> None:
    """Mount the store at the empty directory DIR. The first use makes the store."""
    where = _resolve(mount_point)
    store = invocation.store
    given = (("--read-only", read_only), ("--allow-other", allow_other), ("--no-capture", no_capture))
    options = [name for name, on in given if on]
    if at_login:
        from pfs.cli.login_unit import enable

        unit = enable(store, where, options)
        if not invocation.as_json:
            print_text(f"wrote and enabled {unit}")
    already = _find_daemon(invocation, store, where)
    if already is None:
        _check_mount_point(where, store)
        check_can_mount()
        if foreground:
            os.execv(sys.executable, daemon_command(store, where, options))
        already = start_detached(daemon_command(store, where, options))
    document = {"store": str(store), "mount_point": str(where), "pid": already["pid"]}
    if invocation.as_json:
        print_json({**document, "log": str(log_path())})
    else:
        print_text(f"{store} is mounted at {where} (pid {already['pid']})")


def _resolve(mount_point: Path) -> Path:
    """Absolute and resolved but for its last part, which is not touched: its daemon may be dead."""
    path = Path(os.path.abspath(mount_point))
    return Path(os.path.realpath(path.parent), path.name)


def _find_daemon(invocation: Invocation, store: Path, where: Path) -> Json | None:
    """The pid of the daemon that has the store mounted here already; None where there is none.

    Clears a stale mount, and waits for a daemon that is ending. Busy where the place or the store is taken.
    """
    mounted = mount_at(where, invocation.mounts)
    if mounted is not None and is_stale(where):
        unmount_stale(where)
        mounted = None
    pid = invocation.client.daemon_pid()
    if pid is None:
        if mounted is not None:
            raise Busy(f"{where}: the store {mounted.store} is mounted here", hint=f"pfs umount {where}")
        return None
    with ProcessWatch(pid) as watch:
        status = invocation.call("status", {})
        if status["state"] == "stopping":
            if not watch.wait_ended(ENDING_SECONDS_MAX):
                raise Busy(f"the daemon of {store} (pid {pid}) is still ending", hint="try again later")
            return None
    if status["mount_point"] != str(where):
        raise Busy(
            f"{store} is mounted at {status['mount_point']} already (pid {pid})",
            hint=f"pfs umount {status['mount_point']}",
        )
    return {"pid": pid}


def _check_mount_point(where: Path, store: Path) -> None:
    """NotFound, UsageError or Busy unless this is an empty directory outside the store."""
    if not where.exists():
        raise NotFound(f"{where}: no such directory", hint=f"mkdir {where}")
    if not where.is_dir():
        raise UsageError(f"{where} is not a directory")
    real, real_store = Path(os.path.realpath(where)), Path(os.path.realpath(store))
    if real.is_relative_to(real_store) or real_store.is_relative_to(real):
        raise UsageError(
            f"the store {store} and the mount point {where} lie in one another",
            hint="choose another directory",
        )
    if os.path.ismount(where):
        raise Busy(f"{where}: something else is mounted here", hint="unmount it or choose another directory")
    if any(where.iterdir()):
        raise Busy(f"{where} is not empty", hint="what is in it would be hidden: choose an empty directory")
