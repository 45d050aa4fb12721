"""What is mounted where: which file systems may be listened to, and where nobody of ours may look.

Opening or naming a file of a FUSE file system waits for its daemon, which may be us; a look below an
automount point mounts it.  Listened to are disks and file systems in memory, but no disks that are files
(loop, nbd): their blocks may be ours.  Network file systems may hang, and so are left out as well.
"""

from __future__ import annotations

import errno
import os
import re
import select
import threading
from typing import Final, NamedTuple

MOUNTINFO: Final = "/proc/self/mountinfo"
FDINFO: Final = "/proc/self/fdinfo"
LISTENED_TO: Final = frozenset(
    b"bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfsplus iso9660 jfs nilfs2 ntfs3 ramfs reiserfs tmpfs udf"
    b" vfat xfs zfs".split()
)
WITHOUT_DATA: Final = frozenset(  # what is in them is the kernel's
    b"binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs"
    b" proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs".split()
)
LOOP_MAJORS: Final = (7, 43)  # loop, nbd
READ_BYTES: Final = 1 << 16

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class MountTable(NamedTuple):
    """One state of what is mounted."""

    listened_to: dict[bytes, int]  # one mount point for each file system, with the mount's number
    untouchable: frozenset[bytes]  # mount points that are not to be looked below
    unheard: frozenset[bytes] = frozenset()  # mount points of others that may have data

    def is_untouchable(self, path: bytes) -> bool:
        """Whether a path, taken as it is written, leads to or below such a mount point."""
        at = path.rstrip(b"/")
        while at:
            if at in self.untouchable:
                return True
            at = at.rpartition(b"/")[0]
        return b"/" in self.untouchable


def parse(text: bytes) -> MountTable:
    """A mountinfo file (proc(5)); lines of another shape are passed over."""
    mounts: dict[bytes, tuple[int, bytes, bytes]] = {}  # point → number, device, type; the last one shows
    for line in text.splitlines():
        fields, _, rest = line.partition(b" - ")
        words, kind = fields.split(b" "), rest.split(b" ")[0]
        if len(words) >= 5 and kind and words[0].isdigit():
            point = _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), words[4])
            mounts.pop(point, None)
            mounts[point] = (int(words[0]), words[2], kind)
    untouchable = frozenset(point for point, (_, _, kind) in mounts.items() if is_untouchable(kind))
    listened_to: dict[bytes, int] = {}
    unheard: set[bytes] = set()
    table = MountTable(listened_to, untouchable)
    devices: set[bytes] = set()
    for point, (number, device, kind) in mounts.items():
        if table.is_untouchable(point) or kind in WITHOUT_DATA:
            continue
        if not _may_listen(point, device, kind):
            unheard.add(point)
        elif device not in devices:
            devices.add(device)
            listened_to[point] = number
    return table._replace(unheard=frozenset(unheard))


def open_mount(point: bytes, number: int) -> int:
    """A descriptor (O_PATH) of the directory where a mount was seen; OSError where it is another by now."""
    fd = os.open(point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with open(f"{FDINFO}/{fd}", "rb") as file:  # no question to the file system itself: it may be FUSE
        if b"mnt_id:\t%d\n" % number in file.read():
            return fd
    os.close(fd)
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), point)


def is_untouchable(kind: bytes) -> bool:
    """Whether a type of file system is FUSE, or mounts something when it is looked at."""
    return kind == b"autofs" or (kind.startswith(b"fuse") and kind != b"fusectl")


def _may_listen(point: bytes, device: bytes, kind: bytes) -> bool:
    """Overlays only at the root: what they stand on elsewhere is not known."""
    major = device.partition(b":")[0]
    if kind == b"overlay":
        return point == b"/"
    return kind in LISTENED_TO and major.isdigit() and int(major) not in LOOP_MAJORS


class Mounts:
    """What is mounted now.  Shared by threads."""

    def __init__(self, path: str = MOUNTINFO) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._changes = select.poll()
        self._changes.register(self._fd, select.POLLPRI)
        self._lock = threading.Lock()
        self._table = self._read()

    def table(self) -> MountTable:
        """The present state: the same object as long as nothing changes.  Never blocks for long."""
        with self._lock:
            if self._changes.poll(0):
                self._table = self._read()
            return self._table

    def _read(self) -> MountTable:
        parts, offset = [], 0
        while part := os.pread(self._fd, READ_BYTES, offset):
            parts.append(part)
            offset += len(part)
        return parse(b"".join(parts))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
