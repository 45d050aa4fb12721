"""What a program is told: each errno that the specification names, by a table."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mounted.mounting import NOBODY, Mount, acting_as

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4


@pytest.fixture(scope="module")
def root(shared_mount: Mount) -> Path:
    """The root of a mount with a repo of two commits, a tag, and a branch with changes."""
    path = shared_mount.path
    repo = shared_mount.repo()
    (repo / "file").write_text("first")
    (repo / "directory").mkdir()
    (repo / "directory/inside").write_text("inside")
    (repo / "link").symlink_to("file")
    shared_mount.commit(repo)
    shared_mount.ask("tag", action="create", repo="repo", tag="v1")
    (repo / "file").write_text("second")
    shared_mount.commit(repo)
    (path / "repo@exp").mkdir()
    (path / "repo@exp/file").write_text("uncommitted")
    (path / "repo@clean").mkdir()
    (path / "other").mkdir()
    return path


def renameat2(old: Path, new: Path, flags: int) -> None:
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def fallocate(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        if LIBC.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(4096)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


def write_ctl(path: Path, text: str) -> None:
    with (path / ".pfs/ctl").open("w") as ctl:
        ctl.write(text)


Act = Callable[[Path], object]


def name_of_error(act: Act, root: Path) -> str:
    try:
        act(root)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "success"


# errno → what gives it, below the root of the mount
TABLE: dict[str, list[tuple[str, Act]]] = {
    "ENOENT": [
        ("unknown repo", lambda root: os.stat(root / "nothing")),
        ("unknown branch", lambda root: os.stat(root / "repo@nothing")),
        ("unknown commit", lambda root: os.stat(root / "repo@0123456789abcdef")),
        ("too far back", lambda root: os.stat(root / "repo@~99")),
        ("no second parent", lambda root: os.stat(root / "repo@^2")),
        ("before the branch", lambda root: os.stat(root / "repo@{2001-01-01}")),
        ("in the future", lambda root: os.stat(root / "repo@{2100-01-01}")),
        ("malformed date", lambda root: os.stat(root / "repo@{someday}")),
        ("malformed revision", lambda root: os.stat(root / "repo@v1@v1")),
        ("empty revision", lambda root: os.stat(root / "repo@")),
        ("branch of no repo", lambda root: (root / "nothing@exp").mkdir()),
        ("rmdir of no branch", lambda root: (root / "repo@nothing").rmdir()),
        ("missing file", lambda root: os.stat(root / "repo/nothing")),
        ("missing file of a commit", lambda root: os.stat(root / "repo@v1/nothing")),
        ("missing in .pfs", lambda root: os.stat(root / "repo/.pfs/nothing")),
        ("no ctl in a commit", lambda root: os.stat(root / "repo@v1/.pfs/ctl")),
    ],
    "EROFS": [
        ("write", lambda root: (root / "repo@v1/file").write_text("x")),
        ("open for reading and writing", lambda root: os.open(root / "repo@v1/file", os.O_RDWR)),
        ("truncating open", lambda root: os.open(root / "repo@v1/file", os.O_RDONLY | os.O_TRUNC)),
        ("create", lambda root: (root / "repo@v1/new").write_text("x")),
        ("mkdir", lambda root: (root / "repo@v1/new").mkdir()),
        ("symlink", lambda root: (root / "repo@v1/new").symlink_to("x")),
        ("mkfifo", lambda root: os.mkfifo(root / "repo@v1/new")),
        ("link", lambda root: os.link(root / "repo@v1/file", root / "repo@v1/new")),
        ("unlink", lambda root: (root / "repo@v1/file").unlink()),
        ("rmdir", lambda root: (root / "repo@v1/directory").rmdir()),
        ("rename", lambda root: (root / "repo@v1/file").rename(root / "repo@v1/new")),
        ("truncate", lambda root: os.truncate(root / "repo@v1/file", 0)),
        ("chmod", lambda root: (root / "repo@v1/file").chmod(0o600)),
        ("chown", lambda root: os.chown(root / "repo@v1/file", os.getuid(), os.getgid())),
        ("utime", lambda root: os.utime(root / "repo@v1/file", (1, 1))),
        ("setxattr", lambda root: os.setxattr(root / "repo@v1/file", "user.x", b"1")),
        ("removexattr", lambda root: os.removexattr(root / "repo@v1/file", "user.x")),
        ("write at a step", lambda root: (root / "repo@~1/file").write_text("x")),
        ("write in a directory", lambda root: (root / "repo@v1/directory/inside").write_text("x")),
    ],
    "EXDEV": [
        ("rename across branches", lambda root: (root / "repo/file").rename(root / "repo@exp/new")),
        ("rename across repos", lambda root: (root / "repo/file").rename(root / "other/new")),
        ("rename out of a commit", lambda root: (root / "repo@v1/file").rename(root / "repo/new")),
        ("link across branches", lambda root: os.link(root / "repo/file", root / "repo@exp/new")),
        ("link out of a commit", lambda root: os.link(root / "repo@v1/file", root / "repo/new")),
    ],
    "EPERM": [
        ("file in the root", lambda root: (root / "new").write_text("x")),
        ("symlink in the root", lambda root: (root / "new").symlink_to("repo")),
        ("fifo in the root", lambda root: os.mkfifo(root / "new")),
        ("rmdir of a repo", lambda root: (root / "repo").rmdir()),
        ("rmdir of a tag", lambda root: (root / "repo@v1").rmdir()),
        ("unlink of a step", lambda root: (root / "repo@~1").unlink()),
        ("rename of a repo", lambda root: (root / "repo").rename(root / "renamed")),
        ("rename over the repo", lambda root: (root / "repo@exp").rename(root / "repo")),
        ("rename to another repo", lambda root: (root / "repo@exp").rename(root / "other@exp")),
        ("rename into a repo", lambda root: (root / "repo@exp").rename(root / "repo/directory2")),
        ("rename out of a repo", lambda root: (root / "repo/directory").rename(root / "repo@new")),
        ("chmod of the root", lambda root: root.chmod(0o700)),
        ("setxattr on the root", lambda root: os.setxattr(root, "user.x", b"1")),
        ("create in .pfs", lambda root: (root / "repo/.pfs/new").write_text("x")),
        ("mkdir in .pfs", lambda root: (root / "repo/.pfs/branches/new").mkdir()),
        ("unlink in .pfs", lambda root: (root / "repo/.pfs/log").unlink()),
        ("rmdir of .pfs", lambda root: (root / "repo/.pfs").rmdir()),
        ("unlink of a tag", lambda root: (root / "repo/.pfs/tags/v1").unlink()),
        ("rename of .pfs", lambda root: (root / "repo/.pfs").rename(root / "repo/pfs")),
        ("rename to .pfs", lambda root: (root / "repo/directory").rename(root / "repo/.pfs")),
        ("rename into .pfs", lambda root: (root / "repo/file").rename(root / "repo/.pfs/file")),
        ("rename out of .pfs", lambda root: (root / "repo/.pfs/log").rename(root / "repo/log")),
        ("link into .pfs", lambda root: os.link(root / "repo/file", root / "repo/.pfs/file")),
        ("link out of .pfs", lambda root: os.link(root / "repo/.pfs/log", root / "repo/log")),
        ("chmod in .pfs", lambda root: (root / "repo/.pfs/log").chmod(0o600)),
        ("hard link to a directory", lambda root: os.link(root / "repo/directory", root / "repo/new")),
        ("setting what pfs answers", lambda root: os.setxattr(root / "repo/file", "user.pfs.repo", b"x")),
        ("removing what pfs answers", lambda root: os.removexattr(root / "repo/file", "user.pfs.repo")),
    ],
    "EEXIST": [
        ("mkdir of a repo", lambda root: (root / "repo").mkdir()),
        ("mkdir of a branch", lambda root: (root / "repo@exp").mkdir()),
        ("mkdir of a tag", lambda root: (root / "repo@v1").mkdir()),
        (
            "rename to a branch",
            lambda root: renameat2(root / "repo@clean", root / "repo@exp", RENAME_NOREPLACE),
        ),
        ("mkdir of .pfs", lambda root: (root / "repo/.pfs").mkdir()),
        ("mkdir of .pfs below", lambda root: (root / "repo/directory/.pfs").mkdir()),
        ("symlink .pfs", lambda root: (root / "repo/.pfs").symlink_to("x")),
        ("link .pfs", lambda root: os.link(root / "repo/file", root / "repo/.pfs")),
        ("exclusive create of .pfs", lambda root: os.open(root / "repo/.pfs", os.O_CREAT | os.O_EXCL)),
        ("mkdir of a file", lambda root: (root / "repo/file").mkdir()),
        (
            "rename without replacing",
            lambda root: renameat2(root / "repo/link", root / "repo/file", RENAME_NOREPLACE),
        ),
        ("setxattr of a new one", lambda root: [
            os.setxattr(root / "repo/file", "user.x", b"1"),
            os.setxattr(root / "repo/file", "user.x", b"2", os.XATTR_CREATE),
        ]),
    ],
    "EINVAL": [
        ("mkdir of an illegal repo", lambda root: (root / "-repo").mkdir()),
        ("mkdir of an illegal branch", lambda root: (root / "repo@a.lock").mkdir()),
        ("branch that looks like a commit", lambda root: (root / "repo@deadbeef").mkdir()),
        ("directory below itself", lambda root: (root / "repo/directory").rename(root / "repo/directory/x")),
        ("unknown ctl command", lambda root: write_ctl(root / "repo", "destroy everything")),
        ("whiteout", lambda root: renameat2(root / "repo/file", root / "repo/new", RENAME_WHITEOUT)),
    ],
    "ENOTEMPTY": [
        ("dirty branch", lambda root: (root / "repo@exp").rmdir()),
        ("full directory", lambda root: (root / "repo/directory").rmdir()),
        ("rename over a full directory", lambda root: [
            (root / "repo/empty").mkdir(exist_ok=True),
            (root / "repo/empty").rename(root / "repo/directory"),
        ]),
    ],
    "ENAMETOOLONG": [
        ("create", lambda root: (root / "repo" / ("n" * 256)).write_text("x")),
        ("mkdir", lambda root: (root / "repo" / ("n" * 256)).mkdir()),
        ("stat", lambda root: os.stat(root / "repo" / ("n" * 256))),
        ("rename", lambda root: (root / "repo/file").rename(root / "repo" / ("n" * 256))),
        ("link", lambda root: os.link(root / "repo/file", root / "repo" / ("n" * 256))),
        ("path", lambda root: os.stat(root / "repo" / ("directory/" * 500))),
    ],
    "EOPNOTSUPP": [
        ("fallocate", lambda root: fallocate(root / "repo/file")),
        ("O_TMPFILE", lambda root: os.open(root / "repo", os.O_TMPFILE | os.O_RDWR)),
        ("O_TMPFILE in the root", lambda root: os.open(root, os.O_TMPFILE | os.O_RDWR)),
    ],
    "EISDIR": [
        ("write to a directory", lambda root: os.open(root / "repo/directory", os.O_WRONLY)),
        ("unlink of a directory", lambda root: (root / "repo/directory").unlink()),
        (
            "rename of a file over a directory",
            lambda root: (root / "repo/file").rename(root / "repo/directory"),
        ),
    ],
    "ENOTDIR": [
        ("rmdir of a file", lambda root: (root / "repo/file").rmdir()),
        ("path through a file", lambda root: os.stat(root / "repo/file/x")),
        (
            "rename of a directory over a file",
            lambda root: (root / "repo/directory").rename(root / "repo/file"),
        ),
    ],
    "ENODATA": [
        ("missing xattr", lambda root: os.getxattr(root / "repo/file", "user.nothing")),
        ("missing virtual xattr", lambda root: os.getxattr(root / "repo/file", "user.pfs.nothing")),
        ("removing a missing one", lambda root: os.removexattr(root / "repo/file", "user.nothing")),
        (
            "replacing a missing one",
            lambda root: os.setxattr(root / "repo/file", "user.y", b"", os.XATTR_REPLACE),
        ),
        ("virtual xattr of the root", lambda root: os.getxattr(root, "user.pfs.repo")),
    ],
    "ELOOP": [("link to itself", lambda root: [
        (root / "repo/loop").symlink_to("loop"),
        (root / "repo/loop").read_text(),
    ])],
    "EFBIG": [
        ("truncate to more than there can be", lambda root: os.truncate(root / "repo/file", 2**62 + 1)),
    ],
}  # fmt: skip


CASES = [pytest.param(name, act, id=f"{name}-{what}") for name, rows in TABLE.items() for what, act in rows]


@pytest.mark.parametrize(("name", "act"), CASES)
def test_a_program_gets_the_documented_errno(root: Path, name: str, act: Act) -> None:
    before = sorted(os.listdir(root))
    assert name_of_error(act, root) == errno.errorcode[getattr(errno, name)]
    assert sorted(os.listdir(root)) == before


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_device_nodes_are_refused(root: Path, kind: int) -> None:
    with pytest.raises(PermissionError) as caught:
        os.mknod(root / "repo/device", 0o600 | kind, os.makedev(1, 3))
    assert caught.value.errno == errno.EPERM


@pytest.mark.usefixtures("as_root")
def test_another_user_is_held_to_the_permissions(root: Path) -> None:
    (root / "repo/private").mkdir(mode=0o700)
    (root / "repo/private/file").write_text("x")
    (root / "repo/file").chmod(0o644)
    attempts: list[Callable[[], object]] = [
        (root / "repo/private/file").read_text,
        lambda: (root / "repo/file").open("a"),
        lambda: (root / "repo/new").write_text("x"),
        (root / "repo/file").unlink,
        lambda: (root / "repo/file").chmod(0o777),
        lambda: os.chown(root / "repo/file", NOBODY, NOBODY),
        (root / "theirs").mkdir,
        (root / "repo@theirs").mkdir,
        (root / "repo@clean").rmdir,
        lambda: (root / "repo@clean").rename(root / "repo@theirs"),
        lambda: write_ctl(root / "repo", "commit theirs"),
    ]
    with acting_as(NOBODY):
        for attempt in attempts:
            with pytest.raises(PermissionError):
                attempt()
        assert (root / "repo/file").read_text() == "second"
        assert "repo" in os.listdir(root)


@pytest.mark.usefixtures("as_root")
def test_a_commit_by_the_control_file_needs_write_permission_on_the_root(shared_mount: Mount) -> None:
    repo = shared_mount.repo("theirs")
    os.chown(repo, NOBODY, NOBODY)
    (repo / "file").write_text("x")
    with acting_as(NOBODY):
        write_ctl(repo, "commit by nobody")
    assert "nobody" in (repo / ".pfs/log").read_text()


def test_a_dead_daemon_leaves_not_connected(mount: Mount, repo: Path) -> None:
    fd = os.open(repo / "file", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x")
    mount.kill_only()
    actions: list[Callable[[], object]] = [
        lambda: os.listdir(mount.path),
        lambda: os.stat(repo),
        lambda: (repo / "new").write_text("x"),
        lambda: os.fsync(fd),
        lambda: os.write(fd, b"more"),
        lambda: os.statvfs(mount.path),
    ]
    for action in actions:
        with pytest.raises(OSError, match="not connected") as caught:
            action()
        assert caught.value.errno == errno.ENOTCONN
    with suppress(OSError):
        os.close(fd)
    mount.clear()
    mount.start()
    assert (repo / "file").read_text() == "x"
