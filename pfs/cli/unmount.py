"""Unmounting without a daemon's help: a mount whose daemon is dead."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pfs.errors import Busy, NotFound

_SECONDS_MAX = 30.0


def unmount_stale(mount_point: Path) -> None:
    """Take a dead mount away, even while somebody's working directory is in it. Busy where that fails."""
    program = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    try:
        done = subprocess.run(
            [*program, "--", str(mount_point)],
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except FileNotFoundError:
        raise NotFound(f"{program[0]} is not installed", hint="run scripts/setup") from None
    except subprocess.TimeoutExpired:
        raise Busy(f"{mount_point}: {program[0]} does not come back", hint="see 'pfs doctor'") from None
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"{program[0]} failed"
        raise Busy(f"{mount_point}: its daemon is dead and it can't be unmounted: {reason}")
