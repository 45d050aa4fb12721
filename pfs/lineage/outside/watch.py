"""What processes do with files beyond the mount, as the kernel tells it, brought to the recorder.

Events name processes by pid and come in order, but for those of one process about one file, which are merged
into the first.  One that says "opened and closed after writing" may mean any time until it is taken: the
write counts before the next process opens the file, or last.  Whoever opens a file that was changed just now
may read or write it, which is known when it is closed.
What processes do that are not recorded is kept a while, for when they act; one that reads what a recorded one
wrote is recorded from then on, though it may never ask us anything: `as` between `cc1` and `ld`.
Leaves to others which files count and what is mounted.  Owned by the event loop; never blocks.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from pfs.lineage.facts import Level
from pfs.lineage.live.state import Actor
from pfs.lineage.outside.done import Done, Fact, FileKey
from pfs.lineage.outside.rules import is_hidden
from pfs.lineage.outside.told import EXECUTED, OPENED, READ, WROTE, Event, Exits, Facts, Source, Written
from pfs.lineage.outside.who import OutsideWho, is_fork
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.table import Processes
from pfs.lineage.processes.tasks import Process

EVENTS_MAX: Final = 1 << 16  # taken at once: the loop waits 10 us for each
WRITTEN_MAX: Final = 10_000  # files that were written lately
PARENTS_MAX: Final = 4_096  # of those that act
READS_MAX: Final = 4_096  # of one image that acts; a scan of everything says nothing
TOO_MANY: Final = f"it read more than {READS_MAX} files beyond the mount"
CLOCK_NS: Final = 10_000_000  # a file may seem changed this much earlier than it was: a tick
LOADER: Final = re.compile(rb"/ld(?:-[^/]*)?\.so[^/]*\Z")
STANDARD_ERROR: Final = 2


class OutsideWatch:
    """Hears, keeps and hands over.  `source` None: only what descriptions name is handed over."""

    def __init__(
        self,
        source: Source | None,
        processes: Processes,
        facts: Facts,
        leave_out: Callable[[bytes], bool],
        now_ns: Callable[[], int],
        exits: Exits | None = None,
        is_quiet: Callable[[], bool] = lambda: False,
    ) -> None:
        """exits: the connector of `processes`, where there is one.  is_quiet: nothing is queued anywhere."""
        self.overflows = 0
        self.failures = 0  # writes that could not be recorded
        self.wrote: Callable[[], None] | None = None  # a write counts: readers may follow who never ask us
        self.promote: Callable[[Image], Actor | None] | None = None  # have one recorded that never asked
        self.describe: Callable[[int], None] | None = None  # have a process looked at soon
        self.learned: Callable[[Fact], None] | None = None  # a file was read: its content counts
        self._source = source
        self._processes = processes
        self._facts = facts
        self._leave_out = leave_out
        self._now_ns = now_ns
        self._exits = exits
        self._is_quiet = is_quiet
        self._before_ns = now_ns()  # what is queued now was not, then
        self._who = OutsideWho(processes)
        self._written: OrderedDict[FileKey, Written] = OrderedDict()
        self._parents: OrderedDict[int, Process] = OrderedDict()  # of those that act
        self._holders: OrderedDict[bytes, dict[Image, None]] = OrderedDict()  # who was given a path to write
        # of the events at hand:
        self._late: dict[FileKey, Event] = {}  # writes that came with their opening
        self._openers: dict[FileKey, list[int]] = {}
        self._again: dict[tuple[int, FileKey], None] = {}  # opened before another's write, or after

    def drain(self) -> None:
        """Take what the kernel has told of processes and files since the last time."""
        processes, exits = self._processes, self._exits
        now_ns = self._now_ns()
        if (exits is None or exits.is_settled) and self._is_quiet():
            self._before_ns = now_ns
            return
        processes.drain()
        if self._source is None:
            return
        now_ns = self._now_ns()
        waiting = 0 if exits is None else exits.waiting()
        events, overflowed = self._source.drain(EVENTS_MAX)
        if events:
            self._take(events)
        if exits is not None and exits.forked:
            for pid in exits.forked if events else ():
                process = processes.tasks.group(pid)
                if process is not None:
                    self._fork_again(process.image)
            exits.forked.clear()
        self._before_ns = now_ns
        if overflowed:
            self.overflows += 1
        if exits is not None and waiting:
            exits.release(waiting)
            processes.drain()

    def began(self, image: Image, actor: Actor) -> None:
        """An image acts: it has what it did before, and what its memory had before it was forked."""
        raw = image.description
        if is_fork(image):
            for done, facts in self._who.forked_from(image):
                for fact in facts:
                    self._hand(actor, done, fact)
        elif raw is not None:
            self._was_given(image, raw, actor)
        self.writes_outside(image)
        mine = self._who.found(image)
        if mine is not None:
            self._has_done(mine, raw, actor)
        process = self._processes.tasks.group(image.pid)
        if process is not None and process.parent is not None:
            self._parents[process.parent.pid] = process.parent
            if len(self._parents) > PARENTS_MAX:
                self._parents.popitem(last=False)

    def _was_given(self, image: Image, raw: RawDescription, actor: Actor) -> None:
        """What its command line names, and its standard input."""
        for path, size, mtime_ns, is_open in raw.named:
            self._facts.outside_read(actor, path, size, mtime_ns, level=Level.ARGUMENT)
            if is_open:
                self._facts.outside_read(actor, path, size, mtime_ns)
        if raw.has_closed_input:
            for path, size, mtime_ns, *_ in self._who.left_open(image):
                if not self._leave_out(path) and not is_hidden(path):
                    self._facts.outside_read(actor, path, size, mtime_ns, level=Level.INFERRED)

    def _has_done(self, done: Done, raw: RawDescription | None, actor: Actor) -> None:
        """What it did before it acted."""
        if raw is None and done.program:
            self._facts.describe(actor, replace(actor.activity, exe=done.program))
        open_paths = None if raw is None else {target for _, target, _ in raw.fds}
        for fact in done.give(open_paths):
            known = self._written.get(fact.key)
            # else written over since
            if not fact.is_write or known is None or actor.activity.key.pid == known.pid:
                self._hand(actor, done, fact)

    def writes_outside(self, image: Image) -> bool:
        """Whether an image that is described was given a file beyond the mount to write to.

        Its parent may have opened that file and close it (dash does), but what is in it is the child's.
        """
        fds = () if image.description is None else image.description.fds
        paths = [
            target
            for number, target, flags in fds
            if number <= STANDARD_ERROR and target.startswith(b"/") and flags & os.O_ACCMODE != os.O_RDONLY
        ]
        found = [path for path in paths if not self._leave_out(path)]
        for path in found:
            self._holders.setdefault(path, {})[image] = None
            self._holders.move_to_end(path)
        while len(self._holders) > WRITTEN_MAX:
            self._holders.popitem(last=False)
        return bool(found)

    def sweep(self, is_alive: Callable[[int], bool]) -> None:
        """Forget who has ended, now and then.  `is_alive` is asked where nobody tells of exits."""
        self._who.sweep(is_alive)

    # events

    def _take(self, events: Sequence[Event]) -> None:
        late = self._late
        self._who.foresee(event[0] for event in events if event[1] & EXECUTED)
        for event in events:
            pid, bits, _, _, _, device, inode = event
            key = device, inode
            before = late.get(key)
            if before is not None and before[0] != pid:
                del late[key]
                self._wrote(before, key)
            if bits & EXECUTED:
                self._executed(event, key)
            if bits & (OPENED | READ):
                self._opened(event, key)
            if bits & WROTE and bits & OPENED:
                late[key] = event
            elif bits & WROTE:
                self._wrote(event, key)
        for key, event in list(late.items()):
            self._wrote(event, key)
        for pid, key in self._again:
            self._read_again(pid, key)
        for table in (late, self._openers, self._again):
            table.clear()

    def _executed(self, event: Event, key: FileKey) -> None:
        pid, _, path, size, mtime_ns, _, _ = event
        for written, late in list(self._late.items()):
            if late[0] == pid and not self._who.of(pid).is_fork:
                self._wrote(late, written)  # before this, or (once more) after it
        done = self._who.executes(pid)
        parent = None if done.process is None else done.process.parent
        if parent is not None and self._parents.get(parent.pid) is parent:
            self._look_at(pid, done)  # one beside it has acted
        if not LOADER.search(path):
            done.program = path
        if not self._leave_out(path):
            self._who.keep(done, self._fact(path, size, mtime_ns, key))

    def _opened(self, event: Event, key: FileKey) -> None:
        pid, bits, path, size, mtime_ns, _, _ = event
        done, actor = self._actor(pid)
        self._openers.setdefault(key, []).append(pid)
        if not bits & OPENED:
            if key in done.open:  # it was read when it was opened
                del done.open[key]
                return
        elif not bits & (READ | WROTE):
            if actor is None:
                self._look_at_stage(pid, done)
            if not size or self._changes_now(key, size, mtime_ns):
                return
            done.note_open(self._fact(path, size, mtime_ns, key))
        elif not bits & READ:
            return
        fact = self._fact(path, size, mtime_ns, key)
        if fact.size and (fact.is_recorded or not is_hidden(path)):
            done.last = fact
            self._read(done, actor, fact)

    def _changes_now(self, key: FileKey, size: int, mtime_ns: int) -> bool:
        """Whether somebody is writing a file who has not closed it: its opener, for all we know."""
        known = self._written.get(key)
        if known is not None and known.is_left(size, mtime_ns):
            return False
        return self._before_ns - CLOCK_NS <= mtime_ns <= self._now_ns() + CLOCK_NS

    def _fact(self, path: bytes, size: int, mtime_ns: int, key: FileKey) -> Fact:
        """Which version of a file was read.  One that changes while we look was the one before."""
        known = self._written.get(key)
        if known is not None and (
            known.is_left(size, mtime_ns) or mtime_ns >= max(self._before_ns - CLOCK_NS, known.mtime_ns)
        ):
            return Fact(known.path, known.size, known.mtime_ns, key, is_recorded=known.is_recorded)
        return Fact(path, size, mtime_ns, key)

    def _read(self, done: Done, actor: Actor | None, fact: Fact) -> None:
        if fact.is_recorded:
            done.note_recorded(fact)
            actor = actor or self._promoted(done)
        if actor is None or done.is_fork:
            self._who.keep(done, fact)
        if actor is not None:
            self._hand(actor, done, fact)

    def _wrote(self, event: Event, key: FileKey) -> None:
        pid, _, path, size, mtime_ns, _, _ = event
        done, actor = self._actor(pid)
        done.open.pop(key, None)
        if size and actor is None and done.image is not None and self._has_memory(done.image):
            actor = self._promoted(done)
        writers = self._writers(path, done, actor)
        if not size:
            self._written.pop(key, None)
            return
        is_new = self._is_new(key, size, mtime_ns, event[1])
        self._note_written(key, Written(path, size, mtime_ns, pid, bool(writers)))
        fact = Fact(path, size, mtime_ns, key, is_write=True, is_new=is_new)
        for writer in writers:
            self._hand(writer, done, fact)
            fact = fact._replace(is_new=False)
        if not writers:
            self._who.keep(done, fact)
        for other in self._openers.get(key, ()):
            if other != pid:
                self._again[other, key] = None

    def _writers(self, path: bytes, done: Done, actor: Actor | None) -> list[Actor]:
        """Whom what is closed now comes from: children that were given it, or else who closes it.

        Also children of which nobody knows what they were given; and who closes it, where it may have given a
        child something of the mount to read that was closed before the child was looked at.
        """
        given = [
            one for one in self._holders.pop(path, ()) if one is not done.image and one.actor is not None
        ]
        blind = [one for one in done.blind if one.description is None]
        done.blind = []
        if given and not any(map(self._reads_left_out, given)):
            return [one.actor for one in given]
        writers = [one.actor for one in given or blind]
        return writers if actor is None else [*writers, actor]

    def _reads_left_out(self, image: Image) -> bool:
        fds = () if image.description is None else image.description.fds
        paths = [target for number, target, _ in fds if number == 0 and target.startswith(b"/")]
        return any(self._leave_out(path) and not path.startswith(b"/dev/") for path in paths)

    def _note_written(self, key: FileKey, written: Written) -> None:
        self._written[key] = written
        self._written.move_to_end(key)
        if len(self._written) > WRITTEN_MAX:
            self._written.popitem(last=False)

    def _is_new(self, key: FileKey, size: int, mtime_ns: int, bits: int) -> bool:
        """Whether a file was emptied before it was written: `>`, not `>>`.

        Who opens one for writing and does not empty it counts as a reader, unless all is told at once.
        """
        before = self._written.get(key)
        if before is None or not bits & OPENED:
            return True
        return size <= before.size and not before.is_left(size, mtime_ns)

    def _read_again(self, pid: int, key: FileKey) -> None:
        """A process opened a file before it was written, and may have opened it after that, too."""
        done, actor = self._actor(pid)
        known = self._written.get(key)
        if actor is not None and known is not None:
            self._hand(actor, done, self._fact(known.path, known.size, known.mtime_ns, key))

    # who

    def _actor(self, pid: int) -> tuple[Done, Actor | None]:
        """Who did what is told just now, where that is somebody recorded."""
        done = self._who.who(pid)
        if done.image is None or done.image.is_own:
            return done, None
        actor: Actor | None = done.image.actor
        if actor is None and done.is_tainted:
            actor = self._promoted(done)
        return done, actor

    def _promoted(self, done: Done) -> Actor | None:
        """Have somebody recorded who never asked us; what it did before is handed over by that (`began`)."""
        image = done.image
        if self.promote is None or image is None or image.is_own:
            return None
        self._fork_again(image)
        actor = self.promote(image)
        parent = None if done.process is None else done.process.parent
        if actor is not None and image.description is None and image.execs and parent is not None:
            self._who.of(parent.pid).blind.append(image)
        return actor

    def _has_memory(self, image: Image) -> bool:
        """Whether it may know by its fork what somebody recorded has read or written."""
        if not is_fork(image):
            return False
        forked_from = self._who.forked_from(image)
        return image.forked_from is not None or any(
            fact.is_recorded for _, facts in forked_from for fact in facts
        )

    def _fork_again(self, image: Image) -> None:
        """A fork was heard before what its parent had read until then: let it inherit that, too."""
        on_fork = self._processes.tasks.on_fork
        if self._exits is None or image.pid not in self._exits.forked or on_fork is None:
            return
        above = image.parent
        if is_fork(image) and image.actor is None and above is not None and above.is_known:
            self._fork_again(above)
            on_fork(above, image)

    def _look_at_stage(self, pid: int, done: Done) -> None:
        """One of several at work together may be a stage of a pipeline."""
        parent = None if done.process is None else done.process.parent
        if parent is not None and len(parent.children) > 1:
            self._look_at(pid, done)

    def _look_at(self, pid: int, done: Done) -> None:
        if self.describe is not None and not done.is_asked:
            done.is_asked = True
            self.describe(pid)

    # handing over

    def _hand(self, actor: Actor, done: Done, fact: Fact) -> None:
        path, size, mtime_ns, key, *_ = fact
        if fact.is_write:
            if self.wrote is not None:
                self.wrote()
            try:
                self._facts.outside_write(actor, path, size, mtime_ns, is_new=fact.is_new)
            except OSError:  # what the writer had read could not be kept
                self.failures += 1
            known = self._written.get(key)
            if known is not None and known[:3] == fact[:3]:
                self._written[key] = known._replace(is_recorded=True)
            return
        done.handed += 1
        if done.handed > READS_MAX and not fact.is_recorded:
            if done.handed == READS_MAX + 1:
                self._facts.describe(actor, replace(actor.activity, reason=TOO_MANY))
            return
        self._facts.outside_read(actor, path, size, mtime_ns)
        if self.learned is not None:
            self.learned(fact)
