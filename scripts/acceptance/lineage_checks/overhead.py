"""What capture costs: the same loads on the same store, with it and without, in turn."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from scripts.acceptance.mount_checks.report import Run, Timer, check
from tests.mounted.lineage_scenarios.scenario import At
from tests.mounted.lineage_scenarios.table import SCENARIOS
from tests.mounted.mounting import run

ROUNDS = 9
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


def loads(tree: Path, origin: Path, sizes: Sizes) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """Name → (what has to be there, what is timed); each in a directory of its own."""
    created, clone, source = tree / "created", tree / "clone", At(tree, "source", tree)
    created.mkdir()

    def lay_sources() -> None:
        source.here.mkdir()
        SCENARIOS["make"].prepare(source)

    def check_out() -> None:
        git(clone, "checkout", "-q", "origin/side")
        git(clone, "checkout", "-q", "origin/main")

    return {
        "file-create": (lambda: None, lambda: python(CREATE, sizes.created, created)),
        "cached reads": (lambda: python(READ, 1, created), lambda: python(READ, sizes.reads, created)),
        "git checkout": (lambda: git(tree, "clone", "-q", str(origin), "clone"), check_out),
        "make -j2": (lay_sources, lambda: build(source.here)),
    }


@check("overhead", "capture on against off: file-create, git checkout, make -j2, cached reads")
def overhead(job: Run) -> None:
    """Medians of rounds, on and off in turn, each on a mount of its own."""
    sizes = job.pick(Sizes(2000, 1500, 100), Sizes(200, 100, 5))
    origin = job.directory / "origin"
    make_origin(origin, sizes.tracked)
    seconds: dict[str, dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    with job.mounted() as mount:
        for number in range(WARM_ROUNDS + job.pick(ROUNDS, 1)):
            for captures in (True, False) if number % 2 else (False, True):
                mount.stop()
                mount.start(*([] if captures else ["--no-capture"]))
                tree = mount.repo(f"round{number}-{'on' if captures else 'off'}")
                for name, (prepare, load) in loads(tree, origin, sizes).items():
                    prepare()
                    with Timer() as timer:
                        load()
                    if number >= WARM_ROUNDS:
                        seconds[name][captures].append(timer.seconds)
    ratios = {name: median(taken[True]) / median(taken[False]) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        on, off = median(taken[True]), median(taken[False])
        spread = f"{min(taken[False]):.3f} to {max(taken[False]):.3f}"
        job.note(name, f"{on:.3f} s with capture, {off:.3f} s without ({spread}): × {ratios[name]:.3f}")
    middle, worst = median(ratios.values()), max(ratios.values())
    job.demand("median of the loads", f"× {middle:.3f}", f"≤ {MEDIAN_MAX}", middle <= MEDIAN_MAX, clock=True)
    job.demand("worst of the loads", f"× {worst:.3f}", f"≤ {WORST_MAX}", worst <= WORST_MAX, clock=True)
