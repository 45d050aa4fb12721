"""Names on a mount: links, special files, renames, odd bytes, directories that change while they are read."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from tests.mounted.mounting import Mount, run, start
from tests.mounted.test_errors import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2

LIBC = ctypes.CDLL(None, use_errno=True)
for _name in ("opendir", "fdopendir", "readdir"):
    getattr(LIBC, _name).restype = ctypes.c_void_p
LIBC.telldir.restype = ctypes.c_long
DIRENT_NAME = 19  # offset of d_name in struct dirent on Linux with 64-bit offsets


class OpenDirectory:
    """opendir(3) with its positions, which Python does not offer."""

    def __init__(self, path: Path) -> None:
        self._stream = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))
        assert self._stream

    def read(self) -> bytes | None:
        entry = LIBC.readdir(self._stream)
        return ctypes.string_at(entry + DIRENT_NAME) if entry else None

    def tell(self) -> int:
        return int(LIBC.telldir(self._stream))

    def seek(self, position: int) -> None:
        LIBC.seekdir(self._stream, ctypes.c_long(position))

    def rewind(self) -> None:
        LIBC.rewinddir(self._stream)

    def close(self) -> None:
        LIBC.closedir(self._stream)


# links and special files


def test_hard_links_are_one_file_before_and_after_commits(shared_mount: Mount, tree: Path) -> None:
    (tree / "a").write_text("one")
    (tree / "directory").mkdir()
    os.link(tree / "a", tree / "directory/b")
    os.link(tree / "directory/b", tree / "c")
    first = shared_mount.commit(tree)
    (tree / "c").write_text("two")
    names = [tree / "a", tree / "directory/b", tree / "c"]
    assert {path.stat().st_nlink for path in names} == {3}
    assert len({path.stat().st_ino for path in names}) == 1
    assert {path.read_text() for path in names} == {"two"}
    shared_mount.commit(tree)
    (tree / "a").unlink()
    assert (tree / "c").stat().st_nlink == 2
    old = Path(f"{tree}@{first[:16]}")
    assert [(old / path.relative_to(tree)).read_text() for path in names] == ["one"] * 3
    assert len({(old / path.relative_to(tree)).stat().st_ino for path in names}) == 1
    assert (old / "a").stat().st_nlink == 3
    (tree / "directory/b").rename(tree / "c")  # two names of one file: nothing happens
    assert sorted(os.listdir(tree)) == ["c", "directory"]
    assert os.listdir(tree / "directory") == ["b"]


def test_symlinks_keep_any_target(shared_mount: Mount, tree: Path) -> None:
    targets = [b"x", b"/absolute/nowhere", b"l" * 255, b"d/" * 2000, b"\xff\n\x01"]
    for number, target in enumerate(targets):
        os.symlink(target, os.fsencode(tree / str(number)))
    os.symlink("0", tree / "chain")
    (tree / "x").write_text("reached")
    shared_mount.commit(tree)
    for number, target in enumerate(targets):
        assert os.readlink(os.fsencode(tree / str(number))) == target
        assert os.readlink(os.fsencode(f"{tree}@~0/{number}")) == target
        assert os.lstat(tree / str(number)).st_size == len(target)
    assert (tree / "chain").read_text() == "reached"


def test_a_fifo_carries_bytes_and_is_committed(shared_mount: Mount, tree: Path) -> None:
    os.mkfifo(tree / "fifo", 0o640)
    reader = start("cat", tree / "fifo", stdout=-1)
    (tree / "fifo").write_bytes(b"through the fifo")
    assert reader.communicate(timeout=20)[0] == b"through the fifo"
    shared_mount.commit(tree)
    found = os.stat(f"{tree}@~0/fifo")
    assert stat.S_ISFIFO(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o640


def test_a_socket_takes_connections_and_is_committed(
    shared_mount: Mount, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        client.connect("socket")
        with server.accept()[0] as accepted:
            accepted.sendall(b"hello")
        assert client.recv(10) == b"hello"
    shared_mount.commit(tree)
    assert stat.S_ISSOCK(os.stat(f"{tree}@~0/socket").st_mode)


# rename


def test_rename_replaces_exchanges_or_refuses(shared_mount: Mount, tree: Path) -> None:
    for name in ("a", "b"):
        (tree / name).write_text(name)
    (tree / "directory").mkdir()
    (tree / "directory/inside").write_text("inside")
    with pytest.raises(FileExistsError):
        renameat2(tree / "a", tree / "b", RENAME_NOREPLACE)
    renameat2(tree / "a", tree / "b", RENAME_EXCHANGE)
    assert ((tree / "a").read_text(), (tree / "b").read_text()) == ("b", "a")
    renameat2(tree / "a", tree / "directory", RENAME_EXCHANGE)
    assert (tree / "a/inside").read_text() == "inside"
    assert (tree / "directory").read_text() == "b"
    shared_mount.commit(tree)
    renameat2(tree / "a", tree / "b", RENAME_EXCHANGE)
    assert (tree / "b/inside").read_text() == "inside"
    (tree / "directory").rename(tree / "a")
    assert sorted(os.listdir(tree)) == ["a", "b"]
    renameat2(tree / "a", tree / "c", RENAME_NOREPLACE)
    assert (tree / "c").read_text() == "b"
    with pytest.raises(FileNotFoundError):
        renameat2(tree / "c", tree / "nothing", RENAME_EXCHANGE)


def test_a_renamed_directory_takes_everything_along(shared_mount: Mount, tree: Path) -> None:
    deep = tree / "a/b/c"
    deep.mkdir(parents=True)
    (deep / "file").write_text("deep")
    shared_mount.commit(tree)
    (tree / "x/y").mkdir(parents=True)
    with (deep / "file").open("a") as writer:
        (tree / "a/b").rename(tree / "x/y/b")
        writer.write(" and open")
    assert (tree / "x/y/b/c/file").read_text() == "deep and open"
    assert os.listdir(tree / "a") == []
    shared_mount.commit(tree)
    assert Path(f"{tree}@~0/x/y/b/c/file").read_text() == "deep and open"
    assert Path(f"{tree}@~1/a/b/c/file").read_text() == "deep"
    assert [os.stat(tree / name).st_nlink for name in ("a", "x", "x/y", "x/y/b")] == [2, 3, 3, 3]


# bytes of names


NAMES = [
    b"new\nline",
    b"not utf-8 \xff\xfe",
    b" space ",
    b"tab\t",
    b"-rf",
    b"\\",
    b"'\"`$",
    b"a@b~1^{x}",
    b"...",
    b".pfs2",
    "é".encode(),
    "e\u0301".encode(),
    b"n" * 255,
    b"\x01",
]


def test_a_name_may_hold_any_byte(shared_mount: Mount, tree: Path) -> None:
    where = os.fsencode(tree)
    for name in NAMES:
        os.mkdir(where + b"/" + name)
        Path(os.fsdecode(where + b"/" + name + b"/" + name)).write_bytes(name)
    shared_mount.commit(tree)
    for top in (where, where + b"@~0"):
        assert sorted(os.listdir(top + b"/")) == sorted(NAMES)
        for name in NAMES:
            assert Path(os.fsdecode(top + b"/" + name + b"/" + name)).read_bytes() == name
    for name in NAMES:
        os.unlink(where + b"/" + name + b"/" + name)
        os.rmdir(where + b"/" + name)
    assert os.listdir(tree) == []


# reading directories


def test_dot_pfs_is_never_listed_and_never_in_the_way(shared_mount: Mount, tree: Path) -> None:
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("x")
    shared_mount.commit(tree)
    for directory in (tree, tree / "a", tree / "a/b", Path(f"{tree}@~0/a")):
        assert ".pfs" not in os.listdir(directory)
        assert (directory / ".pfs/log").read_text()
    found = run("find", tree).stdout.decode().splitlines()
    assert found == [str(tree / part) for part in ("", "a", "a/b", "a/b/file")]
    run("rm", "-rf", tree / "a")
    assert os.listdir(tree) == []


def test_a_directory_can_be_emptied_while_it_is_read(shared_mount: Mount, tree: Path) -> None:
    for number in range(500):
        (tree / f"{number:05}").touch()
    shared_mount.commit(tree)
    for number in range(500, 1000):
        (tree / f"{number:05}").touch()
    with os.scandir(tree) as entries:
        seen = set()
        for entry in entries:
            seen.add(entry.name)
            os.unlink(entry.path)
    assert len(seen) == 1000
    assert os.listdir(tree) == []


def test_positions_can_be_taken_up_again(shared_mount: Mount, tree: Path) -> None:
    for number in range(700):
        (tree / f"{number:05}").touch()
    shared_mount.commit(tree)
    for number in range(700, 1400):
        (tree / f"{number:05}").touch()
    stream = OpenDirectory(tree)
    positions, names = [], []
    while True:
        position = stream.tell()
        name = stream.read()
        if name is None:
            break
        positions.append(position)
        names.append(name)
    assert len(names) == len(set(names)) == 1402
    assert len(set(positions)) == 1402
    for at in (0, 1, 2, 3, 699, 700, 701, 1401, 5):
        stream.seek(positions[at])
        assert stream.read() == names[at]
        assert stream.read() == (names[at + 1] if at + 1 < len(names) else None)
    (tree / "late").touch()
    stream.rewind()
    again = []
    while (name := stream.read()) is not None:
        again.append(name)
    stream.close()
    assert sorted(again) == sorted([*names, b"late"])


def test_a_name_made_and_removed_is_seen_at_once(tree: Path) -> None:
    for number in range(20):
        path = tree / f"file{number % 3}"
        assert not path.exists()
        path.write_text(str(number))
        assert path.read_text() == str(number)
        assert path.name in os.listdir(tree)
        path.unlink()
        assert path.name not in os.listdir(tree)


def test_a_removed_directory_takes_no_new_names(tree: Path) -> None:
    (tree / "gone").mkdir()
    fd = os.open(tree / "gone", os.O_RDONLY | os.O_DIRECTORY)
    (tree / "gone").rmdir()
    try:
        assert os.listdir(fd) == []
        with pytest.raises(FileNotFoundError):
            os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        with pytest.raises(FileNotFoundError):
            os.mkdir("new", dir_fd=fd)
        assert os.fstat(fd).st_nlink == 0
    finally:
        os.close(fd)


def test_link_counts_of_directories_follow(shared_mount: Mount, tree: Path) -> None:
    for number in range(5):
        (tree / f"d{number}").mkdir()
    assert tree.stat().st_nlink == 7
    (tree / "d0").rmdir()
    (tree / "d1").rename(tree / "d2/d1")
    shared_mount.commit(tree)
    assert tree.stat().st_nlink == 5
    assert Path(f"{tree}@~0/").stat().st_nlink == 5
    assert (tree / "d2").stat().st_nlink == 3


def test_the_deepest_path_works(shared_mount: Mount, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    for _ in range(300):
        os.mkdir("deeper")
        os.chdir("deeper")
    Path("file").write_text("at the bottom")
    shared_mount.commit(tree)
    assert Path("file").read_text() == "at the bottom"
    monkeypatch.chdir("/")
    run("rm", "-rf", tree / "deeper")
    monkeypatch.chdir(f"{tree}@~0/")
    for _ in range(300):
        os.chdir("deeper")
    assert Path("file").read_text() == "at the bottom"


def test_the_root_lists_repos_and_branches_only(mount: Mount) -> None:
    mount.repo("b")
    mount.repo("a")
    (mount.path / "a@exp").mkdir()
    mount.ask("tag", action="create", repo="a", tag="v1")
    assert sorted(os.listdir(mount.path)) == ["a", "a@exp", "b"]
    with pytest.raises(OSError, match="Operation not permitted") as caught:
        (mount.path / "a").rmdir()
    assert caught.value.errno == errno.EPERM
    mount.remount()
    assert sorted(os.listdir(mount.path)) == ["a", "a@exp", "b"]
