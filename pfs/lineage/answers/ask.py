"""`pfs lineage`: from a version, a direction and a `Source` to the answer of the contract.

Pure and synchronous; the cost is linear in what the answer holds.  The headline says the weakest of what it
rests on, so that "complete inside pfs" is never said of what was not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Final

import msgspec

from pfs.errors import NotFound
from pfs.lineage.answers.answer import (
    COMPLETE,
    SCHEMA,
    Answer,
    Coverage,
    Direction,
    Edge,
    Generated,
    Informed,
    JobNode,
    Query,
    Revised,
    Used,
)
from pfs.lineage.answers.command import program_shown
from pfs.lineage.answers.jobs import Job, Jobs
from pfs.lineage.answers.near import near
from pfs.lineage.answers.nodes import (
    Names,
    job_node,
    process_node,
    text,
    unknown_activity,
    version_node,
)
from pfs.lineage.facts import (
    Flag,
    Input,
    Level,
    Relation,
    Source,
    Version,
    spell_activity,
    spell_version,
)
from pfs.lineage.index.closure import downstream, upstream
from pfs.lineage.index.walk import Closure, EdgeKind
from pfs.lineage.index.walk import Edge as ClosureEdge

NOT_RECORDED: Final = "not recorded: nobody saw it being made"


def ask(
    source: Source,
    names: Names,
    root: int,
    *,
    direction: Direction = "up",
    depth: int | None = None,
    level: int = Level.UNOBSERVED,
    full: bool = False,
    revision: str = "",
) -> Answer:
    """What the version `root` came from ("up"), or what came from it ("down").

    depth: how many versions away, None: all; those that a job made and used itself count only with `full`.
    level: the weakest edges to follow.  revision: as the asker spelled it, for the answer's query.
    NotFound where the version is not recorded.
    """
    start = source.version(root)
    if start is None:
        raise NotFound(f"{spell_version(root)}: no lineage is recorded of this version")
    jobs = Jobs(source)
    closed = upstream if direction == "up" else downstream
    if depth is None or full:
        closure = closed(source, [root], level_max=level, depth=depth)
    else:
        step = partial(closed, source, level_max=level, depth=1)
        closure = near(source, jobs, step, root, depth, down=direction == "down")
    query = Query(
        repo=names.repo(start.repo) if start.repo else "",
        path=text(start.path),
        revision=revision,
        direction=direction,
        depth=depth,
        full=full,
        level=_level_name(level),
    )
    return _Answering(source, names, jobs, closure, direction).answer(query, start)


class _Answering:
    """Puts one answer together."""

    def __init__(
        self, source: Source, names: Names, jobs: Jobs, closure: Closure, direction: Direction
    ) -> None:
        self._source = source
        self._names = names
        self._closure = closure
        self._direction = direction
        self._versions: dict[int, Version] = {}
        self._missing: list[int] = []  # versions that facts name and nobody knows
        for number in closure.versions:
            version = source.version(number)
            if version is None:
                self._missing.append(number)
            else:
                self._versions[number] = version
        self._generated = self._find_generated()
        numbers = dict.fromkeys([*closure.activities, *(activity for _, activity in self._generated)])
        self._activities = {a: jobs.activity(a) or unknown_activity(a) for a in numbers}
        self._jobs = jobs.of(self._activities)
        self._given = {number: jobs.stage(number) or known for number, known in self._activities.items()}
        self._appended = self._find_appended()

    def _find_generated(self) -> dict[tuple[int, int], None]:
        """(version, activity): those of the closure, and who made a version by changing another."""
        edges = self._closure.edges
        found = [(edge.target, edge.source) for edge in edges if edge.kind == EdgeKind.GENERATED]
        if self._direction == "down":
            later = [edge.target for edge in edges if edge.kind == EdgeKind.REVISED]
            known = [self._versions[version] for version in later if version in self._versions]
            found += [(version.id, writer.activity) for version in known for writer in version.writers]
        return dict.fromkeys(pair for pair in found if pair[0] in self._versions)

    def answer(self, query: Query, root: Version) -> Answer:
        """The whole document."""
        edges = list(self._edges())
        return Answer(
            schema=SCHEMA,
            query=query,
            root=spell_version(root.id),
            versions=[version_node(version, self._names) for version in self._versions.values()],
            processes=[
                process_node(
                    activity,
                    self._source,
                    self._names,
                    job=self._jobs[number].name if number in self._jobs else None,
                    appended=self._appended.get(number, ()),
                )
                for number, activity in self._activities.items()
            ],
            jobs=[self._job_node(job) for job in self._distinct_jobs()],
            edges=edges,
            coverage=self._coverage(edges, root),
        )

    def _distinct_jobs(self) -> list[Job]:
        return list({job.name: job for job in self._jobs.values()}.values())

    def _find_appended(self) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for version in self._versions.values():
            if version.relation == Relation.APPENDED:
                for writer in version.writers:
                    found.setdefault(writer.activity, []).append(version.path)
        return found

    def _job_node(self, job: Job) -> JobNode:
        paths = {path for member in job.members for path in self._appended.get(member, ())}
        return job_node(job, self._source, self._names, appended=paths)

    def _edges(self) -> Iterator[Edge]:
        edges = self._closure.edges
        for edge in edges:
            if edge.kind == EdgeKind.REVISED and {edge.source, edge.target} <= self._versions.keys():
                yield Revised(version=spell_version(edge.target), of=spell_version(edge.source))
        for number, who in self._generated:
            flags = _flags_of(self._versions[number], who)
            yield Generated(
                version=spell_version(number),
                process=spell_activity(who),
                level=_level_name(Level.INFERRED if flags & Flag.OPENER else Level.OBSERVED),
                flags=_flag_names(flags),
            )
        # One process may have met the same thing several times: the strongest way counts.
        best: dict[tuple[int, int, int], ClosureEdge] = {}
        for edge in edges:
            key = (edge.kind, edge.source, edge.target)
            if edge.kind in (EdgeKind.USED, EdgeKind.INFORMED) and (
                key not in best or edge.level < best[key].level
            ):
                best[key] = edge
        inputs: dict[int, Sequence[Input]] = {}
        for edge in best.values():
            if edge.target not in inputs:
                inputs[edge.target] = self._source.inputs(edge.target)
            flags = inputs[edge.target][edge.position].flags
            process, level, words = spell_activity(edge.target), _level_name(edge.level), _flag_names(flags)
            if edge.kind == EdgeKind.INFORMED:
                yield Informed(process=process, by=spell_activity(edge.source), level=level, flags=words)
            elif edge.source in self._versions:
                yield Used(process=process, version=spell_version(edge.source), level=level, flags=words)

    def _coverage(self, edges: Sequence[Edge], root: Version) -> Coverage:
        levels = Counter(edge.level for edge in edges if not isinstance(edge, Revised))
        left_out = self._closure.left_out
        channels = [*self._unobserved_pipes(), *self._unknown_versions()] if self._direction == "up" else []
        channels += [
            f"what {self._name(edge.process)} learned from others"
            for edge in edges
            if not isinstance(edge, Revised) and edge.level == _level_name(Level.UNOBSERVED)
        ]
        partial = sum(1 for activity in self._activities.values() if activity.reason)
        coverage = Coverage(
            headline="",
            inferred_edges=levels["inferred"],
            unlikely_edges=levels["unlikely"] + left_out.get(Level.UNLIKELY, 0),
            ambient_edges=levels["ambient"] + left_out.get(Level.AMBIENT, 0),
            unobserved_channels=list(dict.fromkeys(channels)),
            content_edges=levels["content"],
            argument_edges=levels["argument"],
            partial_processes=partial,
        )
        is_raw = self._direction == "up" and not root.writers and not root.imported and not root.previous
        return msgspec.structs.replace(coverage, headline=_headline(coverage, levels, is_raw=is_raw))

    def _unobserved_pipes(self) -> Iterable[str]:
        """Pipes that a process read from and whose other end is nobody of whom anything is known."""
        told = {edge.target for edge in self._closure.edges if edge.kind == EdgeKind.INFORMED}
        known = {
            inode
            for activity in (*self._activities.values(), *(s for j in self._jobs.values() for s in j.stages))
            for _, inode, may_write in activity.pipes
            if may_write
        }
        for number, activity in self._given.items():
            for fd, inode, may_write in activity.pipes:
                if fd == 0 and not may_write and number not in told and inode not in known:
                    yield f"pipe into {self._name(spell_activity(number))}"
            for _, path, _ in activity.files:
                if path.startswith(b"socket:"):
                    yield f"socket of {self._name(spell_activity(number))}"

    def _unknown_versions(self) -> Iterable[str]:
        for version in self._missing:
            yield f"{spell_version(version)}, of which nothing is recorded"

    def _name(self, process: str) -> str:
        activity = self._activities[int(process[2:], 16)]
        return f"{program_shown(activity)} (pid {activity.key.pid})"


def _headline(coverage: Coverage, levels: Counter[str], *, is_raw: bool) -> str:
    """The weakest of what an answer rests on, in words."""
    channels = coverage.unobserved_channels
    kinds = ", ".join(sorted({_kind_of(channel) for channel in channels}))
    candidates = [
        (is_raw, NOT_RECORDED),
        (levels["ambient"], f"{_count(levels['ambient'], 'ambient edge')} followed"),
        (levels["unlikely"], f"{_count(levels['unlikely'], 'unlikely edge')} followed"),
        (len(channels), f"{_count(len(channels), 'unobserved channel')} ({kinds})"),
        (coverage.argument_edges, _count(coverage.argument_edges, "argument edge")),
        (coverage.inferred_edges, _count(coverage.inferred_edges, "inferred edge")),
        (coverage.partial_processes, _count(coverage.partial_processes, "partly described process")),
        (coverage.content_edges, _count(coverage.content_edges, "content edge")),
    ]
    return next((words for number, words in candidates if number), COMPLETE)


def _kind_of(channel: str) -> str:
    word = channel.split(" ", 1)[0]
    return word if word in ("pipe", "socket") else "unknown"


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("s") else f"{number} {noun}s"


def _flags_of(version: Version, activity: int) -> int:
    return next((writer.flags for writer in version.writers if writer.activity == activity), Flag.NONE)


_LEVEL_NAMES: Final = {int(level): level.name.lower() for level in Level}


def _level_name(level: int) -> str:
    return _LEVEL_NAMES[level]


@cache
def _flag_names(flags: int) -> tuple[str, ...]:
    return tuple(flag.name.lower() for flag in Flag(flags) if flag.name)
