"""The activities of a segment's slices: to columns and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from pfs.lineage.facts import Activity, ActivityKey, Ending, activity_id
from pfs.lineage.group import Slice
from pfs.lineage.segment import columns
from pfs.lineage.segment.columns import Numbers, deltas, sums, unzigzag, within, zigzag
from pfs.lineage.segment.names import Namer, Names
from pfs.lineage.segment.stored import BOOT_BYTES, Ends, Environments, Slices, Specs

Target = TypeVar("Target", bound=Hashable)
Environment = tuple[tuple[bytes, bytes], ...]
Made = tuple[Environments, bytes, Specs, Slices]
"""Environments, boots, specs, slices."""

# What the kernel counts start times in (USER_HZ is 100 on all that Linux runs on but alpha and ia64).
_TICK_NS: Final = 10_000_000
_TERMINAL = 1
_INTERACTIVE = 2

_NO_KEY = ActivityKey(b"", 0, 0, 0)


def write_argv(slices: Sequence[Slice], names: Namer) -> tuple[list[int], columns.Sequences]:
    """Lengths and words.  Comes before all else that has words."""
    argv = [[names.words[word] for word in piece.activity.argv] for piece in slices]
    return [len(words) for words in argv], columns.write_numbered(argv)


def write_activities(
    slices: Sequence[Slice], argv: tuple[list[int], columns.Sequences], names: Namer
) -> Made:
    """The columns."""
    boots = Numbers[bytes]()
    environments = Numbers[Environment]()
    specs = Numbers[tuple[int, ...]]()
    spec = [specs[_spec(piece.activity, boots, environments, names)] for piece in slices]
    parts = [list(part) for part in zip(*specs, strict=True)] or [[] for _ in range(_SPEC_FIELDS)]
    parts[_EXE_VERSION] = columns.write_optional(parts[_EXE_VERSION])
    return (
        _write_environments(list(environments), names),
        columns.write_digests(boots, BOOT_BYTES),
        Specs(*map(within, parts)),
        _write_slices(slices, spec, argv, names),
    )


_SPEC_FIELDS = len(Specs.__struct_fields__)
_EXE_VERSION = Specs.__struct_fields__.index("exe_version")


def _spec(
    activity: Activity, boots: Numbers[bytes], environments: Numbers[Environment], names: Namer
) -> tuple[int, ...]:
    return (
        boots[activity.key.boot_id],
        names.words[activity.exe],
        names.version(activity.exe_version),
        names.words[activity.cwd],
        environments[activity.environment],
        activity.uid,
        names.text(activity.user),
        names.text(activity.host),
        names.words[activity.cgroup],
        activity.pid_namespace,
        activity.sid,
        _TERMINAL * activity.terminal | _INTERACTIVE * activity.interactive,
        names.text(activity.reason),
    )


def _write_environments(environments: list[Environment], names: Namer) -> Environments:
    pairs = Numbers[tuple[bytes, bytes]]()
    numbered = [[pairs[pair] for pair in environment] for environment in environments]
    return Environments(
        [names.words[name] for name, _ in pairs],
        [names.words[value] for _, value in pairs],
        [len(environment) for environment in environments],
        columns.write_numbered(numbered),
    )


def _write_slices(
    slices: Sequence[Slice], spec: list[int], argv: tuple[list[int], columns.Sequences], names: Namer
) -> Slices:
    activities = [piece.activity for piece in slices]
    started = deltas(within([activity.started_ns for activity in activities]))
    ticks = deltas(activity.key.start_ticks for activity in activities)
    foreign = [n for n, activity in enumerate(activities) if activity.id != activity_id(activity.key)]
    within([piece.ending.ended_ns for piece in slices if piece.ending])
    ended = [piece.ending.ended_ns - piece.activity.started_ns for piece in slices if piece.ending]
    return Slices(
        spec,
        *argv,
        within(deltas(activity.key.pid for activity in activities)),
        within([tick - begin // _TICK_NS for tick, begin in zip(ticks, started, strict=True)]),
        within([activity.key.execs for activity in activities]),
        [names.activity(activity.parent, own) for own, activity in enumerate(activities)],
        within(deltas(activity.group for activity in activities)),
        columns.write_wide(started),
        [_ending(piece.ending) for piece in slices],
        columns.write_wide(ended),
        within([piece.first for piece in slices]),
        [names.segment(piece.before) for piece in slices],
        deltas(foreign),
        columns.write_ids(activities[n].id for n in foreign),
        _write_ends([activity.pipes for activity in activities], deltas),
        _write_ends(
            [activity.files for activity in activities],
            lambda paths: [names.words[path] for path in paths],
        ),
    )


def _ending(ending: Ending | None) -> int:
    if ending is None:
        return 0
    return 1 if ending.exit is None else 2 + zigzag(ending.exit)


def _write_ends(
    ends_of: Sequence[tuple[tuple[int, Target, bool], ...]], targets: Callable[[list[Target]], list[int]]
) -> Ends:
    distinct = Numbers[tuple[int, Target, bool]]()
    numbered = [[distinct[end] for end in ends] for ends in ends_of]
    return Ends(
        within([descriptor for descriptor, _, _ in distinct]),
        within(targets([target for _, target, _ in distinct])),
        [int(writable) for _, _, writable in distinct],
        [len(ends) for ends in numbered],
        columns.write_numbered(numbered),
    )


class Keys(NamedTuple):
    """What is read of activities before anything else, for ids are made of it."""

    keys: list[ActivityKey]
    ids: list[int]
    started_ns: list[int]


def read_keys(part: Slices, specs: Specs, boots: bytes) -> Keys:
    """Keys, ids and begin of all activities."""
    boot_ids = columns.read_digests(boots, BOOT_BYTES)
    begins = columns.read_wide(part.started)
    ticks = [tick + begin // _TICK_NS for tick, begin in zip(part.ticks, begins, strict=True)]
    keys = [
        ActivityKey(boot_ids[specs.boot[spec]], pid, start, execs)
        for spec, pid, start, execs in zip(part.spec, sums(part.pid), sums(ticks), part.execs, strict=True)
    ]
    ids = [int(activity_id(key)) for key in keys]
    for place, foreign in zip(columns.read_places(part.ids_of), columns.read_ids(part.ids), strict=True):
        ids[place] = foreign
    return Keys(keys, ids, sums(begins))


def read_activities(
    part: Slices, specs: Specs, environments: Environments, keys: Keys, names: Names
) -> list[Activity]:
    """All activities, in the order of the slices."""
    described = _read_specs(specs, _read_environments(environments, names), names)
    pipes = _read_ends(part.pipes, sums(part.pipes.target))
    files = _read_ends(part.files, [names.words[word] for word in part.files.target])
    argv = columns.read_numbered(part.argv, part.argv_lengths)
    parts = zip(*keys, part.spec, part.parent, argv, sums(part.group), pipes, files, strict=True)
    return [
        replace(
            described[spec],
            id=an_id,
            key=key,
            parent=names.activity(parent, own),
            argv=tuple([names.words[word] for word in words]),
            group=group,
            pipes=piped,
            files=redirected,
            started_ns=started_ns,
        )
        for own, (key, an_id, started_ns, spec, parent, words, group, piped, redirected) in enumerate(parts)
    ]


def read_endings(part: Slices, started_ns: list[int]) -> list[Ending | None]:
    """How each activity ended."""
    ended = iter(columns.read_wide(part.ended))
    endings: list[Ending | None] = []
    for code, begin in zip(part.ending, started_ns, strict=True):
        after = next(ended, None) if code else 0
        if after is None:
            raise ValueError("an activity ended at no time")
        endings.append(Ending(begin + after, None if code == 1 else unzigzag(code - 2)) if code else None)
    within([ending.ended_ns for ending in endings if ending])
    if next(ended, None) is not None:
        raise ValueError("there are more ends than activities that ended")
    return endings


def _read_specs(specs: Specs, environments: list[Environment], names: Names) -> list[Activity]:
    """Activities of which only the common part is set."""
    parts = [getattr(specs, name) for name in specs.__struct_fields__]
    parts[_EXE_VERSION] = columns.read_optional(specs.exe_version)
    words = names.words
    made = []
    for _, exe, program, cwd, environment, uid, user, host, cgroup, space, sid, bits, reason in zip(
        *parts, strict=True
    ):
        if bits > _TERMINAL | _INTERACTIVE:
            raise ValueError("an activity has unknown bits")
        made.append(
            Activity(
                id=0,
                key=_NO_KEY,
                exe=words[exe],
                exe_version=names.version(program),
                cwd=words[cwd],
                environment=environments[environment],
                uid=uid,
                user=names.text(user),
                host=names.text(host),
                cgroup=words[cgroup],
                pid_namespace=space,
                sid=sid,
                terminal=bool(bits & _TERMINAL),
                interactive=bool(bits & _INTERACTIVE),
                reason=names.text(reason),
            )
        )
    return made


def _read_environments(part: Environments, names: Names) -> list[Environment]:
    pairs = [
        (names.words[name], names.words[value]) for name, value in zip(part.names, part.values, strict=True)
    ]
    return [
        tuple([pairs[pair] for pair in environment])
        for environment in columns.read_numbered(part.pairs, part.lengths)
    ]


def _read_ends(part: Ends, targets: list[Target]) -> Iterator[tuple[tuple[int, Target, bool], ...]]:
    if any(writable > 1 for writable in part.writable):
        raise ValueError("a descriptor is neither writable nor not")
    distinct = list(zip(part.descriptor, targets, map(bool, part.writable), strict=True))
    for ends in columns.read_numbered(part.ends, part.lengths):
        yield tuple([distinct[end] for end in ends])
