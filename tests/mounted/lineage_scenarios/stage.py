"""Runs scenarios on a mount, watches that nothing hangs meanwhile, and has them checked.

Each half of a scenario is a process in a process group of its own, so that all of it can be ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mounted.lineage_scenarios.checker import (
    COMPLETE,
    NO_WRITER,
    Row,
    asker,
    check,
    check_one,
    place,
    summed,
)
from tests.mounted.lineage_scenarios.scenario import At, Made
from tests.mounted.lineage_scenarios.table import SCENARIOS
from tests.mounted.mounting import Mount

ROWS = pytest.StashKey[list[Row]]()  # those of the tests of one run, for the table at its end
ROOT = Path(__file__).parents[3]
HALF_SECONDS = 240  # a scenario that takes longer hangs
PS_SECONDS_MAX = 5.0
PS_STEP_SECONDS = 0.2


def lay_out(mount: Mount, name: str, number: int) -> At:
    """Directories for one run of a scenario, the repo and its other branch."""
    tree = mount.path / "repo"
    for path in (tree, tree.with_name("repo@side")):
        if not path.exists():
            path.mkdir()
    outside = mount.base / "outside" / f"{name}-{number}"
    outside.mkdir(parents=True)
    at = At(tree, f"{name}-{number}", outside)
    at.here.mkdir()
    return at


def start_half(half: str, name: str, at: At) -> subprocess.Popen[bytes]:
    """Start `prepare` or `act`; what it says goes to a file outside."""
    words = [half, name, str(at.tree), at.name, str(at.outside)]
    with (at.outside / f"{half}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.mounted.lineage_scenarios", *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def end_half(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(HALF_SECONDS)


def run_half(half: str, name: str, at: At) -> None:
    """Run `prepare` or `act` to its end."""
    process = start_half(half, name, at)
    try:
        code = process.wait(HALF_SECONDS)
    finally:
        end_half(process)
    said = (at.outside / f"{half}.log").read_text(errors="replace")
    assert code == 0, f"{half} of {name} ended with {code}\n{said}"


def perform(mount: Mount, name: str, number: int) -> At:
    """One run of a scenario, from nothing to its outputs."""
    at = lay_out(mount, name, number)
    run_half("prepare", name, at)
    with ps_answers():
        run_half("act", name, at)
    return at


def judge(mount: Mount, name: str, at: At, suffix: str = "") -> Row:
    """Ask for the lineage of all that a run has made."""
    return check(f"{name}{suffix}", at, SCENARIOS[name].expect(at), asker(mount.store))


def perform_and_kill(mount: Mount, name: str, number: int, after_seconds: float, whole: At) -> Row:
    """Kill the daemon in the middle of a run, mount again, and judge what is there.

    Then nothing may be wrong; what is missing has to be said.  `whole` is a run that came to its end: an
    output that has other bytes than there was not finished.
    """
    at = lay_out(mount, name, number)
    run_half("prepare", name, at)
    expected = [made._replace(gap=True, states={}, flag="") for made in SCENARIOS[name].expect(at)]
    before = [content(at, made) for made in expected]
    process = start_half("act", name, at)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_seconds)
        mount.kill9()
    finally:
        end_half(process)
    mount.start()
    ask = asker(mount.store)
    rows = []
    for made, old in zip(expected, before, strict=True):
        bytes_ = content(at, made)
        if bytes_ is None:
            continue
        answer = ask(place(at, made))
        half = bytes_ == old or bytes_ != content(whole, made)
        rows.append(_forgive(check_one(at, made, answer, half=half), answer))
    return summed(f"{name}, killed", rows)


def content(at: At, made: Made) -> bytes | None:
    """The bytes of an output; None where it is not there."""
    path = (at.branch if made.branch else at.here) / made.path
    return path.read_bytes() if path.is_file() else None


def _forgive(row: Row, answer: dict[str, Any]) -> Row:
    """A writer that is not known is no wrong edge where the answer says that it is not complete."""
    if answer["coverage"]["headline"] == COMPLETE:
        return row
    return row._replace(wrong=tuple(each for each in row.wrong if not each.startswith(NO_WRITER)))


@contextlib.contextmanager
def ps_answers() -> Iterator[None]:
    """`ps` looks at every process again and again meanwhile, and must not wait for any of them."""
    longest = [0.0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(PS_STEP_SECONDS):
            began = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    ["ps", "-eo", "pid,args"],
                    stdout=subprocess.DEVNULL,
                    check=True,
                    timeout=2 * PS_SECONDS_MAX,
                )
            longest[0] = max(longest[0], time.monotonic() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert longest[0] < PS_SECONDS_MAX, f"ps took {longest[0]:.1f} s"
