"""Commits that fail on a full disk, and what makes room for the next one."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pfs.disk import FaultyDisk, Operation
from pfs.errors import NoSpace
from pfs.objects.commit import CommitKind
from pfs.overlay.worktree import WorkingTree
from pfs.versioning.committer import Committer, Message
from pfs.vfs.durability import Durability
from tests.overlay.bench import AUTHOR, Bench

BIG_BYTES = 300_000


class SmallDisk(FaultyDisk):
    """Packs can't be written while a big working file takes the disk."""

    def __init__(self) -> None:
        super().__init__("", errno.ENOSPC)
        self.working: Path | None = None

    def before(self, operation: Operation) -> None:
        if self.working is not None and "packs" in operation.path.parts and operation.name == "pwrite":
            taken = sum(file.stat().st_size for file in self.working.iterdir())
            if taken + operation.length > BIG_BYTES * 3 // 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(operation.path))


async def _full(
    tmp_path: Path, then: Callable[[Bench, Committer], Awaitable[None]], *, makes_room: bool = True
) -> None:
    """A branch whose commit has failed for its file `big`, and what happens then."""
    disk = SmallDisk()
    bench = Bench(tmp_path / "store", disk)
    durability = Durability(disk, bench.branches, 1)
    committer = Committer(bench.readers, disk, bench.branches, bench.clock, 1)

    async def make_room(tree: WorkingTree) -> None:
        await durability.sync_all(tree)

    if makes_room:
        committer.make_room = make_room
    bench.create("big", os.urandom(BIG_BYTES))
    disk.working = bench.tree.working.directory
    with pytest.raises(NoSpace):
        await _commit(bench, committer)
    await then(bench, committer)
    disk.working = None
    committer.close()
    bench.close()


async def _commit(bench: Bench, committer: Committer) -> bytes | None:
    return await committer.commit(bench.repo, bench.branch, CommitKind.COMMIT, Message(AUTHOR, "text"))


async def test_deleting_what_did_not_fit_lets_the_next_commit_through(tmp_path: Path) -> None:
    async def then(bench: Bench, committer: Committer) -> None:
        (big,) = bench.working_names()
        bench.create("small", b"kept")
        bench.remove("big")
        assert bench.tree.sealed
        assert await _commit(bench, committer) is not None
        assert not bench.tree.sealed
        assert not (bench.tree.working.directory / big).exists()
        assert bench.read(bench.walk("small")) == b"kept"
        assert not bench.exists("big")

    await _full(tmp_path, then)


async def test_what_is_deleted_while_a_commit_reads_it_goes_after_it(tmp_path: Path) -> None:
    async def then(bench: Bench, committer: Committer) -> None:
        bench.tree.freezing += 1
        bench.remove("big")
        assert not bench.tree.discarded
        bench.tree.freezing -= 1
        bench.tree.release_orphans()
        assert len(bench.tree.discarded) == 1

    await _full(tmp_path, then)


async def test_nothing_to_give_back_is_no_space_again(tmp_path: Path) -> None:
    async def then(bench: Bench, committer: Committer) -> None:
        with pytest.raises(NoSpace):
            await _commit(bench, committer)
        assert len(bench.read(bench.walk("big"))) == BIG_BYTES

    await _full(tmp_path, then)
