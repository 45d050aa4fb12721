"""The picture of an answer that text and drawings share: a tree of versions and of what made them.

One row for each job (with `full`, for each process).  What a job made for itself stays inside it; what an
editor or an import did stands on the row of the version; many of a kind are folded into one row that counts
them; what was shown already is not shown again.  Without recursion, in time linear in the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pfs.lineage.answers.answer import Answer, ProcessNode, VersionNode
from pfs.lineage.render.likeness import Likeness
from pfs.lineage.render.links import Child, Item, Links, UnitKey

# Deeper than this nobody reads; the last row says that it goes on.
LEVELS_MAX: Final = 60
# Rows below one job, after like ones were folded.
FAN_MAX: Final = 40
# Folding shall hide at least so many, or it hides more than it saves.
HIDDEN_MIN: Final = 3
_LEAVES_SHOWN: Final = 3  # of those without a story of their own


class Row(NamedTuple):
    """One row: its parent's number (-1: none), what it is, and how it hangs there."""

    parent: int
    kind: str  # version, job, process; like, more: `many` that are (not) like the row before
    id: str = ""
    level: str = "observed"  # the weakest edge between the parent and it
    via: str = ""  # pipe, fork, child, told: how another process told; before: the version before
    is_again: bool = False  # shown above, with all below it
    is_cut: bool = False  # something is below it that is not shown
    many: int = 0  # of a version: how many edits before it are not shown
    inline: str = ""  # the process that edited or imported a version


class _Folded(NamedTuple):
    many: int
    kind: str


def outline(answer: Answer) -> list[Row]:
    """The rows of an answer, each after its parent, in the order in which they are read."""
    return list(_Outline(answer).rows())


class _Outline:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._full = answer.query.full
        self._links = Links(answer)
        self._likeness = Likeness(answer, self._links)
        self._versions: dict[str, VersionNode] = {node.id: node for node in answer.versions}
        self._processes: dict[str, ProcessNode] = {node.id: node for node in answer.processes}

    def rows(self) -> Iterator[Row]:
        shown: set[Item] = set()
        number = -1
        waiting: list[tuple[int, int, Child | _Folded]] = [(-1, 0, Child(self._answer.root))]
        while waiting:
            parent, level, child = waiting.pop()
            number += 1
            if isinstance(child, _Folded):
                yield Row(parent, child.kind, many=child.many)
                continue
            row, children = self._row(parent, child)
            if children and child.item in shown:
                row, children = row._replace(is_again=True), []
            elif children and level >= LEVELS_MAX:
                row, children = row._replace(is_cut=True), []
            shown.add(child.item)
            yield row
            waiting += [(number, level + 1, below) for below in reversed(self._fold(child.item, children))]

    def _row(self, parent: int, child: Child) -> tuple[Row, list[Child]]:
        """A row, and what is below it, before folding."""
        item = child.item
        if isinstance(item, UnitKey):
            kind = "job" if item.unit.startswith("j:") else "process"
            row = Row(parent, kind, item.unit, child.level, child.via)
        else:
            row = Row(parent, "version", item, child.level, child.via)
            if (unit := self._inline_unit(item)) is not None:
                children, before = self._edited(item)
                return row._replace(inline=next(iter(self._members(unit))), many=before), children
        return row, self._without_shell(item)

    def _without_shell(self, item: Item) -> list[Child]:
        """What is below, without the shell's own process that became one of the job's, before it did."""
        children = self._links.children(item)
        if self._full or not isinstance(item, UnitKey):
            return children
        pids = {self._processes[process].pid for process in self._links.members(item.unit)}

        def is_shell(child: Child) -> bool:
            process = self._processes.get(child.item.unit) if isinstance(child.item, UnitKey) else None
            return (
                process is not None
                and process.job is None
                and process.pid in pids
                and not self._links.children(child.item)
            )

        return [child for child in children if not is_shell(child)]

    def _members(self, unit: UnitKey) -> list[str]:
        return [process for process in self._links.members(unit.unit) if process in unit.entries] or (
            self._links.members(unit.unit)
        )

    def _inline_unit(self, version: str) -> UnitKey | None:
        """What made a version, where that needs no row of its own: an editor, a shell, an import."""
        if self._full or self._answer.query.direction == "down":
            return None
        units = [child.item for child in self._links.children(version)]
        if len(units) != 1 or not isinstance(unit := units[0], UnitKey):
            return None
        process = self._processes[self._members(unit)[0]]
        return unit if process.job is None or self._versions[version].imported else None

    def _edited(self, version: str) -> tuple[list[Child], int]:
        """What a version that an editor made came from, and how many earlier edits of it are left out."""
        found: dict[Item, Child] = {}
        seen = {version}
        while (unit := self._inline_unit(version)) is not None:
            while (inside := self._links.before(version, unit.unit)) is not None and inside not in seen:
                version = inside
                seen.add(version)
            earlier = None
            for child in self._links.children(unit):
                if isinstance(child.item, str) and self._is_same_path(child.item, version):
                    earlier = child if child.item not in seen else earlier
                else:
                    found.setdefault(child.item, child)
            if earlier is None or not isinstance(earlier.item, str):
                break
            has_story = self._links.children(earlier.item) or self._versions[earlier.item].imported
            if has_story and self._inline_unit(earlier.item) is None:
                found.setdefault(earlier.item, earlier)
                break
            version = earlier.item
            seen.add(version)
        return list(found.values()), len(seen) - 1

    def _is_same_path(self, one: str, other: str) -> bool:
        a, b = self._versions[one], self._versions[other]
        return (a.repo, a.path) == (b.repo, b.path)

    def _fold(self, item: Item, children: list[Child]) -> list[Child | _Folded]:
        """Children, with those that are like an earlier one replaced by their number."""
        if self._full:
            return list(children)
        before = [child for child in children if child.via == "before"] if isinstance(item, UnitKey) else []
        entries = self._fold_like([child for child in children if child not in before])
        for child in before:
            entries += self._without_rounds(item, child)
        return entries

    def _fold_like(self, children: list[Child]) -> list[Child | _Folded]:
        groups: dict[tuple[str, str, int], list[Child]] = {}
        for child in children:
            key = (child.via, child.level, self._likeness.of(child.item))
            groups.setdefault(key, []).append(child)
        entries: list[Child | _Folded] = []
        for group in groups.values():
            shown = 1 if self._links.children(group[0].item) else _LEAVES_SHOWN
            if len(group) - shown < HIDDEN_MIN:
                shown = len(group)
            entries += group[:shown]
            if shown < len(group):
                entries.append(_Folded(len(group) - shown, "like"))
        return entries if len(entries) < FAN_MAX + HIDDEN_MIN else self._narrowed(entries)

    def _narrowed(self, entries: list[Child | _Folded]) -> list[Child | _Folded]:
        """The first of a big fan-in, those with a story of their own before all others."""

        def rank(number: int) -> bool:
            entry = entries[number]
            return isinstance(entry, _Folded) or not self._links.children(entry.item)

        kept = set(sorted(range(len(entries)), key=rank)[:FAN_MAX])
        hidden = [entry for number, entry in enumerate(entries) if number not in kept]
        many = sum(entry.many if isinstance(entry, _Folded) else 1 for entry in hidden)
        return [*(entries[number] for number in sorted(kept)), _Folded(many, "more")]

    def _without_rounds(self, item: Item, before: Child) -> list[Child | _Folded]:
        """The version before; of a loop that changes one file over and over, the first and their number."""
        first, between, seen = before.item, 0, {before.item}
        kind = self._likeness.of_round(item) if isinstance(item, UnitKey) else 0
        while True:
            units = [child.item for child in self._links.children(first)]
            if len(units) != 1 or not isinstance(unit := units[0], UnitKey):
                break
            earlier = [c.item for c in self._links.children(unit) if c.via == "before" and c.item not in seen]
            if not earlier or self._likeness.of_round(unit) != kind:
                break
            first = earlier[0]
            seen.add(first)
            between += 1
        if between < HIDDEN_MIN:
            return [before]
        return [_Folded(between, "like"), before._replace(item=first)]
