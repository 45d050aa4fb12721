"""What a directory would look like had the machine stopped after any prefix of a RecordingDisk's log.

`DiskState` takes the log one operation at a time, from an empty directory on. `killed` writes what a
`kill -9` leaves: every operation was done. `power_cut` writes what a power cut may leave: what was synced,
and of the rest a choice made by a seed: seed 0 drops all of it; others keep a prefix of each directory's
unsynced names and of each unsynced write nothing, all, some sectors, or zeros of its length. LMDB's own
writes are in the log as whole data files at each of its commits, and count as durable there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pfs.disk import Operation

SECTOR_BYTES = 512

# Operations that leave nothing that can be lost.
_WITHOUT_EFFECT = frozenset({"fallocate_keep", "utime", "pread", "preadv_nowait"})


class _File:
    def __init__(self) -> None:
        self.live = bytearray()
        self.durable = b""
        self.unsynced: list[Operation] = []

    def change(self, operation: Operation) -> None:
        _change(self.live, operation)
        self.unsynced.append(operation)

    def sync(self) -> None:
        self.durable = bytes(self.live)
        self.unsynced.clear()

    def after_power_cut(self, choice: random.Random | None) -> bytes:
        content = bytearray(self.durable)
        for operation in self.unsynced if choice is not None else ():
            assert choice is not None
            fate = choice.choice(["dropped", "done", "done", "torn", "zeros"])
            if fate == "done" or (fate != "dropped" and not operation.data):
                _change(content, operation)
            elif fate == "torn":
                for piece in _sectors(operation):
                    if choice.random() < 0.5:
                        _change(content, piece)
            elif fate == "zeros":
                end = operation.offset + operation.length
                content.extend(bytes(max(0, end - len(content))))
        return bytes(content)


class _Directory:
    def __init__(self) -> None:
        self.live: dict[str, _File | _Directory] = {}
        self.durable: dict[str, _File | _Directory] = {}
        # Each is one change that happens as a whole: names with what they lead to, None for no more.
        self.unsynced: list[dict[str, _File | _Directory | None]] = []

    def change(self, names: dict[str, _File | _Directory | None]) -> None:
        _rename(self.live, names)
        self.unsynced.append(names)

    def sync(self) -> None:
        self.durable = dict(self.live)
        self.unsynced.clear()

    def after_power_cut(self, choice: random.Random | None) -> dict[str, _File | _Directory]:
        names = dict(self.durable)
        kept = 0 if choice is None else choice.randint(0, len(self.unsynced))
        for change in self.unsynced[:kept]:
            _rename(names, change)
        return names


class DiskState:
    """A directory tree in memory, with what of it is durable."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._root = _Directory()

    def apply(self, operation: Operation) -> None:
        """Do the next operation of the log."""
        name, path = operation.name, operation.path
        if name in {"pwrite", "append", "truncate", "punch", "fallocate"}:
            self._file(path).change(operation)
        elif name in {"create", "mkdir"}:
            self._parent(path).change({path.name: _File() if name == "create" else _Directory()})
        elif name in {"unlink", "rmdir"}:
            self._parent(path).change({path.name: None})
        elif name == "rename":
            self._rename(operation)
        elif name in {"fsync", "fdatasync"}:
            self._file(path).sync()
        elif name == "sync_directory":
            if path == self._base or self._base in path.parents:
                self._directory(path).sync()
        elif name == "syncfs":
            _sync_all(self._root)
        elif name == "lmdb":
            self._take_lmdb(operation)
        elif name not in _WITHOUT_EFFECT:
            raise ValueError(f"a log with an unknown operation: {name}")

    def killed(self, target: Path) -> None:
        """Write the tree as a killed process leaves it."""
        _write(target, self._root, lambda directory: directory.live, lambda file: bytes(file.live))

    def power_cut(self, target: Path, seed: int) -> None:
        """Write the tree as a power cut may leave it; the same seed, the same tree."""
        choice = random.Random(seed) if seed else None
        _write(
            target,
            self._root,
            lambda directory: directory.after_power_cut(choice),
            lambda file: file.after_power_cut(choice),
        )

    def _find(self, path: Path) -> _File | _Directory:
        node: _File | _Directory = self._root
        for part in path.relative_to(self._base).parts:
            assert isinstance(node, _Directory)
            node = node.live[part]
        return node

    def _file(self, path: Path) -> _File:
        node = self._find(path)
        assert isinstance(node, _File)
        return node

    def _directory(self, path: Path) -> _Directory:
        node = self._find(path)
        assert isinstance(node, _Directory)
        return node

    def _parent(self, path: Path) -> _Directory:
        return self._directory(path.parent)

    def _rename(self, operation: Operation) -> None:
        assert operation.target is not None
        node = self._find(operation.path)
        old, new = self._parent(operation.path), self._parent(operation.target)
        if old is new:
            old.change({operation.path.name: None, operation.target.name: node})
        else:
            new.change({operation.target.name: node})
            old.change({operation.path.name: None})

    def _take_lmdb(self, operation: Operation) -> None:
        parent = self._parent(operation.path)
        if operation.path.name not in parent.live:
            parent.change({operation.path.name: _File()})
        file = self._file(operation.path)
        file.live[:] = operation.data
        file.sync()


def replay(log: Sequence[Operation], base: Path, upto: int, target: Path, *, seed: int | None = None) -> None:
    """Write to `target` what `upto` operations on `base` leave: killed, or after a power cut with a seed."""
    state = DiskState(base)
    for operation in log[:upto]:
        state.apply(operation)
    if seed is None:
        state.killed(target)
    else:
        state.power_cut(target, seed)


def prefixes(log: Sequence[Operation], base: Path) -> Iterator[tuple[int, DiskState]]:
    """(operations done, state) for every prefix of a log, the empty one first."""
    state = DiskState(base)
    yield 0, state
    for count, operation in enumerate(log, 1):
        state.apply(operation)
        yield count, state


def _change(content: bytearray, operation: Operation) -> None:
    if operation.name == "truncate":
        del content[operation.length :]
        content.extend(bytes(operation.length - len(content)))
    elif operation.name == "punch":
        end = min(operation.offset + operation.length, len(content))
        content[operation.offset : end] = bytes(max(0, end - operation.offset))
    elif operation.name == "fallocate":
        content.extend(bytes(max(0, operation.offset + operation.length - len(content))))
    elif operation.data:
        content.extend(bytes(max(0, operation.offset - len(content))))
        content[operation.offset : operation.offset + operation.length] = operation.data


def _sectors(operation: Operation) -> Iterator[Operation]:
    """A write cut where a disk may tear it."""
    start = operation.offset
    end = start + operation.length
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        data = operation.data[start - operation.offset : stop - operation.offset]
        yield operation._replace(offset=start, length=len(data), data=data)
        start = stop


def _rename(names: dict[str, _File | _Directory], change: dict[str, _File | _Directory | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _sync_all(directory: _Directory) -> None:
    directory.sync()
    for node in directory.live.values():
        if isinstance(node, _File):
            node.sync()
        else:
            _sync_all(node)


def _write(
    target: Path,
    directory: _Directory,
    names: Callable[[_Directory], dict[str, _File | _Directory]],
    content: Callable[[_File], bytes],
) -> None:
    target.mkdir()
    for name, node in names(directory).items():
        if isinstance(node, _File):
            (target / name).write_bytes(content(node))
        else:
            _write(target / name, node, names, content)
