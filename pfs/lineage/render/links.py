"""An answer as a graph of versions and of what made them: jobs, or single processes where all are asked for.

What a job made and used inside itself does not show.  Each look into a job costs as much as the job; where
many outputs of a large one are asked about, it is looked at as a whole instead, so that all stays linear.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from pfs.lineage.answers.answer import Answer, Generated, Informed, Revised, Used
from pfs.lineage.facts import Level

# Steps inside of jobs that an answer may cost, for each of its edges, and for a small one.
_STEPS_PER_EDGE: Final = 8
_STEPS_MIN: Final = 20_000

LEVELS: Final = {level.name.lower(): int(level) for level in Level}
_CHANNELS: Final = ("pipe", "fork", "child")


class UnitKey(NamedTuple):
    """A job or process, as seen from where it is entered: by these processes, by these versions."""

    unit: str
    entries: frozenset[str]


Item = str | UnitKey


class Child(NamedTuple):
    """What hangs below an item, and how."""

    item: Item
    level: str = "observed"
    via: str = ""  # pipe, fork, child: how a process told; before: the version before at this path


def weaker(one: str, other: str) -> str:
    """The weaker of two levels."""
    return max(one, other, key=lambda level: LEVELS.get(level, 0))


class Links:
    """What hangs below what.  Owned by one drawing: it remembers."""

    def __init__(self, answer: Answer) -> None:
        self._is_up = answer.query.direction == "up"
        self._units = {
            process.id: process.id if answer.query.full or process.job is None else process.job
            for process in answer.processes
        }
        self._makers: dict[str, list[tuple[str, str]]] = {}  # version → (process, level)
        self._made: dict[str, list[tuple[str, str]]] = {}
        self._used: dict[str, list[tuple[str, str]]] = {}  # process → (version, level)
        self._users: dict[str, list[tuple[str, str]]] = {}
        self._told_by: dict[str, list[tuple[str, str, str]]] = {}  # process → (process, level, channel)
        self._tells: dict[str, list[tuple[str, str, str]]] = {}
        self._before: dict[str, list[str]] = {}
        self._after: dict[str, list[str]] = {}
        for edge in answer.edges:
            self._add(edge)
        self._members: dict[str, list[str]] = {}
        for process, unit in self._units.items():
            self._members.setdefault(unit, []).append(process)
        self._steps_max = _STEPS_MIN + _STEPS_PER_EDGE * len(answer.edges)
        self.steps = 0  # taken inside of units so far
        self._children: dict[Item, list[Child]] = {}

    def _add(self, edge: Generated | Used | Informed | Revised) -> None:
        match edge:
            case Generated():
                self._makers.setdefault(edge.version, []).append((edge.process, edge.level))
                self._made.setdefault(edge.process, []).append((edge.version, edge.level))
            case Used():
                self._used.setdefault(edge.process, []).append((edge.version, edge.level))
                self._users.setdefault(edge.version, []).append((edge.process, edge.level))
            case Informed():
                channel = next((flag for flag in edge.flags if flag in _CHANNELS), "told")
                self._told_by.setdefault(edge.process, []).append((edge.by, edge.level, channel))
                self._tells.setdefault(edge.by, []).append((edge.process, edge.level, channel))
            case Revised():
                self._before.setdefault(edge.version, []).append(edge.of)
                self._after.setdefault(edge.of, []).append(edge.version)

    def children(self, item: Item) -> list[Child]:
        """What hangs below a version (what made it, or who used it) or below a unit of work."""
        if item not in self._children:
            if isinstance(item, UnitKey):
                found = self._ends_up(item) if self._is_up else self._ends_down(item)
            else:
                found = self._units_up(item) if self._is_up else self._units_down(item)
            self._children[item] = found
        return self._children[item]

    def members(self, unit: str) -> list[str]:
        """The processes of a job; of a process itself."""
        return self._members.get(unit, [])

    def before(self, version: str, unit: str) -> str | None:
        """The version before one, where this unit made that, too."""
        for earlier in self._before.get(version, ()):
            makers = self._makers.get(earlier, ())
            if makers and all(self._unit(process) == unit for process, _ in makers):
                return earlier
        return None

    def _unit(self, process: str) -> str:
        return self._units.get(process, process)

    def _units_up(self, version: str) -> list[Child]:
        before = self._before.get(version, [])
        groups: dict[str, list[str]] = {}
        levels: dict[str, str] = {}
        for process, level in self._makers.get(version, ()):
            unit = self._unit(process)
            groups.setdefault(unit, []).append(process)
            levels[unit] = weaker(levels.get(unit, level), level)
        if not groups:
            return [Child(other, via="before") for other in before]
        first = next(iter(groups))
        return [
            Child(self._key(unit, [*processes, *(before if unit == first else ())]), levels[unit])
            for unit, processes in groups.items()
        ]

    def _units_down(self, version: str) -> list[Child]:
        groups: dict[str, list[str]] = {}
        levels: dict[str, str] = {}
        for process, level in self._users.get(version, ()):
            groups.setdefault(self._unit(process), []).append(process)
            levels[self._unit(process)] = weaker(levels.get(self._unit(process), level), level)
        loose: list[Child] = []
        for later in self._after.get(version, ()):
            makers = [process for process, _ in self._makers.get(later, ())]
            if not makers:
                loose.append(Child(later, via="before"))
            for unit in dict.fromkeys(map(self._unit, makers)):
                groups.setdefault(unit, []).append(later)
        found = [
            Child(self._key(unit, entries), levels.get(unit, "observed")) for unit, entries in groups.items()
        ]
        return found + loose

    def _key(self, unit: str, entries: Iterable[str]) -> UnitKey:
        """How a unit is entered; nothing where it was looked into too often: then it is one whole."""
        return UnitKey(unit, frozenset(entries) if self.steps < self._steps_max else frozenset())

    def _starts(self, key: UnitKey) -> list[str]:
        if not key.entries:
            members = self.members(key.unit)
            made = [version for process in members for version, _ in self._made.get(process, ())]
            links = self._before if self._is_up else {}
            return [*members, *dict.fromkeys(other for version in made for other in links.get(version, ()))]
        order = [member for member in self.members(key.unit) if member in key.entries]
        return [*order, *sorted(entry for entry in key.entries if entry.startswith("v:"))]

    def _ends_up(self, key: UnitKey) -> list[Child]:
        """The versions that a unit did not make itself, and the units that told it something."""
        found: dict[Item, Child] = {}
        walk = _Inside(self._starts(key))
        for at, level in walk:
            if at.startswith("v:"):  # the version before one that the unit made
                makers = self._makers.get(at, [])
                if makers and all(self._unit(process) == key.unit for process, _ in makers):
                    walk.add((process, weaker(level, how)) for process, how in makers)
                    walk.add((earlier, level) for earlier in self._before.get(at, ()))
                else:
                    via = "before" if at in key.entries else ""
                    found.setdefault(at, Child(at, level, via))
                continue
            walk.add((version, weaker(level, how)) for version, how in self._used.get(at, ()))
            for other, how, channel in self._told_by.get(at, ()):
                if self._unit(other) == key.unit:
                    walk.add([(other, weaker(level, how))])
                else:
                    child = Child(self._key(self._unit(other), [other]), weaker(level, how), channel)
                    found.setdefault(child.item, child)
        self.steps += walk.steps
        return list(found.values())

    def _ends_down(self, key: UnitKey) -> list[Child]:
        """The versions that a unit left for others, and the units that it told something."""
        found: dict[Item, Child] = {}
        walk = _Inside(self._starts(key))
        for at, level in walk:
            if at.startswith("v:"):
                inside = [(p, how) for p, how in self._users.get(at, ()) if self._unit(p) == key.unit]
                later = [
                    (version, "observed")
                    for version in self._after.get(at, ())
                    if any(self._unit(p) == key.unit for p, _ in self._makers.get(version, ()))
                ]
                walk.add((other, weaker(level, how)) for other, how in inside + later)
                is_used_outside = len(inside) < len(self._users.get(at, ()))
                is_changed_outside = len(later) < len(self._after.get(at, ())) or any(
                    self._unit(p) != key.unit for version, _ in later for p, _ in self._makers[version]
                )
                if is_used_outside or is_changed_outside or not (inside or later):
                    found.setdefault(at, Child(at, level))
                continue
            walk.add((version, weaker(level, how)) for version, how in self._made.get(at, ()))
            for other, how, channel in self._tells.get(at, ()):
                if self._unit(other) == key.unit:
                    walk.add([(other, weaker(level, how))])
                else:
                    child = Child(self._key(self._unit(other), [other]), weaker(level, how), channel)
                    found.setdefault(child.item, child)
        self.steps += walk.steps
        return list(found.values())


class _Inside:
    """A walk inside a unit: each process and version once, with the weakest level on the way to it."""

    def __init__(self, starts: Iterable[str]) -> None:
        self._waiting = deque((start, "observed") for start in starts)
        self._seen = {start for start, _ in self._waiting}
        self.steps = 0

    def add(self, found: Iterable[tuple[str, str]]) -> None:
        for at, level in found:
            self.steps += 1
            if at not in self._seen:
                self._seen.add(at)
                self._waiting.append((at, level))

    def __iter__(self) -> _Inside:
        return self

    def __next__(self) -> tuple[str, str]:
        if not self._waiting:
            raise StopIteration
        self.steps += 1
        return self._waiting.popleft()
