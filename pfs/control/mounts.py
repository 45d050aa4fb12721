"""Where stores are mounted, as the kernel tells it.

Reads /proc/self/mountinfo only; pfs mounts show there as type `fuse.pfs` with source `pfs:STORE`.
Whether a daemon still answers behind a mount is told by one stat of it (`is_stale`).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
FILESYSTEM_TYPE = "fuse.pfs"
SOURCE_PREFIX = "pfs:"

_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted store."""

    mount_point: Path
    store: Path


def read_mounts(mountinfo: Path = MOUNTINFO) -> list[Mount]:
    """All pfs mounts that this process sees, the newest last."""
    return parse_mountinfo(mountinfo.read_bytes())


def parse_mountinfo(text: bytes) -> list[Mount]:
    """The pfs mounts in a mountinfo file (proc(5)); lines of another shape are passed over."""
    mounts = []
    for line in text.splitlines():
        fields, separator, rest = line.partition(b" - ")
        before, after = fields.split(b" "), rest.split(b" ")
        if not separator or len(before) < 6 or len(after) < 2 or after[0] != FILESYSTEM_TYPE.encode():
            continue
        source = _unescape(after[1])
        if source.startswith(SOURCE_PREFIX):
            mounts.append(Mount(Path(_unescape(before[4])), Path(source.removeprefix(SOURCE_PREFIX))))
    return mounts


def mount_at(mount_point: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The topmost pfs mount at exactly this place."""
    found = None
    for mount in mounts:
        if mount.mount_point == mount_point:
            found = mount
    return found


def mount_above(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The pfs mount that an absolute, resolved path lies in; the innermost where they nest."""
    found = None
    for mount in mounts:
        if path.is_relative_to(mount.mount_point) and (
            found is None or len(mount.mount_point.parts) >= len(found.mount_point.parts)
        ):
            found = mount
    return found


def is_stale(mount_point: Path) -> bool:
    """Whether the daemon behind a mount is dead: every call gives ENOTCONN until it is unmounted."""
    try:
        os.stat(mount_point)
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def _unescape(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field))
