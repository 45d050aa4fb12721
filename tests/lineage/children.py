"""Processes for tests: each ends when its block does, and waits on its standard input until then."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

END_SECONDS = 20

_THREADED = """
import os, sys, threading
names = threading.Event()
def run():
    print(threading.get_native_id(), flush=True)
    names.wait()
thread = threading.Thread(target=run)
thread.start()
for line in sys.stdin:
    if line == "leave\\n":  # the first thread ends, the process goes on
        import ctypes
        ctypes.CDLL(None).syscall(60, 0)
names.set()
"""


@contextmanager
def running(command: Sequence[str | bytes], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has begun (its exec is over) and goes on until its input ends."""
    options.setdefault("stdout", subprocess.PIPE)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
    try:
        arguments = Path(f"/proc/{process.pid}/cmdline")
        while not arguments.read_bytes():  # Popen returns in the middle of the exec
            select.select([], [], [], 0.001)
        yield process
    finally:
        assert process.stdin is not None
        if not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def threaded() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process with a second thread, and that thread's id."""
    with running([sys.executable, "-c", _THREADED]) as process:
        yield process, int(line(process))


def line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line that a process prints."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], END_SECONDS)
    assert ready, "it says nothing"
    return process.stdout.readline()


def say(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Give a process a line."""
    assert process.stdin is not None
    process.stdin.write(text + b"\n")
    process.stdin.flush()


def answers(cat: subprocess.Popen[bytes]) -> None:
    """Wait until a cat has done all that it does before it reads."""
    say(cat, b"ready")
    assert line(cat) == b"ready\n"


def ended(pid: int) -> None:
    """Wait until a child has ended; it stays a zombie."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
