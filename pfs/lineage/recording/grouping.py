"""What goes into a commit with its outputs: everything upstream of them that is in no segment yet.

May run in a thread while the loop goes on: a version that has ended and inputs below a watermark never
change, and what is walked is kept by what it leads to.  Two commits that run at once may both store
something; ids make it one.

What an interactive program had read is named, but not followed, unless one of its outputs came from it
(`beside`); so bytes that an editor once looked at do not stay because of what it wrote elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from pfs.lineage.facts import Change, ChangeKind, Input, Level, Relation, Version
from pfs.lineage.group import Group, Slice
from pfs.lineage.live.evidence import may_be_copy, of_interactive
from pfs.lineage.live.state import Actor, External, LiveVersion
from pfs.lineage.live.tables import Tables


class Upstream:
    """One walk from the outputs of a commit to what is stored already."""

    def __init__(self, tables: Tables, roots: Iterable[LiveVersion]) -> None:
        self._tables = tables
        self._roots = list(roots)
        self._repo = self._roots[0].place.repo if self._roots else 0
        self.versions: dict[int, LiveVersion] = {}
        self._used: dict[int, LiveVersion | External] = {}
        self._marks: dict[Actor, int] = {}
        self._earlier: dict[Actor, set[bytes | None]] = {}  # contents of inputs that segments have
        self._todo: list[LiveVersion | tuple[Actor, int]] = []
        for version in self._roots:
            self._reach_version(version)
        while self._todo:
            one = self._todo.pop()
            if isinstance(one, LiveVersion):
                self._expand_version(one)
            else:
                self._expand_actor(*one)

    def in_order(self) -> list[LiveVersion]:
        """The versions, each after those that it depends on."""
        return sorted(self.versions.values(), key=lambda version: version.order)

    def group(self, changes: Sequence[Change]) -> Group:
        """All that was found, as facts; the contents of the versions must have been told."""
        changes = self._lasting(changes)
        slices = self._slices(changes)
        versions = [self._fact(version) for version in self.in_order()]
        used = [
            (_elsewhere(source), source.origin)
            for source in self._used.values()
            if source.id not in self.versions
        ]
        return Group(slices, versions, used, changes)

    # the walk

    def _reach_version(self, version: LiveVersion) -> None:
        if version.id not in self.versions:
            self.versions[version.id] = version
            self._todo.append(version)

    def _refer(self, number: int, *, follow: bool) -> None:
        """Something depends on a version."""
        source = self._tables.find(number)
        if source is None:
            return
        if follow and isinstance(source, LiveVersion) and source.origin is None:
            self._reach_version(source)
        else:
            self._used[number] = source

    def _expand_version(self, version: LiveVersion) -> None:
        credits_ = version.credits
        for one in credits_:
            self._todo.append((one.actor, one.mark))
            if one.actor.activity.interactive:
                marked = range(one.mark) if len(credits_) > 1 else version.beside or ()
                for position in marked:
                    entry = one.actor.inputs[position] if position < one.mark else None
                    if entry is not None and not entry.informed:
                        self._refer(entry.source, follow=True)
        if version.depends_on_previous:
            self._refer(version.previous, follow=True)
        elif isinstance(self._tables.find(version.previous), External):
            self._refer(version.previous, follow=False)

    def _expand_actor(self, actor: Actor, mark: int) -> None:
        done = self._marks.get(actor)
        if done is None:
            done = self._first(actor)
            self._marks[actor] = done
        if mark <= done:
            return
        self._marks[actor] = mark
        follow = not actor.activity.interactive
        actors = self._tables.actors
        for one in actor.inputs[done:mark]:
            if not one.informed:
                self._refer(one.source, follow=follow)
            else:
                teller = actors.get(one.source)
                if teller is not None:
                    self._todo.append((teller, one.watermark))

    def _first(self, actor: Actor) -> int:
        """How many inputs of an activity the segments of this repo have."""
        return actor.stored if actor.repo == self._repo else 0

    # facts

    def _slices(self, changes: Sequence[Change]) -> list[Slice]:
        slices: dict[Actor, Slice] = {}
        for actor, mark in self._marks.items():
            first = self._first(actor)
            inputs = tuple(actor.inputs[first:mark])
            if len(inputs) < mark - first:  # it has gone meanwhile, for another commit holds all of it
                first, inputs = mark, ()
            slices[actor] = self._slice(actor, first, inputs)
        for change in changes:
            changer = self._tables.changers.get(change.activity)
            if changer is not None and changer not in slices and not self._knows(changer):
                slices[changer] = self._slice(changer, self._first(changer), ())
        for actor in list(slices):
            parent = actor.parent
            while parent is not None and parent not in slices and not self._knows(parent):
                slices[parent] = self._slice(parent, self._first(parent), ())
                parent = parent.parent
        for actor in list(self._tables.late.values()):
            if actor.repo == self._repo and actor not in slices:
                slices[actor] = self._slice(actor, self._first(actor), ())
        return [slices[actor] for actor in sorted(slices, key=lambda actor: actor.number)]

    def _slice(self, actor: Actor, first: int, inputs: tuple[Input, ...]) -> Slice:
        return Slice(actor.activity, first, inputs, actor.ended, actor.segment if first else b"")

    def _knows(self, actor: Actor) -> bool:
        return actor.is_stored and actor.repo == self._repo

    def _fact(self, version: LiveVersion) -> Version:
        writer = version.only_writer
        focus: tuple[int, ...] | None = None
        rest = int(Level.OBSERVED)
        if writer is not None and writer.activity.interactive:
            focus, rest = of_interactive(version.beside, (), version.credits[0].mark)
        elif writer is not None and writer.is_multiple and may_be_copy(version.size):
            rest = self._rest(writer, version)
        fact = self._tables.fact(version, focus, rest)
        if fact.previous and not fact.depends_on_previous and not self._is_named(fact.previous):
            return replace(fact, previous=0, relation=_alone(fact.relation))
        return fact

    def _rest(self, writer: Actor, version: LiveVersion) -> int:
        """UNLIKELY where an input of this group alone may show that the version is a copy of it."""
        earlier = self._earlier.get(writer)
        if earlier is None:
            earlier = self._earlier[writer] = {
                content_of(source)
                for one in writer.inputs[: self._first(writer)]
                if not one.informed and (source := self._tables.find(one.source)) is not None
            }
        return int(Level.OBSERVED if version.content in earlier else Level.UNLIKELY)

    def _is_named(self, version: int) -> bool:
        return version in self.versions or version in self._used

    def _lasting(self, changes: Sequence[Change]) -> list[Change]:
        """Changes but those of files that were made and removed meanwhile and that nothing came from."""
        made = {one.file_id for one in changes if one.kind == ChangeKind.CREATE}
        gone = {one.file_id for one in changes if one.kind == ChangeKind.REMOVE and one.file_id in made}
        if not gone:
            return list(changes)
        gone -= {version.place.file_id for version in self.versions.values()}
        return [one for one in changes if one.file_id not in gone]


def content_of(source: LiveVersion | External) -> bytes | None:
    """The content id of a version, as far as it is known."""
    return source.content if isinstance(source, LiveVersion) else source.version.content


def _alone(relation: int) -> int:
    return Relation.CREATED if relation == Relation.REPLACED else relation


def _elsewhere(source: LiveVersion | External) -> Version:
    """A version whose making another group tells, or nobody."""
    fact = source.version if isinstance(source, External) else _bare(source)
    if fact.writers or fact.previous or fact.relation:
        return replace(fact, writers=(), previous=0, relation=Relation.RAW, focus=None, rest=0)
    return fact


def _bare(version: LiveVersion) -> Version:
    return Version(
        id=version.id,
        repo=version.place.repo,
        branch=version.place.branch,
        file_id=version.place.file_id,
        path=version.path,
        time_ns=version.time_ns,
        content=version.content or b"",
        height=version.height,
        size=version.size,
        mtime_ns=version.mtime_ns,
        is_known=version.content is not None,
    )
