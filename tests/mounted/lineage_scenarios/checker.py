"""Asks `pfs lineage --json` for what a scenario made, and compares with what it expects.

An edge is a path that an output came from, in one step: used by a process that wrote it, or by one that
informed that process (pipes, forks, children), or the version before at its own path. Files outside of the
mount are walked through, since what passed through them is meant. Only the first generation counts: each file
of a pipeline is an output of its own here.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from pfs.cli.group import run as run_pfs
from tests.mounted.lineage_scenarios.scenario import Argv, At, Made

Answer = dict[str, Any]
Ask = Callable[[str], Answer]  # `REPO[@BRANCH]:PATH` → the document

COMPLETE = "complete inside pfs"
NO_WRITER = "no writer is"


def asker(store: Path) -> Ask:
    """Ask the daemon of a store by the command line, in this process."""

    def ask(place: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_pfs(["--store", str(store), "lineage", "--json", place])
        assert code == 0, f"pfs lineage --json {place} ended with {code}: {err.getvalue()}"
        answer: Answer = json.loads(out.getvalue())
        assert answer["schema"] == "pfs.lineage/1"
        return answer

    return ask


class Row(NamedTuple):
    """What came out for one scenario, or one output of it."""

    name: str
    expected: int
    found: int
    missing: tuple[str, ...]  # neither found nor flagged
    flagged: tuple[str, ...]  # missing, in an answer that says it is not complete
    extra: tuple[str, ...]
    argv_expected: int
    argv_exact: int
    wrong: tuple[str, ...]  # anything else: argv, versions, flags
    weaker: int  # edges found, but less than observed

    @property
    def holds(self) -> bool:
        """Nothing is missing or wrong."""
        return not (self.missing or self.extra or self.wrong)

    @property
    def cells(self) -> list[str]:
        """For the table."""
        notes = [f"{len(self.flagged)} flagged"] if self.flagged else []
        notes += [f"{self.weaker} inferred"] if self.weaker else []
        notes += [f"{len(self.wrong)} wrong"] if self.wrong else []
        return [
            self.name,
            str(self.expected),
            str(self.found),
            str(len(self.missing)),
            str(len(self.extra)),
            f"{self.argv_exact}/{self.argv_expected}",
            ", ".join(notes),
        ]

    @property
    def findings(self) -> list[str]:
        """All that does not hold, in words."""
        return [
            *(f"{self.name}: missing: {each}" for each in self.missing),
            *(f"{self.name}: extra: {each}" for each in self.extra),
            *(f"{self.name}: {each}" for each in self.wrong),
        ]


HEAD = ["scenario", "expected", "found", "missing", "extra", "argv", "notes"]


def table(rows: Iterable[Row]) -> str:
    """Rows as text, columns aligned."""
    cells = [HEAD, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def check(name: str, at: At, expected: Sequence[Made], ask: Ask) -> Row:
    """One row for all outputs of a scenario."""
    rows = [check_one(at, made, ask(place(at, made))) for made in expected]
    return summed(name, rows)


def summed(name: str, rows: Sequence[Row]) -> Row:
    """The rows of single outputs as one."""

    def joined(field: str) -> tuple[str, ...]:
        return tuple(f"{row.name}: {each}" for row in rows for each in getattr(row, field))

    return Row(
        name,
        sum(row.expected for row in rows),
        sum(row.found for row in rows),
        joined("missing"),
        joined("flagged"),
        joined("extra"),
        sum(row.argv_expected for row in rows),
        sum(row.argv_exact for row in rows),
        joined("wrong"),
        sum(row.weaker for row in rows),
    )


def place(at: At, made: Made) -> str:
    """How an output is named on the command line."""
    if made.branch:
        return f"{at.tree.name}@{made.branch}:{made.path}"
    return f"{at.tree.name}:{at.name}/{made.path}"


def check_one(at: At, made: Made, answer: Answer, *, half: bool = False) -> Row:
    """One output against its answer.

    With `half` it was not finished: no input and no writer but those expected, which need not be there.
    """
    walk = Walk(answer, chain=made.chain)
    paths = {local_path(at, version): version for version in walk.inputs.values()}
    missing = [want for want in made.of if not any(fnmatchcase(path, want) for path in paths)]
    outside = {version["path"] for version in walk.outside}
    missing += [want for want in made.outside if want not in outside]
    allowed = [*made.of, *made.may]
    extra = [path for path in paths if not any(fnmatchcase(path, pattern) for pattern in allowed)]
    is_flagged = made.gap and (
        answer["coverage"]["headline"] != COMPLETE or bool(answer["coverage"]["unobserved_channels"])
    )
    expected = len(made.of) + len(made.outside)
    if half:
        known = [*made.argv, *(maker for maker in made.of.values() if maker is not None)]
        _, wrong = compare_argv(known, walk.writers)
        wrong = [each for each in wrong if not each.startswith(NO_WRITER)]
        return Row(made.path, 0, 0, (), (), tuple(extra), 0, 0, tuple(wrong), walk.weaker)
    exact, wrong = compare_argv(made.argv, walk.writers)
    wrong += [*wrong_makers(at, made, walk), *wrong_states(at, made, walk), *wrong_flags(made, walk)]
    return Row(
        made.path,
        expected,
        expected - len(missing),
        () if is_flagged else tuple(missing),
        tuple(missing) if is_flagged else (),
        tuple(extra),
        len(made.argv),
        exact,
        tuple(wrong),
        walk.weaker,
    )


class Walk:
    """One generation up from the root of an answer.

    `inputs`: versions in a repo, by id, that were reached. `outside`: those beyond. `writers`: the processes
    that wrote the root and, with `chain`, its earlier versions as long as they are of this scenario.
    """

    def __init__(self, answer: Answer, *, chain: bool) -> None:
        self.answer = answer
        self.versions: dict[str, Any] = {version["id"]: version for version in answer["versions"]}
        self.processes: dict[str, Any] = {process["id"]: process for process in answer["processes"]}
        self.generated: dict[str, list[Any]] = defaultdict(list)
        self._used: dict[str, list[Any]] = defaultdict(list)
        self._informed: dict[str, list[Any]] = defaultdict(list)
        self._revised: dict[str, list[str]] = defaultdict(list)
        for edge in answer["edges"]:
            if edge["kind"] == "generated":
                self.generated[edge["version"]].append(edge)
            elif edge["kind"] == "used":
                self._used[edge["process"]].append(edge)
            elif edge["kind"] == "informed":
                self._informed[edge["process"]].append(edge)
            else:
                self._revised[edge["version"]].append(edge["of"])
        self.inputs: dict[str, Any] = {}
        self.outside: list[Any] = []
        self.writers: list[Any] = []
        self.weaker = 0
        self._seen: set[str] = set()
        self._root_path = self.versions[answer["root"]]["path"]
        self._walk(answer["root"], chain=chain)

    def makers(self, version: str) -> list[Any]:
        """The processes that wrote a version."""
        return [self.processes[edge["process"]] for edge in self.generated[version]]

    def goes_on(self, version: str) -> bool:
        """Whether who wrote a version wrote the next one of that file, too."""
        here = self._maker_ids(version)
        return any(
            version in older and self._maker_ids(newer) == here for newer, older in self._revised.items()
        )

    def _maker_ids(self, version: str) -> set[str]:
        return {edge["process"] for edge in self.generated[version]}

    def _walk(self, root: str, *, chain: bool) -> None:
        versions = [root]
        while versions:
            version = versions.pop()
            if version in self._seen:
                continue
            self._seen.add(version)
            if not is_prepared(self.makers(version)):
                self.writers += [maker for maker in self.makers(version) if maker not in self.writers]
            for edge in self.generated[version]:
                versions += self._reach(edge["process"])
            for before in self._revised[version]:
                self.inputs[before] = self.versions[before]
                if chain and not is_prepared(self.makers(before)):
                    versions.append(before)

    def _reach(self, process: str) -> list[str]:
        """Note what a process learned from. Returns outside versions, to be walked through."""
        found: list[str] = []
        processes = [process]
        while processes:
            here = processes.pop()
            if here in self._seen:
                continue
            self._seen.add(here)
            for edge in self._used[here]:
                found += self._note(edge)
            for edge in self._informed[here]:
                self.weaker += edge["level"] != "observed"
                processes.append(edge["by"])
        outside_makers = [edge["process"] for version in found for edge in self.generated[version]]
        return [version for maker in outside_makers for version in self._reach(maker)]

    def _note(self, edge: Any) -> list[str]:
        version = self.versions[edge["version"]]
        self.weaker += edge["level"] != "observed"
        if version["repo"]:
            self.inputs[edge["version"]] = version
            return []
        self.outside.append(version)
        return [edge["version"]]


def is_prepared(processes: Sequence[Any]) -> bool:
    """Whether a version is one that `prepare` laid down."""
    return bool(processes) and all("prepare" in process["argv"] for process in processes)


def local_path(at: At, version: Any) -> str:
    """A path as scenarios name it."""
    path: str = version["path"]
    return path.removeprefix(f"{at.name}/")


def matches(argv: Sequence[str], pattern: Argv) -> bool:
    """Whether a command line is the expected one."""
    if pattern and pattern[-1] == "...":
        pattern = pattern[:-1]
        argv = argv[: len(pattern)]
    return len(argv) == len(pattern) and all(
        word == wanted or ("*" in (wanted[:1], wanted[-1:]) and fnmatchcase(word, wanted))
        for word, wanted in zip(argv, pattern, strict=True)
    )


def compare_argv(expected: Sequence[Argv], writers: Sequence[Any]) -> tuple[int, list[str]]:
    """How many expected writers are there with exactly this command line, and what is wrong."""
    left = [process["argv"] for process in writers]
    absent = []
    for pattern in expected:
        one = next((argv for argv in left if matches(argv, pattern)), None)
        if one is None:
            absent.append(list(pattern))
        else:
            left.remove(one)
    wrong = [f"{NO_WRITER} {pattern}" for pattern in absent] + [f"{argv} is a writer" for argv in left]
    return len(expected) - len(absent), wrong


def wrong_makers(at: At, made: Made, walk: Walk) -> Iterable[str]:
    """Inputs of which no version is by the process that should have made it."""
    for want, maker in made.of.items():
        if maker is None:
            continue
        ids = [id_ for id_, version in walk.inputs.items() if fnmatchcase(local_path(at, version), want)]
        argvs = [process["argv"] for id_ in ids for process in walk.makers(id_)]
        if ids and not any(matches(argv, maker) for argv in argvs):
            yield f"{want} is by {argvs}, not by {list(maker)}"


def wrong_states(at: At, made: Made, walk: Walk) -> Iterable[str]:
    """Inputs of which not as many versions were seen as should have been.

    What one process has written counts once, though a checkpoint came in between.
    """
    for path, count in made.states.items():
        inputs = [id_ for id_, version in walk.inputs.items() if local_path(at, version) == path]
        seen = sum(not walk.goes_on(id_) for id_ in inputs)
        if seen != count:
            yield f"{seen} versions of {path} went in, not {count}"


def wrong_flags(made: Made, walk: Walk) -> Iterable[str]:
    """A flag that the answer should have said."""
    root = walk.answer["root"]
    if made.flag and not all(made.flag in edge.get("flags", ()) for edge in walk.generated[root]):
        yield f"not flagged {made.flag}"
