"""Who reads and writes, as told to a real mount of one file."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyfuse3
import pytest

from pfs import _native
from pfs.fuse import request_pid

_pyfuse3: Any = pyfuse3  # with what its type stub leaves out

SECONDS = 20
ROOT = Path(__file__).parents[2]
CONNECTIONS = Path("/sys/fs/fuse/connections")


class TinyMount:
    """The filesystem's process, and what it has said."""

    def __init__(self, where: Path) -> None:
        self.file = where / "file"
        self._where = where
        self._said = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuse.tiny", str(where)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def told(self, *ops: str) -> dict[str, Any]:
        """The next thing it says about one of these."""
        assert self._process.stdout is not None
        while True:
            while b"\n" not in self._said:
                ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
                assert ready, "it says nothing"
                said = os.read(self._process.stdout.fileno(), 4096)
                assert said, "it is gone"
                self._said += said
            line, _, self._said = self._said.partition(b"\n")
            what: dict[str, Any] = json.loads(line)
            if what["op"] in ops:
                return what

    def command(self, text: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text + b"\n")
        self._process.stdin.flush()
        self.told("obeyed")

    def close(self) -> None:
        """End it, by force if need be: nobody may be left waiting for it."""
        assert self._process.stdin is not None
        device = self._device()
        self._process.stdin.close()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            if device is not None:
                with suppress(OSError):
                    (CONNECTIONS / str(device) / "abort").write_bytes(b"1")
            self._process.kill()
            self._process.wait()
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()
            subprocess.run(
                ["fusermount3", "-u", "-z", self._where],
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=SECONDS,
            )

    def _device(self) -> int | None:
        for row in Path("/proc/self/mountinfo").read_text().splitlines():
            fields = row.split()
            if fields[4] == str(self._where):
                return int(fields[2].partition(":")[2])
        return None


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[TinyMount]:
    where = tmp_path / "mount"
    where.mkdir()
    mount = TinyMount(where)
    try:
        yield mount
    finally:
        mount.close()


@pytest.fixture
def mounted(tiny: TinyMount) -> TinyMount:
    said = tiny.told("mounted")
    assert said["installed"]
    assert said["verified"]
    return tiny


pytestmark = pytest.mark.mounted


def test_a_write_is_told_with_the_child_that_inherited_the_descriptor(mounted: TinyMount) -> None:
    with mounted.file.open("wb", buffering=0) as file:
        assert mounted.told("open")["pid"] == threading.get_native_id()
        child = subprocess.Popen(["/bin/echo", "from a child"], stdout=file)
        child.wait(SECONDS)
        assert mounted.told("write") == {"op": "write", "pid": child.pid, "data": "from a child\n"}
        file.write(b"from us")
        assert mounted.told("write")["pid"] == threading.get_native_id()


def test_a_read_is_told_with_the_child_that_inherited_the_descriptor(mounted: TinyMount) -> None:
    mounted.file.write_bytes(b"text")
    file = os.open(mounted.file, os.O_RDONLY | os.O_NONBLOCK)  # not cached
    try:
        child = subprocess.Popen(["/bin/cat"], stdin=file, stdout=subprocess.PIPE)
        out, _ = child.communicate(timeout=SECONDS)
        assert out == b"text"
        assert mounted.told("read")["pid"] == child.pid
    finally:
        os.close(file)


def test_it_is_the_thread_that_is_told(mounted: TinyMount) -> None:
    ids: list[int] = []

    def write() -> None:
        ids.append(threading.get_native_id())
        mounted.file.write_bytes(b"x")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(SECONDS)
    assert [mounted.told("write")["pid"]] == ids != [os.getpid()]


def test_requests_side_by_side_are_not_mixed_up(mounted: TinyMount) -> None:
    """Every writer says its own pid in what it writes."""
    script = 'for i in 1 2 3 4 5 6 7 8 9 10; do /bin/sh -c "exec /bin/echo \\$\\$"; done >> "$0"'
    writers = [subprocess.Popen(["/bin/sh", "-c", script, mounted.file]) for _ in range(4)]
    for _ in range(40):
        said = mounted.told("write")
        assert said["data"] == f"{said['pid']}\n"
    for writer in writers:
        assert writer.wait(SECONDS) == 0


def test_pages_stored_to_through_a_mapping_are_nobodys(mounted: TinyMount) -> None:
    mounted.file.write_bytes(b"x" * 4096)
    mounted.told("write")
    code = (
        "import mmap, sys\n"
        "with open(sys.argv[1], 'r+b') as file, mmap.mmap(file.fileno(), 0) as view:\n"
        "    view[0] = 1\n"
        "    view.flush()\n"
    )
    subprocess.run([sys.executable, "-c", code, mounted.file], check=True, timeout=SECONDS)
    assert mounted.told("write")["pid"] == 0


def test_a_reader_of_a_process_in_exec_waits_and_nobody_else_does(mounted: TinyMount) -> None:
    """An execve flushes what is closed by it while it holds the lock that most of /proc/PID needs."""
    try:
        connector = _native.Connector()
    except OSError as error:
        pytest.skip(f"no proc connector here: {error}")
    # two programs of one process: the shell holds the file open, closed by its exec
    code = (
        "import os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "sys.stdin.readline()\n"
        "os.execv('/bin/true', ['true'])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, mounted.file], stdin=subprocess.PIPE)
    assert child.stdin is not None
    mounted.told("open")
    mounted.command(b"hold")
    child.stdin.close()
    assert mounted.told("flush")
    done = threading.Event()
    found: list[object] = []

    def read() -> None:
        found.append(_native.proc_read(child.pid))
        done.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert not done.wait(0.2)
        connector.drain()  # and so the lock of the interpreter was free
        assert not done.is_set()
    finally:
        mounted.command(b"go")
    assert done.wait(SECONDS)
    reader.join()
    assert child.wait(SECONDS) == 0
    connector.close()


# without a mount


def test_another_version_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _pyfuse3.fuse_write_async
    monkeypatch.setattr(_pyfuse3, "__version__", "3.6.0")
    assert not request_pid.install()
    monkeypatch.undo()
    monkeypatch.setattr(_pyfuse3, "_Container", type("_Container", (), {}), raising=False)
    assert not request_pid.install()
    monkeypatch.undo()
    monkeypatch.setattr(_pyfuse3, "fuse_write_async", lambda c, pbuf, more: None, raising=False)
    assert not request_pid.install()
    monkeypatch.undo()
    assert _pyfuse3.fuse_write_async is before
    assert request_pid.current == 0


def test_it_can_be_put_back() -> None:
    names = ("fuse_read_async", "fuse_write_async", "fuse_write_buf_async", "fuse_getattr_async")
    before = [getattr(_pyfuse3, name) for name in names]
    operations = _pyfuse3.Operations()
    assert request_pid.install(operations)
    assert request_pid.install(operations)
    assert all(getattr(_pyfuse3, name) is not old for name, old in zip(names, before, strict=True))
    request_pid.uninstall()
    assert [getattr(_pyfuse3, name) for name in names] == before


async def test_where_the_first_getattr_disagrees_all_is_put_back() -> None:
    class Answers(_pyfuse3.Operations):
        async def getattr(self, inode: int, ctx: Any) -> Any:
            return "attributes"

    class Context:
        pid = 1

    operations: Any = Answers()
    before = _pyfuse3.fuse_write_async
    assert request_pid.install(operations)
    assert await operations.getattr(1, Context()) == "attributes"
    assert request_pid.verified is False
    assert _pyfuse3.fuse_write_async is before
    assert "getattr" not in vars(operations)
