"""A small `Source` in memory, and hand-made facts for it.

`FactSource` answers from lists, the slow and obvious way.  `Story` makes up facts as a recorder would: each
line of a test is one thing that a process did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from blake3 import blake3

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
    Source,
    Version,
    Writer,
    activity_id,
    raw_version_id,
    version_id,
)

BOOT = bytes(range(16))
START_NS = 1_767_348_000_000_000_000  # 2026-01-02 10:00:00 UTC
SECOND_NS = 1_000_000_000


def content_id(data: bytes) -> bytes:
    """A content id for made-up bytes; none for an empty file, as in the store."""
    return blake3(data).digest() if data else b""


@dataclass
class FactSource:
    """`Source` over dictionaries; `origins` maps (segment, row) to a version."""

    activities_by_id: dict[int, Activity] = field(default_factory=dict)
    endings: dict[int, Ending] = field(default_factory=dict)
    inputs_by_activity: dict[int, list[Input]] = field(default_factory=dict)
    versions_by_id: dict[int, Version] = field(default_factory=dict)
    change_list: list[Change] = field(default_factory=list)
    origins: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def activity(self, activity: int) -> Activity | None:
        return self.activities_by_id.get(activity)

    def ending(self, activity: int) -> Ending | None:
        return self.endings.get(activity)

    def inputs(self, activity: int) -> Sequence[Input]:
        return self.inputs_by_activity.get(activity, ())

    def outputs(self, activity: int) -> Sequence[int]:
        return [
            version.id
            for version in self.versions_by_id.values()
            if any(writer.activity == activity for writer in version.writers)
        ]

    def version(self, version: int) -> Version | None:
        return self.versions_by_id.get(version)

    def consumers(self, version: int) -> Sequence[tuple[int, int]]:
        return [
            (activity, position)
            for activity, inputs in self.inputs_by_activity.items()
            for position, item in enumerate(inputs)
            if not item.informed and item.source == version
        ]

    def informed(self, activity: int) -> Sequence[tuple[int, int, int]]:
        return [
            (sink, position, item.watermark)
            for sink, inputs in self.inputs_by_activity.items()
            for position, item in enumerate(inputs)
            if item.informed and item.source == activity
        ]

    def revisions(self, version: int) -> Sequence[int]:
        return [later.id for later in self.versions_by_id.values() if later.previous == version]

    def versions_at(self, repo: int, path: bytes) -> Sequence[int]:
        return [
            version.id
            for version in self.versions_by_id.values()
            if version.repo == repo and version.path == path
        ]

    def versions_with(self, content: bytes) -> Sequence[int]:
        return [version.id for version in self.versions_by_id.values() if version.content == content]

    def changes_at(self, repo: int, path: bytes) -> Sequence[Change]:
        return [c for c in self.change_list if c.repo == repo and path in (c.path, c.to_path)]

    def changes_below(self, repo: int, path: bytes) -> Iterator[Change]:
        for change in self.change_list:
            if change.repo == repo and any(is_below(name, path) for name in (change.path, change.to_path)):
                yield change

    def origin(self, segment: bytes, row: int) -> int:
        return self.origins.get((segment, row), 0)

    def activities(self, since_ns: int = 0) -> Iterator[int]:
        recent = [a for a in self.activities_by_id.values() if a.started_ns >= since_ns]
        yield from (a.id for a in sorted(recent, key=lambda a: (-a.started_ns, a.id)))


class Indexed(FactSource):
    """The same facts, which no longer change, by key: for tests with many."""

    def __init__(self, source: FactSource) -> None:
        super().__init__(**{name: getattr(source, name) for name in FactSource.__dataclass_fields__})
        self._outputs: dict[int, list[int]] = {}
        self._consumers: dict[int, list[tuple[int, int]]] = {}
        self._informed: dict[int, list[tuple[int, int, int]]] = {}
        self._revisions: dict[int, list[int]] = {}
        for version in source.versions_by_id.values():
            self._revisions.setdefault(version.previous, []).append(version.id)
            for activity in dict.fromkeys(writer.activity for writer in version.writers):
                self._outputs.setdefault(activity, []).append(version.id)
        for activity, inputs in source.inputs_by_activity.items():
            for position, item in enumerate(inputs):
                if item.informed:
                    row = (activity, position, item.watermark)
                    self._informed.setdefault(item.source, []).append(row)
                else:
                    self._consumers.setdefault(item.source, []).append((activity, position))

    def outputs(self, activity: int) -> Sequence[int]:
        return self._outputs.get(activity, ())

    def consumers(self, version: int) -> Sequence[tuple[int, int]]:
        return self._consumers.get(version, ())

    def informed(self, activity: int) -> Sequence[tuple[int, int, int]]:
        return self._informed.get(activity, ())

    def revisions(self, version: int) -> Sequence[int]:
        return self._revisions.get(version, ())


def is_below(name: bytes, directory: bytes) -> bool:
    """Whether a path is a directory or below it; b"" is the root."""
    return bool(name) and (not directory or name == directory or name.startswith(directory + b"/"))


@dataclass
class Story:
    """Makes facts up; the clock goes on by a second with each thing that happens.

    What `read` and `informs` record is only ever appended to, so that the watermarks of earlier writes hold.
    """

    source: FactSource = field(default_factory=FactSource)
    repo: int = 1
    branch: int = 1
    now_ns: int = START_NS
    pid: int = 4400
    made: dict[int, int] = field(default_factory=dict)  # versions so far, by activity
    files: dict[bytes, int] = field(default_factory=dict)

    def tick(self, seconds: float = 1) -> int:
        """Let time pass; what time it is then."""
        self.now_ns += round(seconds * SECOND_NS)
        return self.now_ns

    def process(
        self,
        *argv: str | bytes,
        parent: int = 0,
        pid: int = 0,
        execs: int = 0,
        user: str = "alice",
        uid: int = 1000,
        **facts: object,
    ) -> int:
        """A process image begins; `facts` are further fields of its `Activity`."""
        self.pid += 1
        words = tuple(word.encode() if isinstance(word, str) else word for word in argv)
        key = ActivityKey(boot_id=BOOT, pid=pid or self.pid, start_ticks=self.pid, execs=execs)
        activity = Activity(
            id=activity_id(key),
            key=key,
            parent=parent,
            argv=words,
            exe=b"/usr/bin/" + words[0].rsplit(b"/", 1)[-1] if words else b"",
            cwd=b"/home/alice/pfs/proj",
            uid=uid,
            user=user,
            host="node7",
            started_ns=self.tick(),
        )
        self.source.activities_by_id[activity.id] = msgspec.structs.replace(activity, **facts)
        self.source.inputs_by_activity[activity.id] = []
        return activity.id

    def ends(self, activity: int, code: int | None = 0, after: float = 1) -> None:
        """A process ends after so many seconds."""
        self.source.endings[activity] = Ending(self.tick(after), code)

    def raw(
        self, path: str | bytes, data: bytes = b"raw", *, repo: int | None = None, **facts: object
    ) -> int:
        """A version that nobody who was recorded made."""
        name = path.encode() if isinstance(path, str) else path
        number = self.repo if repo is None else repo
        place = name if number == OUTSIDE else self.file_id(name).to_bytes(8, "little")
        version = Version(
            id=raw_version_id(number, place, content_id(data)),
            repo=number,
            branch=0 if number == OUTSIDE else self.branch,
            file_id=0 if number == OUTSIDE else self.file_id(name),
            path=name,
            time_ns=self.tick(),
            content=content_id(data),
            size=len(data),
            mtime_ns=self.now_ns,
        )
        return self.add(version, facts)

    def read(self, activity: int, version: int, level: int = Level.OBSERVED, flags: int = Flag.NONE) -> None:
        """A process reads a version."""
        self.put(activity, Input(source=version, level=level, flags=flags, time_ns=self.tick()))

    def informs(
        self,
        source: int,
        sink: int,
        level: int = Level.OBSERVED,
        flags: int = Flag.PIPE,
        upto: int | None = None,
    ) -> None:
        """What a process had read so far (or its first `upto` inputs) reaches another."""
        mark = len(self.source.inputs_by_activity[source]) if upto is None else upto
        self.put(sink, Input(source, True, mark, level, flags, self.tick()))

    def put(self, activity: int, item: Input) -> None:
        """Append an input as it is."""
        self.source.inputs_by_activity[activity].append(item)

    def write(
        self,
        activity: int,
        path: str | bytes,
        data: bytes = b"made",
        *,
        previous: int = 0,
        relation: int = Relation.CREATED,
        others: Sequence[int] = (),
        **facts: object,
    ) -> int:
        """A process (with co-writers) writes a version out of all that it has read so far."""
        name = path.encode() if isinstance(path, str) else path
        ordinal = self.made.get(activity, 0)
        self.made[activity] = ordinal + 1
        flags = Flag.SHARED if others else Flag.NONE
        version = Version(
            id=version_id(activity, ordinal),
            repo=self.repo,
            branch=self.branch,
            file_id=self.file_id(name),
            path=name,
            relation=relation,
            previous=previous,
            writers=tuple(
                Writer(who, len(self.source.inputs_by_activity[who]), flags) for who in (activity, *others)
            ),
            time_ns=self.tick(),
            content=content_id(data),
            size=len(data),
            mtime_ns=self.now_ns,
        )
        return self.add(version, facts)

    def change(
        self, activity: int, kind: ChangeKind, path: str, to_path: str = "", version: int = 0
    ) -> Change:
        """Something happens to a name."""
        file_id = self.file_id(path.encode())
        change = Change(
            self.tick(),
            activity,
            kind,
            self.repo,
            self.branch,
            path.encode(),
            to_path.encode(),
            file_id,
            version,
        )
        self.source.change_list.append(change)
        return change

    def add(self, version: Version, facts: dict[str, object]) -> int:
        """Put a version in, with `facts` in place of some of its fields."""
        self.source.versions_by_id[version.id] = msgspec.structs.replace(version, **facts)
        return version.id

    def file_id(self, path: bytes) -> int:
        """The file at a path: one for each path."""
        return self.files.setdefault(path, len(self.files) + 100)


def as_source(source: FactSource) -> Source:
    """Says to a type checker that `FactSource` keeps the protocol."""
    return source
