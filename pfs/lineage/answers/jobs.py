"""Jobs: what a person or a scheduler started with one command line.

A job is the largest subtree of processes under an interactive shell, a scheduler or `pfs run`; the stages of
one pipeline are one job.  Those who start jobs belong to none.  Works from what a `Source` knows, in time
linear in what it is asked about; a process whose parent is not known stands for itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from pfs.lineage.answers.command import Pipeline, Shown, pipe_ends, program
from pfs.lineage.facts import Activity, Flag, Source

_SHELLS = "bash zsh sh dash ash fish ksh mksh tcsh csh xonsh nu elvish rbash"
# Whoever starts work for others.  Compared with the name of the program, not with its path.
_SCHEDULERS = """
    init systemd openrc-init runit runsv s6-supervise supervisord launchd
    sshd sshd-session sshd-auth dropbear login su-login mosh-server telnetd
    cron crond anacron fcron atd jobd
    slurmd slurmstepd srun sge_execd sge_shepherd pbs_mom condor_starter condor_startd sbatchd res flux-broker
    dockerd containerd-shim containerd-shim-runc-v2 conmon tini dumb-init kubelet
    gitlab-runner buildkite-agent Runner.Worker Runner.Listener
    tmux screen SCREEN gnome-terminal-server konsole xterm kitty alacritty wezterm-gui
"""
_STDERR: Final = 2
_CHANNELS: Final = (b"/dev/fd/", b"/dev/stdin", b"/proc/self/fd/")
_LONG_WITH_VALUE: Final = frozenset((b"--rcfile", b"--init-file"))
SHELLS: Final = frozenset(_SHELLS.split())
SCHEDULERS: Final = frozenset(_SCHEDULERS.split())


def is_shell(activity: Activity) -> bool:
    """Whether its program is a shell, of whatever use."""
    return program(activity) in SHELLS


def starts_jobs(activity: Activity) -> bool:
    """Whether what this process starts are jobs of their own: it is interactive, a scheduler or `pfs run`.

    So is a shell that somebody, a program as well, tells through a channel what to do next.
    """
    return (
        activity.interactive
        or (is_shell(activity) and _is_told(activity))
        or activity.key.pid == 1
        or program(activity) in SCHEDULERS
        or _is_pfs_run(activity.argv)
    )


def unforked(activity: Activity, lookup: Callable[[int], Activity | None]) -> Activity:
    """The process that an activity is a copy of: a shell forks for a command and is itself until the exec."""
    seen = {activity.id}
    while activity.key.execs == 0:
        parent = lookup(activity.parent)
        if parent is None or parent.id in seen or parent.key.pid == activity.key.pid:
            break
        if not activity.argv or (parent.argv, parent.exe) != (activity.argv, activity.exe):
            break
        seen.add(parent.id)
        activity = parent
    return activity


def _is_told(shell: Activity) -> bool:
    """Whether a shell takes its commands from a pipe or a descriptor, not from a file or an argument."""
    words = iter(shell.argv[1:])
    for word in words:
        if word.startswith(b"--"):
            if word in _LONG_WITH_VALUE:
                next(words, None)
        elif word.startswith((b"-", b"+")):
            if b"c" in word:
                return False
            if b"s" in word:
                break
            if word.endswith((b"o", b"O")):
                next(words, None)
        else:
            return word.startswith(_CHANNELS)
    return bool(shell.argv) and all(fd != 0 for fd, _, _ in shell.files)


def _is_pfs_run(argv: tuple[bytes, ...]) -> bool:
    """`pfs [--store DIR] run …`, started as a script, by an interpreter or as a module."""
    for position, word in enumerate(argv[:3]):
        if word.rsplit(b"/", 1)[-1] in (b"pfs", b"pfs.cli"):
            rest = argv[position + 1 : position + 4]
            return rest[:1] == (b"run",) or (rest[:1] == (b"--store",) and rest[2:] == (b"run",))
    return False


class Job(msgspec.Struct, frozen=True):
    """One job: its stages (roots of subtrees) in the order of the command line, and all that belong to it."""

    stages: tuple[Activity, ...]
    members: tuple[int, ...]
    starter: Activity | None
    flows: frozenset[tuple[int, int]] = frozenset()

    @property
    def leader(self) -> Activity:
        """The process that stands for the job: the first of its command line."""
        return self.stages[0]

    @property
    def name(self) -> str:
        """`j:` and the digits of its leader."""
        return f"j:{self.leader.id:016x}"

    def command(self, *, appended: Iterable[bytes] = (), shown: Shown = lambda _: True) -> str:
        """Its command line, put together again."""
        pipeline = Pipeline(
            self.stages, self.starter, appended=frozenset(appended), flows=self.flows, shown=shown
        )
        return pipeline.text


class Jobs:
    """Finds jobs.  Owned by one question: it remembers what it has looked up."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._roots: dict[int, int] = {}
        self._activities: dict[int, Activity | None] = {}

    def activity(self, activity: int) -> Activity | None:
        """A description, looked up once."""
        if activity not in self._activities:
            self._activities[activity] = self._source.activity(activity) if activity else None
        return self._activities[activity]

    def root(self, activity: int) -> int:
        """The top of the subtree that an activity belongs to; 0 for one that starts jobs or is not known."""
        path: list[int] = []
        found = 0  # the root for what stands last in `path`
        current = activity
        while current not in self._roots:
            known = self.activity(current)
            if known is None or self._starts_jobs(known):
                self._roots[current] = 0
                break
            self._roots[current] = current  # also what ends a circle of parents
            path.append(current)
            current = known.parent
        found = self._roots[current]
        for member in reversed(path):
            found = found or member
            self._roots[member] = found
        return self._roots[activity]

    def _starts_jobs(self, known: Activity) -> bool:
        return starts_jobs(known) or starts_jobs(unforked(known, self.activity))

    def stage(self, root: int) -> Activity | None:
        """The description of a root, with the descriptors that it had before it closed them.

        A program may have closed its input when it is looked at; what it was before its exec had it.
        """
        stage = self.activity(root)
        if stage is None:
            return None
        seen = {root}
        pipes, files = list(stage.pipes), list(stage.files)
        known = self.activity(stage.parent)
        while known is not None and known.id not in seen:
            if (known.key.pid, known.key.boot_id) != (stage.key.pid, stage.key.boot_id):
                break
            seen.add(known.id)
            taken = {fd for fd, _, _ in (*pipes, *files)}
            pipes += [pipe for pipe in known.pipes if pipe[0] <= _STDERR and pipe[0] not in taken]
            files += [file for file in known.files if file[0] <= _STDERR and file[0] not in taken]
            known = self.activity(known.parent)
        return msgspec.structs.replace(stage, pipes=tuple(pipes), files=tuple(files))

    def starter(self, root: int) -> Activity | None:
        """Who started a root."""
        known = self.activity(root)
        parent = None if known is None else self.activity(known.parent)
        return None if parent is None else unforked(parent, self.activity)

    def of(self, activities: Iterable[int]) -> dict[int, Job]:
        """The job of each of these activities; those that belong to none are left out."""
        members: dict[int, list[int]] = {}
        for activity in activities:
            if root := self.root(activity):
                members.setdefault(root, []).append(activity)
        teams = _Teams()
        flows = self._join(members, teams)
        found: dict[int, Job] = {}
        for roots in teams.all(members):
            job = self._job(roots, members, flows)
            found.update((member, job) for member in job.members)
        return found

    def _job(self, roots: list[int], members: dict[int, list[int]], flows: set[tuple[int, int]]) -> Job:
        stages = [stage for root in roots if (stage := self.stage(root)) is not None]
        among = frozenset(flow for flow in flows if flow[0] in roots) if len(roots) > 1 else frozenset()
        order = Pipeline(stages, None, flows=among).order
        inside = [member for stage in order for member in members.get(stage.id, ())]
        return Job(tuple(order), tuple(inside), self.starter(order[0].id), among)

    def _join(self, members: dict[int, list[int]], teams: _Teams) -> set[tuple[int, int]]:
        """Put the roots of each pipeline together, with those of its stages that nobody asked about."""
        flows: set[tuple[int, int]] = set()
        groups: dict[object, int] = {}
        ends: defaultdict[object, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        waiting = list(members)
        seen = set(waiting)
        while waiting:
            root = waiting.pop()
            stage = self.stage(root)
            assert stage is not None
            if (key := self._group_key(stage)) is not None:
                teams.join(root, groups.setdefault(key, root))
            for inode, may_write in pipe_ends(stage):
                ends[(stage.key.boot_id, stage.sid, inode)][may_write].append(root)
            for source, sink in self._flows(root, members.get(root, ())):
                peer = sink if source == root else source
                if not self._same_line(stage, peer):
                    continue
                flows.add((source, sink))
                teams.join(root, peer)
                if peer not in seen:
                    seen.add(peer)
                    waiting.append(peer)
        for readers, writers in ends.values():
            for one in (*readers, *writers) if readers and writers else ():
                teams.join(one, readers[0])
        return flows

    def _group_key(self, stage: Activity) -> object | None:
        """What stages of one line have in common: the process group that their shell made for them."""
        shell = self.activity(stage.parent)
        seen = {stage.id}
        while shell is not None and is_shell(shell) and self._starts_jobs(shell) and shell.id not in seen:
            # A shell's child that is to become a stage, and a subshell, are in the group already.
            if shell.group != stage.group:
                return (stage.key.boot_id, stage.sid, stage.group, shell.id) if stage.group else None
            if shell.key.execs and not shell.interactive:
                break  # it makes no groups: all that it starts are in its own
            seen.add(shell.id)
            shell = self.activity(shell.parent)
        return None

    def _same_line(self, stage: Activity, peer: int) -> bool:
        other = self.activity(peer)
        return other is not None and (stage.key.boot_id, stage.sid) == (other.key.boot_id, other.sid)

    def _flows(self, root: int, members: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Pairs of roots, this one and another, between whose processes a pipe is known."""
        for member in dict.fromkeys((root, *members)):
            for item in self._source.inputs(member):
                peer = self.root(item.source) if item.informed and item.flags & Flag.PIPE else 0
                if peer and peer != root:
                    yield peer, root
            for sink, position, _ in self._source.informed(member):
                peer = self.root(sink)
                if peer and peer != root and self._source.inputs(sink)[position].flags & Flag.PIPE:
                    yield root, peer


class _Teams:
    """Which roots belong together: union and find."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def find(self, one: int) -> int:
        while (above := self._above.setdefault(one, one)) != one:
            self._above[one] = self._above[above]
            one = above
        return one

    def join(self, one: int, other: int) -> None:
        self._above[self.find(one)] = self.find(other)

    def all(self, asked: Iterable[int]) -> Iterator[list[int]]:
        """The teams that hold one of those asked for, whole."""
        wanted = dict.fromkeys(self.find(one) for one in asked)
        teams: dict[int, list[int]] = {team: [] for team in wanted}
        for one in list(self._above):
            if (team := self.find(one)) in teams:
                teams[team].append(one)
        yield from teams.values()
