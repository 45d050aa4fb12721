"""Attributes on a mount: modes, owners, times, extended attributes, ACLs, inode numbers."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.mounted.mounting import NOBODY, Mount, acting_as, run

NS = 1_000_000_000


def test_modes_are_kept(shared_mount: Mount, tree: Path) -> None:
    modes = [0o000, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o7777]
    for mode in modes:
        (tree / f"file{mode:o}").touch()
        (tree / f"file{mode:o}").chmod(mode)
        (tree / f"directory{mode:o}").mkdir()
        (tree / f"directory{mode:o}").chmod(mode)
    shared_mount.commit(tree)
    shared_mount.remount()
    for top in (tree, Path(f"{tree}@~0/")):
        for mode in modes:
            for kind in ("file", "directory"):
                assert stat.S_IMODE((top / f"{kind}{mode:o}").stat().st_mode) == mode


def test_umask_is_applied_once(tree: Path) -> None:
    before = os.umask(0o027)
    try:
        (tree / "file").touch(mode=0o666)
        (tree / "directory").mkdir(mode=0o777)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tree / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tree / "directory").stat().st_mode) == 0o750


@pytest.mark.usefixtures("as_root")
def test_owners_are_kept_and_inherited(shared_mount: Mount, tree: Path) -> None:
    (tree / "file").touch()
    os.chown(tree / "file", 1234, 5678)
    (tree / "link").symlink_to("file")
    os.chown(tree / "link", 1, 2, follow_symlinks=False)
    (tree / "team").mkdir()
    os.chown(tree / "team", -1, 4321)
    (tree / "team").chmod(0o2777)
    (tree / "team/file").touch()
    (tree / "team/directory").mkdir()
    with acting_as(NOBODY):
        (tree / "team/theirs").touch()
    shared_mount.commit(tree)
    shared_mount.remount()
    for top in (tree, Path(f"{tree}@~0/")):
        found = (top / "file").stat()
        assert (found.st_uid, found.st_gid) == (1234, 5678)
        assert (top / "link").lstat().st_gid == 2
        assert (top / "team/file").stat().st_gid == 4321
        assert (top / "team/theirs").stat().st_uid == NOBODY
        assert stat.S_IMODE((top / "team/directory").stat().st_mode) & stat.S_ISGID


@pytest.mark.usefixtures("as_root")
def test_writing_by_another_clears_setuid(tree: Path) -> None:
    (tree / "program").write_text("x")
    (tree / "program").chmod(0o6777)
    with acting_as(NOBODY):
        (tree / "program").write_text("changed")
    assert stat.S_IMODE((tree / "program").stat().st_mode) == 0o777
    (tree / "program").chmod(0o6755)
    os.chown(tree / "program", NOBODY, NOBODY)
    assert stat.S_IMODE((tree / "program").stat().st_mode) == 0o755


@pytest.mark.usefixtures("as_root")
def test_the_sticky_bit_protects_files_of_others(tree: Path) -> None:
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)
    (tree / "tmp/file").touch(mode=0o666)
    with acting_as(NOBODY), pytest.raises(PermissionError):
        (tree / "tmp/file").unlink()


TIMES = [
    0,
    1,
    -1,
    -86_400 * NS,
    1_700_000_000 * NS + 123_456_789,
    2**31 * NS,
    4_294_967_296 * NS + 7,
    2**32 * NS * 2,
]


@pytest.mark.parametrize("time_ns", TIMES)
def test_times_are_kept_to_the_nanosecond(shared_mount: Mount, tree: Path, time_ns: int) -> None:
    (tree / "file").write_text("x")
    (tree / "directory").mkdir()
    (tree / "link").symlink_to("file")
    for name in ("file", "directory", "link"):
        os.utime(tree / name, ns=(time_ns + 5, time_ns), follow_symlinks=False)
    for name in ("file", "directory", "link"):
        assert (tree / name).lstat().st_mtime_ns == time_ns
        assert (tree / name).lstat().st_atime_ns == time_ns + 5
    shared_mount.commit(tree)
    assert (tree / "file").stat().st_atime_ns == time_ns + 5
    for name in ("file", "directory", "link"):
        assert (tree / name).lstat().st_mtime_ns == time_ns
        assert Path(f"{tree}@~0/{name}").lstat().st_mtime_ns == time_ns


def test_times_follow_what_is_done(tree: Path) -> None:
    path = tree / "file"
    path.write_text("x")
    os.utime(path, ns=(NS, NS))
    os.utime(tree, ns=(NS, NS))
    path.read_text()
    assert path.stat().st_atime_ns == NS
    assert path.stat().st_ctime_ns > NS
    path.chmod(0o600)
    assert path.stat().st_mtime_ns == NS
    with path.open("a") as file:
        file.write("y")
    assert path.stat().st_mtime_ns > NS
    assert tree.stat().st_mtime_ns == NS
    path.rename(tree / "renamed")
    assert tree.stat().st_mtime_ns > NS
    os.utime(tree / "renamed")
    assert (tree / "renamed").stat().st_mtime_ns > NS
    before = (tree / "renamed").stat()
    os.truncate(tree / "renamed", 2)
    assert (tree / "renamed").stat().st_ctime_ns >= before.st_ctime_ns


def test_a_time_set_before_the_last_write_does_not_stay(tree: Path) -> None:
    with (tree / "file").open("wb", buffering=0) as file:
        file.write(b"x")
        os.utime(file.fileno(), ns=(NS, NS))
        assert (tree / "file").stat().st_mtime_ns == NS
        file.write(b"y")
        assert (tree / "file").stat().st_mtime_ns > NS
        os.utime(file.fileno(), ns=(2 * NS, 2 * NS))
    assert (tree / "file").stat().st_mtime_ns == 2 * NS


def test_extended_attributes_are_kept(shared_mount: Mount, tree: Path) -> None:
    values = {
        "user.empty": b"",
        "user.bytes": bytes(range(256)),
        "user.long": b"v" * 65_536,
        "user.é": b"name",
    }
    for path in (tree / "file", tree / "directory"):
        path.touch() if path.name == "file" else path.mkdir()
        for name, value in values.items():
            os.setxattr(path, name, value)
    shared_mount.commit(tree)
    shared_mount.remount()
    for top in (tree, Path(f"{tree}@~0/")):
        for name in ("file", "directory"):
            assert sorted(os.listxattr(top / name)) == sorted(values)
            assert {key: os.getxattr(top / name, key) for key in values} == values
    os.removexattr(tree / "file", "user.long")
    os.setxattr(tree / "file", "user.empty", b"not any more", os.XATTR_REPLACE)
    assert "user.long" not in os.listxattr(tree / "file")
    assert os.getxattr(f"{tree}@~0/file", "user.empty") == b""
    with pytest.raises(OSError, match=r"Argument list too long|No space"):
        os.setxattr(tree / "file", "user.x", b"v" * 65_537)


def test_virtual_attributes_answer_and_are_not_listed(shared_mount: Mount, tree: Path) -> None:
    (tree / "file").write_text("x" * 1000)
    head = shared_mount.commit(tree)
    branch = Path(f"{tree}@exp")
    branch.mkdir()
    names = ("repo", "branch", "commit", "content")
    shown = {name: os.getxattr(tree / "file", f"user.pfs.{name}").decode() for name in names}
    assert shown["repo"] == tree.name
    assert shown["branch"] == "main"
    assert shown["commit"] == head
    assert len(shown["content"]) == 64
    assert os.getxattr(branch / "file", "user.pfs.branch") == b"exp"
    assert os.getxattr(f"{tree}@~0/file", "user.pfs.commit").decode() == head
    assert os.getxattr(f"{tree}@~0/file", "user.pfs.content").decode() == shown["content"]
    assert os.listxattr(tree / "file") == []
    (tree / "copy").write_text("x" * 1000)
    shared_mount.commit(tree)
    assert os.getxattr(tree / "copy", "user.pfs.content").decode() == shown["content"]
    run("cp", "-a", tree / "file", tree / "archived")
    assert os.listxattr(tree / "archived") == []


# ACLs


def getfacl(path: Path) -> list[str]:
    text = run("getfacl", "-cnpE", path).stdout.decode()
    return [line for line in text.splitlines() if line]


def test_acls_and_modes_are_one_thing(shared_mount: Mount, tree: Path) -> None:
    path = tree / "file"
    path.touch()
    path.chmod(0o640)
    run("setfacl", "-m", f"u:{NOBODY}:rw,g:123:r", path)
    expected = ["user::rw-", f"user:{NOBODY}:rw-", "group::r--", "group:123:r--", "mask::rw-", "other::---"]
    assert getfacl(path) == expected
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    path.chmod(0o604)
    assert "mask::---" in getfacl(path)
    path.chmod(0o660)
    shared_mount.commit(tree)
    shared_mount.remount()
    assert getfacl(path) == expected
    assert getfacl(Path(f"{tree}@~0/file")) == expected
    run("setfacl", "-b", path)
    assert getfacl(path) == ["user::rw-", "group::r--", "other::---"]
    assert "system.posix_acl_access" not in os.listxattr(path)


def test_default_acls_are_inherited(shared_mount: Mount, tree: Path) -> None:
    top = tree / "top"
    top.mkdir()
    run("setfacl", "-d", "-m", f"u:{NOBODY}:rwx,g::rx,o::-", top)
    before = os.umask(0)
    try:
        (top / "directory").mkdir(mode=0o777)
        (top / "directory/file").touch(mode=0o666)
    finally:
        os.umask(before)
    assert f"user:{NOBODY}:rwx" in getfacl(top / "directory")
    assert f"default:user:{NOBODY}:rwx" in getfacl(top / "directory")
    assert f"user:{NOBODY}:rwx" in getfacl(top / "directory/file")
    assert stat.S_IMODE((top / "directory/file").stat().st_mode) == 0o660
    shared_mount.commit(tree)
    run("setfacl", "-k", top)
    (top / "plain").mkdir()
    assert not any(line.startswith("default") for line in getfacl(top / "plain"))


@pytest.mark.usefixtures("as_root")
def test_acls_are_enforced(tree: Path) -> None:
    (tree / "file").write_text("x")
    (tree / "file").chmod(0o600)
    with acting_as(NOBODY), pytest.raises(PermissionError):
        (tree / "file").read_text()
    run("setfacl", "-m", f"u:{NOBODY}:r", tree / "file")
    with acting_as(NOBODY):
        assert (tree / "file").read_text() == "x"
        with pytest.raises(PermissionError):
            (tree / "file").write_text("y")
    run("setfacl", "-x", f"u:{NOBODY}", tree / "file")
    with acting_as(NOBODY), pytest.raises(PermissionError):
        (tree / "file").read_text()
    run("setfacl", "-m", f"u:{NOBODY}:rwx", tree)
    with acting_as(NOBODY):
        (tree / ".pfs/ctl").write_text("commit by one with an ACL")


# inode numbers


def numbers(top: Path) -> dict[str, int]:
    found = {".": os.stat(f"{top}/.").st_ino}
    for where, directories, files in os.walk(f"{top}/"):
        for name in directories + files:
            path = os.path.join(where, name)
            found[os.path.relpath(path, top)] = os.lstat(path).st_ino
    return found


def test_inode_numbers_stay(shared_mount: Mount, tree: Path) -> None:
    (tree / "a/b").mkdir(parents=True)
    for name in ("file", "a/file", "a/b/file"):
        (tree / name).write_text(name)
    os.link(tree / "file", tree / "a/linked")
    before = numbers(tree)
    assert before["file"] == before["a/linked"]
    assert len(set(before.values())) == len(before) - 1
    head = shared_mount.commit(tree)
    assert numbers(tree) == before
    committed = numbers(Path(f"{tree}@{head[:16]}"))
    assert not set(before.values()) & set(committed.values())
    shared_mount.remount()
    assert numbers(tree) == before
    assert numbers(Path(f"{tree}@{head[:16]}")) == committed
    (tree / "file").write_text("changed")
    (tree / "a/b").rename(tree / "b")
    after = numbers(tree)
    assert (after["file"], after["b/file"]) == (before["file"], before["a/b/file"])
    shared_mount.commit(tree)
    shared_mount.remount()
    assert numbers(tree) == after


def test_files_of_a_commit_have_one_number_and_directories_one_a_spelling(
    shared_mount: Mount, tree: Path
) -> None:
    (tree / "directory").mkdir()
    (tree / "directory/file").write_text("x")
    head = shared_mount.commit(tree)
    shared_mount.ask("tag", action="create", repo=tree.name, tag="v1")
    spellings = [Path(f"{tree}@{name}") for name in (head[:8], head[:16], head, "v1")]
    found = [numbers(spelling) for spelling in spellings]
    assert len({each["directory/file"] for each in found}) == 1
    assert len({each["directory"] for each in found}) == len(spellings)
    assert len({each["."] for each in found}) == len(spellings)
    assert (tree / "directory").stat().st_ino < 2**32
