"""What commits take: outputs of generations, what is upstream of them, and that they are stored now.

Order of a commit: its generations are sealed → `outputs` and `changes` on the loop → bytes of `upstream` are
stored and told, `group`, in a thread → the commit is durable and `Files.committed` answers from it → `sealed`
or its steps, on the loop.  A commit that fails leaves everything live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from pfs.lineage.facts import Change, Version
from pfs.lineage.group import Group, Origin, Slice
from pfs.lineage.live.evidence import weigh
from pfs.lineage.live.state import LiveVersion
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording.grouping import Upstream

STEP_FACTS = 200  # that one step of `sealing` takes in, ~5 us each


class Sealing:
    """The part of the recorder that commits use."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def outputs(self, branch: int, generations: Iterable[int]) -> dict[int, LiveVersion]:
        """File id → the newest version written in these generations, which end by this; removed files too.

        Call it on the loop once the generations are sealed, then tell each version that goes into the commit
        what its bytes are (`LiveVersion.contain`).
        """
        tables = self._tables
        numbers = sorted(generations)
        newest: dict[int, LiveVersion | None] = {}
        for number in numbers:
            newest.update(tables.roots.get(branch, {}).get(number, {}))
        found = {file_id: version for file_id, version in newest.items() if version is not None}
        if numbers:
            tables.generations[branch] = max(tables.generations.get(branch, 0), numbers[-1] + 1)
        for version in found.values():
            if version.is_open:
                tables.finish(version)
                if version.is_current:
                    tables.move(version, tables.below.path(version.place) or version.path)
                tables.notes.version(version)
        tables.flush()
        return found

    def changes(self, branch: int) -> list[Change]:
        """What happened to names of a branch and is in no commit yet."""
        return [change for _, change in self._tables.changes.get(branch, ())]

    def upstream(self, versions: Iterable[LiveVersion]) -> list[LiveVersion]:
        """All versions that `group` would store, each after those it depends on.

        Those with `frozen` and no `content` need their bytes stored and told first.  May run in a thread.
        """
        return Upstream(self._tables, versions).in_order()

    def group(self, versions: Iterable[LiveVersion], changes: Sequence[Change] = ()) -> Group:
        """The facts that go into a commit with these versions.  May run in a thread."""
        return weigh(Upstream(self._tables, versions).group(changes))

    def sealed(
        self,
        group: Group,
        rows: Mapping[int, Origin],
        branch: int = 0,
        generations: Iterable[int] = (),
        slices: Mapping[int, bytes] | None = None,
    ) -> None:
        """All steps of `sealing` at once."""
        for _ in self.sealing(group, rows, branch, generations, slices):
            pass

    def sealing(
        self,
        group: Group,
        rows: Mapping[int, Origin],
        branch: int = 0,
        generations: Iterable[int] = (),
        slices: Mapping[int, bytes] | None = None,
    ) -> Iterator[None]:
        """A commit holds a group: let go of it, in steps that leave the loop to others between them.

        rows: version → where it is stored.  slices: activity → the segment that has the end of its slice;
        those that are not named are stored from their beginning again the next time.  None: known where all
        rows are in one segment.  What these generations wrote and the group has not is let go.
        """
        tables = self._tables
        segments = {origin.segment for origin in rows.values()}
        only = next(iter(segments)) if len(segments) == 1 else b""
        done = set(generations)
        repo = group.versions[0].repo if group.versions else 0
        for count, piece in enumerate(group.slices, 1):
            segment = only if slices is None else slices.get(piece.activity.id, b"")
            self._stored_slice(piece, repo, segment)
            if count % STEP_FACTS == 0:
                tables.flush()
                yield
        for count, fact in enumerate(group.versions, 1):
            self._stored_version(fact, rows, branch, done)
            if count % STEP_FACTS == 0:
                tables.flush()
                yield
        for number in sorted(done):
            left = tables.roots.get(branch, {}).get(number, {})
            while left:
                for file_id in list(islice(left, STEP_FACTS)):
                    version = left.pop(file_id)
                    if version is not None:
                        self._let_go(version)
                tables.flush()
                yield
            tables.roots.get(branch, {}).pop(number, None)
        self._stored_changes(group.changes, branch)
        tables.forget_recent()
        tables.flush()

    def _stored_slice(self, piece: Slice, repo: int, segment: bytes) -> None:
        tables = self._tables
        actor = tables.actors.get(piece.activity.id)
        if actor is None:
            return
        if actor.repo != repo:
            actor.repo, actor.stored, actor.segment = repo, 0, b""
        if segment and piece.first <= actor.stored:
            actor.stored, actor.segment = max(actor.stored, piece.end), segment
        actor.is_stored = True
        tables.set_late(actor, actor.ended is not None and piece.ending is None)
        tables.notes.actor(actor)

    def _stored_version(
        self, fact: Version, rows: Mapping[int, Origin], branch: int, generations: set[int]
    ) -> None:
        tables, origin = self._tables, rows.get(fact.id)
        if origin is None:
            return
        tables.stored_lately[origin] = fact.id
        version = tables.versions.get(fact.id)
        if version is None:
            return
        version.origin = origin
        if version.place.branch == branch and version.generation in generations:
            tables.settle(version)
        if version.is_root or not self._is_held(version):
            tables.notes.version(
                version
            )  # it stays the newest of its file until a commit of its branch says so
        else:
            tables.store(version, fact)

    def _is_held(self, version: LiveVersion) -> bool:
        """Whether `Files.committed` answers for a version; not so for files without a name, or left out."""
        if not version.is_current:
            return True
        seen = self._tables.below.committed(version.place)
        return seen is not None and seen.origin == version.origin

    def _let_go(self, version: LiveVersion) -> None:
        """A commit of its generation did not want a version: it was removed, or stays out of commits."""
        tables = self._tables
        tables.settle(version)
        tables.leave_unnamed(version)
        if version.uses:
            tables.notes.version(version)

    def _stored_changes(self, changes: Sequence[Change], branch: int) -> None:
        tables = self._tables
        waiting = tables.changes.get(branch)
        if not waiting or not changes:
            return
        last = changes[-1]
        number = next((number for number, one in waiting if one is last or one == last), 0)
        while waiting and waiting[0][0] <= number:
            waiting.popleft()
        waited_for = {one.activity for left in tables.changes.values() for _, one in left}
        tables.changers = {who: actor for who, actor in tables.changers.items() if who in waited_for}
        if number:
            tables.notes.stored_changes(branch, number)
