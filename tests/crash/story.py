"""What happened in a working tree, step by step, and what each step promised; and whether a crash kept it.

After a kill the tree is as it was after the last finished step, or the one under way. After a power cut its
names are those of some step at or after the last promise, and each byte of a file is one that it had there at
or after the last sync of that file: old or new byte by byte, never anything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio

from pfs.disk import RecordingDisk
from pfs.objects.commit import CommitKind
from pfs.objects.entry import FileType
from pfs.overlay import attributes, files
from pfs.overlay.attributes import Change
from pfs.overlay.node import Node
from pfs.overlay.tree import Tree
from pfs.versioning.committer import Committer, Message
from pfs.vfs.durability import Durability
from tests.overlay.bench import AUTHOR, Bench

THREADS = 4


class Shown(NamedTuple):
    """One path of a tree, but for its bytes."""

    file_id: int
    kind: int
    mode: int
    target: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]


class Seen(NamedTuple):
    """A whole tree."""

    paths: dict[str, Shown]
    bytes_of: dict[int, bytes]


class Step(NamedTuple):
    """The tree after a step, which had ended when so many operations were logged."""

    operations: int
    seen: Seen
    versions: dict[int, int]  # how many versions each file had by then


class Durable(NamedTuple):
    """From so many operations on: names at least those of a step, files at least of these versions."""

    operations: int
    step: int
    versions: dict[int, int]


class Commit(NamedTuple):
    operations: int
    commit_id: bytes
    seen: Seen


def look(bench: Bench, tree: Tree) -> Seen:
    """All of a tree."""
    paths: dict[str, Shown] = {}
    bytes_of: dict[int, bytes] = {}
    waiting: list[tuple[str, Node]] = [("", tree.root)]
    while waiting:
        path, node = waiting.pop()
        found = tree.attributes(node)
        target = tree.target(node) if found.type == FileType.SYMLINK else b""
        paths[path] = Shown(
            node.file_id, found.type, found.mode, target, tuple(sorted(tree.xattrs(node).items()))
        )
        if found.type == FileType.REGULAR and node.file_id not in bytes_of:
            bytes_of[node.file_id] = bench.read(node)
            assert len(bytes_of[node.file_id]) == found.size
        if found.type == FileType.DIRECTORY:
            for listed in tree.listing(node).names(0):
                child = tree.lookup(node, listed.name)
                assert child is not None
                waiting.append((f"{path}/{listed.name.decode()}", child))
    return Seen(paths, bytes_of)


Workload = Callable[["Story"], Coroutine[Any, Any, None]]


class Story:
    """Runs a workload and writes down what it did.  Owned by the test."""

    def __init__(self, base: Path) -> None:
        self.disk = RecordingDisk()
        self.bench = Bench(base / "store", self.disk)
        self.versions: dict[int, list[bytes]] = {}
        self.durable: list[Durable] = []
        self.installed: list[tuple[int, int, int]] = []  # step, file id, version: whole from that step on
        self.commits: list[Commit] = []
        self.steps: list[Step] = []
        self.held: list[Node] = []  # inodes that the kernel knows
        self.begin = len(self.disk.log)
        self._note()
        self.durable.append(Durable(self.begin, 0, {}))

    def _note(self) -> None:
        seen = look(self.bench, self.bench.tree)
        nameless = {
            node.file_id: self.bench.read(node)
            for node in self.held
            if node.state is not None and node.state.type == FileType.REGULAR
        }
        for file_id, data in (nameless | seen.bytes_of).items():
            known = self.versions.setdefault(file_id, [b""])
            if known[-1] != data:
                known.append(data)
        self.steps.append(Step(len(self.disk.log), seen, self._latest()))

    def _latest(self) -> dict[int, int]:
        return {file_id: len(known) - 1 for file_id, known in self.versions.items()}

    def run(self, workload: Workload) -> None:
        """Run a workload, an async function of this story."""
        trio.run(self._run, workload)
        self.bench.close()

    async def _run(self, workload: Workload) -> None:
        bench = self.bench
        self.durability = Durability(self.disk, bench.branches, THREADS)
        self.committer = Committer(bench.readers, self.disk, bench.branches, bench.clock, 1)
        await workload(self)
        self.committer.close()

    # steps

    @contextmanager
    def step(self) -> Iterator[Bench]:
        """Around one operation of a program."""
        yield self.bench
        tree = self.bench.tree
        for node in [node for node in self.held if not node.opens and not tree.is_linked(node)]:
            self.held.remove(node)
            tree.forget(node, 1)
        self._note()

    def create(self, path: str, data: bytes = b"") -> Node:
        with self.step() as bench:
            node = bench.create(path)
            node.lookups += 1
            self.held.append(node)
        if data:
            self.write(node, 0, data)
        return node

    def mkdir(self, path: str) -> None:
        with self.step() as bench:
            bench.mkdir(path)

    def write(self, node: Node, offset: int, data: bytes) -> None:
        with self.step() as bench:
            bench.write(node, offset, data)

    def truncate(self, node: Node, size: int) -> None:
        with self.step() as bench:
            files.truncate(bench.tree, node, size)

    def rename(self, old: str, new: str, *, exchange: bool = False) -> None:
        replaces = self.bench.exists(new)
        moved = [self.bench.walk(old), *([self.bench.walk(new)] if exchange else [])]
        with self.step() as bench:
            bench.rename(old, new, exchange=exchange)
        for node in moved if replaces else ():
            if node.file_id in self.versions:
                version = self._latest()[node.file_id]
                self.installed.append((len(self.steps) - 1, node.file_id, version))

    def remove(self, path: str, *, directory: bool = False) -> None:
        with self.step() as bench:
            bench.remove(path, directory=directory)

    def link(self, path: str, new: str) -> None:
        with self.step() as bench:
            bench.link(path, new)

    def symlink(self, path: str, target: bytes) -> None:
        with self.step() as bench:
            bench.create(path, kind=FileType.SYMLINK, target=target)

    def set_xattr(self, path: str, name: bytes, value: bytes) -> None:
        with self.step() as bench:
            attributes.set_xattr(bench.tree, bench.walk(path), name, value)

    def chmod(self, path: str, mode: int) -> None:
        with self.step() as bench:
            attributes.set_attributes(bench.tree, bench.walk(path), Change(mode=mode))

    def replace(self, path: str, data: bytes) -> None:
        """As editors do: a new file, renamed over the old one, without a sync."""
        self.create(path + ".new", data)
        self.rename(path + ".new", path)

    # promises

    async def fsync(self, node: Node) -> None:
        step, versions = len(self.steps) - 1, self._latest()
        await self.durability.fsync(self.bench.tree, node)
        promised = {node.file_id: versions[node.file_id]} if node.file_id in versions else {}
        self.durable.append(Durable(len(self.disk.log), step, promised))

    async def sync_all(self) -> None:
        step, versions = len(self.steps) - 1, self._latest()
        await self.durability.sync_all(self.bench.tree)
        self.durable.append(Durable(len(self.disk.log), step, versions))

    async def commit(self, kind: CommitKind = CommitKind.COMMIT) -> None:
        step, versions = len(self.steps) - 1, self._latest()
        bench = self.bench
        commit_id = await self.committer.commit(bench.repo, bench.branch, kind, Message(AUTHOR, "m"))
        self.durable.append(Durable(len(self.disk.log), step, versions))
        if commit_id is not None:
            self.commits.append(Commit(len(self.disk.log), commit_id, self.steps[step].seen))

    # what a crash may leave

    def after(self, operations: int) -> tuple[int, int]:
        """The last step that had ended, and the one under way."""
        ended = max(number for number, step in enumerate(self.steps) if step.operations <= operations)
        return ended, min(ended + 1, len(self.steps) - 1)

    def check_killed(self, operations: int, seen: Seen) -> str:
        """Why this can't be what a kill left, or nothing."""
        ended, under_way = (self.steps[number] for number in self.after(operations))
        if _same(seen, ended.seen):
            return ""
        if seen.paths not in (ended.seen.paths, under_way.seen.paths):
            return _difference(seen, ended.seen)
        everything = Durable(operations, 0, ended.versions)
        return self._check_bytes(0, self.after(operations)[1], [everything], seen)

    def check_power_cut(self, operations: int, seen: Seen) -> str:
        """Why this can't be what a power cut left, or nothing."""
        promised = [durable for durable in self.durable if durable.operations <= operations]
        first, last = max(durable.step for durable in promised), self.after(operations)[1]
        reasons = []
        for number in range(last, first - 1, -1):
            if seen.paths != self.steps[number].seen.paths:
                reasons.append(f"step {number}: {_difference(seen, self.steps[number].seen)}")
                continue
            reason = self._check_bytes(number, last, promised, seen)
            if not reason:
                return ""
            reasons.insert(0, f"step {number}: {reason}")
        return reasons[0]

    def _check_bytes(self, number: int, last: int, promised: list[Durable], seen: Seen) -> str:
        for file_id, data in seen.bytes_of.items():
            oldest = max((durable.versions.get(file_id, 0) for durable in promised), default=0)
            for step, installed, version in self.installed:
                if installed == file_id and step <= number:
                    oldest = max(oldest, version)
            newest = self.steps[last].versions[file_id]
            allowed = self.versions[file_id][oldest : newest + 1]
            if len(data) not in range(min(map(len, allowed)), max(map(len, allowed)) + 1):
                return f"file {file_id} has {len(data)} bytes, not {[len(known) for known in allowed]}"
            cut = min((len(b) for a, b in itertools.pairwise(allowed) if len(b) < len(a)), default=len(data))
            for at, byte in enumerate(data) if data not in allowed else ():
                # who truncates in place and writes again, without a sync, may find zeros in between
                if not any(at < len(known) and known[at] == byte for known in allowed) and (byte or at < cut):
                    return f"file {file_id} has byte {byte} at {at}, which was never there"
        return ""


def _same(a: Seen, b: Seen) -> bool:
    return a.paths == b.paths and a.bytes_of == b.bytes_of


def _difference(found: Seen, wanted: Seen) -> str:
    lines = [
        f"{path or '/'}: {found.paths.get(path)} for {wanted.paths.get(path)}"
        for path in sorted({*found.paths, *wanted.paths})
        if found.paths.get(path) != wanted.paths.get(path)
    ]
    lines += [
        f"file {file_id}: {len(found.bytes_of.get(file_id, b''))} bytes for {len(data)}, or others"
        for file_id, data in wanted.bytes_of.items()
        if found.bytes_of.get(file_id) != data
    ]
    return "; ".join(lines)
