"""What a scenario is: files, real programs at work on them, and the lineage that must come out.

Each is a class with three methods: `prepare` lays files into a directory of a working tree, `act` runs the
programs in it, `expect` says what was made from what. Preparing and acting are processes of their own
(`python -m tests.mounted.lineage_scenarios`), so that what one run learned is no input of the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

# Words of a command line, matched one by one as in fnmatch(3); "..." at the end stands for any more.
Argv = Sequence[str]

COMMAND_SECONDS = 120  # a program that takes longer hangs
PYTHON = sys.executable


class At(NamedTuple):
    """Where a scenario works."""

    tree: Path  # the working tree of the default branch
    name: str  # of its directory in there
    outside: Path  # a directory of its own that is in no mount

    @property
    def here(self) -> Path:
        """Where its programs run."""
        return self.tree / self.name

    @property
    def branch(self) -> Path:
        """The working tree of the other branch."""
        return self.tree.with_name(f"{self.tree.name}@side")

    def tokens(self) -> Path:
        """Where processes that wait for each other make files; only ever looked for, never read."""
        path = self.outside / "tokens"
        path.mkdir(exist_ok=True)
        return path


class Made(NamedTuple):
    """One file that was made.

    All paths are relative to the scenario's directory, and patterns as in fnmatch(3).
    """

    path: str
    of: Mapping[str, Argv | None]  # each version it came from, and who made that (None: not judged)
    argv: Sequence[Argv]  # who wrote it
    may: Sequence[str] = ()  # what it may have come from, too
    gap: bool = False  # what is missing is allowed where the answer does not claim to be complete
    outside: Sequence[str] = ()  # absolute paths beyond the mount that it came from
    states: Mapping[str, int] = {}  # so many versions of a path were seen
    chain: bool = False  # it grew in steps: who wrote earlier versions counts, and what they had read
    flag: str = ""  # that each `generated` edge has
    branch: str = ""  # in which it is; then the path is relative to its root


def made(path: str, of: Collection[str] | Mapping[str, Argv | None], *argv: Argv, **more: Any) -> Made:
    """A `Made`; `of` may leave out who made each."""
    sources = of if isinstance(of, Mapping) else dict.fromkeys(of)
    return Made(path, sources, argv, **more)


class Scenario:
    """One story. Its name in tables is the class's, in small letters."""

    needs_root: ClassVar[bool] = False

    def prepare(self, at: At) -> None:
        """Lay files into `at.here`, which exists."""

    def act(self, at: At) -> None:
        """Run the programs."""

    def expect(self, at: At) -> list[Made]:
        """What was made, from what, by whom."""
        return []


KNOWN: dict[str, Scenario] = {}


def scenario(kind: type[Scenario]) -> type[Scenario]:
    """Enter a class; `table` puts all in order."""
    KNOWN[re.sub(r"(?<=.)(?=[A-Z])", "_", kind.__name__).lower()] = kind()
    return kind


def lines(seed: int, count: int = 40) -> str:
    """Text that no other seed has, longer than what content evidence ignores."""
    return "".join(f"{seed},{number * (seed + 7919) % 9973},{seed * number}\n" for number in range(count))


def write(at: At, files: Mapping[str, str]) -> None:
    """Make files, and the directories that they are in."""
    for name, text in files.items():
        path = at.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def environment() -> dict[str, str]:
    """Ours, less what would change which files a program opens."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def start(at: At, *words: str) -> subprocess.Popen[bytes]:
    """Start a program and go on."""
    return subprocess.Popen(
        words, cwd=at.here, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment()
    )


def run(at: At, *words: str, cwd: Path | None = None, stdin: Path | None = None) -> None:
    """Run a program as a person would who wants no output of it; it must end well."""
    with open(stdin or "/dev/null", "rb") as taken:
        subprocess.run(
            words,
            cwd=cwd or at.here,
            stdin=taken,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=COMMAND_SECONDS,
            env=environment(),
        )


def sh(at: At, command: str) -> None:
    """Run a line of shell."""
    run(at, "sh", "-c", command)


def python(at: At, script: str, *words: str) -> list[str]:
    """Run a script that is in no file. Its command line, for `expect`."""
    argv = [PYTHON, "-c", script, *words]
    run(at, *argv)
    return argv


def together(at: At, *commands: Sequence[str]) -> None:
    """Run programs at the same time; all must end well."""
    started = [start(at, *words) for words in commands]
    try:
        for process in started:
            assert process.wait(COMMAND_SECONDS) == 0, process.args
    finally:
        for process in started:
            process.kill()
