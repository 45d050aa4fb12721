"""The operations of the control socket: who may ask, then one call."""

from __future__ import annotations

import os
from typing import Any

import pyfuse3

from pfs.control.server import Handler, Peer
from pfs.daemon.build import Daemon
from pfs.daemon.loop_watch import LoopWatch


def handlers(daemon: Daemon, watch: LoopWatch) -> dict[str, Handler]:
    """All operations by name."""

    async def umount(peer: Peer, args: dict[str, Any]) -> dict[str, object]:
        pyfuse3.terminate()
        return {"mount_point": str(daemon.mount_point)}

    async def status(peer: Peer, args: dict[str, Any]) -> dict[str, object]:
        return {
            "store": str(daemon.store.path),
            "mount_point": str(daemon.mount_point),
            "state": daemon.state,
            "daemon": {"pid": os.getpid()},
            "repos": [],
        }

    return {"umount": umount, "status": status}
