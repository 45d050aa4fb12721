"""What can keep this machine from mounting, as pure functions of facts; `gather` gets the real ones.

Each check gives one finding: what was looked at, how it stands, and what to do. `pfs doctor` prints
them all, `pfs mount` refuses on those without which nothing works.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pfs.errors import Denied, NotFound, PfsError

FUSE_DEVICE = Path("/dev/fuse")
FUSE_CONF = Path("/etc/fuse.conf")
# Readdirplus, expiring entries and the sizes of requests that we rely on.
KERNEL_MIN = (5, 4)
# The daemon keeps one descriptor for each working file in use.
OPEN_FILES_MIN = 4096
FREE_BYTES_MIN = 256 << 20
_DEVICE_MISSING = (errno.ENOENT, errno.ENODEV, errno.ENXIO)


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """How one thing stands, and what to do where it is not well."""

    what: str
    level: Level
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Facts:
    """What the checks look at."""

    uid: int
    device_errno: int | None  # of opening /dev/fuse read-write
    fusermount: str | None  # its path
    fusermount_is_setuid: bool
    fuse_conf: str
    open_files_hard: int
    kernel: str
    store: Path
    store_exists: bool
    store_writable: bool  # it, or the nearest directory above that is there
    free_bytes: int
    mount_points: tuple[str, ...]


def gather(store: Path, mount_points: tuple[str, ...] = ()) -> Facts:
    """The facts of this machine, this user and this store."""
    program = shutil.which("fusermount3", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    there = next(path for path in (store, *store.parents) if path.exists())
    space = os.statvfs(there)
    return Facts(
        uid=os.geteuid(),
        device_errno=_open_errno(FUSE_DEVICE),
        fusermount=program,
        fusermount_is_setuid=program is not None and bool(os.stat(program).st_mode & 0o4000),
        fuse_conf=FUSE_CONF.read_text() if os.access(FUSE_CONF, os.R_OK) else "",
        open_files_hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        kernel=os.uname().release,
        store=store,
        store_exists=store.exists(),
        store_writable=os.access(there, os.W_OK | os.X_OK),
        free_bytes=space.f_bavail * space.f_frsize,
        mount_points=mount_points,
    )


def check_device(facts: Facts) -> Finding:
    """/dev/fuse, without which nothing can be mounted."""
    if facts.device_errno is None:
        return Finding("/dev/fuse", Level.OK, "can be opened")
    if facts.device_errno in _DEVICE_MISSING:
        return Finding(
            "/dev/fuse",
            Level.ERROR,
            "is missing",
            "run 'modprobe fuse' as root, or pass the device into the container",
        )
    return Finding(
        "/dev/fuse",
        Level.ERROR,
        f"may not be opened: {os.strerror(facts.device_errno)}",
        "run 'chmod 0666 /dev/fuse' as root, or join the group that may",
    )


def check_fusermount(facts: Facts) -> Finding:
    """fusermount3, through which ordinary users mount."""
    if facts.fusermount is None:
        level = Level.WARNING if facts.uid == 0 else Level.ERROR
        return Finding(
            "fusermount3", level, "is not installed", "run scripts/setup, or install the package fuse3"
        )
    if facts.uid != 0 and not facts.fusermount_is_setuid:
        return Finding(
            "fusermount3",
            Level.ERROR,
            f"{facts.fusermount} is not setuid root",
            "reinstall the package fuse3",
        )
    return Finding("fusermount3", Level.OK, facts.fusermount)


def check_allow_other(facts: Facts) -> Finding:
    """user_allow_other, which ordinary users need for --allow-other."""
    lines = [line.strip() for line in facts.fuse_conf.splitlines()]
    if facts.uid == 0 or "user_allow_other" in lines:
        return Finding("user_allow_other", Level.OK, "--allow-other can be used")
    return Finding(
        "user_allow_other",
        Level.WARNING,
        "--allow-other can't be used",
        f"put the line user_allow_other into {FUSE_CONF} if other users should see the mount",
    )


def check_lineage(counters: Mapping[str, int]) -> Iterator[Finding]:
    """How a running daemon sees who does what, by its counters."""
    if "process_events" not in counters:
        yield Finding("lineage", Level.WARNING, "is not recorded", "mount without --no-capture")
        return
    lost = counters["process_events_lost"]
    if not counters["process_events"]:
        yield Finding(
            "processes",
            Level.WARNING,
            "the kernel does not tell of them, each open costs a look at /proc",
            "mount as root, or on Linux 6.6 or later, outside of containers",
        )
    elif lost:
        yield Finding("processes", Level.WARNING, f"{lost} times the kernel told of more than was taken")
    else:
        yield Finding("processes", Level.OK, "the kernel tells of every start, exec and end")
    if not counters["request_pids"]:
        yield Finding(
            "writers",
            Level.WARNING,
            "are taken to be who opened",
            "install the pyfuse3 that pfs was tested with",
        )
    if counters["outside_files"]:
        yield Finding("files beyond the mount", Level.OK, "every open by a recorded process is seen")
    else:
        yield Finding(
            "files beyond the mount",
            Level.WARNING,
            "are known by command lines only",
            "mount as root to have each open seen",
        )


def check_open_files(facts: Facts) -> Finding:
    """The limit of open files, which bounds the working files that are kept open."""
    limit = facts.open_files_hard
    if limit == resource.RLIM_INFINITY or limit >= OPEN_FILES_MIN:
        return Finding("open files", Level.OK, f"limit {'none' if limit < 0 else limit}")
    return Finding(
        "open files",
        Level.WARNING,
        f"hard limit {limit}",
        f"raise it to {OPEN_FILES_MIN} (ulimit -Hn, limits.conf)",
    )


def check_kernel(facts: Facts) -> Finding:
    """The version of the kernel."""
    numbers = tuple(int(part) for part in facts.kernel.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= KERNEL_MIN:
        return Finding("kernel", Level.OK, facts.kernel)
    wanted = ".".join(map(str, KERNEL_MIN))
    return Finding(
        "kernel", Level.WARNING, f"{facts.kernel} is older than what is tested", f"use {wanted} or newer"
    )


def check_store(facts: Facts) -> Finding:
    """The directory of the store: there or possible to make, writable, with room."""
    what = f"store {facts.store}"
    if any(facts.store.is_relative_to(point) for point in facts.mount_points):
        return Finding(what, Level.ERROR, "lies in a mount of pfs", "choose another directory with --store")
    if not facts.store_writable:
        return Finding(
            what, Level.ERROR, "is not writable for this user", "choose another directory with --store"
        )
    if facts.free_bytes < FREE_BYTES_MIN:
        return Finding(
            what,
            Level.WARNING,
            f"{facts.free_bytes >> 20} MiB free",
            f"free {FREE_BYTES_MIN >> 20} MiB or more",
        )
    return Finding(what, Level.OK, "is there" if facts.store_exists else "will be made by the first mount")


CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    check_device,
    check_fusermount,
    check_allow_other,
    check_open_files,
    check_kernel,
    check_store,
)


def check_all(facts: Facts) -> list[Finding]:
    """All findings, the good ones too."""
    return [check(facts) for check in CHECKS]


def check_can_mount(device: Path = FUSE_DEVICE) -> None:
    """Raise NotFound or Denied where mounting can't work; cheap enough for each mount."""
    number = _open_errno(device)
    if number is None:
        return
    missing = number in _DEVICE_MISSING
    error: type[PfsError] = NotFound if missing else Denied
    hint = (
        "run 'modprobe fuse' as root" if missing else "run 'chmod 0666 /dev/fuse' as root; see 'pfs doctor'"
    )
    raise error(f"{device} {'is missing' if missing else 'may not be opened'}", hint=hint)


def exclusions(mount_points: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """For programs that walk whole disks: (program, the line that keeps it out of every old version)."""
    point = mount_points[0] if mount_points else "MOUNTPOINT"
    yield "plocate, in /etc/updatedb.conf", 'add fuse.pfs to PRUNEFS="…"'
    yield "rsync, tar, borg, restic, duplicity", "--one-file-system, or --exclude " + point
    yield (
        "GNOME search",
        f"gsettings: add {point} to org.freedesktop.Tracker3.Miner.Files ignored-directories",
    )
    yield "KDE search", f"balooctl6 config add excludeFolders {point}"


def _open_errno(device: Path) -> int | None:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.errno
    return None
