"""The closure of one version, with its edges: what it came from, or what came from it.

Exactly the edges that hold for the root.  Upstream, an activity counts up to the watermark of what brought us
there; downstream, from the position of what was used on.  Levels above `level_max` are counted, not followed,
and what an interactive program had read reaches others as ambient.  Each input is looked at once, so the cost
is linear in the answer; the walk goes by depth, and a circle (which a sound recorder never makes) ends it.

Depth counts versions from the root, where what was made and used inside one job costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pfs.lineage.facts import Input, Level, Source, Version

# What an activity is part of: the root of its subtree of processes, or itself where each stands alone.
Unit = Callable[[int], int]


class InputEdge(NamedTuple):
    """An input of an activity that holds, and how sure it is."""

    activity: int
    item: Input
    level: int


class Closure(NamedTuple):
    """What a walk found, in the order in which it met it."""

    versions: dict[int, Version]
    activities: list[int]
    generated: list[tuple[int, int, int]]  # (version, activity, flags)
    inputs: list[InputEdge]
    revised: list[tuple[int, int]]  # (version, the one before)
    left_out: dict[int, int]  # level → how many edges were only counted
    missing: list[int]  # versions that facts name and nobody knows


class _Queue:
    """Versions by their depth; one that turns out to be nearer than first seen is still given once."""

    def __init__(self, depth_max: int | None) -> None:
        self._depth_max = depth_max
        self._depths: dict[int, int] = {}
        self._given: set[int] = set()
        self._waiting: deque[tuple[Version, int]] = deque()

    def put(self, version: Version, depth: int, is_inside: bool) -> None:
        """A version was met from one at `depth`, which is its own where it stays inside a unit."""
        own = depth if is_inside else depth + 1
        if own >= self._depths.get(version.id, own + 1):
            return
        self._depths[version.id] = own
        (self._waiting.appendleft if is_inside else self._waiting.append)((version, own))

    def __iter__(self) -> Iterator[tuple[Version, int]]:
        while self._waiting:
            version, depth = self._waiting.popleft()
            if version.id not in self._given and (self._depth_max is None or depth < self._depth_max):
                self._given.add(version.id)
                yield version, depth


class _Reach:
    """Which inputs of an activity hold: the first `strong` and `single` at their own level, others weaker."""

    __slots__ = ("done", "done_single", "rest", "single", "strong")

    def __init__(self) -> None:
        self.strong = 0
        self.single: set[int] = set()
        self.rest: dict[int, int] = {}  # level → watermark
        self.done = 0  # inputs before it have been followed,
        self.done_single: set[int] = set()  # and these

    def extend(self, upto: int, focus: tuple[int, ...], rest: int, level_max: int) -> list[int]:
        """The first `upto` hold: `focus` at their own level, others at `rest`. What is to be followed now."""
        if rest == Level.OBSERVED:
            self.strong = max(self.strong, upto)
        else:
            self.rest[rest] = max(self.rest.get(rest, 0), upto)
        self.single.update(position for position in focus if position < upto)
        new = [p for p in focus if self.done <= p < upto and p not in self.done_single]
        self.done_single.update(new)
        if rest <= level_max and upto > self.done:
            # Those of `new` are in `done_single` by now.
            new += [p for p in range(self.done, upto) if p not in self.done_single]
            self.done = upto
        return new

    def level(self, position: int, own: int) -> int | None:
        """The strongest level at which an input holds; None where it does not."""
        if position < self.strong or position in self.single:
            return own
        weak = [level for level, upto in self.rest.items() if position < upto]
        return max(own, min(weak)) if weak else None


class Upstream:
    """One walk from a version to all that it came from."""

    def __init__(
        self,
        source: Source,
        *,
        level_max: int = Level.UNOBSERVED,
        depth_max: int | None = None,
        unit: Unit = lambda activity: activity,
        is_interactive: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._source = source
        self._level_max = level_max
        self._unit = unit
        self._is_interactive = is_interactive
        self._versions: dict[int, Version] = {}
        self._reached: dict[int, _Reach] = {}
        self._generated: list[tuple[int, int, int]] = []
        self._revised: list[tuple[int, int]] = []
        self._missing: dict[int, None] = {}
        self._queue = _Queue(depth_max)

    def walk(self, root: Version) -> Closure:
        """All that holds for this version."""
        self._versions[root.id] = root
        self._queue.put(root, 0, is_inside=True)
        for version, depth in self._queue:
            self._expand(version, depth)
        inputs, left_out = self._edges()
        return Closure(
            self._versions,
            list(self._reached),
            self._generated,
            inputs,
            self._revised,
            left_out,
            list(self._missing),
        )

    def _expand(self, version: Version, depth: int) -> None:
        if version.depends_on_previous and self._meet(version.previous, depth, version):
            self._revised.append((version.id, version.previous))
        for writer in version.writers:
            self._generated.append((version.id, writer.activity, writer.flags))
            if version.focus is None:
                self._reach(writer.activity, writer.watermark, (), Level.OBSERVED, depth)
            else:
                self._reach(writer.activity, writer.watermark, version.focus, version.rest, depth)

    def _reach(self, activity: int, watermark: int, focus: tuple[int, ...], rest: int, depth: int) -> None:
        """An activity counts up to a watermark: `focus` at its own level and all else at `rest`."""
        waiting = [(activity, watermark, focus, rest)]
        while waiting:
            who, upto, singles, weak = waiting.pop()
            reach = self._reached.setdefault(who, _Reach())
            inputs = self._source.inputs(who)
            for position in reach.extend(min(upto, len(inputs)), singles, weak, self._level_max):
                item = inputs[position]
                if item.level > self._level_max:
                    continue
                if item.informed:
                    shy = Level.AMBIENT if self._is_interactive(item.source) else Level.OBSERVED
                    waiting.append((item.source, item.watermark, (), shy))
                else:
                    self._meet(item.source, depth, who)

    def _meet(self, version_id: int, depth: int, user: int | Version) -> bool:
        """A version is an input of an activity, or of the next version; False where nobody knows it."""
        version = self._versions.get(version_id) or self._source.version(version_id)
        if version is None:
            self._missing[version_id] = None
            return False
        self._versions[version_id] = version
        self._queue.put(version, depth, _same_unit(self._unit, version, user))
        return True

    def _edges(self) -> tuple[list[InputEdge], dict[int, int]]:
        found: list[InputEdge] = []
        left_out: dict[int, int] = {}
        for activity, reach in self._reached.items():
            upto = max([reach.strong, *reach.rest.values(), *(p + 1 for p in reach.single)])
            for position, item in zip(range(upto), self._source.inputs(activity), strict=False):
                level = reach.level(position, item.level)
                if level is None:
                    continue
                if level > self._level_max:
                    left_out[level] = left_out.get(level, 0) + 1
                elif item.informed or item.source in self._versions:
                    found.append(InputEdge(activity, item, level))
        return found, left_out


def _same_unit(unit: Unit, version: Version, other: int | Version) -> bool:
    makers = {unit(writer.activity) for writer in version.writers}
    if isinstance(other, Version):
        return not makers.isdisjoint(unit(writer.activity) for writer in other.writers)
    return unit(other) in makers


class _Touched:
    """What of an activity is downstream: what came from the inputs at `positions`.

    `outputs` and `sinks` shrink from their end, the greatest watermark first, as they are reached.
    """

    __slots__ = ("focused", "most", "others", "outputs", "positions", "sinks")

    def __init__(self, activity: int, source: Source, level_max: int, *, tells: bool) -> None:
        self.positions: dict[int, None] = {}
        self.outputs: list[tuple[int, Version]] = []  # (watermark, what came from all inputs before it)
        self.focused: dict[int, list[Version]] = {}  # position → what followed it
        self.others: list[tuple[int, int]] = []  # (watermark, rest) of what followed only some
        self.most = 0
        for version in filter(None, map(source.version, source.outputs(activity))):
            self._add(version, max(w.watermark for w in version.writers if w.activity == activity), level_max)
        self.outputs.sort(key=lambda pair: pair[0])
        # (watermark of ours, activity, position in its inputs)
        informed = source.informed(activity) if tells else ()
        self.sinks = sorted((mark, sink, position) for sink, position, mark in informed)
        self.most = max([self.most, *(mark for mark, _, _ in self.sinks[-1:])])

    def _add(self, version: Version, watermark: int, level_max: int) -> None:
        if version.focus is None:
            self.outputs.append((watermark, version))
            self.most = max(self.most, watermark)
            return
        self.others.append((watermark, version.rest))
        if version.rest <= level_max:
            self.outputs.append((watermark, version))
        for position in version.focus:
            if position < watermark:
                self.focused.setdefault(position, []).append(version)

    def level(self, position: int, own: int) -> int | None:
        """The strongest level at which what was used at a position led to something; None: to nothing."""
        if position < self.most or position in self.focused:
            return own
        weak = [rest for mark, rest in self.others if position < mark]
        return max(own, min(weak)) if weak else None


class Downstream:
    """One walk from a version to all that came from it; who read it and made nothing is left out."""

    def __init__(
        self,
        source: Source,
        *,
        level_max: int = Level.UNOBSERVED,
        depth_max: int | None = None,
        unit: Unit = lambda activity: activity,
        is_interactive: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._source = source
        self._level_max = level_max
        self._unit = unit
        self._is_interactive = is_interactive
        self._versions: dict[int, Version] = {}
        self._touched: dict[int, _Touched] = {}
        self._generated: dict[tuple[int, int], int] = {}
        self._revised: list[tuple[int, int]] = []
        self._queue = _Queue(depth_max)

    def walk(self, root: Version) -> Closure:
        """All that this version holds for."""
        self._versions[root.id] = root
        self._queue.put(root, 0, is_inside=True)
        for version, depth in self._queue:
            self._expand(version, depth)
        return self._closure()

    def _expand(self, version: Version, depth: int) -> None:
        for later_id in self._source.revisions(version.id):
            later = self._source.version(later_id)
            if later is not None and later.depends_on_previous and later.previous == version.id:
                self._revised.append((later.id, version.id))
                for writer in later.writers:
                    self._generated.setdefault((later.id, writer.activity), writer.flags)
                self._meet(later, depth, version)
        for activity, position in self._source.consumers(version.id):
            self._touch(activity, position, depth)

    def _touch(self, activity: int, position: int, depth: int) -> None:
        waiting = [(activity, position)]
        while waiting:
            who, where = waiting.pop()
            touched = self._touched.get(who)
            if touched is None:
                tells = self._level_max >= Level.AMBIENT or not self._is_interactive(who)
                touched = _Touched(who, self._source, self._level_max, tells=tells)
                self._touched[who] = touched
            if where in touched.positions:
                continue
            touched.positions[where] = None
            if self._source.inputs(who)[where].level > self._level_max:
                continue
            for version in self._made(touched, where):
                flags = next(w.flags for w in version.writers if w.activity == who)
                self._generated.setdefault((version.id, who), flags)
                self._meet(version, depth, who)
            while touched.sinks and touched.sinks[-1][0] > where:
                _, sink, sink_position = touched.sinks.pop()
                waiting.append((sink, sink_position))

    def _made(self, touched: _Touched, where: int) -> Iterator[Version]:
        yield from touched.focused.get(where, ())
        while touched.outputs and touched.outputs[-1][0] > where:
            yield touched.outputs.pop()[1]

    def _meet(self, version: Version, depth: int, user: int | Version) -> None:
        self._versions.setdefault(version.id, version)
        self._queue.put(version, depth, _same_unit(self._unit, version, user))

    def _closure(self) -> Closure:
        made_something = self._led_somewhere()
        found: list[InputEdge] = []
        left_out: dict[int, int] = {}
        for activity, touched in self._touched.items():
            inputs = self._source.inputs(activity)
            for position in touched.positions:
                item = inputs[position]
                level = touched.level(position, item.level)
                if level is None:
                    continue
                if level > self._level_max:
                    left_out[level] = left_out.get(level, 0) + 1
                elif activity in made_something and (not item.informed or item.source in made_something):
                    found.append(InputEdge(activity, item, level))
        generated = [(version, who, flags) for (version, who), flags in self._generated.items()]
        return Closure(self._versions, list(made_something), generated, found, self._revised, left_out, [])

    def _led_somewhere(self) -> dict[int, None]:
        """The activities that made a version of the answer, or informed one that did."""
        tellers: dict[int, list[int]] = {}
        for activity, touched in self._touched.items():
            inputs = self._source.inputs(activity)
            for item in (inputs[position] for position in touched.positions):
                if item.informed and item.level <= self._level_max:
                    tellers.setdefault(activity, []).append(item.source)
        found = dict.fromkeys(who for _, who in self._generated)
        waiting = list(found)
        while waiting:
            for teller in tellers.get(waiting.pop(), ()):
                if teller in self._touched and teller not in found:
                    found[teller] = None
                    waiting.append(teller)
        return found
