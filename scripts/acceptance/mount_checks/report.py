"""Checks by name, what they found, and the places they work in.

A check is a function of a `Run`; it measures and says `run.demand(...)`. One that fails with an exception
has failed; the others go on. Checks marked `private_mounts` run in a child with a mount namespace of
its own (unshare(1)), where they may mount over anything; they need root.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pfs.control.client import ControlClient
from tests.mounted.mounting import Mount

MIB = 1024 * 1024
GIB = 1024 * MIB
LIFE_SECONDS = 3600  # a daemon that lives longer than any check hangs
PFS = Path(sys.executable).with_name("pfs")

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One check: its name, the clause it shows, and how."""

    name: str
    what: str
    function: Callable[[Run], None]
    private_mounts: bool = False


class Result(NamedTuple):
    """One line of the report."""

    check: str
    what: str
    measured: str
    demanded: str
    holds: bool


CHECKS: dict[str, Check] = {}


def check(name: str, what: str, *, private_mounts: bool = False) -> Callable[[Callable[[Run], None]], None]:
    """Enter a function as the check of that name."""

    def enter(function: Callable[[Run], None]) -> None:
        CHECKS[name] = Check(name, what, function, private_mounts)

    return enter


class Run:
    """One run of some checks."""

    def __init__(self, script: Path, full: bool, base: Path, *, private: bool = False) -> None:
        self.full = full
        self._script = script
        self.results: list[Result] = []
        self._base = base
        self._private = private
        self._name = ""
        self._directory = base

    def pick(self, full: T, small: T) -> T:
        """A size for this scale."""
        return full if self.full else small

    @property
    def directory(self) -> Path:
        """A directory for the check that runs now, on a real disk; removed at its end."""
        return self._directory

    def demand(self, what: str, measured: object, demanded: str, holds: bool, *, clock: bool = False) -> None:
        """Say what came out. At the small scale a clock is shown, not judged."""
        if clock and not self.full:
            demanded, holds = f"({demanded}: not judged)", True
        result = Result(self._name, what, str(measured), demanded, holds)
        self.results.append(result)
        line = f"{'ok  ' if holds else 'FAIL'} {self._name}: {what}: {measured}"
        print(f"{line} [{demanded}]" if demanded else line, flush=True)

    def equal(self, what: str, measured: object, wanted: object) -> None:
        """A demand for one exact value."""
        shown = repr(measured)
        self.demand(
            what, shown if len(shown) < 200 else shown[:200] + "…", f"= {wanted!r:.80}", measured == wanted
        )

    def note(self, what: str, measured: object) -> None:
        """A figure with no demand."""
        print(f"     {self._name}: {what}: {measured}", flush=True)

    def carry_out(self, chosen: Check) -> None:
        """Run one check; what goes wrong in it is a result."""
        self._name = chosen.name
        print(f"---- {chosen.name}: {chosen.what}", flush=True)
        started = time.monotonic()
        if chosen.private_mounts and not self._private:
            self._in_child(chosen)
        else:
            self._directory = Path(tempfile.mkdtemp(prefix=f"pfs-accept-{chosen.name}-", dir=self._base))
            self._directory.chmod(0o755)
            try:
                chosen.function(self)
            except Exception as error:
                traceback.print_exc(file=sys.stdout)
                self.demand("ends without an exception", f"{type(error).__name__}: {error}", "", False)
            finally:
                shutil.rmtree(self._directory, ignore_errors=True)
        print(f"     {chosen.name}: took {time.monotonic() - started:.1f} s", flush=True)

    def _in_child(self, chosen: Check) -> None:
        if os.geteuid() != 0:
            self.demand("runs as root", "not root", "mounts of its own need root", False)
            return
        with tempfile.NamedTemporaryFile() as results:
            command = ["unshare", "--mount", "--propagation", "private", sys.executable, str(self._script)]
            options = ["--private", "--only", chosen.name, "--scale", "full" if self.full else "small"]
            places = ["--directory", str(self._base), "--results", results.name]
            done = subprocess.run([*command, *options, *places], check=False)
            text = Path(results.name).read_text()
        if done.returncode or not text:
            self.demand("ends by itself", f"exit code {done.returncode}", "= 0", False)
        for fields in json.loads(text or "[]"):
            self.results.append(Result(*fields))

    def save(self, path: Path) -> None:
        """Keep the results for the process that started this one."""
        path.write_text(json.dumps(self.results))

    def summary(self) -> int:
        """The last lines, and the exit code."""
        failed = [result for result in self.results if not result.holds]
        for result in failed:
            print(f"FAIL {result.check}: {result.what}: {result.measured} [{result.demanded}]")
        print(f"{len(self.results) - len(failed)} of {len(self.results)} demands hold")
        return 1 if failed else 0

    @contextmanager
    def mounted(self, name: str = "0", *, fsck: bool = True) -> Iterator[Mount]:
        """A daemon on a store of its own, ended and (unless that takes too long) checked at the end."""
        base = self._directory / name
        base.mkdir()
        mount = Mount(base, life_seconds=LIFE_SECONDS)
        mount.start()
        try:
            yield mount
        except BaseException:
            print("\n".join(mount.log().splitlines()[-20:]), flush=True)
            mount.kill9()
            raise
        if mount.is_running:
            mount.stop()
        if fsck:
            self.equal("fsck", [str(problem) for problem in mount.check()], [])


def command_line(script: Path, what: str, topics: Sequence[str], arguments: Sequence[str]) -> int:
    """What `scripts/accept NAME` does: run the checks that these modules enter, or those asked for."""
    for topic in topics:
        importlib.import_module(topic)
    parser = argparse.ArgumentParser(prog=f"scripts/accept {script.stem}", description=what)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="just these checks")
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--list", action="store_true", help="name the checks and end")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()), help="where stores and mounts go"
    )
    parser.add_argument("--private", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.list:
        width = max(map(len, CHECKS))
        print("\n".join(f"{name:{width}}  {check.what}" for name, check in CHECKS.items()))
        return 0
    names = given.only or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        parser.error(f"no check is called {unknown[0]}; --list names them")
    run = Run(script, given.scale == "full", given.directory, private=given.private)
    for name in names:
        run.carry_out(CHECKS[name])
    if given.results is not None:
        run.save(given.results)
        return 0
    return run.summary()


class Timer:
    """Measures the time spent in a with statement, in seconds."""

    seconds = 0.0

    def __enter__(self) -> Timer:
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s"


def counters(mount: Mount, *, reset: bool = False) -> dict[str, Any]:
    """Numbers of the running daemon; with `reset` the longest pause of its loop is counted anew."""
    answer: dict[str, Any] = ControlClient(mount.store).call("debug", {"what": "counters", "reset": reset})
    return answer


def resident_bytes(pid: int) -> int:
    """Memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def disk_bytes(path: Path) -> int:
    """What a directory takes on the disk, holes not counted; files that go meanwhile neither."""
    done = subprocess.run(["du", "-s", "-B1", str(path)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def pack_bytes(store: Path) -> int:
    """Length of all packs of a store."""
    return sum(path.stat().st_size for path in (store / "packs").iterdir())


def noise(count: int, seed: int) -> bytes:
    """Bytes that no compressor gets smaller, the same for the same seed."""
    import random

    return random.Random(seed).randbytes(count)


def write_noise(path: Path, count: int, seed: int, front: bytes = b"") -> None:
    """A file of `count` bytes of noise behind `front`."""
    with path.open("wb") as file:
        file.write(front)
        for number in range(0, count, 16 * MIB):
            file.write(noise(min(16 * MIB, count - number), seed * 1_000_003 + number))
