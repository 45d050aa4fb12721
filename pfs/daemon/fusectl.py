"""Limits of the kernel's side of the mount, which only root may raise.

The default of 12 background requests lets 20 slow reads hold a cold read of
another file for seconds; readahead of 128 KiB halves cold sequential reads.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MAX_BACKGROUND = 200
CONGESTION_THRESHOLD = 150
READ_AHEAD_KIB = 1024

_CONNECTIONS = Path("/sys/fs/fuse/connections")
_BDI = Path("/sys/class/bdi")


def raise_background_limits(mount_point: Path) -> None:
    """Raise them for the mount here; where that can't be done they stay."""
    device = device_of(mount_point)
    if device is None:
        return
    connection = _CONNECTIONS / str(os.minor(device))
    if not connection.exists():
        command = ["mount", "-t", "fusectl", "fusectl", str(_CONNECTIONS)]
        subprocess.run(command, check=False, capture_output=True)
    _write(connection / "max_background", MAX_BACKGROUND)
    _write(connection / "congestion_threshold", CONGESTION_THRESHOLD)
    _write(_BDI / f"{os.major(device)}:{os.minor(device)}" / "read_ahead_kb", READ_AHEAD_KIB)


def device_of(mount_point: Path) -> int | None:
    """The device number of a mount, from mountinfo: asking the mount itself would wait for us."""
    wanted = os.fsencode(mount_point)
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = line.split(b" ")
        if fields[4].replace(b"\\040", b" ") == wanted:
            major, _, minor = fields[2].partition(b":")
            return os.makedev(int(major), int(minor))
    return None


def _write(path: Path, value: int) -> None:
    try:
        path.write_text(f"{value}\n")
    except OSError:
        return
