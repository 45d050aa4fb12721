"""Which file systems may be listened to, and where nobody may look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.lineage.outside.mount_table import Mounts, open_mount, parse

LINES = rb"""
22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /sys rw shared:7 - sysfs sysfs rw
25 22 0:30 / /tmp rw shared:1 master:2 - tmpfs tmpfs rw
26 22 254:1 /sub /home rw - btrfs /dev/vdb rw
27 22 254:1 / /home2 rw - btrfs /dev/vdb rw
28 22 7:0 / /snap/x ro - squashfs /dev/loop0 ro
29 22 7:1 / /loop rw - ext4 /dev/loop1 rw
30 22 0:40 / /nfs rw - nfs4 server:/ rw
31 22 0:41 / /mnt rw - fuse.pfs pfs:/store rw
32 31 254:2 / /mnt/below rw - ext4 /dev/vdc rw
33 22 254:3 / /covered rw - ext4 /dev/vdd rw
34 22 0:42 / /covered rw - fuse.sshfs host rw
35 22 0:43 / /net rw - autofs auto rw
36 22 0:44 / /with\040space rw - xfs /dev/vde rw
37 22 0:45 / /over rw - overlay overlay rw
38 24 0:46 / /sys/fs/fuse/connections rw - fusectl fusectl rw
39 22 254:9 / /ntfs rw - fuseblk /dev/vdf rw
a line of another shape
"""


def test_disks_and_memory_are_listened_to_once_each() -> None:
    table = parse(LINES)
    assert table.listened_to == {b"/": 22, b"/tmp": 25, b"/home": 26, b"/with space": 36}


def test_nobody_looks_below_fuse_and_automount_points() -> None:
    table = parse(LINES)
    assert table.untouchable == {b"/mnt", b"/covered", b"/net", b"/ntfs"}
    for path in (b"/mnt", b"/mnt/a/b", b"/covered/", b"/net/host"):
        assert table.is_untouchable(path)
    for path in (b"/", b"/mnt2", b"/tmp/mnt", b"/nfs/a"):
        assert not table.is_untouchable(path)


def test_what_may_have_data_and_is_not_listened_to() -> None:
    assert parse(LINES).unheard == {b"/snap/x", b"/loop", b"/nfs", b"/over"}


def test_an_overlay_is_listened_to_where_it_is_all_there_is() -> None:
    assert parse(b"1 0 0:5 / / rw - overlay overlay rw").listened_to == {b"/": 1}


def test_everything_is_untouchable_below_a_root_that_is_fuse() -> None:
    table = parse(b"1 0 0:5 / / rw - fuse.x x rw\n2 1 0:6 / /tmp rw - tmpfs tmpfs rw")
    assert not table.listened_to
    assert table.is_untouchable(b"/tmp")


def test_the_table_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    mounts = Mounts()
    before = mounts.table()
    assert mounts.table() is before
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        assert os.fsencode(tmp_path) in mounts.table().listened_to
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert os.fsencode(tmp_path) not in mounts.table().listened_to
    mounts.close()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[bytes]:
    """Where a FUSE file system is mounted whose daemon never answers."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    point = tmp_path / "point"
    point.mkdir()
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0"
    words = [sys.executable, "-c", MOUNT, str(point), options]
    subprocess.run(words, pass_fds=[fd], check=True, timeout=60)
    yield os.fsencode(point)
    os.close(fd)
    subprocess.run(["umount", "-l", point], check=True, timeout=60)


MOUNT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"test", sys.argv[1].encode(), b"fuse", 0, sys.argv[2].encode()):
    raise OSError(ctypes.get_errno(), "mount")
"""


def test_a_mount_that_was_covered_by_fuse_is_found_out_without_waiting(silent: bytes) -> None:
    mounts = Mounts()
    assert silent not in mounts.table().listened_to
    assert silent in mounts.table().untouchable
    root = mounts.table().listened_to[b"/"]
    with pytest.raises(OSError, match=r"(?i)stale"):
        open_mount(silent, root)  # would wait for ever if it asked the file system
    os.close(open_mount(b"/", root))
    mounts.close()
