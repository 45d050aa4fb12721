"""Who makes a request, brought to the recorder: the six rules of capture are kept here.

A request of a process image that is known costs a drain of the connector and a look-up, and no await.  An
unknown one is described first, in a thread, while its caller is blocked in our request and so can't vanish;
after a second it goes on undescribed, marked partial.  What follows (recording, freezing, the reply) has no
await in between.  The loop never reads /proc; the daemon's own requests are not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
import trio

from pfs.lineage.facts import Activity, ChangeKind, Ending, Flag, Level
from pfs.lineage.live.state import Actor, Grip
from pfs.lineage.outside.watch import OutsideWatch
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.table import Processes
from pfs.lineage.recording.recorder import Recorder
from pfs.objects.entry import FileType
from pfs.overlay.attributes import Change
from pfs.overlay.node import Node, path_of
from pfs.overlay.tree import CommitTree, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.vfs.live_files import LiveFiles
from pfs.vfs.mapped import MappedFlush
from pfs.vfs.pipes import Pipes
from pfs.vfs.proc_readers import ProcReaders

SETTLE_SECONDS = 5.0  # between two looks at processes whose end may have been missed
EXECUTED_MAX = 1_000  # stages of pipelines waiting to be described
NEVER_ASKED = "it never asked for anything and was not looked at in time"
NOT_LOOKED_AT = "it could not be looked at"
FMODE_EXEC = 0x20  # in the flags of an OPEN that executes the file

_log = structlog.get_logger("capture")


class Capture:
    """Turns thread ids into actors, and requests into facts.  Owned by the event loop."""

    def __init__(
        self,
        processes: Processes,
        recorder: Recorder,
        files: LiveFiles,
        describe: Callable[[Image, Actor | None], tuple[Activity, bool]],
        mount_point: bytes,
        own_threads: set[int],
        shown_name: Callable[[Tree], bytes],
    ) -> None:
        self.recorder = recorder
        self.processes = processes
        self.files = files
        self.mapped: MappedFlush | None = None
        self.outside: OutsideWatch | None = None  # where files beyond the mount are recorded
        self.knows_callers = False  # whether READ and WRITE say who makes them
        self._describe = describe
        self._prefix = mount_point
        self._below = mount_point.rstrip(b"/") + b"/"
        self._own_threads = own_threads
        self._shown_name = shown_name
        self._pipes = Pipes(processes, self._read, self.drain)
        self._stages: list[Image] = []  # what processes with pipes have gone on to run
        self._over: list[Image] = []  # who has ended since: they may have read what those wrote
        self._to_describe, self._executed = trio.open_memory_channel[int](EXECUTED_MAX)
        self._readers = ProcReaders()
        self._across: dict[Image, list[Grip]] = {}  # handles that were open when an image began by exec
        self._mappable: dict[Node, list[Actor]] = {}  # who may store to a file through a mapping
        # those that ran when the last daemon ended: one that goes on still knows what it knew
        self._left = {_process_of(actor): actor for actor in recorder.actors()}
        processes.tasks.on_exit = self._exited
        processes.tasks.on_exec = self._execed
        processes.tasks.on_fork = self._forked

    # who

    def drain(self) -> None:
        """Take what the kernel has told of processes, and of what they did beyond the mount."""
        if self.outside is None:
            self.processes.drain()
        else:
            self.outside.drain()
        while self._stages:
            self._pass_on(self._stages[0])
            del self._stages[0]  # not before: meanwhile nobody ends
        while self._over:
            self._end(self._over.pop(0))

    def _pass_on(self, image: Image) -> None:
        """A process with pipes has gone on to another program: that one talks through them from now on.

        It may never ask us anything, and be gone before its command line is read.
        """
        if not image.is_adopted and self.processes.adopt(image.pid, None, NEVER_ASKED) is not image:
            return
        self.actor_of(image)
        if image.description is None:
            with suppress(trio.WouldBlock):
                self._to_describe.send_nowait(image.pid)

    def _follow(self, image: Image) -> None:
        """Its pipes are known late: it may have gone on to another program before that."""
        process = self.processes.tasks.group(image.pid)
        now = None if process is None else process.image
        if now is not None and now is not image and now.parent is image and self._pipes.holds(image):
            self._stages.append(now)

    def known(self, tid: int) -> Actor | None:
        """The actor of a thread whose image surely has one; None where only `actor` can tell."""
        self.drain()
        image = self.processes.acting(tid)
        if image is None or image.reason == NEVER_ASKED:
            return None
        actor: Actor | None = image.actor
        return actor

    def find(self, tid: int) -> Actor | None:
        """The actor of a thread whose image is surely known; None where it has to be looked at first."""
        self.drain()
        image = self.processes.find(tid)
        return None if image is None or image.is_own else self.actor_of(image)

    async def actor(self, tid: int) -> Actor | None:
        """`find`, and where that is not enough a look at /proc; None for the daemon itself."""
        if tid in self._own_threads:
            return None
        self.drain()
        image = self.processes.find(tid)
        if image is None:
            image = await self._look(tid)
        elif image.reason == NEVER_ASKED:
            image.reason = NOT_LOOKED_AT
            await self.describe_late(image.pid)
        return None if image.is_own else self.actor_of(image)

    async def _look(self, tid: int) -> Image:
        """Whose thread it is, found in /proc while it waits for us."""
        processes = self.processes
        if processes.needs_look(tid):
            look = await self._readers.ask(processes.look, tid)
            image = None if look is None else processes.find(tid, look)
            if image is not None:
                return image
        raw = await self._readers.ask(processes.read, tid)
        image = processes.adopt(tid, raw)
        if image.actor is None and not image.is_own and raw is not None:
            self._pipes.note(image, raw)
            for source, sink in await self._pipes.trace(image):
                actors = self.actor_of(source), self.actor_of(sink)
                self.recorder.connect(*actors, level=self._level(source))
                self._follow(source)
                self._follow(sink)
        return image

    async def _read(self, pid: int) -> RawDescription | None:
        return await self._readers.ask(self.processes.read, pid)

    def actor_of(self, image: Image) -> Actor:
        """The actor of an image that was adopted; it begins now if it has not yet."""
        known: Actor | None = image.actor
        return known if known is not None else self._begin(image)

    def _begin(self, image: Image) -> Actor:
        """Let a process image act: it carries what it was forked with, or what was open across its exec."""
        above = _above(image)
        parent: Actor | None = None if above is None else above.actor
        forked = above is not None and image.shares_memory_of(above)
        if parent is None and not image.execs:
            parent = self._left.get((image.key.boot_id, image.pid, image.key.start_ticks))
            forked = forked or parent is not None
        activity, pins = self._describe(image, parent)
        upto: int | None = image.inherited
        actor = self.recorder.begin(activity, parent, forked=forked, upto=upto, pins=pins)
        image.actor = actor
        raw = image.description
        if raw is not None and not forked:
            self._inherit(actor, parent, raw)
        for grip in self._across.pop(image, ()):
            if grip in grip.file.grips:  # it is still open
                self.recorder.inherit(grip, actor)
        if raw is not None and not forked and parent is not None and raw.has_closed_input:
            for grip in parent.seen_through:
                self.recorder.guess(grip, actor)
        self._connect(image, actor)
        if self.outside is not None:
            self.outside.began(image, actor)
        if image.ended is not None:  # while it was described: nobody will say so again
            self.recorder.end(actor, image.ended)
        return actor

    def _inherit(self, actor: Actor, parent: Actor | None, raw: RawDescription) -> None:
        """Files of the mount that were open before the exec are inputs of the new image."""
        inside = [target for _, target, _ in raw.fds if target.startswith(self._below)]
        if not inside:
            return
        older: set[Actor] = set()
        grips: dict[bytes, dict[Grip, None]] = {}
        while parent is not None and parent not in older:
            older.add(parent)
            for grip in parent.seen_through:
                grips.setdefault(self._shown_path(grip), {})[grip] = None
            parent = parent.parent
        for target in inside:
            for grip in grips.get(target, ()):
                self.recorder.inherit(grip, actor)

    def _connect(self, image: Image, actor: Actor) -> None:
        """Join an image to those at the other ends of its pipes."""
        sources, sinks = self._pipes.peers(image)
        for other in sources:
            self.recorder.connect(self.actor_of(other), actor, level=self._level(other))
        for other in sinks:
            self.recorder.connect(actor, self.actor_of(other), level=self._level(image))

    def _level(self, source: Image) -> Level:
        return Level.INFERRED if self._pipes.is_guess(source) else Level.OBSERVED

    def background_tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs beside the requests."""
        return [self._describe_executed, self._settle]

    def close(self) -> None:
        """Let go of the threads."""
        self._readers.close()

    async def _describe_executed(self) -> None:
        """Read the command lines of stages that may never ask us anything, as long as they are there."""
        async with self._executed:
            async for pid in self._executed:
                await self.describe_late(pid)

    async def describe_late(self, pid: int) -> bool:
        """Read what one runs that may never ask us anything: one in a pipeline, or recorded all the same.

        False where it has gone or gone on meanwhile.
        """
        self.drain()
        image = self.processes.find(pid)
        raw = None if image is None else image.description
        if image is not None and image.actor is not None and raw is not None:
            return True  # by a request of its own, or for the sake of a relative
        if raw is None:
            raw = await self._read(pid)
            image = None if raw is None else self.processes.describe(pid, raw)
        if image is None or raw is None:
            return False
        known: Actor | None = image.actor
        if known is None and image.forked_from is not None:
            return False  # about to exec: what it holds is its parent's
        self._pipes.note(image, raw)
        self._follow(image)
        if known is not None and raw.exe and image.reason in (NEVER_ASKED, NOT_LOOKED_AT):  # no zombie
            image.reason = ""
            above = _above(image)
            activity, known.pins = self._describe(image, None if above is None else above.actor)
            self.recorder.describe(known, activity)
        writes = self.outside is not None and self.outside.writes_outside(image)
        if known is not None or writes or self._pipes.holds(image):
            self._connect(image, self.actor_of(image))
        return True

    # endings

    async def _settle(self) -> None:
        """Find the ends that nobody tells: without a connector, or after it told more than we took."""
        for (_, pid, ticks), actor in list(self._left.items()):
            look = await self._readers.ask(self.processes.look, pid)
            if look is None or look.start_ticks != ticks:
                self.recorder.end(actor, Ending(actor.activity.started_ns))
        while True:
            await trio.sleep(SETTLE_SECONDS)
            for pid in self.processes.unsure():
                self.processes.settle(pid, await self._readers.ask(self.processes.look, pid))

    def _forked(self, parent: Image, child: Image) -> None:
        """A child shares its parent's memory until it execs: it knows what the parent knew then."""
        actor: Actor | None = parent.actor
        child.inherited = self.recorder.forked(actor) if actor is not None else parent.inherited

    def _execed(self, old: Image, new: Image) -> None:
        if self._pipes.holds(old):
            self._stages.append(new)
        actor: Actor | None = old.actor
        if actor is not None:
            across = [grip for grip in actor.seen_through if grip.actor is actor and not grip.ends_by_exec]
            if across:
                self._across[new] = across
                new.inherited = 0  # so that its end is told
            self.recorder.end(actor, Ending(new.started_ns), by_exec=True)

    def _exited(self, image: Image) -> None:
        if self._stages:
            self._over.append(image)
        else:
            self._end(image)

    def _end(self, image: Image) -> None:
        self._across.pop(image, None)
        actor: Actor | None = image.actor
        if actor is not None:
            self.recorder.end(actor, image.ended or Ending(0))

    # what is done

    def opens_at_once(self, tid: int, node: Node) -> Actor | None:
        """Who opens a file, where nothing has to be waited for; None where `opening` is to tell."""
        return None if node in self._mappable else self.known(tid)

    async def opening(self, tid: int, node: Node) -> Actor | None:
        """Who opens a file; stores through mappings that it must not miss are fetched first."""
        actor = await self.actor(tid)
        if actor is not None and self.mapped is not None and isinstance(node.tree, WorkingTree):
            holders = self._mappable.get(node)
            if holders is not None and any(other is not actor for other in holders):
                await self.mapped.flush_node(node.tree, node)
        return actor

    def opened(self, actor: Actor, node: Node, flags: int) -> Grip | None:
        """A file is open; truncation was told before."""
        executes = bool(flags & FMODE_EXEC)
        access = flags & os.O_ACCMODE
        tree = node.tree
        if isinstance(tree, CommitTree):
            self.recorder.open_seen(actor, self.files.seen(node), executes=executes)
            return None
        assert isinstance(tree, WorkingTree)
        grip = self.recorder.open(
            actor,
            self.files.place(node),
            tree.generation.number,
            reads=access != os.O_WRONLY,
            writes=access != os.O_RDONLY,
            truncates=bool(flags & os.O_TRUNC),
            executes=executes,
            ends_by_exec=bool(flags & os.O_CLOEXEC),
        )
        if access == os.O_RDWR:
            self._mappable.setdefault(node, []).append(actor)
        return grip

    def created(self, actor: Actor, node: Node, flags: int) -> Grip:
        """A file was made and is open."""
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        access = flags & os.O_ACCMODE
        grip = self.recorder.create(
            actor,
            self.files.place(node),
            path_of(node),
            tree.generation.number,
            reads=access != os.O_WRONLY,
            writes=access != os.O_RDONLY,
            ends_by_exec=bool(flags & os.O_CLOEXEC),
        )
        if access == os.O_RDWR:
            self._mappable.setdefault(node, []).append(actor)
        return grip

    def _shown_path(self, grip: Grip) -> bytes:
        """The path that /proc shows for an open handle; b"" where it shows none."""
        node = self.files.node(grip.place)
        if node is None:
            return b""
        assert isinstance(node.tree, Tree)
        return b"/".join([self._prefix, self._shown_name(node.tree), path_of(node)])

    def is_news(self, grip: Grip) -> bool:
        """Whether a READ has to be recorded: somebody has changed the file since."""
        reader = grip.reader
        return grip.seen != grip.file.stamp or reader is None

    async def reading(self, grip: Grip, tid: int) -> None:
        """A READ that saw something new."""
        actor = await self.actor(tid) if tid else grip.actor
        if actor is not None:
            self.recorder.read(grip, actor)

    def writing(self, grip: Grip, actor: Actor | None, node: Node, offset: int) -> None:
        """Before bytes change.  No actor: the kernel does not say whose (stores through a mapping)."""
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        generation, size = tree.generation.number, tree.content(node).size
        if actor is not None:
            self.recorder.write(grip, actor, generation, offset, size)
        elif self.knows_callers:
            self.recorder.mapped(grip.place, generation)
        else:
            self.recorder.write(grip, grip.actor, generation, offset, size, Flag.OPENER)

    def truncating(self, actor: Actor, node: Node, size: int) -> None:
        """Before a size is set."""
        tree = node.tree
        assert isinstance(tree, WorkingTree)
        before = tree.content(node).size
        self.recorder.truncate(actor, self.files.place(node), tree.generation.number, size, before)

    def closed(self, grip: Grip, node: Node) -> None:
        """A handle is released."""
        if grip.reads and grip.writes:
            holders = self._mappable[node]
            holders.remove(grip.actor)
            if not holders:
                del self._mappable[node]
        self.recorder.close(grip)

    # names

    def made(self, actor: Actor, node: Node, kind: FileType) -> None:
        """Something has got its first name."""
        change = ChangeKind.MAKE_DIRECTORY if kind == FileType.DIRECTORY else ChangeKind.CREATE
        self.recorder.change(actor, change, self.files.place(node), path_of(node))

    def removed(self, actor: Actor, node: Node, path: bytes, *, directory: bool) -> None:
        """A name is gone."""
        change = ChangeKind.REMOVE_DIRECTORY if directory else ChangeKind.REMOVE
        self.recorder.change(actor, change, self.files.place(node), path)

    def renamed(
        self, actor: Actor, node: Node, path: bytes, to_path: bytes, replaced: Node | None, *, exchange: bool
    ) -> None:
        """A name leads elsewhere; with `exchange` both have changed places."""
        gone = self.files.place(replaced) if replaced is not None and not exchange else None
        self.recorder.change(actor, ChangeKind.RENAME, self.files.place(node), path, to_path, gone)
        if exchange and replaced is not None:
            self.recorder.change(actor, ChangeKind.RENAME, self.files.place(replaced), to_path, path)

    def note(self, tid: int, kind: ChangeKind, node: Node, path: bytes, to_path: bytes = b"") -> None:
        """Something that may not wait for a description has happened to a name."""
        if tid not in self._own_threads and isinstance(node.tree, WorkingTree):
            self.recorder.change(self.find(tid), kind, self.files.place(node), path, to_path)

    def note_attributes(self, tid: int, node: Node, change: Change) -> None:
        """chmod, chown; times that programs set are no event."""
        if change.mode is not None:
            self.note(tid, ChangeKind.CHMOD, node, path_of(node))
        if change.uid is not None or change.gid is not None:
            self.note(tid, ChangeKind.CHOWN, node, path_of(node))


def _process_of(actor: Actor) -> tuple[bytes, int, int]:
    key = actor.activity.key
    return key.boot_id, key.pid, key.start_ticks


def _above(image: Image) -> Image | None:
    """The nearest image that acted, of those that it came from."""
    above = image.parent
    while above is not None and above.actor is None:
        above = above.parent
    return above
