"""Who makes a request, brought to the recorder: the six rules of capture are kept here.

A request of a process image that is known costs a drain of the connector and a look-up, and no await.  An
unknown one is described first, in a thread, while its caller is blocked in our request and so can't vanish;
after a second it goes on undescribed, marked partial.  What follows (recording, freezing, the reply) has no
await in between.  The loop never reads /proc; the daemon's own requests are not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable

import structlog
import trio

from pfs.lineage.describe import RawDescription
from pfs.lineage.facts import NOBODY, Activity, ChangeKind, Ending, Flag
from pfs.lineage.live import Actor, Grip
from pfs.lineage.processes import Image, Processes
from pfs.lineage.recorder import Recorder
from pfs.overlay.node import Node
from pfs.overlay.tree import CommitTree
from pfs.overlay.worktree import WorkingTree
from pfs.vfs.live_files import LiveFiles, path_of

DESCRIBE_THREADS = 4
DESCRIBE_SECONDS_MAX = 1.0  # from when a thread takes it up
SIBLINGS_MAX = 64  # of a pipeline, looked at for the other end of a pipe

_log = structlog.get_logger("capture")


class Capture:
    """Turns thread ids into actors.  Owned by the event loop."""

    def __init__(
        self,
        processes: Processes,
        recorder: Recorder,
        files: LiveFiles,
        describe: Callable[[Image, RawDescription | None, Actor | None], Activity],
        own_threads: set[int],
    ) -> None:
        self.recorder = recorder
        self.processes = processes
        self.files = files
        self._describe = describe
        self._own_threads = own_threads
        self._own_pid = os.getpid()
        self._readers = trio.CapacityLimiter(DESCRIBE_THREADS)
        self._threads = trio.CapacityLimiter(10_000)
        processes.on_exit = self._exited
        processes.on_exec = self._execed

    # who

    def is_own(self, tid: int) -> bool:
        """Whether the daemon itself asks."""
        return tid in self._own_threads or tid == self._own_pid

    def find(self, tid: int) -> Actor | None:
        """The actor of a thread whose process image is known; None where it has to be described first."""
        self.processes.drain()
        image = self.processes.find(tid)
        if image is None:
            return None
        actor: Actor | None = image.actor
        return actor if actor is not None else self._begin(image)

    async def actor(self, tid: int) -> Actor | None:
        """`find`, and where that is not enough a description; None for the daemon itself."""
        if self.is_own(tid):
            return None
        found = self.find(tid)
        return found if found is not None else await self._look(tid)

    async def _look(self, tid: int) -> Actor:
        raw: RawDescription | None = None
        async with self._readers:
            with trio.move_on_after(DESCRIBE_SECONDS_MAX):
                raw = await trio.to_thread.run_sync(
                    self.processes.read, tid, limiter=self._threads, abandon_on_cancel=True
                )
        self.processes.drain()
        image = self.processes.adopt(tid, raw)
        actor: Actor | None = image.actor
        if actor is None:
            actor = self._begin(image)
            await self._find_pipe_ends(image)
        return actor

    def _begin(self, image: Image) -> Actor:
        """Let a process image act: it carries what it was forked with, or what was open across its exec."""
        before = image.parent
        parent: Actor | None = before.actor if before is not None else None
        activity = self._describe(image, image.description, parent)
        actor = self.recorder.begin(activity, parent, forked=image.forked_from is not None)
        image.actor = actor
        if image.description is not None:
            self._inherit(actor, parent, image.description)
            self._connect(image, actor)
        return actor

    def _inherit(self, actor: Actor, parent: Actor | None, raw: RawDescription) -> None:
        """Files of the mount that were open before the exec are inputs of the new image."""
        prefix = self._mount_prefix
        shown = {target for _, target, _ in raw.fds if target.startswith(prefix)}
        while shown and parent is not None:
            for grip in parent.grips:
                if self._shown_path(grip) in shown:
                    self.recorder.inherit(grip, actor)
            parent = parent.parent

    # pipes

    def _connect(self, image: Image, actor: Actor) -> None:
        """Join an image to those at the other ends of its pipes."""
        assert image.description is not None
        for _, target, flags in image.description.fds:
            inode = _pipe_inode(target)
            if not inode:
                continue
            writers, readers = self.processes.by_pipe(inode)
            if flags & os.O_ACCMODE != os.O_WRONLY:
                for other in writers:
                    if other is not image and other.actor is not None:
                        self.recorder.connect(other.actor, actor)
            if flags & os.O_ACCMODE != os.O_RDONLY:
                for other in readers:
                    if other is not image and other.actor is not None:
                        self.recorder.connect(actor, other.actor)

    # endings

    def _exited(self, image: Image, ending: Ending) -> None:
        if image.actor is not None:
            self.recorder.end(image.actor, ending)
