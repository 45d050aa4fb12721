"""Ten rows beside the disk at hand, borg's mount and bindfs: `scripts/bench quick [--rounds N] [--small]`.

Every round mounts everything anew, so that no kernel cache of names or pages above the daemons counts (what
is below, the disk's own cache, is warm for all), and does each row in each place in turn. Printed are
medians as ratios to the local disk, whose own figure stands in the first column. Needs root for nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.mounted.mounting import Mount, run

MIB = 1024 * 1024
PACKAGES = {"borg": "borgbackup", "bindfs": "bindfs", "git": "git", "fusermount3": "fuse3"}
PLACES = ("disk", "tree", "commit", "borg", "bindfs")
HEADS = ("disk", "pfs tree", "pfs commit", "borg", "bindfs")
LIFE_SECONDS = 3600
READ_SUFFIXES = (".py", ".h", ".txt", ".c", ".md", ".json")

Seconds = dict[str, dict[str, list[float]]]  # row → place → what it took in each round


class Bench:
    """One tree of real files in five places."""

    def __init__(self, top: Path, files: int, large_bytes: int, turns: int) -> None:
        self.top = top
        self.turns = turns
        self.large_bytes = large_bytes
        self.source = top / "source"
        self.work = top / "work"
        self.seconds: Seconds = defaultdict(lambda: defaultdict(list))
        self.files, self.bytes = _make_source(self.source, files, large_bytes)
        for folder in (self.work, top / "borg.mount", top / "bind.mount", top / "bind.below"):
            folder.mkdir()
        self.mount = Mount(top, life_seconds=LIFE_SECONDS)
        self.borg_environment = {
            "BORG_BASE_DIR": str(top / "borg.base"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        self.archives = 0

    # putting in, once a round, into a fresh folder or archive each time

    def put_in(self, number: int) -> None:
        """The tree into each place; for pfs and borg until it is kept as a version."""
        self._unmount("borg.mount")
        tree = self.mount.path / "repo"
        for place, into in (("disk", self.work), ("tree", tree), ("bindfs", self.top / "bind.mount")):
            with self._timed("put in a tree", place):
                run("cp", "-r", self.source, into / f"copy{number}", seconds=900)
        with self._timed("put in a tree", "commit"):
            run("cp", "-r", self.source, tree / f"again{number}", seconds=900)
            self.mount.commit(tree)
        with self._timed("put in a tree", "borg"):
            self._borg_create()

    def _borg_create(self) -> None:
        self.archives += 1
        self._borg(
            "create",
            "--lock-wait",
            "60",
            f"{self.top / 'borg.repo'}::n{self.archives}",
            "source",
            cwd=self.top,
        )

    def _borg(self, *words: str, cwd: Path | None = None) -> None:
        run("borg", *words, cwd=cwd, seconds=900, environment=self.borg_environment)

    def prepare(self) -> None:
        """Empty places."""
        self._borg("init", "-e", "none", str(self.top / "borg.repo"))
        self.mount.start()
        self.mount.repo()
        run("bindfs", self.top / "bind.below", self.top / "bind.mount")

    # mounting

    def remount(self) -> dict[str, Path]:
        """Everything anew; where the newest copy of the tree is in each place."""
        self.unmount()
        self.mount.start()
        run("bindfs", self.top / "bind.below", self.top / "bind.mount")
        self._borg("mount", f"{self.top / 'borg.repo'}::n{self.archives}", str(self.top / "borg.mount"))
        return {
            "disk": self.work / "copy0",
            "tree": self.mount.path / "repo/copy0",
            "commit": self.mount.path / "repo@~0/copy0",
            "borg": self.top / "borg.mount/source",
            "bindfs": self.top / "bind.mount/copy0",
        }

    def unmount(self) -> None:
        """Take down whatever is mounted."""
        if self.mount.is_running:
            self.mount.stop()
        for name in ("bind.mount", "borg.mount"):
            self._unmount(name)

    def _unmount(self, name: str) -> None:
        if os.path.ismount(self.top / name):
            run("fusermount3", "-u", self.top / name)

    # rows

    def read_rows(self, where: dict[str, Path]) -> None:
        """What only reads, in all five places."""
        for place in _turned(PLACES, self.turns):
            at = where[place]
            with self._timed("find", place):
                run("find", f"{at}/", "-size", "-1")
            # tar notices /dev/null and then reads nothing: give it a pipe.
            with self._timed("tar", place):
                run("sh", "-c", 'tar -cf - -C "$0" . | cat >/dev/null', at, seconds=900)
            os.sync()
        where = self.remount()
        for place in _turned(PLACES, self.turns):
            names = _names_of(where[place])
            with self._timed("open+read+close", place):
                for name in names:
                    with open(name, "rb", buffering=0) as file:
                        file.read(MIB)
            with self._timed("sequential read", place):
                _read_through(where[place] / "large")
            with self._timed("git status", place):
                run(
                    "git",
                    "status",
                    "--porcelain",
                    cwd=where[place] / "git",
                    environment={"GIT_OPTIONAL_LOCKS": "0"},
                )

    def write_rows(self) -> None:
        """What writes, in the three places that can be written to."""
        places = {"disk": self.work, "tree": self.mount.path / "repo", "bindfs": self.top / "bind.mount"}
        for place in _turned(tuple(places), self.turns):
            into = places[place] / "written"
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir()
            with self._timed("create", place):
                for number in range(1000):
                    with open(into / f"file{number}", "wb", buffering=0) as file:
                        file.write(b"x" * 100)
            for row, length in (("4 KiB writes", 4096), ("1 MiB writes", MIB)):
                piece, count = os.urandom(length), self.large_bytes // 4 // length
                with self._timed(row, place), open(into / "file", "wb", buffering=0) as file:
                    for _ in range(count):
                        file.write(piece)
            os.sync()

    def commit_row(self) -> None:
        """One change made durable: on the disk by fsync, in pfs and borg as a version."""
        self._unmount("borg.mount")
        for number in range(5):
            for place in ("disk", "tree", "borg", "bindfs"):
                into = {
                    "disk": self.work, "tree": self.mount.path / "repo/copy0", "borg": self.source,
                    "bindfs": self.top / "bind.mount",
                }[place]  # fmt: skip
                (into / "changed").write_bytes(os.urandom(4096))
                with self._timed("commit after one change", "commit" if place == "tree" else place):
                    if place == "tree":
                        self.mount.commit(self.mount.path / "repo", str(number))
                    elif place == "borg":
                        self._borg_create()
                    else:
                        _fsync(into / "changed")

    def _timed(self, row: str, place: str) -> _Timed:
        return _Timed(self.seconds[row][place])

    def table(self) -> str:
        """The ratios."""
        lines = [f"| {'':24} | {HEADS[0]:>10} |" + "".join(f" {head:>10} |" for head in HEADS[1:])]
        for row, places in self.seconds.items():
            base = statistics.median(places["disk"])
            cells = []
            for place in PLACES[1:]:
                known = places.get(place)
                cells.append(f" {statistics.median(known) / base:9.1f}x |" if known else f" {'–':>10} |")
            lines.append(f"| {row:24} | {_shown(base):>10} |" + "".join(cells))
        return "\n".join(lines)


class _Timed:
    def __init__(self, into: list[float]) -> None:
        self._into = into

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._into.append(time.perf_counter() - self._started)


def _turned(places: tuple[str, ...], turns: int) -> tuple[str, ...]:
    """Who is first changes from round to round."""
    turns %= len(places)
    return places[turns:] + places[:turns]


def _shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _make_source(where: Path, files: int, large_bytes: int) -> tuple[int, int]:
    """Real files: Python's own library, a git clone of a part of it, and one large file."""
    where.mkdir()
    library = Path(sysconfig.get_path("stdlib"))
    chosen = sorted(path for path in library.rglob("*") if path.suffix in READ_SUFFIXES and path.is_file())[
        :files
    ]
    for path in chosen:
        target = where / path.relative_to(library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    inside = where / "git"
    inside.mkdir()
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    run("git", "init", "-q", inside)
    for path in chosen[: files // 2]:
        target = inside / path.relative_to(library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    run("git", "add", "-A", cwd=inside)
    run("git", *identity, "commit", "-qm", "all", cwd=inside)
    with (where / "large").open("wb") as large:
        for _ in range(large_bytes // MIB):
            large.write(os.urandom(MIB))
    found = [path.stat().st_size for path in where.rglob("*") if path.is_file()]
    return len(found), sum(found)


def _names_of(top: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".git"]
        found += [os.path.join(folder, name) for name in names if name != "large"]
    return found


def _read_through(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(MIB):
            pass


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def missing() -> list[str]:
    """Debian packages to be installed first."""
    return sorted(package for program, package in PACKAGES.items() if shutil.which(program) is None)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench quick", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="few files, one round: does it run at all")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()), help="the disk at hand"
    )
    given = parser.parse_args(arguments)
    if packages := missing():
        print(f"scripts/bench quick: install first: apt-get install {' '.join(packages)}", file=sys.stderr)
        return 2
    rounds, files, large = (1, 200, 16 * MIB) if given.small else (given.rounds, 4000, 256 * MIB)
    top = Path(tempfile.mkdtemp(prefix="pfs-bench-", dir=given.directory))
    bench = Bench(top, files, large, 0)
    print(f"{bench.files} files, {bench.bytes / 1e6:.0f} MB, medians of {rounds} rounds; ratios to the disk")
    try:
        bench.prepare()
        for number in range(rounds):
            bench.turns = number
            bench.put_in(number)
            bench.read_rows(bench.remount())
            bench.write_rows()
            bench.commit_row()
            print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    finally:
        bench.unmount()
        subprocess.run(["chattr", "-i", str(top / "mount")], check=False, capture_output=True)
        shutil.rmtree(top, ignore_errors=True)
    print(bench.table())
    return 0
