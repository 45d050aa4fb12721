"""The changes of names in a segment: to columns and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pfs.lineage.facts import Change, ChangeKind
from pfs.lineage.segment import columns
from pfs.lineage.segment.columns import Numbers, deltas, sums, unzigzag, within
from pfs.lineage.segment.names import Namer, Names
from pfs.lineage.segment.stored import Changes


def write_changes(changes: Sequence[Change], names: Namer) -> Changes:
    """The columns."""
    places = Numbers[tuple[int, int]]()
    place = [places[change.repo, change.branch] for change in changes]
    return Changes(
        columns.write_wide(deltas(within([change.time_ns for change in changes]))),
        _write_activities([change.activity for change in changes], names),
        [int(ChangeKind(change.kind)) for change in changes],
        within([repo for repo, _ in places]),
        within([branch for _, branch in places]),
        place,
        deltas(names.words[change.path] for change in changes),
        columns.write_optional(
            1 + names.words[change.to_path] if change.to_path else 0 for change in changes
        ),
        within(deltas(change.file_id for change in changes)),
        columns.write_optional(names.version(change.version) for change in changes),
    )


def _write_activities(activities: Iterable[int], names: Namer) -> list[int]:
    numbers = []
    last = 0
    for activity in activities:
        numbers.append(names.activity(activity, last))
        last = names.slices.get(activity, last)
    return numbers


def _read_activities(numbers: Iterable[int], names: Names) -> list[int]:
    activities = []
    last = 0
    for number in numbers:
        activities.append(names.activity(number, last))
        if number & 1:
            last -= unzigzag(number >> 1)
    return activities


def read_changes(part: Changes, names: Names) -> list[Change]:
    """All changes."""
    places = list(zip(part.repos, part.branches, strict=True))
    parts = zip(
        sums(columns.read_wide(part.time)),
        _read_activities(part.activity, names),
        part.kind,
        part.place,
        columns.read_places(part.path),
        columns.read_optional(part.to_path),
        sums(part.file_id),
        columns.read_optional(part.version),
        strict=True,
    )
    return [
        Change(
            time_ns,
            activity,
            int(ChangeKind(kind)),
            places[place][0],
            places[place][1],
            names.words[path],
            names.words[to_path - 1] if to_path else b"",
            file_id,
            names.version(version),
        )
        for time_ns, activity, kind, place, path, to_path, file_id, version in parts
    ]
