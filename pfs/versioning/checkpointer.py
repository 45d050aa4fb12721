"""Checkpoints by themselves: when a branch is quiet, and every few minutes when it is not.

A branch is quiet when nothing changed for QUIET_NS and no file is open for
writing.  A failed checkpoint changes nothing and is tried again later.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from pfs.errors import PfsError
from pfs.objects.commit import CommitKind
from pfs.overlay.branches import Branches
from pfs.overlay.worktree import WorkingTree
from pfs.repo.repositories import Repositories
from pfs.versioning.committer import Committer, Message

QUIET_NS = 2_000_000_000
CONSTANT_CHANGE_NS = 300_000_000_000
LOOK_SECONDS = 0.5
RETRY_NS = 30_000_000_000  # after a failure, such as a full disk

_log = structlog.get_logger("checkpoint")


class Checkpointer:
    """Decides when; the committer does it.  One task of the daemon."""

    def __init__(
        self,
        repositories: Repositories,
        branches: Branches,
        committer: Committer,
        now_ns: Callable[[], int],
        message: Message,
    ) -> None:
        self._repositories = repositories
        self._branches = branches
        self._committer = committer
        self._now_ns = now_ns
        self._message = message
        self._dirty_since: dict[int, int] = {}
        self._not_before: dict[int, int] = {}

    async def run(self) -> None:
        """Look at every open branch, for ever."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self.step()

    async def step(self) -> None:
        """Take the checkpoints that are due now."""
        now_ns = self._now_ns()
        for tree in self._branches.opened():
            failed = tree.branch_id in self._not_before  # what it sealed is still to be stored
            if (tree.generation.dirty or failed) and self._is_due(tree, now_ns):
                await self._take(tree, now_ns)

    def _is_due(self, tree: WorkingTree, now_ns: int) -> bool:
        since_ns = self._dirty_since.setdefault(tree.branch_id, tree.changed_ns)
        if now_ns < self._not_before.get(tree.branch_id, 0):
            return False
        quiet = tree.writers == 0 and now_ns - tree.changed_ns >= QUIET_NS
        return quiet or tree.is_deep or now_ns - since_ns >= CONSTANT_CHANGE_NS

    async def _take(self, tree: WorkingTree, now_ns: int) -> None:
        self._dirty_since.pop(tree.branch_id, None)
        for repo in self._repositories.list():
            for branch in repo.branches():
                if branch.branch_id == tree.branch_id:
                    try:
                        await self._committer.commit(repo, branch, CommitKind.CHECKPOINT, self._message)
                    except (PfsError, OSError) as error:
                        _log.warning(
                            "checkpoint failed", repo=repo.name, branch=branch.name, error=str(error)
                        )
                        self._not_before[tree.branch_id] = now_ns + RETRY_NS
                    else:
                        self._not_before.pop(tree.branch_id, None)
                    return
