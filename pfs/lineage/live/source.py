"""Questions about what is live: `facts.Source` over the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pfs.lineage.facts import NOTHING, Activity, Change, Ending, Input, Source, Version
from pfs.lineage.group import Origin
from pfs.lineage.live.evidence import of_interactive
from pfs.lineage.live.state import LiveVersion
from pfs.lineage.live.tables import Tables


class LiveSource(Source):
    """What no commit holds yet, and what of the rest is at hand.

    On the event loop; activities, their endings, inputs and outputs in any thread: those only grow.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def activity(self, activity: int) -> Activity | None:
        """The description of an activity."""
        actor = self._tables.actors.get(activity)
        return None if actor is None else actor.activity

    def ending(self, activity: int) -> Ending | None:
        """How it ended; None while it runs."""
        actor = self._tables.actors.get(activity)
        return None if actor is None else actor.ended

    def inputs(self, activity: int) -> Sequence[Input]:
        """All inputs of an activity, in order."""
        actor = self._tables.actors.get(activity)
        return () if actor is None else actor.inputs

    def outputs(self, activity: int) -> Sequence[int]:
        """The live versions that an activity wrote, in order."""
        actor = self._tables.actors.get(activity)
        return () if actor is None else list(actor.outputs)

    def version(self, version: int) -> Version | None:
        """A version; not one that a segment tells more about."""
        source = self._tables.find(version)
        if isinstance(source, LiveVersion):
            return live_fact(self._tables, source)
        if source is None or (source.origin is not None and not source.version.writers):
            return None
        return source.version

    def consumers(self, version: int) -> Sequence[tuple[int, int]]:
        """(activity, position in its inputs) of every live activity that used a version."""
        return list(self._tables.consumers.get(version, {}).items())

    def informed(self, activity: int) -> Sequence[tuple[int, int, int]]:
        """(activity, position in its inputs, watermark of ours) of everyone whom an activity informed."""
        actors = self._tables.actors
        actor = actors.get(activity)
        if actor is None:
            return ()
        found = []
        for other, positions in actor.tells.items():
            sink = actors.get(other)
            if sink is not None:
                found += [(other, position, sink.inputs[position].watermark) for position in positions]
        return found

    def revisions(self, version: int) -> Sequence[int]:
        """The live versions whose `previous` this one is."""
        return list(self._tables.revised.get(version, ()))

    def versions_at(self, repo: int, path: bytes) -> Sequence[int]:
        """Every live version that was at a path, the oldest first."""
        there = self._tables.paths.get(path, {})
        versions = [there] if isinstance(there, LiveVersion) else there.values()
        return [version.id for version in versions if version.place.repo == repo]

    def versions_with(self, content: bytes) -> Sequence[int]:
        """Every version with this content id, as far as that is known while they are live."""
        tables = self._tables
        found = [version.id for version in tables.versions.values() if version.content == content]
        return found + [one.id for one in tables.externals.values() if one.version.content == content]

    def changes_at(self, repo: int, path: bytes) -> Sequence[Change]:
        """What happened to a name, the oldest first."""
        return [one for one in self._changes(repo) if path in (one.path, one.to_path)]

    def changes_below(self, repo: int, path: bytes) -> Iterator[Change]:
        """The same for a directory and all below it."""
        below = path + b"/" if path else b""
        for one in self._changes(repo):
            if path in (one.path, one.to_path) or one.path.startswith(below) or one.to_path.startswith(below):
                yield one

    def origin(self, segment: bytes, row: int) -> int:
        """The version that a row of a segment is, where the index may not know it yet."""
        return self._tables.stored_lately.get(Origin(segment, row), NOTHING)

    def activities(self, since_ns: int = 0) -> Iterator[int]:
        """All live activities that began at or after a time, the newest first."""
        actors = list(self._tables.actors.values())
        found = [(one.activity.started_ns, one.id) for one in actors if one.activity.started_ns >= since_ns]
        return (activity for _, activity in sorted(found, reverse=True))

    def _changes(self, repo: int) -> list[Change]:
        branches = self._tables.changes.values()
        found = [one for branch in branches for _, one in branch if one.repo == repo]
        found.sort(key=lambda one: one.time_ns)
        return found


def live_fact(tables: Tables, version: LiveVersion) -> Version:
    """A live version, with what is known before its content is: what an interactive program had open."""
    writer = version.only_writer
    if writer is not None and writer.activity.interactive:
        return tables.fact(version, *of_interactive(version.beside, (), version.credits[0].mark))
    return tables.fact(version)
