"""What capture costs: each load with it and without, back to back, on a new store each time.

What counts is the ratio within such a pair: the speed of a machine changes more from minute to minute than
capture costs.  A store that was used before would checkpoint what an earlier load left behind.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from scripts.acceptance.mount_checks.report import Run, Timer, check
from tests.mounted.lineage_scenarios.scenario import At
from tests.mounted.lineage_scenarios.table import SCENARIOS
from tests.mounted.mounting import run

ROUNDS = 11
WARM_ROUNDS = 1  # not counted: the first one fills caches of the disk below
MEDIAN_MAX = 1.10
WORST_MAX = 1.25

CREATE = """
import sys
for number in range(int(sys.argv[1])):
    with open(f"file{number}", "wb") as file:
        file.write(b"%d" % number * 200)
"""
READ = """
import sys
names = [f"file{number}" for number in range(100)]
for _ in range(int(sys.argv[1])):
    for name in names:
        with open(name, "rb") as file:
            file.read()
"""
IDENTITY = [
    "-c",
    "user.name=n",
    "-c",
    "user.email=n@example.org",
    "-c",
    "gc.auto=0",
    "-c",
    "safe.directory=*",
]


class Sizes(NamedTuple):
    """How much each load does."""

    created: int
    tracked: int
    reads: int


def git(where: Path, *words: str) -> None:
    """Run git as somebody."""
    run("git", *IDENTITY, *words, cwd=where)


def python(script: str, count: int, where: Path) -> None:
    """A script at work in a directory."""
    subprocess.run([sys.executable, "-c", script, str(count)], cwd=where, check=True)


def build(where: Path) -> None:
    """Compile and link."""
    run("make", "-s", "-j2", cwd=where)


def make_origin(where: Path, files: int) -> None:
    """A git repository on the disk with two branches that differ in every second file."""
    where.mkdir()
    git(where, "init", "-q", "-b", "main")
    for branch, step in (("main", 1), ("side", 2)):
        if branch != "main":
            git(where, "checkout", "-q", "-b", branch)
        for number in range(0, files, step):
            path = where / f"d{number % 37}/f{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{branch} {number}\n" * (number % 60 + 1))
        git(where, "add", "-A")
        git(where, "commit", "-q", "-m", branch)
    git(where, "checkout", "-q", "main")


class Load(NamedTuple):
    """Something to do in a repo."""

    prepare: Callable[[Path], None]  # what has to be there; not timed
    run: Callable[[Path], None]


def loads(origin: Path, sizes: Sizes) -> dict[str, Load]:
    """By name."""

    def lay_sources(tree: Path) -> None:
        SCENARIOS["make"].prepare(At(tree, "", tree))

    def clone(tree: Path) -> None:
        git(tree, "clone", "-q", str(origin), "clone")

    def check_out(tree: Path) -> None:
        git(tree / "clone", "checkout", "-q", "origin/side")
        git(tree / "clone", "checkout", "-q", "origin/main")

    return {
        "file-create": Load(lambda _: None, partial(python, CREATE, sizes.created)),
        "cached reads": Load(partial(python, CREATE, 100), partial(python, READ, sizes.reads)),
        "git checkout": Load(clone, check_out),
        "make -j2": Load(lay_sources, build),
    }


def seconds(job: Run, load: Load, *, captures: bool) -> float:
    """How long a load takes on a new store."""
    with job.mounted("pair", fsck=False) as mount:
        mount.remount(*([] if captures else ["--no-capture"]))
        tree = mount.repo()
        load.prepare(tree)
        with Timer() as timer:
            load.run(tree)
    shutil.rmtree(mount.base)
    return timer.seconds


@check("overhead", "capture on against off: file-create, git checkout, make -j2, cached reads")
def overhead(job: Run) -> None:
    """Medians of the ratios of pairs."""
    sizes = job.pick(Sizes(2000, 1500, 100), Sizes(200, 100, 5))
    origin = job.directory / "origin"
    make_origin(origin, sizes.tracked)
    ratios: dict[str, float] = {}
    for name, load in loads(origin, sizes).items():
        pairs: list[tuple[float, float]] = []
        for number in range(WARM_ROUNDS + job.pick(ROUNDS, 1)):
            order = (True, False) if number % 2 else (False, True)
            took = {captures: seconds(job, load, captures=captures) for captures in order}
            if number >= WARM_ROUNDS:
                pairs.append((took[True], took[False]))
        quotients = sorted(on / off for on, off in pairs)
        ratios[name] = median(quotients)
        on, off = (median(column) for column in zip(*pairs, strict=True))
        job.note(
            name,
            f"{on:.3f} s with capture, {off:.3f} s without: × {ratios[name]:.3f}"
            f" ({quotients[0]:.2f} to {quotients[-1]:.2f})",
        )
    middle, worst = median(ratios.values()), max(ratios.values())
    job.demand("median of the loads", f"× {middle:.3f}", f"≤ {MEDIAN_MAX}", middle <= MEDIAN_MAX, clock=True)
    job.demand("worst of the loads", f"× {worst:.3f}", f"≤ {WORST_MAX}", worst <= WORST_MAX, clock=True)
