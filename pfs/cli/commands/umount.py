"""`pfs umount [DIR]`: end the daemon; returns when everything is durable and the process is gone."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pfs.cli.daemon_process import ProcessWatch
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text
from pfs.cli.unmount import unmount_stale
from pfs.control.mountpoint import soften
from pfs.control.mounts import is_stale, mount_at
from pfs.errors import Busy, NoDaemon, NotFound

# Making everything durable may mean storing gigabytes.
ENDING_SECONDS_MAX = 600.0


@click.command("umount")
@click.argument("mount_point", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--lazy", is_flag=True, help="Even while programs use it: they see it gone.")
@takes_json
@click.pass_obj
def command(invocation: Invocation, mount_point: Path | None, lazy: bool) -> None:
    """Unmount the store mounted at DIR, or the store at hand."""
    if mount_point is not None:
        invocation.mount = mount_at(Path(os.path.realpath(mount_point)), invocation.mounts)
        if invocation.mount is None:
            raise NotFound(f"{mount_point}: no store is mounted here", hint="'pfs status' says where one is")
    pid = invocation.client.daemon_pid()
    if pid is None:
        where = _unmount_dead(invocation)
    else:
        with ProcessWatch(pid) as watch:
            where = Path(invocation.call("umount", {"lazy": lazy})["mount_point"])
            if not watch.wait_ended(ENDING_SECONDS_MAX):
                raise Busy(f"the daemon (pid {pid}) is still making things durable", hint="it ends by itself")
    soften(where)
    if invocation.as_json:
        print_json({"store": str(invocation.store), "mount_point": str(where)})
    else:
        print_text(f"{where} is unmounted, everything in it is durable")


def _unmount_dead(invocation: Invocation) -> Path:
    """Clear what a dead daemon left; NoDaemon where there is nothing to unmount."""
    mount = invocation.mount or next(
        (mount for mount in invocation.mounts if mount.store == invocation.store), None
    )
    if mount is None or not is_stale(mount.mount_point):
        raise NoDaemon(f"{invocation.store} is not mounted")
    unmount_stale(mount.mount_point)
    return mount.mount_point
