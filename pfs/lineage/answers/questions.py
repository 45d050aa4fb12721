"""Questions beside lineage itself: who changed a name, who wrote what is in a directory, which processes ran.

Pure and synchronous, over any `Source`; what is shown of other users' processes is decided in `nodes`, and
filters see no more than that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from itertools import islice
from typing import Final, NamedTuple

from pfs.errors import NotFound, UsageError
from pfs.lineage.answers.command import program_shown
from pfs.lineage.answers.jobs import Jobs
from pfs.lineage.answers.nodes import Names, job_node, may_see, process_node, text, version_node
from pfs.lineage.answers.replies import (
    BlameReply,
    BlameRow,
    Contact,
    Event,
    ProcessReply,
    PsReply,
    PsRow,
    Who,
    WhoReply,
)
from pfs.lineage.facts import (
    Activity,
    Change,
    ChangeKind,
    Flag,
    Input,
    Level,
    Relation,
    Source,
    Version,
    spell_activity,
    spell_version,
)

PS_LIMIT: Final = 200
CONTACTS_MAX: Final = 1000  # inputs and outputs of one process in one reply
_PARENTS_MAX: Final = 64
_ID: Final = re.compile(r"p:([0-9a-f]{16})")
_WRITES: Final = {
    Relation.CREATED: "write",
    Relation.TRUNCATED: "truncate",
    Relation.IN_PLACE: "edit",
    Relation.APPENDED: "append",
    Relation.REPLACED: "replace",
}


class Listed(NamedTuple):
    """An entry of a directory: its version, where it is a file whose version is known."""

    path: bytes
    type: str
    version: Version | None = None


def who(source: Source, names: Names, repo: int, path: bytes) -> WhoReply:
    """All that happened to a name, of entries that are gone, too.  NotFound where nothing is recorded."""
    versions = [v for v in map(source.version, source.versions_at(repo, path)) if v is not None]
    events = _Events(source, names).of(versions, source.changes_at(repo, path))
    if not events:
        raise NotFound(f"{text(path)}: nothing is recorded of this name")
    return WhoReply(repo=names.repo(repo), path=text(path), events=events)


def blame(source: Source, names: Names, repo: int, directory: bytes, entries: Iterable[Listed]) -> BlameReply:
    """The last writer of each entry of a directory; of what is no file, who made or changed it last."""
    listed = list(entries)
    versions: dict[bytes, Version] = {}
    changes: dict[bytes, Change] = {}
    for entry in listed:
        if entry.version is not None:
            versions[entry.path] = entry.version
        elif known := source.versions_at(repo, entry.path) if entry.type == "file" else ():
            if (version := source.version(known[-1])) is not None:
                versions[entry.path] = version
        elif happened := source.changes_at(repo, entry.path):
            changes[entry.path] = happened[-1]
    found = _Events(source, names).last_of(versions, changes)
    return BlameReply(
        repo=names.repo(repo),
        path=text(directory),
        entries=[
            BlameRow(name=text(entry.path.rsplit(b"/", 1)[-1]), type=entry.type, last=found.get(entry.path))
            for entry in listed
        ],
    )


def ps(
    source: Source,
    names: Names,
    *,
    command: str | None = None,
    user: str | None = None,
    since_ns: int = 0,
    limit: int = PS_LIMIT,
) -> PsReply:
    """Recorded processes, the newest first.

    command: a glob over what is shown of the command line (without `*`, `?` or `[`: a part of it).
    user: a name or uid.
    """
    rows = islice(_processes(source, names, _matcher(command), user, since_ns), limit + 1)
    found = list(rows)
    return PsReply(processes=found[:limit], more=len(found) > limit)


def _processes(
    source: Source, names: Names, matcher: re.Pattern[str] | None, user: str | None, since_ns: int
) -> Iterator[PsRow]:
    for number in source.activities(since_ns):
        activity = source.activity(number)
        if activity is None or (user is not None and user not in (activity.user, str(activity.uid))):
            continue
        node = process_node(activity, source, names)
        if matcher is None or matcher.search(node.command):
            yield PsRow(process=node, outputs=len(source.outputs(number)))


def _matcher(command: str | None) -> re.Pattern[str] | None:
    if command is None:
        return None
    is_glob = any(sign in command for sign in "*?[")
    return re.compile(rf"\A{translate(command)}" if is_glob else re.escape(command), re.DOTALL)


def parse_activity(spelled: str) -> int:
    """The id that `p:` and 16 hex digits mean.  UsageError."""
    match = _ID.fullmatch(spelled)
    if match is None:
        raise UsageError(
            f"{spelled}: not the id of a process", hint="it is p: and 16 hex digits; see 'pfs ps'"
        )
    return int(match[1], 16)


def process(source: Source, names: Names, activity: int) -> ProcessReply:
    """All that is known of one process.  NotFound."""
    found = source.activity(activity)
    if found is None:
        raise NotFound(f"{spell_activity(activity)}: no such process is recorded")
    jobs = Jobs(source)
    job = jobs.of([activity]).get(activity)
    inputs, outputs = source.inputs(activity), source.outputs(activity)
    met = [item.source for item in inputs[:CONTACTS_MAX] if not item.informed]
    shown = dict.fromkeys([*met, *outputs[:CONTACTS_MAX]])
    return ProcessReply(
        process=process_node(found, source, names, job=None if job is None else job.name),
        environment=_environment(found) if may_see(found, names) else None,
        cgroup=text(found.cgroup),
        job=None if job is None else job_node(job, source, names),
        parents=[process_node(parent, source, names) for parent in _parents(source, found)],
        inputs=[_contact(item) for item in inputs[:CONTACTS_MAX]],
        inputs_total=len(inputs),
        outputs=[spell_version(version) for version in outputs[:CONTACTS_MAX]],
        outputs_total=len(outputs),
        versions=[version_node(v, names) for v in map(source.version, shown) if v is not None],
    )


def _environment(activity: Activity) -> dict[str, str]:
    return {text(name): text(value) for name, value in activity.environment}


def _parents(source: Source, activity: Activity) -> Iterator[Activity]:
    seen = {activity.id}
    parent = source.activity(activity.parent)
    while parent is not None and parent.id not in seen and len(seen) <= _PARENTS_MAX:
        yield parent
        seen.add(parent.id)
        parent = source.activity(parent.parent)


def _contact(item: Input) -> Contact:
    return Contact(
        version=None if item.informed else spell_version(item.source),
        process=spell_activity(item.source) if item.informed else None,
        level=Level(item.level).name.lower(),
        flags=[flag.name.lower() for flag in Flag(item.flags) if flag.name],
        time_ns=item.time_ns,
    )


class _Events:
    """Turns facts into events, with the job of each process looked up once."""

    def __init__(self, source: Source, names: Names) -> None:
        self._source = source
        self._names = names
        self._who: dict[int, Who] = {}

    def of(self, versions: Sequence[Version], changes: Sequence[Change]) -> list[Event]:
        """All of them by time."""
        self._meet(versions, changes)
        found = [event for version in versions for event in self._writes(version)]
        found += [self._change(change) for change in changes]
        return sorted(found, key=lambda event: event.time_ns)

    def last_of(self, versions: dict[bytes, Version], changes: dict[bytes, Change]) -> dict[bytes, Event]:
        """One for each path."""
        self._meet(list(versions.values()), list(changes.values()))
        found = {path: self._writes(version)[-1] for path, version in versions.items()}
        return found | {path: self._change(change) for path, change in changes.items()}

    def _meet(self, versions: Sequence[Version], changes: Sequence[Change]) -> None:
        activities = dict.fromkeys(writer.activity for version in versions for writer in version.writers)
        activities |= dict.fromkeys(change.activity for change in changes)
        jobs = Jobs(self._source)
        found = jobs.of(activities)
        for number in activities:
            activity = jobs.activity(number)
            if activity is None:
                continue
            is_shown = may_see(activity, self._names)
            node = process_node(activity, self._source, self._names)
            job = found.get(number)
            self._who[number] = Who(
                process=node.id,
                job=None if job is None else job.name,
                command=node.command
                if job is None or not is_shown
                else job.command(shown=lambda other: may_see(other, self._names)),
                program=program_shown(activity),
                user=node.user,
                uid=node.uid,
                host=node.host,
                pid=node.pid,
                interactive=node.interactive,
            )

    def _writes(self, version: Version) -> list[Event]:
        node = version_node(version, self._names)
        kind = _WRITES.get(Relation(version.relation), "appear")
        if version.imported:
            kind = "import"
        writers = [self._who.get(writer.activity) for writer in version.writers] or [None]
        return [
            Event(
                time_ns=version.time_ns or version.mtime_ns, kind=kind, path=node.path, who=one, version=node
            )
            for one in writers
        ]

    def _change(self, change: Change) -> Event:
        return Event(
            time_ns=change.time_ns,
            kind=ChangeKind(change.kind).name.lower(),
            path=text(change.path),
            who=self._who.get(change.activity),
            to_path=text(change.to_path) if change.to_path else None,
        )
