"""Programs that copy: a hundred files must not become a hundred times a hundred edges."""

from __future__ import annotations

import os

from tests.mounted.lineage_scenarios.scenario import At, Made, Scenario, lines, made, run, scenario, sh, write

FILES = [f"f{number:03}.dat" for number in range(100)]


def lay_files(at: At) -> None:
    write(at, {f"src/{name}": lines(number + 1, 30) for number, name in enumerate(FILES)})


@scenario
class Tar(Scenario):
    """In and out of an archive."""

    def prepare(self, at: At) -> None:
        lay_files(at)
        os.mkdir(at.here / "out")

    def act(self, at: At) -> None:
        run(at, "tar", "-cf", "all.tar", "src")
        run(at, "tar", "-xf", "all.tar", "-C", "out")

    def expect(self, at: At) -> list[Made]:
        pack = ["tar", "-cf", "all.tar", "src"]
        unpack = ["tar", "-xf", "all.tar", "-C", "out"]
        return [
            made("all.tar", {f"src/{name}" for name in FILES}, pack),
            *(made(f"out/src/{name}", {"all.tar": pack}, unpack) for name in FILES),
        ]


@scenario
class CopyATree(Scenario):
    """`cp -r`: each copy comes from its original alone."""

    def prepare(self, at: At) -> None:
        lay_files(at)

    def act(self, at: At) -> None:
        run(at, "cp", "-r", "src", "copy")

    def expect(self, at: At) -> list[Made]:
        return [made(f"copy/{name}", {f"src/{name}"}, ["cp", "-r", "src", "copy"]) for name in FILES]


@scenario
class Rsync(Scenario):
    """One process reads and another writes, with a socket between them."""

    def prepare(self, at: At) -> None:
        lay_files(at)

    def act(self, at: At) -> None:
        run(at, "rsync", "-a", "src/", "mirror/")

    def expect(self, at: At) -> list[Made]:
        argv = ["rsync", "-a", "src/", "mirror/"]
        return [made(f"mirror/{name}", {f"src/{name}"}, argv, gap=True) for name in FILES]


@scenario
class Move(Scenario):
    """A rename keeps what a file came from; a move to another branch is a copy."""

    def prepare(self, at: At) -> None:
        write(at, {"raw.txt": lines(1), "c.txt": lines(2)})
        at.branch.mkdir(exist_ok=True)

    def act(self, at: At) -> None:
        sh(at, "sort raw.txt > a.txt")
        run(at, "mv", "a.txt", "b.txt")
        run(at, "mv", "c.txt", f"../../{at.branch.name}/{at.name}.txt")

    def expect(self, at: At) -> list[Made]:
        across = ["mv", "c.txt", f"../../{at.branch.name}/{at.name}.txt"]
        return [
            made("b.txt", {"raw.txt"}, ["sort", "raw.txt"]),
            made(f"{at.name}.txt", {"c.txt"}, across, branch="side"),
        ]
