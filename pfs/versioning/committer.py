"""Commits and checkpoints of live branches: freeze, build, record, absorb.

Order: stores through mmap are flushed through the mount → the generation is
sealed with no await in between (the instant of the commit) → in threads: files
are cut, trees built, the commit put, then `Repo.record_commit`, the only commit
point → the loop absorbs the generation in slices and the journal behind it is
removed.  A crash before the commit point leaves orphan objects and the journal,
which is replayed; after it, journal files that the branch record covers.
Freezes of one branch run in order; writers go on meanwhile.
"""

from __future__ import annotations

import errno
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import structlog
import trio

from pfs.disk import Disk
from pfs.errors import NoSpace
from pfs.objects.commit import Author, Commit, CommitKind, encode_commit
from pfs.objects.entry import Entry
from pfs.objects.ids import Kind
from pfs.overlay.absorb import absorb
from pfs.overlay.branches import Branches
from pfs.overlay.content import Layer
from pfs.overlay.cutter import CutProgress, Cutter
from pfs.overlay.freeze import Freezer, Frozen, Origins
from pfs.overlay.node import Generation
from pfs.overlay.tree import Readers
from pfs.overlay.worktree import WorkingTree
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo

if TYPE_CHECKING:  # a daemon that records nothing does without
    from pfs.versioning.sealer import Sealer, Sealing

REMOVAL_SECONDS_MAX = 3.0  # that the end of the daemon waits for working files to go

_log = structlog.get_logger("commit")


@dataclass(frozen=True, slots=True)
class Message:
    """What a person says of a commit."""

    author: Author
    text: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class Committer:
    """Makes commits of working trees.  Owned by the daemon; called from the event loop."""

    def __init__(
        self,
        readers: Readers,
        disk: Disk,
        branches: Branches,
        now_ns: Callable[[], int],
        workers: int,
    ) -> None:
        self._readers = readers
        self._disk = disk
        self._branches = branches
        self._now_ns = now_ns
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="cut")
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="remove")
        self._is_ending = False
        self._on_loop = functools.partial(
            trio.from_thread.run_sync, trio_token=trio.lowlevel.current_trio_token()
        )
        self._locks: defaultdict[int, trio.Lock] = defaultdict(trio.Lock)
        self.flush_mapped: Callable[[WorkingTree], Awaitable[None]] | None = None
        self.sealer: Sealer | None = None  # None: lineage is not recorded
        self.make_room: Callable[[WorkingTree], Awaitable[None]] | None = None  # on a full disk

    async def commit(
        self, repo: Repo, branch: BranchRecord, kind: CommitKind, message: Message
    ) -> bytes | None:
        """Commit a branch as it is now; the commit's id, or None where nothing had changed.

        Raises PfsError, OSError; then everything uncommitted is still there.
        """
        tree = self._branches.open(repo, branch)
        tree.freezing += 1
        try:
            try:
                return await self._commit(repo, tree, kind, message)
            except (NoSpace, OSError) as error:
                if error.errno != errno.ENOSPC or self.make_room is None:
                    raise
            await self.make_room(tree)
            return await self._commit(repo, tree, kind, message)
        finally:
            tree.freezing -= 1
            if not tree.freezing:
                tree.release_orphans()

    async def _commit(
        self, repo: Repo, tree: WorkingTree, kind: CommitKind, message: Message
    ) -> bytes | None:
        if self.flush_mapped is not None:
            await self.flush_mapped(tree)
        time_ns = self._now_ns()
        if tree.generation.dirty:
            tree.freeze()
        before = tree.generation.number
        async with self._locks[tree.branch_id]:
            return await self._finish(repo, tree, kind, message, time_ns, before)

    async def _finish(
        self, repo: Repo, tree: WorkingTree, kind: CommitKind, message: Message, time_ns: int, before: int
    ) -> bytes | None:
        """Turn what was sealed before generation `before` into a commit; the branch's turn has come."""
        sealed = [generation for generation in tree.sealed if generation.number < before]
        branch = repo.branch_by_id(tree.branch_id)
        frozen = Frozen(tree.root_entry, tree.links)
        sealing: Sealing | None = None
        if sealed:
            whole = merged(sealed)
            if self.sealer is not None:
                # from the last durable one on: a daemon that was killed has left others
                numbers = range(branch.journal_generation + 1, sealed[-1].number + 1)
                sealing = self.sealer.begin(tree, whole, list(numbers), _unexpired(repo, branch))
            frozen = await trio.to_thread.run_sync(self._freeze, tree, whole, sealing)
        based = _same(frozen, tree.root_entry, tree.links)
        committed = based
        if kind != CommitKind.CHECKPOINT:
            head = repo.commits.read(branch.head)
            committed = _same(frozen, head.root, head.links)
        if committed and based:
            if sealed:
                await trio.to_thread.run_sync(repo.record_generation, tree.branch_id, sealed[-1].number)
                await self._absorb(tree, sealed, frozen, None)
            return None
        commit = Commit(
            kind=int(CommitKind.CHECKPOINT if committed else kind),
            root=frozen.root,
            links=frozen.links,
            parents=(branch.head,),
            branch=branch.name,
            time_ns=time_ns,
            author=message.author,
            message="" if committed else message.text,
            labels=() if committed else message.labels,
            lineage=_newest(repo, branch, sealing),
            next_file_id=self._branches.next_file_id(),
        )
        generation = sealed[-1].number if sealed else branch.journal_generation
        commit_id = await trio.to_thread.run_sync(self._record, repo, tree.branch_id, commit, generation)
        await self._absorb(tree, sealed, frozen, sealing)
        return None if committed else commit_id

    def _freeze(self, tree: WorkingTree, sealed: Generation, sealing: Sealing | None) -> Frozen:
        readers, disk = self._readers, self._disk
        progress = CutProgress(tree, self._on_loop)
        cutter = Cutter(readers, disk, tree.working, progress)
        origins: Origins = dict
        if sealing is not None:
            sealing.cut_kept(Cutter(readers, disk, tree.working, None))
            origins = sealing.write
        freezer = Freezer(readers, cutter, sealed, tree.root_entry, tree.links, self._executor, origins)
        return freezer.run()

    def _record(self, repo: Repo, branch_id: int, commit: Commit, generation: int) -> bytes:
        commit_id = self._readers.store.put(Kind.COMMIT, encode_commit(commit))
        repo.record_commit(branch_id, commit_id, journal_generation=generation)
        return commit_id

    async def _absorb(
        self, tree: WorkingTree, sealed: list[Generation], frozen: Frozen, sealing: Sealing | None
    ) -> None:
        """Make what is committed the base, a slice at a time; nobody waits for its working files to go."""
        if sealed:
            for _ in absorb(tree, sealed, frozen):
                await trio.lowlevel.checkpoint()
            for _ in sealing.finish() if sealing is not None else ():
                await trio.lowlevel.checkpoint()
            self._remover.submit(self._remove, tree, frozen.layers)

    def _remove(self, tree: WorkingTree, layers: list[Layer]) -> None:
        """Remove working files, in a thread; at the end of the daemon the rest is left to the next start."""
        paths = (tree.working.path(layers.pop()) for _ in range(len(layers)))
        try:
            tree.working.unlink(takewhile(lambda _: not self._is_ending, paths))
        except OSError as error:
            _log.warning("working files stay", branch=tree.branch_id, error=str(error))

    def close(self) -> None:
        """End the worker threads; working files may take a while to go, but not for ever."""
        self._executor.shutdown()
        wait([self._remover.submit(int)], REMOVAL_SECONDS_MAX)  # it comes last
        self._is_ending = True
        self._remover.shutdown()


def merged(sealed: list[Generation]) -> Generation:
    """Several sealed generations as one: the later states stand on the earlier ones."""
    if len(sealed) == 1:
        return sealed[0]
    result = Generation(sealed[-1].number)
    for generation in sealed:
        result.dirty.update(generation.dirty)
        result.located.update(generation.located)
    return result


def _same(frozen: Frozen, root: Entry, links: bytes) -> bool:
    return frozen.links == links and frozen.root.same_version(root)


def _newest(repo: Repo, branch: BranchRecord, sealing: Sealing | None) -> tuple[bytes, ...]:
    """The segments through which all that are new since the head are found."""
    if sealing is not None and sealing.segments:
        return tuple(sealing.segments)  # they lead to those of checkpoints
    return _unexpired(repo, branch)


def _unexpired(repo: Repo, branch: BranchRecord) -> tuple[bytes, ...]:
    """The newest segments of the checkpoints since the head; checkpoints expire."""
    return () if branch.base == branch.head else repo.commits.read(branch.base).lineage
