"""The daemon as a process, seen from the command line: start it, hear that it is ready, see it end.

Contract with `python -m pfs.daemon --store DIR --mount DIR [--read-only] [--allow-other]
[--ready-fd N]`: it works in its own process group with stdin closed and its log on stderr, and
writes one JSON line to N when the mount answers, {"ok": true, "pid": …}, or when it failed,
{"ok": false, "error": {kind, message, hint, exit_code}}; then it closes N.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pfs.cli.failure import log_directory
from pfs.control.wire import Json, decode_line, error_from_document
from pfs.errors import PfsError

LOG_BYTES_MAX = 16 << 20
_LINE_BYTES_MAX = 1 << 16


def daemon_command(store: Path, mount_point: Path, options: Sequence[str]) -> list[str]:
    """The command line of the daemon."""
    return [sys.executable, "-m", "pfs.daemon", "--store", str(store), "--mount", str(mount_point), *options]


def start_detached(command: Sequence[str]) -> Json:
    """Start the daemon in the background and wait until its mount answers; what it reported.

    Raises what made it fail. Ctrl-C ends it, too.
    """
    log = _open_log()
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            pass_fds=[write_end],
            start_new_session=True,
        )
    finally:
        os.close(write_end)
        os.close(log)
    with open(read_end, "rb") as pipe:
        try:
            line = pipe.readline(_LINE_BYTES_MAX)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            raise
    if not line.endswith(b"\n"):
        code = process.wait()
        raise PfsError(f"the daemon ended before it was ready (exit code {code})", hint=f"see {log_path()}")
    report = decode_line(line)
    if report.get("ok") is not True:
        process.wait()
        raise error_from_document(report.get("error") or {})
    # It lives on after us: there is nothing to wait for.
    process.returncode = 0
    return report


def log_path() -> Path:
    """Where a daemon that this user started in the background logs."""
    return log_directory() / "daemon.log"


class ProcessWatch:
    """Sees one process end. Opened while the process is known to live, so that no other is taken for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._descriptor: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._descriptor = None

    def wait_ended(self, timeout_seconds: float) -> bool:
        """Whether the process is gone, after waiting at most so long."""
        if self._descriptor is None:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(timeout_seconds * 1000))

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> ProcessWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_log() -> int:
    """The daemon's log, for appending; begun anew when it has grown large, one old one kept."""
    path = log_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.rename(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
