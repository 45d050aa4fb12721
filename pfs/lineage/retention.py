"""Which bytes stay, why, and until when.

A version whose bytes some commit, tag, hold or working tree reaches is *anchored*, and stays.  Of the others
stay those that lineage needs: what an anchored file at another path came from, for as long as that file; if
recorded processes can make it again from what stays anyway, for some days only; the earlier states of a file
that was changed in place, ever fewer; and what somebody is reading.  The rule that keeps longest counts.

`Retention` only reads and decides, and about bytes alone: records stay.  Leaves to others: taking bytes away,
chunks that versions share, and how much all intermediates may hold together (`over_limit` names those that
go first).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

import msgspec

from pfs.lineage.facts import OUTSIDE, Activity, Input, Level, Relation, Source, Version

SECOND_NS: Final = 10**9
HOUR_NS: Final = 3600 * SECOND_NS
DAY_NS: Final = 24 * HOUR_NS


class Reason(IntEnum):
    """Why bytes stay.  Where two rules keep equally long, the first of this list is named."""

    ANCHORED = 1  # a commit, tag, hold, working tree or open handle has it
    TIMELINE = 2  # a checkpoint or a reflog has it, for a time
    SOURCE = 3  # an anchored file at another path came from it, and nothing else can replace it
    PREFIX = 4  # an anchored version begins with it: costs nothing
    INTERMEDIATE = 5  # the same as SOURCE, but it can be made again
    PREDECESSOR = 6  # an earlier state of a file that was changed in place
    READ = 7  # somebody reads it, and may yet write something
    NOTHING = 8  # the bytes may go


# Who goes first when space is short; all others never do.  Within one, the oldest go first.
PRESSURE: Final = (Reason.TIMELINE, Reason.PREDECESSOR, Reason.INTERMEDIATE)


class Keep(NamedTuple):
    """Why the bytes of a version stay, and until when: None: as long as what has them; 0: they may go."""

    reason: Reason
    until_ns: int | None


FOREVER: Final = None
MAY_GO: Final = Keep(Reason.NOTHING, 0)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may set."""

    intermediate_ns: int = 7 * DAY_NS
    reader_ns: int = HOUR_NS  # after its last READ a reader counts as ended
    # (up to which age, one in how long): 0: all of them
    thinning: tuple[tuple[int, int], ...] = ((DAY_NS, 0), (7 * DAY_NS, HOUR_NS), (90 * DAY_NS, DAY_NS))


class Known(Protocol):
    """What others know of versions and activities."""

    def is_anchored(self, version: int) -> bool:
        """Whether a commit, tag, hold, head, working tree or open handle has its bytes."""

    def timeline_until_ns(self, version: int) -> int:
        """Until when the last checkpoint or reflog that has it stays; 0: none has."""

    def is_scratch(self, version: Version) -> bool:
        """Whether its path is one whose bytes are never kept."""

    def gone_ns(self, version: int) -> int:
        """When it was removed or something else took its place."""

    def is_running(self, activity: int) -> bool:
        """Whether an activity has not ended."""

    def last_read_ns(self, version: int) -> int:
        """When somebody last read it; 0: only its opening is known."""


class _Outputs(NamedTuple):
    """What an activity wrote: what depends on its first inputs, and what on single ones only."""

    plain: list[tuple[Version, int]]  # with the watermark
    focused: dict[int, list[Version]]  # by position


class Retention:
    """Decides for one moment.  Remembers what it found: make another one when facts have changed."""

    def __init__(self, source: Source, known: Known, settings: Settings, now_ns: int) -> None:
        self._source = source
        self._known = known
        self._settings = settings
        self._now_ns = now_ns
        self._reached: dict[int, int | None] = {}
        self._outputs: dict[int, _Outputs] = {}

    def of(self, version: int) -> Keep:
        """Why the bytes of a version stay, and until when."""
        found = self._source.version(version)
        if self._known.is_anchored(version):
            return Keep(Reason.ANCHORED, FOREVER)
        if found is None or found.repo == OUTSIDE or not found.is_known or self._known.is_scratch(found):
            return MAY_GO
        best = MAY_GO
        for keep in self._rules(found):
            if _is_longer(keep.until_ns, best.until_ns):
                best = keep
        return best if _is_longer(best.until_ns, self._now_ns) else MAY_GO

    def _rules(self, version: Version) -> Iterator[Keep]:
        """What each rule says, in the order of `Reason`; 0 where it says nothing."""
        yield Keep(Reason.TIMELINE, self._known.timeline_until_ns(version.id))
        reached_ns = self._reached_until_ns(version)
        limited = reached_ns != 0 and self._can_be_made_again(version, reached_ns)
        if not limited:
            yield Keep(Reason.SOURCE, reached_ns)
        yield Keep(Reason.PREFIX, self._prefix_until_ns(version))
        if limited:
            until_ns = self._known.gone_ns(version.id) + self._settings.intermediate_ns
            yield Keep(Reason.INTERMEDIATE, min(until_ns, reached_ns or until_ns))
        if self._is_predecessor(version):
            yield Keep(Reason.PREDECESSOR, self._thinned_until_ns(version))
        yield Keep(Reason.READ, self._read_until_ns(version))

    def _anchored_until_ns(self, version: int) -> int | None:
        return FOREVER if self._known.is_anchored(version) else self._known.timeline_until_ns(version)

    # What came from it

    def _reached_until_ns(self, root: Version) -> int | None:
        """How long something anchored stays that came from a version, beyond its own file; 0: nothing did."""
        if root.id not in self._reached:
            until_ns: int | None = 0
            for version in self._downstream(root):
                anchored_ns = self._anchored_until_ns(version.id)
                if _is_longer(anchored_ns, until_ns):
                    until_ns = anchored_ns
                if until_ns is FOREVER:
                    break
            self._reached[root.id] = until_ns
        return self._reached[root.id]

    def _downstream(self, root: Version) -> Iterator[Version]:
        """Every version that depends on one, but its own file's later states and what came from those."""
        seen = {root.id}
        steps: list[tuple[int, int]] = []  # (activity, position in its inputs)
        least: dict[int, int] = {}  # activity → the first position that is known to depend on the root
        versions = [root]
        while versions or steps:
            if versions:
                version = versions.pop()
                steps.extend(self._source.consumers(version.id))
                found = map(self._source.version, self._source.revisions(version.id))
                outputs = [each for each in found if each is not None and each.depends_on_previous]
            else:
                activity, position = steps.pop()
                if not self._is_followed(activity, position):
                    continue
                is_first = position < least.get(activity, position + 1)
                if is_first:  # what depends on it includes what depends on later positions
                    least[activity] = position
                    steps.extend(self._told(activity, position))
                outputs = list(self._outputs_from(activity, position, plain=is_first))
            for output in outputs:
                if output.id not in seen and not _is_same_file(root, output):
                    seen.add(output.id)
                    versions.append(output)
                    yield output

    def _told(self, activity: int, position: int) -> Iterator[tuple[int, int]]:
        """(activity, position) of everyone who learned from another what it had from a position."""
        described = self._source.activity(activity)
        if described is not None and described.interactive:  # ambient
            return
        for told, place, watermark in self._source.informed(activity):
            if position < watermark:
                yield told, place

    def _is_followed(self, activity: int, position: int) -> bool:
        inputs = self._source.inputs(activity)
        return position < len(inputs) and inputs[position].level < Level.UNLIKELY

    def _outputs_from(self, activity: int, position: int, *, plain: bool) -> Iterator[Version]:
        """What an activity wrote that depends on the input at a position."""
        outputs = self._outputs_of(activity)
        yield from outputs.focused.get(position, ())
        if plain:
            yield from (version for version, watermark in outputs.plain if position < watermark)

    def _outputs_of(self, activity: int) -> _Outputs:
        if activity not in self._outputs:
            made = self._outputs[activity] = _Outputs([], {})
            for each in self._source.outputs(activity):
                version = self._source.version(each)
                if version is None:
                    continue
                watermark = _watermark(version, activity)
                focus = _focus(version)
                if focus is None:
                    made.plain.append((version, watermark))
                else:
                    for position in focus:
                        if position < watermark:
                            made.focused.setdefault(position, []).append(version)
        return self._outputs[activity]

    # Whether it can be made again

    def _can_be_made_again(self, version: Version, until_ns: int | None) -> bool:
        """Whether described programs made it of nothing but what stays as long as its outcome."""
        seen = {version.id}
        versions = [version]
        activities: dict[int, int] = {}  # activity → how many of its inputs were asked for
        while versions:
            one = versions.pop()
            if not one.writers or one.depends_on_previous:
                return False
            todo = [(writer.activity, self._needed(one, writer.activity)) for writer in one.writers]
            while todo:
                activity, needed = todo.pop()
                if activities.get(activity, 0) >= len(needed) > 0:
                    continue
                activities[activity] = len(needed)
                described = self._source.activity(activity)
                if described is None or not needed or not _can_run_again(described):
                    return False
                for each in needed:
                    if each.informed:
                        told = self._source.inputs(each.source)[: each.watermark]
                        todo.append((each.source, [one for one in told if one.level < Level.UNLIKELY]))
                    elif each.source not in seen and each.source != described.exe_version:
                        seen.add(each.source)
                        source = self._source.version(each.source)
                        if source is None or source.repo == OUTSIDE or not source.is_known:
                            return False
                        if not self._stays(source, until_ns):
                            versions.append(source)
        return True

    def _needed(self, version: Version, activity: int) -> Sequence[Input]:
        inputs = self._source.inputs(activity)[: _watermark(version, activity)]
        focus = _focus(version)
        if focus is not None:
            inputs = [inputs[position] for position in focus if position < len(inputs)]
        return [each for each in inputs if each.level < Level.UNLIKELY]

    def _stays(self, version: Version, until_ns: int | None) -> bool:
        """Whether a version's bytes stay without being made again."""
        if not _is_longer(until_ns, self._anchored_until_ns(version.id)):
            return True
        is_raw = not version.writers
        return is_raw and not _is_longer(until_ns, self._reached_until_ns(version))

    # The other rules

    def _prefix_until_ns(self, version: Version) -> int | None:
        """How long a version stays that begins with this one."""
        until_ns: int | None = 0
        versions, seen = [version.id], {version.id}
        while versions:
            for each in self._source.revisions(versions.pop()):
                found = self._source.version(each)
                if found is not None and found.relation == Relation.APPENDED and each not in seen:
                    seen.add(each)
                    versions.append(each)
                    anchored_ns = self._anchored_until_ns(each)
                    until_ns = anchored_ns if _is_longer(anchored_ns, until_ns) else until_ns
        return until_ns

    def _is_predecessor(self, version: Version) -> bool:
        """Whether a later state of the same file depends on it."""
        revisions = map(self._source.version, self._source.revisions(version.id))
        if any(each is not None and each.depends_on_previous for each in revisions):
            return True
        return any(
            output.id != version.id and _is_same_file(version, output)
            for activity, position in self._source.consumers(version.id)
            if self._is_followed(activity, position)
            for output in self._outputs_from(activity, position, plain=True)
        )

    def _thinned_until_ns(self, version: Version) -> int:
        states = map(self._source.version, self._source.versions_at(version.repo, version.path))
        later = [
            state.time_ns
            for state in states
            if state is not None
            and state.branch == version.branch
            and (state.time_ns, state.id) > (version.time_ns, version.id)
        ]
        return thinned_until_ns(version.time_ns, later, self._settings.thinning)

    def _read_until_ns(self, version: Version) -> int:
        """Until when readers count as reading; those, too, whom they tell something through a pipe."""
        until_ns = 0
        last_read_ns = self._known.last_read_ns(version.id)
        for activity, position in self._source.consumers(version.id):
            if not self._is_followed(activity, position):
                continue
            if self._is_somebody_running(activity, position):
                opened_ns = self._source.inputs(activity)[position].time_ns
                until_ns = max(until_ns, max(last_read_ns, opened_ns) + self._settings.reader_ns)
        return until_ns

    def _is_somebody_running(self, activity: int, position: int) -> bool:
        seen = {activity}
        steps = [(activity, position)]
        while steps:
            one, place = steps.pop()
            if self._known.is_running(one):
                return True
            told = [step for step in self._told(one, place) if step[0] not in seen]
            seen.update(who for who, _ in told)
            steps.extend(told)
        return False


def thinned_until_ns(time_ns: int, later_ns: Iterable[int], thinning: Sequence[tuple[int, int]]) -> int:
    """Until when one of a row of states stays, where ever fewer do the older they get.

    later_ns: times of the states after it.  thinning: (up to which age, one in how long), the youngest first;
    the last of each stretch of time is the one that stays, by the clock, so that a new state moves nobody.
    """
    next_ns = min(later_ns, default=None)
    until_ns = time_ns
    for age_ns, stretch_ns in thinning:
        if stretch_ns and next_ns is not None and next_ns // stretch_ns == time_ns // stretch_ns:
            break
        until_ns = time_ns + age_ns
    return until_ns


def over_limit(intermediates: Iterable[tuple[int, int, int]], limit_bytes: int) -> list[int]:
    """Which of (gone_ns, version, size in bytes) must go so that the rest is within a limit: the oldest."""
    found = sorted(intermediates)
    left = sum(size for _, _, size in found)
    going: list[int] = []
    for _, version, size in found:
        if left <= limit_bytes:
            break
        left -= size
        going.append(version)
    return going


def _is_longer(one: int | None, other: int | None) -> bool:
    """Whether `one` is later than `other`; None is for ever."""
    return other is not FOREVER and (one is FOREVER or one > other)


def _is_same_file(one: Version, other: Version) -> bool:
    if (one.repo, one.branch) != (other.repo, other.branch):
        return False
    return one.path == other.path or (one.file_id != 0 and one.file_id == other.file_id)


def _watermark(version: Version, activity: int) -> int:
    return max((writer.watermark for writer in version.writers if writer.activity == activity), default=0)


def _focus(version: Version) -> tuple[int, ...] | None:
    """The only inputs of its writer that count for it; None: all do."""
    return version.focus if len(version.writers) == 1 and version.rest >= Level.UNLIKELY else None


def _can_run_again(activity: Activity) -> bool:
    """Nobody typed it, nothing came through a socket, and its command line is known."""
    return (
        not activity.interactive
        and not activity.reason
        and all(path != b"socket:" for _, path, _ in activity.files)
    )
