"""Groups of facts as real programs make them: a make of a C project, a pipeline of Python programs.

Made from a seed: times, sizes, include lists and temporary names are noisy as they are in life, for it is the
noise that takes room in a segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from pfs.lineage.facts import (
    OUTSIDE,
    Activity,
    ActivityKey,
    Change,
    ChangeKind,
    Ending,
    Flag,
    Input,
    Level,
    Relation,
    Version,
    Writer,
    activity_id,
    raw_version_id,
    version_id,
)
from pfs.lineage.group import Group, Origin, Slice
from pfs.objects.ids import Kind, object_id

REPO, BRANCH = 3, 1
EARLIER = object_id(Kind.LINEAGE, b"an earlier segment")
ENVIRONMENT = (
    (b"HOME", b"/home/alice"),
    (b"LANG", b"en_US.UTF-8"),
    (b"PATH", b"/home/alice/.local/bin:/usr/local/bin:/usr/bin:/bin"),
    (b"PWD", b"/home/alice/pfs/proj"),
    (b"USER", b"alice"),
)
OPTIONS = (
    b"-O2 -g -Wall -Wextra -Wundef -Wstrict-prototypes -fno-strict-aliasing -fno-common -std=gnu11 -pipe "
    b"-Iinclude -Iinclude/uapi -DNDEBUG -DVERSION=6.1.2"
).split()


def pick(random: Random, low: int, high: int) -> int:
    return random.randint(low, high)


@dataclass
class Machine:
    """Processes one after the other, and the files that they read and write."""

    seed: int
    now_ns: int = 1_767_225_600_123_456_789
    pid: int = 20_000
    file_id: int = 1_000
    slices: list[Slice] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    used: dict[int, tuple[Version, Origin | None]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def content(self) -> bytes:
        return self.random.randbytes(32)

    def passes(self, low_us: int, high_us: int) -> int:
        self.now_ns += pick(self.random, low_us * 1000, high_us * 1000)
        return self.now_ns

    def file(self, path: bytes, *, made: bool = False) -> int:
        """A file as the commit before has it; `made`: by a process that was recorded."""
        self.file_id += 1
        content, written_ns = self.content(), self.now_ns - pick(self.random, 1, 10**14)
        place = self.file_id.to_bytes(8, "little")
        version = Version(
            id=version_id(pick(self.random, 1, 2**63), 0) if made else raw_version_id(REPO, place, content),
            repo=REPO,
            branch=BRANCH,
            file_id=self.file_id,
            path=path,
            content=content,
            size=int(self.random.lognormvariate(8.8, 1.2)),
            mtime_ns=written_ns,
        )
        self.used[version.id] = version, Origin(EARLIER, len(self.used)) if made else None
        return version.id

    def process(self, parent: int, argv: Iterable[bytes], exe: bytes, **facts: object) -> Activity:
        self.pid += pick(self.random, 1, 3)
        key = ActivityKey(b"boot number one.", self.pid, self.now_ns // 10_000_000 % 10**8, 1)
        activity = Activity(
            id=activity_id(key),
            key=key,
            parent=parent,
            argv=tuple(argv),
            exe=exe,
            cwd=b"/home/alice/pfs/proj",
            environment=ENVIRONMENT,
            uid=1000,
            user="alice",
            host="node7",
            cgroup=b"/user.slice/user-1000.slice/session-4.scope",
            pid_namespace=4_026_531_836,
            sid=4_711,
            group=4_800,
            terminal=True,
            started_ns=self.passes(300, 900),
        )
        return replace(activity, **facts)

    def reads(self, versions: Iterable[int], level: int = Level.OBSERVED) -> list[Input]:
        """What a process opens, a few hundred microseconds apart."""
        return [
            Input(version, level=level, time_ns=self.passes(30, 250)) for version in dict.fromkeys(versions)
        ]

    def writes(
        self, activity: Activity, inputs: list[Input], path: bytes, ordinal: int = 0, repo: int = REPO
    ) -> int:
        self.file_id += repo != OUTSIDE
        written_ns = self.passes(200, 30_000)
        self.versions.append(
            Version(
                id=version_id(activity.id, ordinal),
                repo=repo,
                branch=BRANCH if repo else 0,
                file_id=self.file_id if repo else 0,
                path=path,
                relation=Relation.CREATED,
                writers=(Writer(activity.id, len(inputs)),),
                time_ns=written_ns,
                content=self.content(),
                size=int(self.random.lognormvariate(9.5, 1.0)),
                mtime_ns=written_ns + pick(self.random, 0, 4_000),
            )
        )
        if repo != OUTSIDE:
            self.changes.append(
                Change(
                    written_ns - 90_000, activity.id, ChangeKind.CREATE, repo, BRANCH, path, b"", self.file_id
                )
            )
        return self.versions[-1].id

    def ends(self, activity: Activity, inputs: list[Input]) -> None:
        self.slices.append(Slice(activity, 0, tuple(inputs), Ending(self.passes(100, 4_000), 0)))

    def group(self) -> Group:
        mentioned = {item.source for piece in self.slices for item in piece.inputs}
        used = [pair for version, pair in self.used.items() if version in mentioned]
        return Group(self.slices, self.versions, used, sorted(self.changes, key=lambda one: one.time_ns))


class Project:
    """A C project: directories with sources, headers that include each other in a fixed order."""

    def __init__(self, machine: Machine, sources: int) -> None:
        random = machine.random
        self.random = random
        self.shared = [
            machine.file(b"include/%s.h" % name(random), made=number % 9 == 0) for number in range(400)
        ]
        self.directories = [b"src/%s" % name(random) for _ in range(max(1, sources // 40))]
        self.local = {
            directory: [machine.file(b"%s/%s.h" % (directory, name(random))) for _ in range(6)]
            for directory in self.directories
        }
        # What is included includes more, always the same: a few roots bring most of the headers.
        self.roots = [random.sample(self.shared, pick(random, 2, 9)) for _ in range(60)]

    def headers(self, directory: bytes) -> list[int]:
        """About thirty, as one source of this directory includes them."""
        found = list(self.roots[0])
        for root in self.random.sample(self.roots[1:], pick(self.random, 3, 5)):
            found += root
        return [*found, *self.random.sample(self.local[directory], pick(self.random, 1, 4))]


def name(random: Random) -> bytes:
    parts = (
        b"net core driver buffer queue sched mem page vfs inode table lock timer irq cache list map".split()
    )
    return b"%s_%s%d" % (random.choice(parts), random.choice(parts), random.randint(0, 99))


def make(compilations: int, *, drivers: bool = False, seed: int = 1) -> Group:
    """A make with one linker at its end.

    Plain: each compilation is one process, as clang does it.  drivers: gcc starts cc1, whose output goes
    through a file in /tmp (seen, as for a daemon that is root) to as: three processes.
    """
    machine = Machine(seed)
    project = Project(machine, compilations)
    top = machine.process(4_712, [b"make", b"-j8"], b"/usr/bin/make")
    program = machine.file(b"Makefile")
    machine.slices.append(Slice(top, 0, tuple(machine.reads([program]))))
    objects = []
    for number in range(compilations):
        directory = project.directories[number * len(project.directories) // compilations]
        stem = b"%s%d" % (name(machine.random), number)
        source = machine.file(b"%s/%s.c" % (directory, stem), made=number % 5 == 0)
        compile_one = _with_drivers if drivers else _compile
        read = [source, *project.headers(directory)]
        objects.append(compile_one(machine, top.id, directory, stem, read))
    ld = machine.process(top.id, [b"ld", b"-o", b"build/prog", b"@build/objects"], b"/usr/bin/ld")
    inputs = machine.reads(sorted(objects))
    machine.writes(ld, inputs, b"build/prog")
    machine.ends(ld, inputs)
    return machine.group()


def _paths(directory: bytes, stem: bytes) -> tuple[bytes, bytes, bytes]:
    out = directory.replace(b"src/", b"build/")
    return b"%s/%s.c" % (directory, stem), b"%s/%s.o" % (out, stem), b"%s/.%s.o.d" % (out, stem)


def _compile(machine: Machine, parent: int, directory: bytes, stem: bytes, read: list[int]) -> int:
    source, output, depends = _paths(directory, stem)
    argv = [b"gcc", b"-Wp,-MMD," + depends, *OPTIONS, b"-c", b"-o", output, source]
    gcc = machine.process(parent, argv, b"/usr/bin/x86_64-linux-gnu-gcc-14")
    inputs = machine.reads(read)
    made = machine.writes(gcc, inputs, output)
    machine.ends(gcc, inputs)
    return made


def _with_drivers(machine: Machine, parent: int, directory: bytes, stem: bytes, read: list[int]) -> int:
    source, output, depends = _paths(directory, stem)
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    middle = b"/tmp/cc%s.s" % bytes(machine.random.choices(letters, k=6))
    argv = [b"gcc", b"-Wp,-MMD," + depends, *OPTIONS, b"-c", b"-o", output, source]
    gcc = machine.process(parent, argv, b"/usr/bin/x86_64-linux-gnu-gcc-14")
    words = [b"/usr/libexec/gcc/x86_64-linux-gnu/14/cc1", b"-quiet", *OPTIONS, source, b"-quiet"]
    words += [
        b"-dumpdir",
        directory + b"/",
        b"-dumpbase",
        stem + b".c",
        b"-dumpbase-ext",
        b".c",
        b"-o",
        middle,
    ]
    cc1 = machine.process(gcc.id, words, words[0])
    known = machine.reads(read)
    assembly = machine.writes(cc1, known, middle, repo=OUTSIDE)
    machine.ends(cc1, known)
    assembler = machine.process(gcc.id, [b"as", b"--64", b"-o", output, middle], b"/usr/bin/as")
    inputs = machine.reads([assembly])
    inputs.append(Input(cc1.id, True, len(known), Level.INFERRED, Flag.PIPE, machine.passes(1, 9)))
    made = machine.writes(assembler, inputs, output)
    machine.ends(assembler, inputs)
    machine.ends(gcc, [])
    return made


def pipeline(runs: int, modules: int = 350, *, seed: int = 2) -> Group:
    """Steps of a Python pipeline, each run for every part of the data, with their packages in the mount."""
    machine = Machine(seed)
    random = machine.random
    site = b"venv/lib/python3.11/site-packages/"
    packages = [
        machine.file(b"%s%s/__pycache__/%s.cpython-311.pyc" % (site, name(random), name(random)))
        for _ in range(modules)
    ]
    scripts = {step: machine.file(b"steps/%s.py" % step) for step in (b"clean", b"join", b"score")}
    table = machine.file(b"data/stations.csv")
    shell = machine.process(4_713, [b"bash", b"run.sh"], b"/bin/bash")
    machine.slices.append(Slice(shell, 0, ()))
    for number in range(runs):
        part = machine.file(b"data/raw/part-%04d.csv" % number)
        for step in (b"clean", b"join", b"score"):
            output = b"data/%s/part-%04d.parquet" % (step, number)
            argv = [b"python", b"steps/%s.py" % step, b"--in", b"part-%04d" % number, b"--out", output]
            python = machine.process(shell.id, argv, b"/home/alice/pfs/proj/venv/bin/python3")
            extra = [table] if step == b"join" else []
            loaded = packages if step != b"clean" else packages[: modules * 2 // 3]
            inputs = machine.reads([scripts[step], *loaded, *extra, part])
            part = machine.writes(python, inputs, output)
            machine.ends(python, inputs)
    return machine.group()


def updates(count: int, *, seed: int = 3) -> Group:
    """Processes that each change one file in place."""
    machine = Machine(seed)
    before = machine.file(b"data.db")
    shell = machine.process(4_713, [b"bash"], b"/bin/bash")
    machine.slices.append(Slice(shell, 0, ()))
    for number in range(count):
        argv = [b"sqlite3", b"data.db", b"insert into t values (%d)" % number]
        sqlite = machine.process(shell.id, argv, b"/usr/bin/sqlite3")
        inputs = machine.reads([before])
        machine.writes(sqlite, inputs, b"data.db")
        last = replace(machine.versions[-1], previous=before, relation=Relation.IN_PLACE, file_id=1_001)
        machine.versions[-1], before = last, last.id
        machine.ends(sqlite, inputs)
    return machine.group()
