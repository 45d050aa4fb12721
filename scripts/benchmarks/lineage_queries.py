"""What must hold of questions about lineage, measured: `scripts/bench lineage_queries [--edges N]`.

Facts are made up, indexed as commits would, and asked for: a build (few processes, each of many inputs), a
chain (many small processes, each of what came just before), and projects (small graphs beside each other).
What is demanded is milliseconds on an ordinary machine at rest; exit code 1 when one is exceeded.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pfs.disk import Disk
from pfs.lineage.facts import (
    Activity,
    ActivityKey,
    Input,
    Version,
    Writer,
    activity_id,
    raw_version_id,
    version_id,
)
from pfs.lineage.group import Group, Slice
from pfs.lineage.index.both import Both
from pfs.lineage.index.closure import downstream, upstream
from pfs.lineage.index.database import Index, open_index
from tests.lineage.sources import Story

MIB = 1024 * 1024
BOOT = bytes(16)
START_NS = 1_800_000_000_000_000_000
MS_NS = 1_000_000
ENVIRONMENT = ((b"LANG", b"C.UTF-8"), (b"PATH", b"/usr/local/bin:/usr/bin:/bin"), (b"HOME", b"/home/someone"))
SEGMENT_EDGES = 20_000

Answer = Callable[[], object]


@dataclass(frozen=True)
class Demand:
    """One line of the table."""

    what: str
    most_ms: float
    measured_ms: float

    @property
    def holds(self) -> bool:
        """Whether it is fast enough."""
        return self.measured_ms <= self.most_ms


class Maker:
    """Makes facts up and puts them into an index, a segment at a time."""

    def __init__(self, name: str, index: Index) -> None:
        self.name = name
        self.index = index
        self.edges = 0
        self.activities: list[int] = []
        self.outputs: list[int] = []
        self.seconds = 0.0
        self._group = Group()
        self._segment_edges = 0
        self._segments = 0

    def raw(self, path: str) -> int:
        """A version that nobody made."""
        content = path.encode().ljust(32, b".")
        version = Version(
            id=raw_version_id(1, path.encode(), content), repo=1, branch=1, path=path.encode(),
            content=content, time_ns=self._now_ns(), size=1000,
        )  # fmt: skip
        self._group.used.append((version, None))
        return version.id

    def run(self, argv: Sequence[bytes], inputs: Sequence[int], output: str) -> int:
        """A process that read some versions and wrote one."""
        number = len(self.activities)
        key = ActivityKey(BOOT, 1 + number % 30_000, number, 0)
        activity = Activity(
            id=activity_id(key), key=key, argv=tuple(argv), exe=b"/usr/bin/" + argv[0],
            cwd=b"/home/someone/pfs/repo", environment=ENVIRONMENT, uid=1000, user="someone", host="here",
            started_ns=self._now_ns(),
        )  # fmt: skip
        version = Version(
            id=version_id(activity.id, 0), repo=1, branch=1, file_id=number, path=output.encode(), relation=1,
            writers=(Writer(activity.id, len(inputs)),), time_ns=self._now_ns(),
            content=number.to_bytes(32, "little"), size=1000,
        )  # fmt: skip
        now_ns = self._now_ns()
        used = tuple(Input(one, time_ns=now_ns + at // 8 * MS_NS) for at, one in enumerate(inputs))
        self._group.slices.append(Slice(activity, 0, used))
        self._group.versions.append(version)
        self.activities.append(activity.id)
        self.outputs.append(version.id)
        self.edges += len(inputs) + 1
        self._segment_edges += len(inputs) + 1
        if self._segment_edges >= SEGMENT_EDGES:
            self.flush()
        return version.id

    def flush(self) -> None:
        """Index what was made since."""
        began = time.perf_counter()
        self.index.add(self._segments.to_bytes(32, "big"), self._group)
        self.seconds += time.perf_counter() - began
        self._segments += 1
        self._segment_edges = 0
        self._group = Group()

    def _now_ns(self) -> int:
        return START_NS + len(self.activities) * 20 * MS_NS


def make_build(maker: Maker, edges: int) -> tuple[int, int]:
    """100 inputs for each compiler; (the last program, a header that all use)."""
    headers = [maker.raw(f"include/header{number}.h") for number in range(1000)]
    chance = random.Random(1)
    program = 0
    objects: list[int] = []
    while maker.edges < edges:
        source = f"src/part{len(maker.outputs)}.c"
        used = [maker.raw(source), headers[0], *chance.sample(headers, 98)]
        objects.append(maker.run([b"cc", b"-O2", b"-c", source.encode()], used, source[:-1] + "o"))
        if len(objects) == 100:
            program = maker.run(
                [b"ld", b"-o", b"program"], [*objects, *([program] if program else [])], "program"
            )
            objects = []
    maker.flush()
    return program, headers[0]


def make_chain(maker: Maker, edges: int) -> tuple[int, int]:
    """Three inputs for each process, of the last 1,000 versions; (the last version, the first)."""
    chance = random.Random(2)
    first = maker.raw("raw")
    recent = [first]
    while maker.edges < edges:
        used = {recent[-1], chance.choice(recent), chance.choice(recent)}
        recent.append(
            maker.run([b"step", b"%d" % len(maker.outputs)], sorted(used), f"out/{len(maker.outputs)}")
        )
        del recent[:-1000]
    maker.flush()
    return recent[-1], first


def make_projects(maker: Maker, edges: int) -> list[int]:
    """Graphs of up to 1,000 processes; the last version of each."""
    chance = random.Random(3)
    ends = []
    while maker.edges < edges:
        versions = [maker.raw(f"project{len(ends)}/raw{number}") for number in range(20)]
        for _ in range(chance.randint(100, 1000)):
            used = set(chance.choices(versions[-200:], k=5)) | {versions[-1]}
            output = f"project{len(ends)}/{len(maker.outputs)}"
            versions.append(maker.run([b"python", b"step.py", output.encode()], sorted(used), output))
        ends.append(versions[-1])
    maker.flush()
    return ends


def milliseconds(answers: Sequence[Answer]) -> list[float]:
    """How long each takes."""
    found = []
    for answer in answers:
        began = time.perf_counter()
        answer()
        found.append((time.perf_counter() - began) * 1e3)
    return found


def p95(values: Sequence[float]) -> float:
    """All but one in twenty are below."""
    return statistics.quantiles(values, n=20)[-1]


def producer(index: Index, version: int) -> object:
    """Who made a version: its record, and that of the activity."""
    found = index.version(version)
    return found and index.activity(found.writers[0].activity)


def described(maker: Maker, path: Path) -> str:
    """What the index took."""
    size = (path / "data.mdb").stat().st_blocks * 512
    each = f"{maker.seconds / maker.edges * 1e6:.1f} us and {size / maker.edges:.0f} bytes an edge"
    return f"{maker.name}: {maker.edges} edges, {len(maker.activities)} processes, indexed at {each}"


def with_live(index: Index, root: int) -> tuple[Both, int]:
    """The index below ten live processes, the first of which used the root; what the last one made."""
    story = Story()
    last = root
    for number in range(10):
        tool = story.process("tool")
        story.read(tool, last)
        last = story.write(tool, f"live{number}")
    return Both(story.source, index), last


def whole_graph(maker: Maker, last: int, first: int, rounds: int) -> Iterator[Demand]:
    """From one end of a graph to the other."""
    index = maker.index
    up, down = upstream(index, [last], edges=False), downstream(index, [first], edges=False)
    print(f"  closure: {len(up.versions)} versions, {len(up.activities)} processes")
    print(f"  impact: {len(down.versions)} versions, {len(down.activities)} processes")
    both, newest = with_live(index, last)
    rows = {
        "full closure": lambda: upstream(index, [last], edges=False),
        "full impact": lambda: downstream(index, [first], edges=False),
        "full closure, live on top": lambda: upstream(both, [newest], edges=False),
        "full impact, live on top": lambda: downstream(both, [first], edges=False),
    }
    for what, answer in rows.items():
        yield Demand(f"{maker.name}: {what}", 100, statistics.median(milliseconds([answer] * rounds)))


def small_answers(maker: Maker, ends: Sequence[int]) -> Iterator[Demand]:
    """What a person asks for most."""
    index = maker.index
    chance = random.Random(4)
    versions = chance.sample(maker.outputs, min(len(maker.outputs), 2000))
    taken = milliseconds([partial(producer, index, one) for one in versions])
    yield Demand("producer of a version, median", 0.05, statistics.median(taken))
    yield Demand("producer of a version, p95", 0.05, p95(taken))
    roots = [*ends, *chance.sample(maker.outputs, 300)]
    print(f"  ancestors: up to {max(len(upstream(index, [root]).activities) for root in roots)} processes")
    taken = milliseconds([partial(upstream, index, [one]) for one in roots])
    yield Demand("ancestors over <= 1,000 processes with edges, p95", 30, p95(taken))
    few = [partial(upstream, index, [one], depth=1) for one in roots]
    yield Demand("direct inputs, p95", 1, p95(milliseconds(few)))
    live = [with_live(index, one) for one in roots]
    taken = milliseconds([partial(upstream, both, [newest]) for both, newest in live])
    yield Demand("the same with live processes on top, p95", 30, p95(taken))


def main(arguments: list[str]) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench lineage_queries", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()), help="the disk at hand"
    )
    given = parser.parse_args(arguments)
    demands: list[Demand] = []
    with tempfile.TemporaryDirectory(prefix="pfs-bench-", dir=given.directory) as top:
        for name in ("build", "chain", "projects"):
            path = Path(top) / name
            index, _ = open_index(Disk(), path)
            maker = Maker(name, index)
            if name == "projects":
                ends = make_projects(maker, given.edges // 5)
                print(described(maker, path))
                demands += small_answers(maker, ends)
            else:
                last, first = (make_build if name == "build" else make_chain)(maker, given.edges)
                print(described(maker, path))
                demands += whole_graph(maker, last, first, given.rounds)
            index.close()
    width = max(len(demand.what) for demand in demands)
    for demand in demands:
        verdict = "" if demand.holds else "   TOO SLOW"
        print(f"{demand.what:{width}}  {demand.measured_ms:9.3f} ms  <= {demand.most_ms:g} ms{verdict}")
    return 0 if all(demand.holds for demand in demands) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
