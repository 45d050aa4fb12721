"""Every prefix of what a working tree does to the disk, after a kill and after power cuts.

Each state is opened by a new daemon, compared with what had been promised, checked, committed, and opened
again.  Mutants at the end: what the harness has to find.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from pfs.disk import Disk
from pfs.objects.commit import CommitKind
from pfs.overlay import cutter, names, sync, worktree
from pfs.overlay.content import Committed, Content, layers
from pfs.overlay.node import Node
from pfs.overlay.replay import Replay
from pfs.overlay.worktree import WorkingTree
from tests.crash.replay import prefixes
from tests.crash.story import Story, Workload, look
from tests.overlay.bench import BOOT, Bench

SEEDS = range(int(os.environ.get("PFS_CRASH_SEEDS", "2")))
STRIDE = int(os.environ.get("PFS_CRASH_STRIDE", "3"))  # of this many prefixes one is also cut with seeds > 0
STRETCH_BYTES = 128 * 1024


class QuickDisk(Disk):
    """Leaves out the syncs: the states are looked at, not kept."""

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


def noise(seed: int, length: int) -> bytes:
    """Bytes without zeros, so that zeros are never right by chance."""
    return bytes(byte or 1 for byte in random.Random(seed).randbytes(length))


async def create_and_fsync(story: Story) -> None:
    story.mkdir("d")
    first = story.create("d/a", noise(1, 5000))
    story.create("d/b", noise(2, 3000))
    await story.fsync(first)
    story.create("c", noise(3, 100))
    story.write(first, 5000, noise(4, 5000))
    second = story.create("e", noise(5, 9000))
    await story.fsync(second)


async def overwrite_committed(story: Story) -> None:
    node = story.create("a", noise(1, 50_000))
    await story.commit()
    story.write(node, 8192, noise(2, 4096))
    story.write(node, 20_000, noise(3, 5000))
    other = story.create("b", noise(4, 10))
    await story.fsync(other)
    story.write(node, 0, noise(5, 4096))
    await story.fsync(node)
    story.write(node, 4096, noise(6, 4096))
    story.write(node, 49_000, noise(7, 3000))
    await story.commit()


async def append(story: Story) -> None:
    node = story.create("log")
    for number in range(6):
        story.write(node, number * 1000, noise(number, 1000))
        if number % 2:
            await story.fsync(node)
    await story.commit(CommitKind.CHECKPOINT)
    for number in range(6, 10):
        story.write(node, number * 1000, noise(number, 1000))
    await story.sync_all()


async def rename_over(story: Story) -> None:
    story.create("config", noise(1, 4000))
    await story.commit()
    story.replace("config", noise(2, 5000))
    other = story.create("other", noise(3, 10))
    await story.fsync(other)
    story.replace("config", noise(4, 300))
    story.replace("config", noise(5, 6000))
    await story.sync_all()
    story.replace("config", noise(6, 6000))


async def rename_over_half_synced(story: Story) -> None:
    story.create("config", noise(1, 4000))
    await story.commit()
    new = story.create("config.new", noise(2, 1000))
    await story.fsync(new)
    story.write(new, 1000, noise(3, 1000))
    story.rename("config.new", "config")
    other = story.create("other", noise(4, 10))
    await story.fsync(other)


async def replace_fsynced(story: Story) -> None:
    for number in range(3):
        new = story.create("new", noise(number, 3000))
        await story.fsync(new)
        story.rename("new", "file")
    story.remove("file")
    story.create("file", noise(9, 100))


async def exchange(story: Story) -> None:
    story.mkdir("d")
    story.create("a", noise(1, 2000))
    story.create("d/b", noise(2, 3000))
    story.rename("a", "d/b", exchange=True)
    await story.commit()
    story.rename("d", "a", exchange=True)
    await story.sync_all()


async def unlink(story: Story) -> None:
    story.mkdir("d")
    node = story.create("d/a", noise(1, 4000))
    await story.fsync(node)
    story.bench.tree.open(node)
    story.remove("d/a")
    story.write(node, 0, noise(2, 6000))
    other = story.create("b", noise(3, 10))
    await story.fsync(other)
    story.remove("d", directory=True)
    await story.commit()
    story.write(node, 3000, noise(4, 6000))
    story.bench.tree.close(node)
    story.create("d", noise(5, 10))
    await story.sync_all()


async def hard_links(story: Story) -> None:
    story.mkdir("d")
    story.mkdir("d/e")
    node = story.create("d/a", noise(1, 4000))
    story.link("d/a", "d/e/b")
    await story.commit()
    story.rename("d/e", "f")
    story.write(node, 1000, noise(2, 500))
    await story.fsync(node)
    story.link("f/b", "c")
    story.remove("d/a")
    await story.commit()
    story.remove("f/b")
    story.remove("f", directory=True)
    await story.sync_all()


async def attributes(story: Story) -> None:
    node = story.create("a", noise(1, 100))
    story.symlink("s", b"t" * 300)
    story.set_xattr("a", b"user.x", b"1" * 400)
    await story.commit()
    story.chmod("a", 0o600)
    story.set_xattr("a", b"user.y", b"2")
    story.set_xattr("", b"user.root", b"3")
    await story.fsync(node)
    story.chmod("", 0o700)
    story.chmod("s", 0o777)
    await story.commit()


async def truncate(story: Story) -> None:
    node = story.create("a", noise(1, 20_000))
    await story.commit()
    story.truncate(node, 10_000)
    await story.fsync(node)
    story.truncate(node, 3000)
    story.write(node, 3000, noise(2, 2000))
    await story.fsync(node)
    story.truncate(node, 0)
    story.write(node, 0, noise(3, 8000))
    await story.sync_all()
    story.truncate(node, 12_000)
    await story.commit()


async def big_file(story: Story) -> None:
    """Cut in stretches, each punched out of the working file."""
    node = story.create("big", noise(1, 600_000))
    await story.fsync(node)
    story.write(node, 100, noise(2, 300_000))
    await story.commit()
    story.write(node, 200_000, noise(3, 300_000))
    await story.fsync(node)
    story.bench.tree.freeze()
    story.write(node, 100_000, noise(4, 300_000))
    await story.commit()


async def writes_during_a_commit(story: Story) -> None:
    node = story.create("big", noise(1, 400_000))
    story.create("config", noise(2, 1000))

    async def write() -> None:
        for number in range(4):
            story.write(node, number * 50_000, noise(10 + number, 30_000))
            await trio.lowlevel.checkpoint()
            story.replace("config", noise(20 + number, 1000))
            await story.fsync(node)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(story.commit)
        nursery.start_soon(write)
    await story.commit()


async def fsync_between_cut_and_commit(story: Story) -> None:
    bench = story.bench
    node = story.create("a", noise(1, 50_000))
    await story.commit()
    story.write(node, 10_000, noise(2, 30_000))
    bench.tree.freeze()
    sealed, frozen = bench.build()
    await story.fsync(node)
    story.write(node, 0, noise(3, 5000))
    await story.fsync(node)
    bench.record(sealed, frozen)
    for _ in bench.absorb(sealed, frozen):
        await story.fsync(node)
    story.write(node, 45_000, noise(4, 10_000))
    await story.fsync(node)


async def syncs_at_once(story: Story) -> None:
    story.create("config", noise(1, 3000))
    await story.commit()
    first, second = story.create("a", noise(2, 50_000)), story.create("b", noise(3, 10))
    story.replace("config", noise(4, 3000))
    async with trio.open_nursery() as nursery:
        for node in (first, first, second, second):
            nursery.start_soon(story.fsync, node)
        await trio.lowlevel.checkpoint()
        story.rename("a", "config")
        nursery.start_soon(story.fsync, second)


async def commits_that_change_nothing(story: Story) -> None:
    story.create("a", noise(1, 100))
    await story.commit()
    for _ in range(2):
        story.create("b", noise(2, 100))
        story.bench.tree.freeze()
        story.remove("b")
        await story.commit(CommitKind.CHECKPOINT)
        story.create("c", noise(3, 100))
        story.bench.tree.freeze()
        story.write(story.create("d"), 0, noise(4, 4000))
        story.remove("c")
        await story.sync_all()
        story.remove("d")


WORKLOADS: list[Workload] = [
    create_and_fsync,
    overwrite_committed,
    append,
    rename_over,
    rename_over_half_synced,
    replace_fsynced,
    exchange,
    unlink,
    hard_links,
    attributes,
    truncate,
    big_file,
    writes_during_a_commit,
    fsync_between_cut_and_commit,
    syncs_at_once,
    commits_that_change_nothing,
]


def record(base: Path, workload: Workload) -> Story:
    base.mkdir()
    story = Story(base)
    story.run(workload)
    return story


def find_violations(
    story: Story, base: Path, scratch: Path, stop_at: int = 5, seeds: range = SEEDS, stride: int = STRIDE
) -> list[str]:
    """Every prefix: killed; cut off from what is unsynced; some with a choice of it."""
    found: list[str] = []
    for operations, state in prefixes(story.disk.log, base):
        if operations < story.begin:
            continue
        for seed in [None, *(seed for seed in seeds if not seed or operations % stride == 0)]:
            scratch.mkdir()
            if seed is None:
                state.killed(scratch / "base")
            else:
                state.power_cut(scratch / "base", seed)
            reason = judge(story, scratch / "base" / "store", operations, seed)
            shutil.rmtree(scratch)
            if reason:
                last = story.disk.log[operations - 1]
                found.append(f"after {operations} ({last.name} {last.path.name}), seed {seed}: {reason}")
                if len(found) == stop_at:
                    return found
    return found


def judge(story: Story, path: Path, operations: int, seed: int | None) -> str:
    """Why this state breaks a promise, or nothing."""
    try:
        bench = Bench(path, QuickDisk(), BOOT if seed is None else b"boot number two.")
    except Exception as error:  # whatever it is, a state that can't be opened is a finding
        return f"it does not open: {error!r}"
    try:
        seen = look(bench, bench.tree)
        check = story.check_killed if seed is None else story.check_power_cut
        reason = check(operations, seen)
        if not reason and operations % 5 == 0:
            reason = go_on(bench, story, operations)
        return reason
    except Exception as error:
        return f"it can't be read: {error!r}"
    finally:
        bench.close()


def go_on(bench: Bench, story: Story, operations: int) -> str:
    """Old commits are there; what is shown can be committed, and is the same after another start."""
    seen = look(bench, bench.tree)
    for commit in [commit for commit in story.commits if commit.operations <= operations]:
        if look(bench, bench.commit_tree(commit.commit_id)) != commit.seen:
            return "a commit is not what it was"
    bench.restart()
    if look(bench, bench.tree) != seen:
        return "a second start shows something else"
    bench.commit()
    bench.restart(b"boot number 3333")
    if look(bench, bench.tree) != seen:
        return "after a commit something else is shown"
    return next((f"fsck: {finding}" for finding in bench.store.check() if not finding.harmless), "")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: thousands of states are written, and LMDB syncs each."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="pfs-crash-", dir=memory) as path:
        yield Path(path)


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutter, "STRETCH_BYTES", STRETCH_BYTES)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.__name__)
def test_a_crash_keeps_what_was_promised(workload: Workload, quick_path: Path) -> None:
    story = record(quick_path / "base", workload)
    found = find_violations(story, quick_path / "base", quick_path / "scratch")
    assert not found, "\n" + "\n".join(found)


# Mutants


def no_sync_of_what_replaces(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(names, "_installed", lambda *_: [])


def replay_without_marks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replay, "_counts", lambda *_: True)
    patch.setattr(Replay, "_last_safe", lambda *_: 1 << 62)


def punch_before_the_record(patch: pytest.MonkeyPatch) -> None:
    def give_back(self: Any, partial: Committed, end: int) -> None:
        for layer in layers(self._top):
            self._cutter.punch(layer, end)
        self._readers.store.sync()
        self._cutter.progress(self._top, end, partial)

    patch.setattr(cutter._FileCut, "_give_back", give_back)


def working_files_gone_at_once(patch: pytest.MonkeyPatch) -> None:
    def discard(self: WorkingTree, content: Content) -> None:
        for layer in layers(content):
            self.working.remove(layer)

    patch.setattr(WorkingTree, "discard_content", discard)


def marks_before_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sync, "_sync_file", lambda *_: None)


def names_of_working_files_not_synced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sync, "_sync_names", lambda *_: None)


def a_sync_under_way_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    def pending(tree: WorkingTree, node: Node | None, *, everything: bool = False) -> list[Node]:
        wanted = dict(tree.unsynced) if everything else {}
        if node is not None and node.file_id in tree.unsynced:
            wanted[node.file_id] = node
        return list(wanted.values())

    patch.setattr(sync, "pending", pending)


def ready_chunks_count_as_durable(patch: pytest.MonkeyPatch) -> None:
    before = worktree.layers
    patch.setattr(sync, "layers", lambda content: [layer for layer in before(content) if layer.ready is None])


def lowered_layers_forgotten(patch: pytest.MonkeyPatch) -> None:
    from pfs.overlay import replay
    from pfs.overlay.journal import Op

    patch.setitem(replay._ACTIONS, Op.LOWER, lambda *_: None)


MUTANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Workload]] = [
    (no_sync_of_what_replaces, rename_over),
    (replay_without_marks, overwrite_committed),
    (replay_without_marks, rename_over),
    (punch_before_the_record, big_file),
    (working_files_gone_at_once, replace_fsynced),
    (marks_before_files, create_and_fsync),
    (names_of_working_files_not_synced, create_and_fsync),
    (a_sync_under_way_counts_as_done, syncs_at_once),
    (ready_chunks_count_as_durable, fsync_between_cut_and_commit),
    (lowered_layers_forgotten, truncate),
]


@pytest.mark.parametrize(("mutant", "workload"), MUTANTS, ids=lambda value: value.__name__)
def test_the_harness_finds_a_mutant(
    mutant: Callable[[pytest.MonkeyPatch], None],
    workload: Workload,
    quick_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutant(monkeypatch)
    story = record(quick_path / "base", workload)
    assert find_violations(story, quick_path / "base", quick_path / "scratch", 1, range(6), 1)
