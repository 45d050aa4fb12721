"""One failed request never ends the mount: a fault in each method, through real requests."""

from __future__ import annotations

import inspect
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pfs.fuse.operations import Operations
from pfs.vfs.filesystem import Filesystem
from tests.mounted.conftest import mounts_of
from tests.mounted.mounting import Mount

Act = Callable[[Path], object]


def with_file(path: Path, act: Callable[[int], object], flags: int = os.O_RDWR) -> object:
    fd = os.open(path, flags)
    try:
        return act(fd)
    finally:
        os.close(fd)


def read_uncached(fd: int) -> int:
    return os.preadv(fd, [mmap.mmap(-1, 4096)], 0)


# method of the filesystem → a call that needs it, in a directory with `file`, `directory` and `link`
TABLE: dict[str, Act] = {
    "lookup": lambda here: os.stat(here / "never looked up"),
    "stat": lambda here: (here / "file").chmod(0o600),
    "target": lambda here: os.readlink(here / "link"),
    "make": lambda here: (here / "made").mkdir(),
    "create": lambda here: (here / "written").write_text("x"),
    "remove": lambda here: (here / "file").unlink(),
    "rename": lambda here: (here / "file").rename(here / "other"),
    "link": lambda here: os.link(here / "file", here / "hard"),
    "set_attributes": lambda here: (here / "file").chmod(0o600),
    "get_xattr": lambda here: os.getxattr(here / "file", "user.x"),
    "list_xattrs": lambda here: os.listxattr(here / "file"),
    "set_xattr": lambda here: os.setxattr(here / "file", "user.y", b""),
    "remove_xattr": lambda here: os.removexattr(here / "file", "user.x"),
    "open": lambda here: (here / "file").read_text(),
    "is_text": lambda here: (here / "file").read_text(),
    "read": lambda here: with_file(here / "file", read_uncached, os.O_RDONLY | os.O_DIRECT),
    "write": lambda here: with_file(here / "file", lambda fd: os.write(fd, b"x")),
    "fsync": lambda here: with_file(here / "file", os.fsync),
    "open_directory": lambda here: os.listdir(here / "directory"),
    "list": lambda here: os.listdir(here / "directory"),
    "handle": lambda here: os.listdir(here / "directory"),
    "statvfs": os.statvfs,
}
# What the kernel takes no answer for: the call succeeds all the same.
SILENT: dict[str, Act] = {
    "forget": lambda here: (here / "file").unlink(),
    "release": lambda here: (here / "file").read_text(),
}
CHECKED = [name for name in TABLE if name not in {"remove", "rename", "link", "fsync", "is_text"}]
CHECKED = [name for name in CHECKED if not name.startswith(("set_", "remove_"))]
CASES = [*((name, "raise") for name in TABLE), *((name, "return") for name in CHECKED)]


@pytest.fixture(scope="module")
def faulty(request: pytest.FixtureRequest) -> Iterator[Mount]:
    """A mount whose daemon can be made to fail, with a repo."""
    with mounts_of(request.node) as make:
        mount = make()
        mount.expected = ("planted in", "request failed", "wrong reply", "Traceback")
        mount.start(module="tests.mounted.faulty_daemon")
        mount.repo()
        yield mount


@pytest.fixture
def here(faulty: Mount, request: pytest.FixtureRequest) -> Path:
    """A directory of the test's own, with what the calls need."""
    here = faulty.path / "repo" / str(request.node.name)
    (here / "directory").mkdir(parents=True)
    (here / "file").write_bytes(b"content" * 1000)
    (here / "link").symlink_to("file")
    os.setxattr(here / "file", "user.x", b"")
    return here


@pytest.mark.parametrize(("method", "how"), CASES)
def test_a_fault_is_an_io_error_and_the_next_request_works(
    faulty: Mount, here: Path, method: str, how: str
) -> None:
    plant = faulty.base / "plant"
    plant.write_text(f"{method} {how}")
    try:
        with pytest.raises(OSError, match="Input/output error"):
            TABLE[method](here)
    finally:
        plant.unlink()
    assert faulty.is_running
    if method == "lookup":
        assert not (here / "never looked up").exists()
    else:
        TABLE[method](here)


@pytest.mark.parametrize("method", SILENT)
def test_a_fault_where_nobody_waits_is_logged(faulty: Mount, here: Path, method: str) -> None:
    plant = faulty.base / "plant"
    plant.write_text(f"{method} raise")
    try:
        SILENT[method](here)
        (here / "directory/after").touch()
    finally:
        plant.unlink()
    assert faulty.is_running
    assert f"planted in {method}" in faulty.log()
    faulty.commit(faulty.path / "repo")


def test_the_tables_leave_nothing_out() -> None:
    public = {
        name for name, _ in inspect.getmembers(Filesystem, inspect.isfunction) if not name.startswith("_")
    }
    assert public - {"handles"} == (TABLE.keys() | SILENT.keys()) - {"statvfs"}
    handlers = [
        (name, handler)
        for name, handler in vars(Operations).items()
        if inspect.iscoroutinefunction(handler) and not name.startswith("_")
    ]
    assert len(handlers) > 25
    bare = [name for name, handler in handlers if not hasattr(handler, "__wrapped__")]
    assert bare == ["forget", "flush"], "one that answers nothing, one that does nothing"
