"""Nobody commits for an hour of changes: memory and replay stay flat. A simulated clock, in this process."""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import trio

from pfs.daemon.build import Daemon
from pfs.disk import Disk
from pfs.objects.entry import FileType
from pfs.overlay.worktree import WorkingTree
from pfs.store.store import Store
from pfs.vfs.filesystem import Caller
from scripts.acceptance.mount_checks.report import MIB, Run, Timer, check, noise, resident_bytes

SECOND_NS = 10**9
HOT_BYTES = 16 * MIB  # one file that is open for writing all the time: the branch is never quiet
FILES = 200  # others, that come, change their names and go
SYNC_SECONDS = 10


@dataclass
class Sample:
    """What the daemon holds at one time."""

    minute: int
    resident: int
    dirty: int
    nodes: int
    journal_bytes: int
    store_bytes: int
    replayed: int
    replay_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.resident / 1e6:.0f} MB resident, {self.dirty} dirty, {self.nodes} inodes, "
            f"journal {self.journal_bytes >> 10} KiB, store {self.store_bytes / 1e6:.1f} MB, "
            f"replay {self.replayed} records in {self.replay_seconds:.3f} s"
        )


class Life:
    """A daemon without a mount, its clock, and what is done to it each second."""

    def __init__(self, store: Store) -> None:
        self.now_ns = 1_800_000_000 * SECOND_NS
        self.daemon = Daemon(store, Path("/nowhere"), lambda: self.now_ns)
        self.daemon.committer.flush_mapped = None
        self._caller = Caller(os.geteuid(), os.getegid(), os.getpid())

    async def begin(self) -> WorkingTree:
        """Make a repo with one large open file."""
        fs = self.daemon.filesystem
        root = await self.daemon.root.mkdir(b"repo", 0o755, self._caller.uid, self._caller.gid)
        assert isinstance(root.tree, WorkingTree)
        self.root = root
        node = await fs.make(root, b"hot", FileType.REGULAR, 0o644, self._caller)
        self.hot = fs.open(node, os.O_RDWR, self._caller)
        await fs.write(self.hot, 0, noise(HOT_BYTES, 1))
        return root.tree

    async def second(self, number: int) -> None:
        """What happens in one second: pages change, files come, move and go."""
        fs = self.daemon.filesystem
        for turn in range(20):
            at = (number * 20 + turn) * 7_919 % (HOT_BYTES // 4096) * 4096
            await fs.write(self.hot, at, noise(4096, number * 20 + turn))
        for turn in range(5):
            name = b"file%d" % ((number * 5 + turn) % FILES)
            if await fs.lookup(self.root, name) is not None:
                await fs.remove(self.root, name, directory=False)
            node = await fs.make(self.root, name + b".new", FileType.REGULAR, 0o644, self._caller)
            handle = fs.open(node, os.O_WRONLY, self._caller)
            await fs.write(handle, 0, noise(2000, number))
            fs.release(handle)
            await fs.rename(self.root, name + b".new", self.root, name, 0)
        self.now_ns += SECOND_NS
        await self.daemon.checkpointer.step()
        if number % SYNC_SECONDS == 0:
            assert isinstance(self.root.tree, WorkingTree)
            await self.daemon.durability.sync_all(self.root.tree)

    def sample(self, tree: WorkingTree, minute: int, copy: Path) -> Sample:
        """Measure, and replay a copy of the store as after a kill."""
        shutil.copytree(self.daemon.store.path, copy, ignore=shutil.ignore_patterns("control.sock"))
        gc.collect()
        with Store.open(copy, Disk()) as store, Timer() as timer:
            other = Daemon(store, Path("/nowhere"), lambda: self.now_ns)
            other.replay()
            replayed = other.branches.replayed_records
            other.committer.close()
            other.branches.close()
        shutil.rmtree(copy)
        return Sample(
            minute, resident_bytes(os.getpid()), len(tree.generation.dirty), len(tree.nodes),
            tree.journal.size_bytes,
            sum(path.stat().st_size for path in (self.daemon.store.path / "packs").iterdir()),
            replayed, timer.seconds,
        )  # fmt: skip


@check(
    "flat", "nobody commits for an hour of changes (simulated clock): daemon memory and replay time stay flat"
)
def flat(job: Run) -> None:
    """Compare the second ten minutes with the last."""
    minutes, step = job.pick((60, 10), (20, 5))
    with Store.open(job.directory / "store", Disk()) as store:
        samples, checkpoints = trio.run(_live, job, store, minutes, step)
    early, late = samples[1], samples[-1]
    job.demand(
        "memory", f"{late.resident / early.resident:.2f}x", "<= 1.2x",
        late.resident <= 1.2 * early.resident, clock=True,
    )  # fmt: skip
    job.demand(
        "inodes held", f"{early.nodes} -> {late.nodes}", "<= 1.2x", late.nodes <= 1.2 * early.nodes + 10
    )
    most = max(sample.replayed for sample in samples)
    limit = 300 * (20 + 5 * 6) + 1000  # five minutes of what `second` does, one record each
    job.demand("records replayed", f"{most}", f"<= {limit}, five minutes of changes", most <= limit)
    job.demand(
        "replay time", f"{late.replay_seconds:.3f} s", "<= 2x + 0.1 s",
        late.replay_seconds <= 2 * early.replay_seconds + 0.1, clock=True,
    )  # fmt: skip
    job.demand("checkpoints", checkpoints, f">= {minutes // 6}", checkpoints >= minutes // 6)


async def _live(job: Run, store: Store, minutes: int, step: int) -> tuple[list[Sample], int]:
    life = Life(store)
    tree = await life.begin()
    samples = []
    for minute in range(1, minutes + 1):
        for second in range(60):
            await life.second(minute * 60 + second)
        if minute % step == step - 1:
            samples.append(life.sample(tree, minute, job.directory / "copy"))
            job.note(f"minute {minute}", samples[-1])
    repo = life.daemon.repositories.get("repo")
    checkpoints = sum(record.kind == "checkpoint" for record in repo.reflog(repo.default_branch.branch_id))
    assert len(list(repo.commits.ancestry(repo.default_branch.head))) == 1
    life.daemon.committer.close()
    life.daemon.branches.close()
    return samples, checkpoints
