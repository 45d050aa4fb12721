"""A working tree against dictionaries: any operations, commits in pieces, full disks, kills."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pfs.objects.entry import FileType
from pfs.overlay import attributes, cutter, files, names
from pfs.overlay.attributes import Change
from pfs.overlay.freeze import Frozen
from pfs.overlay.node import Generation, Node
from pfs.versioning.fsck import check_working_tree
from pfs.versioning.whole_tree import check_whole_tree
from tests.overlay.bench import Bench, OverlayFaults
from tests.overlay.model import Inode, Model, errno_of_rename, same

NAMES = [b"a", b"new\nline", b"\xff\xfe" * 127]
XATTRS = [b"user.a", b"user.b", b"security.capability"]
STRETCH_BYTES = 128 * 1024
SIZES = [0, 1, 100, 4096, 32_768, 32_769, 100_000, 196_608, 300_000, 500_000]

Path_ = tuple[bytes, ...]
picks = st.integers(0, 10_000)
sizes = st.one_of(st.sampled_from(SIZES), st.integers(0, 300_000))
some_names = st.sampled_from(NAMES)


def pattern(seed: int, length: int) -> bytes:
    """Bytes that are cut at varying places; some seeds give zeros, which are holes to the cutter."""
    if seed % 4 == 0:
        return bytes(length)
    block = bytes((seed * 31 + i * i * 7 + i // 251) % 256 for i in range(min(length, 8191)))
    return (block * (length // max(1, len(block)) + 1))[:length]


class OverlayMachine(RuleBasedStateMachine):
    """Owns one branch; `self.known` are the look-ups that the kernel has not given back."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="pfs-overlay-"))
        self.disk = OverlayFaults()
        self.bench = Bench(self.directory / "store", self.disk)
        self.model = Model()
        self.handles: list[tuple[Node, Inode]] = []
        self.known: list[Node] = []
        self.sealed_models: dict[int, Model] = {}
        self.building: tuple[list[Generation], Frozen] | None = None
        self.absorbing: Iterator[None] | None = None
        self.commits: list[tuple[bytes, Model]] = []
        self.armed = False

    @initialize()
    def begin(self) -> None:
        root = self.bench.tree.attributes(self.bench.tree.root)
        self.model.root.mtime_ns = root.mtime_ns
        self.stretch, cutter.STRETCH_BYTES = cutter.STRETCH_BYTES, STRETCH_BYTES

    def teardown(self) -> None:
        """Whatever was done: it survives a kill, and can be committed and read back after another."""
        try:
            if hasattr(self, "stretch"):
                self.kill()
                self.commit()
                self.kill()
        finally:
            cutter.STRETCH_BYTES = getattr(self, "stretch", cutter.STRETCH_BYTES)
            self.bench.close()
            shutil.rmtree(self.directory)

    # what the kernel does

    def node(self, path: Path_) -> Node:
        """Look a path up, as the kernel does."""
        node = self.bench.tree.root
        for name in path:
            found = self.bench.tree.lookup(node, name)
            assert found is not None
            found.lookups += 1
            self.known.append(found)
            node = found
        return node

    def pick(self, number: int, wanted: Callable[[Inode], bool]) -> Path_ | None:
        paths = [path for path in self.model.paths() if wanted(self.model.at(path))]
        return paths[number % len(paths)] if paths else None

    def attempt(self, change: Callable[[], Any]) -> bool:
        """Do a change, which may fail if the disk is armed to; False if it did."""
        try:
            change()
        except OSError as error:
            assert self.armed, error
            assert error.errno == errno.ENOSPC
            return False
        finally:
            self.disk.disarm()
            self.armed = False
        return True

    def touch_directory(self, *paths: Path_) -> None:
        for path in paths:
            inode = self.model.at(path)
            inode.mtime_ns = self.bench.tree.attributes(self.node(path)).mtime_ns

    def learn_time(self, inode: Inode, node: Node) -> None:
        inode.mtime_ns = self.bench.tree.attributes(node).mtime_ns

    # faults

    @rule(skipped=st.integers(0, 3), letter=st.sampled_from("EES"))
    def fill_disk(self, skipped: int, letter: str) -> None:
        self.disk.arm(skipped, letter)
        self.armed = True

    # names

    @rule(
        number=picks,
        name=some_names,
        kind=st.sampled_from(
            [
                FileType.REGULAR,
                FileType.REGULAR,
                FileType.DIRECTORY,
                FileType.DIRECTORY,
                FileType.SYMLINK,
                FileType.FIFO,
            ]
        ),
        length=st.sampled_from([1, 256, 257]),
    )
    def create(self, number: int, name: bytes, kind: FileType, length: int) -> None:
        parent = self.pick(number, lambda inode: inode.is_directory)
        assert parent is not None
        above = self.model.at(parent)
        target = b"t" * length if kind == FileType.SYMLINK else b""
        tree, node = self.bench.tree, self.node(parent)
        if name in above.names:
            try:
                names.create(tree, node, name, kind, 0o640, 1, 2, target)
            except OSError as error:
                assert error.errno == errno.EEXIST
            else:
                raise AssertionError("a name was made twice")
            return
        made: list[Node] = []
        if not self.attempt(lambda: made.append(names.create(tree, node, name, kind, 0o640, 1, 2, target))):
            return
        made[0].lookups += 1
        self.known.append(made[0])
        inode = Inode(kind, 0o640, 1, 2, target=target)
        if above.mode & 0o2000:  # setgid is inherited
            inode.gid = above.gid
            inode.mode |= 0o2000 if kind == FileType.DIRECTORY else 0
        self.learn_time(inode, made[0])
        above.names[name] = inode
        self.touch_directory(parent)

    @rule(number=picks, parent_number=picks, name=some_names)
    def link(self, number: int, parent_number: int, name: bytes) -> None:
        path = self.pick(number, lambda inode: not inode.is_directory)
        parent = self.pick(parent_number, lambda inode: inode.is_directory)
        if path is None or parent is None or name in self.model.at(parent).names:
            return
        node, above = self.node(path), self.node(parent)
        if self.attempt(lambda: names.link(self.bench.tree, node, above, name)):
            self.model.at(parent).names[name] = self.model.at(path)
            self.touch_directory(parent)

    @rule(number=picks)
    def remove(self, number: int) -> None:
        path = self.pick(number, lambda inode: inode is not self.model.root)
        if path is None:
            return
        parent, name = path[:-1], path[-1]
        inode, above = self.model.at(path), self.model.at(parent)
        tree, node = self.bench.tree, self.node(parent)
        if inode.names:
            try:
                names.remove(tree, node, name, directory=True)
            except OSError as error:
                assert error.errno == errno.ENOTEMPTY
            else:
                raise AssertionError("a directory with names in it was removed")
            return

        def change() -> None:
            tree.release_if_unused(names.remove(tree, node, name, directory=inode.is_directory))

        if self.attempt(change):
            del above.names[name]
            self.touch_directory(parent)

    @rule(
        number=picks,
        parent_number=picks,
        name=some_names,
        how=st.sampled_from(["replace", "noreplace", "exchange"]),
    )
    def rename(self, number: int, parent_number: int, name: bytes, how: str) -> None:
        old = self.pick(number, lambda inode: inode is not self.model.root)
        parent = self.pick(parent_number, lambda inode: inode.is_directory)
        if old is None or parent is None:
            return
        new = (*parent, name)
        inode, other = self.model.at(old), self.model.at(parent).names.get(name)
        if new[: len(old)] == old or (other is not None and old[: len(new)] == new):
            return  # refused by the kernel
        expected = errno_of_rename(inode, other, how)
        tree, above, below = self.bench.tree, self.node(old[:-1]), self.node(parent)

        def change() -> None:
            names.rename(
                tree,
                above,
                old[-1],
                below,
                name,
                replace=how != "noreplace",
                exchange=how == "exchange",
            )

        if expected:
            self.disk.disarm()
            self.armed = False
            try:
                change()
            except OSError as error:
                assert error.errno == expected
            else:
                raise AssertionError(f"{errno.errorcode[expected]} was expected")
            return
        if not self.attempt(change) or other is inode:
            return
        del self.model.at(old[:-1]).names[old[-1]]
        self.model.at(parent).names[name] = inode
        if how == "exchange":
            assert other is not None
            self.model.at(old[:-1]).names[old[-1]] = other
        self.touch_directory(old[:-1], parent)

    # bytes

    def regular(self, number: int) -> tuple[Node, Inode] | None:
        """A file by a name or, every third time, an open one, with or without a name."""
        if self.handles and number % 3 == 0:
            return self.handles[number % len(self.handles)]
        path = self.pick(number, lambda inode: inode.kind == FileType.REGULAR)
        return None if path is None else (self.node(path), self.model.at(path))

    @rule(number=picks, offset=sizes, length=sizes, seed=st.integers(0, 1000))
    def write(self, number: int, offset: int, length: int, seed: int) -> None:
        picked = self.regular(number)
        if picked is None or not length:
            return
        node, inode = picked
        data, before = pattern(seed, length), inode.data
        after = before.ljust(offset, b"\0")
        after = after[:offset] + data + after[offset + length :]
        if self.attempt(lambda: files.write(self.bench.tree, node, offset, data)):
            inode.data = after
        else:  # as much of it as was there may be old or new
            found = self.bench.read(node)
            assert len(found) == len(before)
            assert all(byte in (old, new) for byte, old, new in zip(found, before, after, strict=False))
            inode.data = found
        self.learn_time(inode, node)

    @rule(number=picks, size=sizes)
    def truncate(self, number: int, size: int) -> None:
        picked = self.regular(number)
        if picked is None:
            return
        node, inode = picked
        if self.attempt(lambda: attributes.set_attributes(self.bench.tree, node, Change(size=size))):
            inode.data = inode.data[:size].ljust(size, b"\0")
        self.learn_time(inode, node)

    @rule(number=picks, offset=sizes, length=sizes)
    def read(self, number: int, offset: int, length: int) -> None:
        picked = self.regular(number)
        if picked is not None:
            node, inode = picked
            assert self.bench.read(node, offset, length) == inode.data[offset : offset + length]

    # attributes

    @rule(
        number=picks,
        mode=st.one_of(st.none(), st.integers(0, 0o7777)),
        uid=st.one_of(st.none(), st.integers(0, 3)),
        mtime_ns=st.one_of(st.none(), st.integers(0, 2 * 10**18)),
        atime_ns=st.one_of(st.none(), st.integers(0, 2 * 10**18)),
    )
    def set_attributes(
        self, number: int, mode: int | None, uid: int | None, mtime_ns: int | None, atime_ns: int | None
    ) -> None:
        path = self.pick(number, lambda _: True)
        assert path is not None
        node, inode, tree = self.node(path), self.model.at(path), self.bench.tree
        change = Change(mode=mode, uid=uid, mtime_ns=mtime_ns, atime_ns=atime_ns)
        if self.attempt(lambda: attributes.set_attributes(tree, node, change)):
            inode.mode = inode.mode if mode is None else mode
            inode.uid = inode.uid if uid is None else uid
            inode.mtime_ns = inode.mtime_ns if mtime_ns is None else mtime_ns
            if atime_ns is not None:
                assert tree.attributes(node).atime_ns == atime_ns
        else:
            self.learn_time(inode, node)

    @rule(number=picks, name=st.sampled_from(XATTRS), value=st.one_of(st.none(), st.binary(max_size=300)))
    def set_xattr(self, number: int, name: bytes, value: bytes | None) -> None:
        path = self.pick(number, lambda _: True)
        assert path is not None
        node, inode, tree = self.node(path), self.model.at(path), self.bench.tree
        if value is None and name not in inode.xattrs:
            return
        if value is None:
            if self.attempt(lambda: attributes.remove_xattr(tree, node, name)):
                del inode.xattrs[name]
        elif self.attempt(lambda: attributes.set_xattr(tree, node, name, value)):
            inode.xattrs[name] = value

    # what the kernel holds

    @rule(number=picks)
    def open(self, number: int) -> None:
        path = self.pick(number, lambda inode: inode.kind in (FileType.REGULAR, FileType.DIRECTORY))
        assert path is not None
        node = self.node(path)
        if number % 2 and self.model.at(path).kind == FileType.REGULAR:
            self.bench.tree.load(node)
        if self.model.at(path).kind == FileType.REGULAR:
            self.bench.tree.open(node)
            self.handles.append((node, self.model.at(path)))

    @precondition(lambda self: self.handles)
    @rule(number=picks)
    def close(self, number: int) -> None:
        node, inode = self.handles.pop(number % len(self.handles))
        assert self.bench.read(node) == inode.data
        self.bench.tree.close(node)

    @rule()
    def forget(self) -> None:
        """The kernel drops every inode, children first, but what is open and the directories above it."""
        tree = self.bench.tree
        held: set[int] = set()
        for node in self.known:
            at = node if node.opens else None
            while at is not None and at.file_id not in held:
                held.add(at.file_id)
                at = tree.nodes.get(at.parent)
        known, self.known = self.known, []
        for node in reversed(known):
            if node.file_id in held:
                self.known.insert(0, node)
            elif node is not tree.root:
                tree.forget(node, 1)

    # commits in pieces

    @precondition(lambda self: self.bench.tree.generation.dirty)
    @rule()
    def seal(self) -> None:
        def change() -> None:
            sealed = self.bench.tree.freeze()
            self.sealed_models[sealed.number] = self.model.frozen()

        self.attempt(change)

    @precondition(lambda self: self.bench.tree.sealed and self.building is None and self.absorbing is None)
    @rule(failing=st.sampled_from([0, 0, 1]), skipped=st.integers(0, 3))
    def build(self, failing: int, skipped: int) -> None:
        self.disk.disarm()
        self.armed = False
        self.disk.failing_reads = failing
        if failing and skipped:
            self.disk.failing_reads = 0
            self.disk.arm(skipped)
        try:
            self.building = self.bench.build()
        except OSError:
            assert failing
        finally:
            self.disk.failing_reads = 0
            self.disk.disarm()
        if self.bench.tree.broken:
            self.kill()

    @precondition(lambda self: self.building is not None)
    @rule()
    def record(self) -> None:
        assert self.building is not None
        sealed, frozen = self.building
        self.building = None
        model = self.sealed_models[sealed[-1].number]
        commit_id = self.bench.record(sealed, frozen)
        if commit_id is not None:
            self.commits.append((commit_id, model))
            same(self.bench, model, self.bench.commit_tree(commit_id))
            assert not check_whole_tree(self.bench.readers, self.bench.repo.commits.read(commit_id))
        self.absorbing = self.bench.absorb(sealed, frozen)

    @precondition(lambda self: self.absorbing is not None)
    @rule(steps=st.integers(1, 8))
    def absorb(self, steps: int) -> None:
        self.disk.disarm()
        self.armed = False
        while steps and self.absorbing is not None:
            steps -= 1
            if next(self.absorbing, self) is self:
                self.absorbing = None

    @rule()
    def commit(self) -> None:
        """All at once, as most commits are."""
        self.disk.disarm()
        self.armed = False
        self.absorb(-1)
        if self.building is not None:
            self.record()
            self.absorb(-1)
        if self.bench.tree.generation.dirty:
            self.seal()
        if self.bench.tree.sealed:
            self.build(0, 0)
            self.record()
            self.absorb(-1)
        tree = self.bench.tree
        assert not tree.sealed
        assert not tree.generation.dirty
        assert not {
            node.file_id
            for node in tree.nodes.values()
            if node.state is not None and node.state.generation and tree.is_linked(node)
        }
        self.check_working_files()

    @rule()
    def sync(self) -> None:
        self.disk.disarm()
        self.armed = False
        self.bench.sync()

    def check_working_files(self) -> None:
        self.sync()
        assert self.bench.working_names() == self.bench.needed_names()

    @rule(reboot=st.sampled_from([False, False, True]))
    def kill(self, reboot: bool = False) -> None:
        """Start again from what is on the disk; a reboot only where nothing is unsynced."""
        self.disk.disarm()
        self.armed = False
        if reboot:
            self.bench.sync()
        self.handles.clear()
        self.known.clear()
        self.building = self.absorbing = None
        self.bench.restart(os.urandom(16) if reboot else None)
        same(self.bench, self.model, self.bench.tree)

    # what holds at any time

    @invariant()
    def shows_the_model(self) -> None:
        if not self.armed:
            same(self.bench, self.model, self.bench.tree)
            for node, inode in self.handles:
                assert self.bench.read(node) == inode.data
            assert not check_working_tree(self.bench.tree, "r")

    @rule()
    def old_commits_are_as_they_were(self) -> None:
        for commit_id, model in self.commits[-3:]:
            same(self.bench, model, self.bench.commit_tree(commit_id))


EXAMPLES = int(os.environ.get("PFS_MODEL_EXAMPLES", "60"))
OverlayMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOverlay = OverlayMachine.TestCase
