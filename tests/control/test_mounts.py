"""mountinfo as the kernel writes it, and what is made of it."""

from __future__ import annotations

from pathlib import Path

from pfs.control.mounts import Mount, is_stale, mount_above, mount_at, parse_mountinfo, read_mounts

TEXT = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home/a/pfs rw,nosuid,nodev - fuse.pfs pfs:/home/a/.local/share/pfs/store rw,user_id=1000
31 22 0:41 / /mnt/with\040blank rw,nosuid master:3 - fuse.pfs pfs:/s\134t\011ore rw
32 22 0:42 / /mnt/sshfs rw - fuse.sshfs host:/x rw
33 30 0:43 / /home/a/pfs/repo/inner rw - fuse.pfs pfs:/other rw
34 22 0:44 / /mnt/odd rw - fuse.pfs other rw
not a line
"""
MOUNTS = parse_mountinfo(TEXT)


def test_only_pfs_mounts_with_their_stores() -> None:
    expected = [
        Mount(Path("/home/a/pfs"), Path("/home/a/.local/share/pfs/store")),
        Mount(Path("/mnt/with blank"), Path("/s\\t\tore")),
        Mount(Path("/home/a/pfs/repo/inner"), Path("/other")),
    ]
    assert expected == MOUNTS


def test_innermost_mount_is_the_one_above() -> None:
    assert mount_above(Path("/home/a/pfs/repo/x"), MOUNTS) == MOUNTS[0]
    assert mount_above(Path("/home/a/pfs/repo/inner/x"), MOUNTS) == MOUNTS[2]
    assert mount_above(Path("/home/a/pfs2"), MOUNTS) is None


def test_mount_at_is_exact_and_the_topmost() -> None:
    over = Mount(Path("/home/a/pfs"), Path("/newer"))
    assert mount_at(Path("/home/a/pfs"), [*MOUNTS, over]) == over
    assert mount_at(Path("/home/a/pfs/repo"), MOUNTS) is None


def test_this_machine_has_a_mountinfo_and_a_directory_is_not_stale(tmp_path: Path) -> None:
    assert isinstance(read_mounts(), list)
    assert not is_stale(tmp_path)
    assert not is_stale(tmp_path / "missing")
