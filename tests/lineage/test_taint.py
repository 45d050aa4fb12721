"""Random histories against a model of what went into which bytes (world).

For every version: its ancestors are exactly what its processes had learned before they wrote it, and so
nothing that went into a byte is missing; no version is its own ancestor; bytes that somebody saw are still
there; what commits hold and what is live say so together, after crashes too.

PFS_TAINT_VERSIONS sets how many versions are made; PFS_TAINT_SEED where the random histories begin.
"""

from __future__ import annotations

import os

import pytest

from pfs.lineage.facts import ChangeKind, Input, Version
from tests.lineage.world import BRANCHES, FILE_BYTES_MAX, World
from tests.lineage.world_commits import Commit
from tests.lineage.world_things import File, Process

VERSIONS = int(os.environ.get("PFS_TAINT_VERSIONS", "2000"))
FIRST_SEED = int(os.environ.get("PFS_TAINT_SEED", "1"))
EPISODE_STEPS = 1200
PROCESSES_MAX, FILES_MAX = 14, 14


class Episode:
    """One random history."""

    def __init__(self, seed: int, *, seals: bool) -> None:
        self.world = world = World(seed, seals=seals)
        self.random = world.random
        for branch in BRANCHES:
            for _ in range(3):
                world.raw_file(branch)
        for _ in range(3):
            world.start(None)
        self.acts = [
            (14, self.open), (10, self.read), (24, self.write), (4, self.close), (4, self.truncate),
            (5, self.fork), (3, self.spawn), (3, self.execute), (4, self.end), (4, self.pipe),
            (3, self.rename), (2, self.unlink), (2, self.store), (1, self.forget), (3, self.commit),
            (3, self.commit_step), (0.4, self.crash), (2, self.tidy), (1, self.program),
        ]  # fmt: skip

    def run(self, steps: int) -> None:
        weights = [weight for weight, _ in self.acts]
        acts = [act for _, act in self.acts]
        for act in self.random.choices(acts, weights, k=steps):
            act()

    def process(self) -> Process:
        if len(self.world.processes) < 3:
            return self.world.start(None)
        return self.random.choice(self.world.processes)

    def file(self) -> File:
        return self.random.choice(list(self.world.names.values()))

    def open(self) -> None:
        world, process = self.world, self.process()
        if len(world.names) < FILES_MAX and self.random.random() < 0.3:
            file = world.new_file(self.random.choice(list(BRANCHES)))
            world.opens(process, file, reads=self.random.random() < 0.5, writes=True, creates=True)
            world.recorder.change(process.actor, ChangeKind.CREATE, file.place, file.path)
            return
        file = self.file()
        reads, writes, truncates = self.random.choice(
            [(True, False, False)] * 3
            + [(True, True, False), (True, True, False), (False, True, False), (False, True, True)]
        )
        world.opens(process, file, reads=reads, writes=writes, truncates=truncates)

    def handle(self, *, writes: bool):
        found = [
            (process, handle)
            for process in self.world.processes
            for handle in process.handles
            if (handle.writes if writes else handle.reads)
        ]
        found.sort(key=lambda pair: (pair[0].pid, pair[1].file.place, pair[1].writes, pair[1].reads))
        return self.random.choice(found) if found else None

    def read(self) -> None:
        found = self.handle(writes=False)
        if found is not None:
            self.world.read(*found)

    def write(self) -> None:
        found = self.handle(writes=True)
        if found is None:
            return
        process, handle = found
        size = len(handle.file.data)
        start = size if self.random.random() < 0.4 or not size else self.random.randrange(size)
        start = min(start, FILE_BYTES_MAX)
        data = bytes(self.random.randrange(1, 256) for _ in range(self.random.randrange(1, 12)))
        self.world.write(process, handle, start, data)

    def close(self) -> None:
        found = self.handle(writes=self.random.random() < 0.5)
        if found is not None:
            self.world.drop(*found)

    def truncate(self) -> None:
        file, process = self.file(), self.process()
        if file.data:
            size = self.random.choice([0, 0, len(file.data), self.random.randrange(len(file.data) + 9)])
            self.world.truncate(process, file, size)

    def fork(self) -> None:
        if len(self.world.processes) < PROCESSES_MAX:
            self.world.start(self.process(), forked=True)

    def spawn(self) -> None:
        if len(self.world.processes) < PROCESSES_MAX:
            self.world.start(self.process())

    def execute(self) -> None:
        self.world.execute(self.process())

    def program(self) -> None:
        self.world.opens_program(self.process(), self.file())

    def end(self) -> None:
        if len(self.world.processes) > 4:
            self.world.ends(self.process())

    def pipe(self) -> None:
        source, sink = self.process(), self.process()
        self.world.joins(source, sink)

    def rename(self) -> None:
        world, process = self.world, self.process()
        branch = self.random.choice(list(BRANCHES))
        there = [file for (where, _), file in world.names.items() if where == branch]
        if len(there) > 1:
            file, target = self.random.sample(there, 2)
            world.renames(process, file, target if self.random.random() < 0.7 else None)

    def unlink(self) -> None:
        if len(self.world.names) > FILES_MAX // 2:
            self.world.unlinks(self.process(), self.file())

    def store(self) -> None:
        file = self.random.choice(list(self.world.names.values()))
        if file.data:
            self.world.store(file, 0, bytes([self.random.randrange(256)]))

    def forget(self) -> None:
        self.world.sets_bytes(self.random.choice(list(self.world.names.values())))

    def commit(self) -> None:
        world = self.world
        if world.seals and len(world.commits) < 2:
            branch = self.random.choice(list(BRANCHES))
            if all(one.branch != branch for one in world.commits):
                world.commits.append(Commit(world, branch))

    def commit_step(self) -> None:
        world = self.world
        if world.commits:
            commit = self.random.choice(world.commits)
            if not commit.is_written:
                commit.write()
            else:
                commit.finish()
                world.commits.remove(commit)

    def crash(self) -> None:
        self.world.crash()

    def tidy(self) -> None:
        world = self.world
        world.notes.is_bloated = self.random.random() < 0.1
        world.recorder.tidy()

    def close_all(self) -> None:
        """End with everything committed, told and checked."""
        world = self.world
        for commit in world.commits:
            if not commit.is_written:
                commit.write()
            commit.finish()
        world.commits.clear()
        while world.recorder.tidy():
            pass


class Checker:
    """What live and stored facts say together, against the truth."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._masks: dict[int, int] = {}
        self._learned: dict[int, list[int]] = {}

    def check(self) -> int:
        count = 0
        for version, (by_processes, by_bytes) in self.world.truth.items():
            if self.fact(version) is None:
                continue
            count += 1
            found = self.mask(version)
            assert found == by_processes, self.explain(version, found, by_processes)
            assert by_bytes & ~found == 0
        for version, data in self.world.shown.items():
            live = self.world.recorder._tables.versions.get(version)
            if version in self.world.stored_bytes:
                assert self.world.stored_bytes[version] == data, self.fact(version)
            elif live is not None:
                assert live.frozen is not None, f"{self.fact(version)}: its bytes are gone"
                assert live.frozen.content == data
                assert live.frozen.token not in self.world.released
        return count

    def fact(self, version: int) -> Version | None:
        return self.world.recorder.source.version(version) or self.world.stored.get(version)

    def inputs(self, activity: int) -> list[Input]:
        live = list(self.world.recorder.source.inputs(activity))
        stored = self.world.stored_inputs.get(activity, {})
        for position, one in stored.items():
            if position < len(live):
                assert (live[position].source, live[position].watermark) == (one.source, one.watermark)
        if len(live) >= len(stored):
            return live
        return [stored[position] for position in range(len(stored))]

    def mask(self, version: int) -> int:
        """The ancestors of a version, found without recursion: [] marks what is on the way."""
        todo: list[tuple[str, int, int]] = [("version", version, 0)]
        on_the_way: set[tuple[str, int, int]] = set()
        while todo:
            step = todo[-1]
            needed = [one for one in self.needs(step) if not self.is_done(one)]
            if not needed:
                self.finish(step)
                on_the_way.discard(step)
                todo.pop()
                continue
            assert step not in on_the_way or needed[0] not in on_the_way, "a circle"
            on_the_way.add(step)
            todo.append(needed[0])
        return self._masks[version]

    def needs(self, step: tuple[str, int, int]) -> list[tuple[str, int, int]]:
        kind, number, mark = step
        if kind == "version":
            fact = self.fact(number)
            assert fact is not None, f"{number:x} is not known"
            found = [("activity", one.activity, one.watermark) for one in fact.writers]
            if fact.depends_on_previous:
                found.append(("version", fact.previous, 0))
            return found
        done = self._learned.setdefault(number, [self.world.bits[number]])
        if len(done) > mark:
            return []
        one = self.inputs(number)[len(done) - 1]
        return [("activity", one.source, one.watermark) if one.informed else ("version", one.source, 0)]

    def is_done(self, step: tuple[str, int, int]) -> bool:
        kind, number, mark = step
        if kind == "version":
            return number in self._masks
        return len(self._learned.get(number, ())) > mark

    def finish(self, step: tuple[str, int, int]) -> None:
        kind, number, mark = step
        if kind == "version":
            fact = self.fact(number)
            assert fact is not None
            mask = 0 if fact.writers else self.world.bits[number]
            for kind, source, mark in self.needs(step):
                mask |= self._masks[source] if kind == "version" else self._learned[source][mark]
            self._masks[number] = mask
            return
        done = self._learned[number]
        if len(done) <= mark:
            one = self.inputs(number)[len(done) - 1]
            more = self._learned[one.source][one.watermark] if one.informed else self._masks[one.source]
            done.append(done[-1] | more)
            if len(done) <= mark:
                return

    def explain(self, version: int, found: int, truth: int) -> str:
        names = {bit: f"{number:x}" for number, bit in self.world.bits.items()}
        missing = [
            names.get(1 << bit, bit) for bit in range(self.world.bit_count) if truth & ~found & 1 << bit
        ]
        extra = [names.get(1 << bit, bit) for bit in range(self.world.bit_count) if found & ~truth & 1 << bit]
        return f"{self.fact(version)}: missing {missing}, extra {extra}"


@pytest.mark.parametrize("seals", [True, False])
@pytest.mark.timeout(0)
def test_ancestors_are_what_processes_had_learned(seals: bool) -> None:
    """Every version of random histories, with commits or without."""
    made, seed = 0, FIRST_SEED
    while made < VERSIONS // 2:
        try:
            made += run_episode(seed, seals=seals)
        except Exception as error:
            error.add_note(f"PFS_TAINT_SEED={seed}, seals={seals}")
            raise
        seed += 1


def run_episode(seed: int, *, seals: bool) -> int:
    """One history, checked now and then; how many versions it made."""
    episode = Episode(seed, seals=seals)
    for _ in range(4):
        episode.run(EPISODE_STEPS // 4)
        Checker(episode.world).check()
    episode.close_all()
    Checker(episode.world).check()
    return len(episode.world.truth)
