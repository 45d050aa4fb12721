"""A stage for single scenes: processes by name, files by path, a recorder that watches.

Files have bytes; a commit of the one branch is one call.  Everything the recorder asks for is logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from pfs.lineage.facts import (
    Activity,
    ActivityKey,
    ChangeKind,
    Ending,
    Flag,
    Input,
    Level,
    Version,
    activity_id,
)
from pfs.lineage.group import Group, Origin
from pfs.lineage.live.state import Actor, Grip, Held, Place, Seen
from pfs.lineage.recording.recorder import Recorder

REPO, BRANCH = 1, 7
BOOT = b"\1" * 16


def content_id(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest() if data else b""


@dataclass
class Notes:
    """A journal that keeps what it gets."""

    records: list[Sequence[Sequence[Any]]] = field(default_factory=list)
    is_bloated: bool = False

    def append(self, records: Sequence[Sequence[Any]]) -> None:
        self.records.append(records)

    def begin_compaction(self) -> None: ...

    def end_compaction(self) -> None: ...


class Stage:
    """One branch, a few processes."""

    def __init__(self) -> None:
        self.time_ns = 1_000
        self.generation = 1
        self.bytes: dict[int, bytes] = {}  # file id → what it holds
        self.names: dict[bytes, int] = {}
        self.base: dict[int, Seen] = {}
        self.rows: dict[tuple[bytes, int], int] = {}
        self.frozen: list[bytes] = []  # paths, in order
        self.released: list[Held] = []
        self.full = False  # freezing fails
        self.asked_paths = 0
        self.notes = Notes()
        self.recorder = Recorder(self, self.notes, self.now, lambda *row: self.rows.get(row, 0))
        self.actors: dict[str, Actor] = {}
        self.pids = 0

    # what the recorder asks

    def now(self) -> int:
        self.time_ns += 1
        return self.time_ns

    def freeze(self, place: Place) -> Held:
        if self.full:
            raise OSError(28, "full")
        self.frozen.append(self.path(place))
        data = self.bytes[place.file_id]
        return Held(data, len(data), self.time_ns, b"token")

    def held(self, place: Place, token: bytes, size: int, mtime_ns: int) -> Held | None:
        return Held(self.bytes[place.file_id], size, mtime_ns, token)

    def release(self, place: Place, held: Held) -> None:
        self.released.append(held)

    def path(self, place: Place) -> bytes:
        self.asked_paths += 1
        return next((path for path, number in self.names.items() if number == place.file_id), b"")

    def committed(self, place: Place) -> Seen | None:
        return self.base.get(place.file_id)

    # who acts

    def start(
        self,
        name: str,
        parent: str | None = None,
        *,
        forked: bool = False,
        execs: int = 0,
        pid: int = 0,
        **said: Any,
    ) -> Actor:
        if not pid:
            self.pids += 1
            pid = self.pids
        key = ActivityKey(BOOT, pid, pid, execs)
        above = None if parent is None else self.actors[parent]
        options = {option: said.pop(option) for option in ("upto", "pins") if option in said}
        activity = Activity(
            id=activity_id(key),
            key=key,
            parent=0 if above is None else above.id,
            argv=(name.encode(),),
            started_ns=self.now(),
            **said,
        )
        self.actors[name] = self.recorder.begin(activity, above, forked=forked, **options)
        return self.actors[name]

    def execute(self, name: str, before: str, **said: Any) -> Actor:
        """The process `before` becomes another image."""
        key = self.actors[before].activity.key
        self.end(before, by_exec=True)
        return self.start(name, before, pid=key.pid, execs=key.execs + 1, **said)

    def end(self, name: str, *, by_exec: bool = False) -> None:
        self.recorder.end(self.actors[name], Ending(self.now(), 0), by_exec=by_exec)

    def actor(self, name: str) -> Actor:
        return self.actors[name] if name in self.actors else self.start(name)

    # what they do

    def place(self, path: bytes) -> Place:
        return Place(REPO, BRANCH, self.names[path])

    def open(self, name: str, path: bytes, how: str = "r") -> Grip:
        """How: r, w, + (both), t (truncate), c (create), x (execute)."""
        if "c" in how:
            self.names[path] = max(self.bytes, default=0) + 1
            self.bytes[self.names[path]] = b""
        grip = self.recorder.open(
            self.actor(name),
            self.place(path),
            self.generation,
            reads="r" in how or "+" in how,
            writes="w" in how or "+" in how,
            truncates="t" in how,
            executes="x" in how,
            creates="c" in how,
        )
        if "t" in how:
            self.bytes[self.names[path]] = b""
        return grip

    def put(self, grip: Grip, data: bytes, offset: int = -1, name: str | None = None, flags: int = 0) -> None:
        """A WRITE, at the end where no offset is given."""
        number = grip.place.file_id
        held = self.bytes[number]
        start = len(held) if offset < 0 else offset
        actor = grip.actor if name is None else self.actor(name)
        self.recorder.write(grip, actor, self.generation, start, len(held), flags)
        self.bytes[number] = held[:start].ljust(start, b"\0") + data + held[start + len(data) :]

    def get(self, grip: Grip, name: str | None = None) -> None:
        """A READ."""
        self.recorder.read(grip, grip.actor if name is None else self.actor(name))

    def close(self, grip: Grip) -> None:
        self.recorder.close(grip)

    def read(self, name: str, path: bytes) -> None:
        """Open, read, close."""
        grip = self.open(name, path)
        self.get(grip)
        self.close(grip)

    def write(self, name: str, path: bytes, data: bytes, how: str | None = None) -> int:
        """Open (a new file is made), write, close; the version."""
        if how is None:
            how = "w" if path in self.names else "wc"
        grip = self.open(name, path, how)
        if data:
            self.put(grip, data)
        self.close(grip)
        return self.newest(path)

    def truncate(self, name: str, path: bytes, size: int) -> None:
        number = self.names[path]
        held = self.bytes[number]
        self.recorder.truncate(self.actor(name), self.place(path), self.generation, size, len(held))
        self.bytes[number] = held[:size].ljust(size, b"\0")

    def rename(self, name: str, path: bytes, to_path: bytes) -> None:
        replaced = self.place(to_path) if to_path in self.names else None
        place = self.place(path)
        self.recorder.change(self.actor(name), ChangeKind.RENAME, place, path, to_path, replaced)
        self.names[to_path] = self.names.pop(path)

    def unlink(self, name: str, path: bytes) -> None:
        place = self.place(path)
        del self.names[path]
        self.recorder.change(self.actor(name), ChangeKind.REMOVE, place, path)

    def raw(self, path: bytes, data: bytes, origin: tuple[bytes, int] | None = None) -> int:
        """A file that a commit has from before; its version."""
        number = self.names[path] = max(self.bytes, default=0) + 1
        self.bytes[number] = data
        self.base[number] = Seen(
            REPO, BRANCH, path, number, content_id(data), 0, len(data), self.time_ns, origin
        )
        return self.newest(path)

    # what is known then

    def newest(self, path: bytes) -> int:
        return self.recorder.newest(self.place(path))

    def version(self, version: int | bytes) -> Version:
        found = self.recorder.source.version(self.newest(version) if isinstance(version, bytes) else version)
        assert found is not None
        return found

    def inputs(self, name: str) -> list[Input]:
        return list(self.recorder.source.inputs(self.actors[name].id))

    def sources(self, name: str) -> list[int]:
        return [one.source for one in self.inputs(name)]

    def parents(self, version: int | bytes) -> dict[str, list[int]]:
        """Who wrote a version, with what they had learned by then."""
        names = {actor.id: name for name, actor in self.actors.items()}
        fact = self.version(version)
        return {
            names[one.activity]: self.sources(names[one.activity])[: one.watermark] for one in fact.writers
        }

    # commits

    def commit(self, *, told: bool = True) -> Group:
        """All steps of a commit; with `told` False the recorder is not told that it is durable."""
        sealed, self.generation = self.generation, self.generation + 1
        contents = {number: self.bytes[number] for number in self.names.values()}
        outputs = self.recorder.outputs(BRANCH, [sealed])
        changes = self.recorder.changes(BRANCH)
        roots = [version for number, version in outputs.items() if number in contents]
        for version in roots:
            data = contents[version.place.file_id]
            version.contain(content_id(data), 0, len(data), self.time_ns)
        for version in self.recorder.upstream(roots):
            if version.content is None and version.frozen is not None:
                data = version.frozen.content
                assert isinstance(data, bytes)
                version.contain(content_id(data), 0, len(data), self.time_ns)
        group = self.recorder.group(roots, changes)
        segment = content_id(b"segment %d" % sealed)
        rows = {fact.id: Origin(segment, row) for row, fact in enumerate(group.versions)}
        self.rows.update({tuple(origin): version for version, origin in rows.items()})
        for version in roots:
            number, place = version.place.file_id, version.place
            self.base[number] = Seen(
                REPO,
                BRANCH,
                self.path(place),
                number,
                content_id(contents[number]),
                0,
                len(contents[number]),
                self.time_ns,
                tuple(rows[version.id]),
            )
        if told:
            self.recorder.sealed(group, rows, BRANCH, [sealed])
        return group


__all__ = ["BRANCH", "REPO", "Flag", "Level", "Stage", "content_id"]
