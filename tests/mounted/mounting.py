"""A daemon of its own on a real mount, for one test.

`Mount` starts `python -m pfs.daemon` on a store and a mount point below one directory, waits until
it answers, and ends it; `check` then opens the store and reports everything that is wrong. The
daemon carries an alarm(2) that outlives its exec: one that hangs is killed by the kernel, which
aborts the mount and frees whoever waits for it, this process too.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pfs.control.client import ControlClient
from pfs.control.mountpoint import soften
from pfs.versioning.operations import read_offline

START_SECONDS = 30
END_SECONDS = 60
LIFE_SECONDS = 240  # a daemon that lives longer hangs
COMMAND_SECONDS = 120
NOBODY = 65534
DEFECTS = ("Traceback", "request failed", "wrong reply", "background task failed", "sync failed")

_UNTIL_ALARM = (
    "import os, signal, sys; signal.alarm(int(sys.argv[1])); "
    "os.execv(sys.executable, [sys.executable, '-m', *sys.argv[2:]])"
)
_CONNECTIONS = Path("/sys/fs/fuse/connections")


class Mount:
    """A store, a mount point, and the daemon between them while there is one."""

    def __init__(self, base: Path, *, life_seconds: int = LIFE_SECONDS) -> None:
        self.base = base
        self.store = base / "store"
        self.path = base / "mount"
        self.log_path = base / "daemon.log"
        self.life_seconds = life_seconds
        self.expected: tuple[str, ...] = ()  # defects that a test provokes
        self._process: subprocess.Popen[bytes] | None = None
        self._checked = 0

    # the daemon's life

    def start(self, *options: str, module: str = "pfs.daemon") -> None:
        """Start the daemon and wait until the mount answers."""
        assert self._process is None
        self.path.mkdir(exist_ok=True)
        ready, said = os.pipe()
        command = [sys.executable, "-c", _UNTIL_ALARM, str(self.life_seconds), module]
        where = ["--store", str(self.store), "--mount", str(self.path), "--ready-fd", str(said)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *where, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[said],
                cwd=Path(__file__).parents[2],
            )
        os.close(said)
        try:
            answer = _read_line(ready)
        finally:
            os.close(ready)
        if not answer.get("ok"):
            self.kill9()
            raise AssertionError(f"the daemon did not start: {answer}\n{self.log()}")

    def stop(self) -> None:
        """Unmount as a person would, and wait until the daemon is gone."""
        self.unmount()
        self.wait_ended()

    def unmount(self) -> None:
        """`fusermount3 -u`."""
        subprocess.run(["fusermount3", "-u", str(self.path)], check=True, timeout=COMMAND_SECONDS)

    def wait_ended(self) -> None:
        """Wait for the end of a daemon that was unmounted or told to end."""
        assert self._process is not None
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"the daemon did not end\n{self.log()}") from None
        self._process = None
        soften(self.path)
        assert code == 0, f"the daemon ended with {code}\n{self.log()}"

    def kill9(self) -> None:
        """Kill the daemon where it stands, and take the dead mount away."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.abort()
                process.wait(END_SECONDS)
        self.clear()

    def clear(self) -> None:
        """Unmount whatever is left at the mount point."""
        if self.is_mounted():
            subprocess.run(["fusermount3", "-u", "-z", str(self.path)], check=True, timeout=COMMAND_SECONDS)
        soften(self.path)

    def kill_only(self) -> None:
        """Kill the daemon and leave the dead mount."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_SECONDS)
        self._process = None

    def wait_killed(self) -> int:
        """Wait until something else has killed the daemon; its exit code."""
        assert self._process is not None
        return self._process.wait(END_SECONDS)

    def abort(self) -> None:
        """End a connection whose daemon can't even be killed."""
        device = self._device()
        if device is None:
            return
        if not any(_CONNECTIONS.iterdir()) and os.geteuid() == 0:
            subprocess.run(["mount", "-t", "fusectl", "fusectl", str(_CONNECTIONS)], check=False)
        (_CONNECTIONS / str(os.minor(device)) / "abort").write_text("1")

    def remount(self, *options: str) -> None:
        """End the daemon well and start another."""
        self.stop()
        self.start(*options)

    def close(self) -> None:
        """The end of a test: unmount, and the store has to be in order."""
        if self._process is not None:
            if self._process.poll() is None:
                try:
                    self.stop()
                finally:
                    self.kill9()
            else:
                code = self._process.returncode
                self.kill9()
                raise AssertionError(f"the daemon had ended by itself, with {code}\n{self.log()}")
        self.clear()
        self.check_log()
        if self.store.exists():
            findings = self.check()
            assert not findings, findings

    # what it says

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the daemon lives."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Everything that its daemons have said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def check_log(self) -> None:
        """Fail for any sign of a defect that was not looked at before."""
        text = self.log()
        new, self._checked = text[self._checked :], len(text)
        found = [line for line in new.splitlines() if any(word in line for word in DEFECTS)]
        found = [line for line in found if not any(word in line for word in self.expected)]
        assert not found, "\n".join(["the daemon's log holds defects:", *found])

    def is_mounted(self) -> bool:
        """Whether anything is mounted here; asks the kernel, not the mount."""
        return self._device() is not None

    def _device(self) -> int | None:
        wanted = os.fsencode(self.path)
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            fields = line.split(b" ")
            if fields[4] == wanted:
                major, _, minor = fields[2].partition(b":")
                return os.makedev(int(major), int(minor))
        return None

    def check(self) -> list[object]:
        """What fsck finds in the store of a daemon that has ended."""
        assert self._process is None
        return list(read_offline(self.store, "fsck", {}, time.time_ns)["findings"])

    # using it

    def ask(self, op: str, **arguments: Any) -> Any:
        """One operation of the control socket."""
        return ControlClient(self.store).call(op, arguments, timeout_seconds=COMMAND_SECONDS)

    def repo(self, name: str = "repo") -> Path:
        """A new repo."""
        path = self.path / name
        path.mkdir()
        return path

    def commit(self, tree: Path, message: str = "message") -> str:
        """Commit a working tree and return the id of its head, 64 hex digits."""
        (tree / ".pfs/ctl").write_text(f"commit {message}")
        status: dict[str, Any] = json.loads((tree / ".pfs/status").read_text())
        return str(status["commit"])


def run(
    *command: str | Path,
    cwd: Path | None = None,
    uid: int | None = None,
    stdin: bytes = b"",
    check: bool = True,
    seconds: float = COMMAND_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program, as another user if a uid is given; its output is shown where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=seconds,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(environment or {})},
        **({} if uid is None else {"user": uid, "group": uid, "extra_groups": []}),
    )
    if check:
        assert done.returncode == 0, f"{words} ended with {done.returncode}\n{output(done)}"
    return done


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Let this process make its calls as an unprivileged user."""
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def output(done: subprocess.CompletedProcess[bytes]) -> str:
    """Both outputs of a program, as text."""
    return (done.stdout + done.stderr).decode(errors="replace")


def python(script: str, *arguments: str | Path, **options: Any) -> str:
    """Run a Python script in a process of its own and return what it prints."""
    return run(sys.executable, "-c", script, *arguments, **options).stdout.decode()


def start(*command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program without waiting for it."""
    return subprocess.Popen([str(word) for word in command], **options)


def wait_all(processes: Sequence[subprocess.Popen[bytes]], seconds: float = COMMAND_SECONDS) -> None:
    """Wait for programs; none may fail."""
    for process in processes:
        assert process.wait(seconds) == 0, process.args


def wait_until(condition: Callable[[], bool], seconds: float = COMMAND_SECONDS) -> None:
    """Ask until it is so; never for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


def _read_line(fd: int) -> dict[str, Any]:
    """One JSON line from the ready pipe; nothing where the daemon died or was late."""
    text = b""
    while not text.endswith(b"\n"):
        readable, _, _ = select.select([fd], [], [], START_SECONDS)
        part = os.read(fd, 65536) if readable else b""
        if not part:
            return {}
        text += part
    answer: dict[str, Any] = json.loads(text)
    return answer
