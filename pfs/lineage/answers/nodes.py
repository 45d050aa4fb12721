"""Versions and processes as a person may see them: numbers become names, what is not theirs is hidden.

argv, redirections and environment are shown to their own user and to the daemon's owner; others see the
program's name.  That holds for everything derived from them, too: filters and comparisons look only at what
is shown.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from pfs.lineage.answers.answer import JobNode, ProcessNode, VersionNode
from pfs.lineage.answers.command import command_line, program, program_shown
from pfs.lineage.answers.jobs import Job, is_shell, unforked
from pfs.lineage.facts import (
    OUTSIDE,
    Activity,
    ActivityKey,
    Ending,
    Relation,
    Source,
    Version,
    spell_activity,
    spell_version,
)


class Place(NamedTuple):
    """Where a version is to be found today."""

    repo: str  # name of the repo
    branch: str | None = None
    commit: str | None = None  # 64 hex digits of a commit that has it; None where none has
    is_current: bool = False  # its path has it now, in the working tree of `branch`
    readable: bool = True  # its bytes are kept
    author: str | None = None  # of that commit


class Names(Protocol):
    """What the layers above know: names of repos, places of versions, and who asks."""

    @property
    def uid(self) -> int:
        """The user who asks."""

    @property
    def is_owner(self) -> bool:
        """Whether that is the daemon's own user, who sees everything."""

    def repo(self, number: int) -> str:
        """The name of a repo; some text that says which it was where it is gone."""

    def place(self, version: Version) -> Place:
        """Where a version (of a repo, not one outside) is to be found."""


def text(name: bytes) -> str:
    """A name as `os.fsdecode` makes it on every machine."""
    return name.decode("utf-8", "surrogateescape")


def may_see(activity: Activity, names: Names) -> bool:
    """Whether who asks may see the words of this process."""
    return names.is_owner or (activity.uid == names.uid and activity.key.boot_id != b"")


def unknown_activity(activity: int) -> Activity:
    """Stands for an activity that facts name and nobody describes."""
    key = ActivityKey(boot_id=b"", pid=0, start_ticks=0, execs=0)
    return Activity(id=activity, key=key, reason="nothing is recorded of this process")


def started_by(starter: Activity | None) -> str | None:
    """The program's name of who started something; None for a person at a shell: that is the usual."""
    if starter is None or (starter.interactive and is_shell(starter)):
        return None
    return program_shown(starter)


def exit_code(ending: Ending | None) -> int | None:
    """The exit code as shells have it: 128 + the signal where one ended the process."""
    if ending is None or ending.exit is None:
        return None
    by_signal = ending.exit & 0x7F
    return 128 + by_signal if by_signal else (ending.exit >> 8) & 0xFF


def version_node(version: Version, names: Names) -> VersionNode:
    """A version as the answer has it."""
    place = Place("", readable=False) if version.repo == OUTSIDE else names.place(version)
    return VersionNode(
        id=spell_version(version.id),
        repo=place.repo,
        path=text(version.path),
        content=version.content.hex() if version.is_known else "",
        size=version.size,
        mtime_ns=version.mtime_ns,
        commit=place.commit,
        readable=place.readable and version.is_known,
        imported=version.imported or None,
        branch=place.branch,
        time_ns=version.time_ns,
        relation=Relation(version.relation).name.lower(),
        known=version.is_known,
        current=place.is_current,
        by=None if version.writers else place.author,
    )


def process_node(
    activity: Activity,
    source: Source,
    names: Names,
    *,
    job: str | None = None,
    appended: Collection[bytes] = (),
) -> ProcessNode:
    """A process as the answer has it; `appended`: paths that it is known to have appended to."""
    is_shown = may_see(activity, names)
    ending = source.ending(activity.id)
    parent = source.activity(activity.parent) if activity.parent else None
    return ProcessNode(
        id=spell_activity(activity.id),
        argv=[text(word) for word in activity.argv] if is_shown else [program(activity)],
        exe=text(activity.exe),
        exe_version=spell_version(activity.exe_version) if activity.exe_version else None,
        cwd=text(activity.cwd),
        user=activity.user,
        uid=activity.uid,
        host=activity.host,
        pid=activity.key.pid,
        parent=spell_activity(activity.parent) if activity.parent else None,
        job=job,
        start_ns=activity.started_ns,
        end_ns=None if ending is None else ending.ended_ns,
        exit=exit_code(ending),
        coverage="partial" if activity.reason else "complete",
        reason=activity.reason or None,
        command=command_line(activity, parent, appended, shown=is_shown),
        interactive=activity.interactive,
        hidden=not is_shown,
        started_by=started_by(None if parent is None else unforked(parent, source.activity)),
    )


def job_node(job: Job, source: Source, names: Names, *, appended: Collection[bytes] = ()) -> JobNode:
    """A job as the answer has it; `appended`: paths that it is known to have appended to."""
    leader = job.leader
    numbers = dict.fromkeys([*(stage.id for stage in job.stages), *job.members])
    endings = [source.ending(number) for number in numbers]
    ends = [ending.ended_ns for ending in endings if ending is not None]
    return JobNode(
        id=job.name,
        command=job.command(appended=appended, shown=lambda activity: may_see(activity, names)),
        processes=[spell_activity(member) for member in job.members],
        started_by=started_by(job.starter),
        start_ns=min(stage.started_ns for stage in job.stages),
        end_ns=max(ends) if len(ends) == len(endings) else None,
        leader=spell_activity(leader.id),
        pid=leader.key.pid,
        user=leader.user,
        uid=leader.uid,
        host=leader.host,
        exit=exit_code(source.ending(leader.id)),
    )
