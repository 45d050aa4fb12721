"""Who is found at the other end of a pipe, on a machine that a test moves on between two looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.vfs import pipes as module
from pfs.vfs.pipes import ENDED_LOOKS, FORKING_NS, LOOKS_MAX, Pipes
from tests.lineage.machine import SHELL, Machine, argv

PIPE, OTHER = 7, 8
IN, OUT, ERROR = 0, 1, 2
MILLISECOND_NS = 1_000_000

Next = Callable[[int], None]


class Piped(Machine):
    """Processes with descriptors: pid → descriptor → (pipe, access)."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, dict[int, tuple[int, int]]] = {}

    def fork(self, parent: int, pid: int) -> int:
        self.held[pid] = dict(self.held.get(parent, {}))
        return super().fork(parent, pid)

    def give(self, pid: int, fd: int, pipe: int) -> None:
        self.held.setdefault(pid, {})[fd] = (pipe, os.O_RDONLY if fd in (IN, 3) else os.O_WRONLY)

    def read(self, tid: int) -> dict[str, Any] | None:
        found = super().read(tid)
        if found is not None:
            held = self.held.get(tid, {})
            found["fds"] = [(fd, b"pipe:[%d]" % pipe, access) for fd, (pipe, access) in held.items()]
        return found


class Scene:
    """One daemon on such a machine."""

    def __init__(self) -> None:
        self.machine = Piped()
        self.processes = self.machine.processes()
        self.looks = 0  # pauses between two of them
        self.next: Next = lambda number: None
        self.pipes = Pipes(self.processes, self._read, self._drain, now_ns=lambda: self.machine.now)
        self._drains = 0

    async def _read(self, pid: int) -> RawDescription | None:
        return self.processes.read(pid)

    def _drain(self) -> None:
        self.processes.drain()
        self._drains += 1
        if self._drains % 2:  # before a pause
            self.looks += 1
            self.machine.now += MILLISECOND_NS * self.looks
            self.next(self.looks)

    async def ask(self, pid: int) -> set[tuple[int, int]]:
        """A process makes its first request; the pids of (writer, reader) that are found."""
        self.processes.drain()
        raw = self.processes.read(pid)
        assert raw is not None
        image = self.processes.adopt(pid, raw)
        self.pipes.note(image, raw)
        return {(source.pid, sink.pid) for source, sink in await self.pipes.trace(image)}

    def image(self, pid: int) -> Image:
        process = self.processes.tasks.group(pid)
        assert process is not None
        return process.image


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    return Scene()


async def test_stages_of_a_pipeline(scene: Scene) -> None:
    machine = scene.machine
    for pid, fds in ((201, {OUT: PIPE}), (202, {IN: PIPE, OUT: OTHER}), (203, {IN: OTHER})):
        machine.spawn(SHELL, pid)
        for fd, pipe in fds.items():
            machine.give(pid, fd, pipe)
    assert await scene.ask(203) == {(202, 203), (201, 202)}
    assert scene.looks == 0


async def test_captured_output_goes_to_an_ancestor_that_is_no_parent(scene: Scene) -> None:
    machine = scene.machine
    harness = machine.spawn(SHELL, 200, b"harness\0")
    machine.now += FORKING_NS
    make = machine.spawn(harness, 201, b"make\0")
    machine.give(make, OUT, PIPE)
    machine.give(harness, 3, PIPE)
    machine.now += FORKING_NS
    compiler = machine.spawn(make, 202, b"cc1\0")
    machine.now += FORKING_NS
    assert await scene.ask(compiler) == {(compiler, harness)}
    assert scene.looks == 0
    assert argv(scene.image(harness)) == b"harness\0"


async def test_what_a_shell_holds_for_the_next_stage_does_not_count(scene: Scene) -> None:
    machine = scene.machine
    machine.give(SHELL, 3, PIPE)
    first = machine.spawn(SHELL, 201)
    machine.held[first] = {OUT: (PIPE, os.O_WRONLY)}

    def go_on(number: int) -> None:
        if number == 2:
            machine.spawn(SHELL, 202)
            machine.held[202] = {IN: (PIPE, os.O_RDONLY)}
            del machine.held[SHELL][3]

    scene.next = go_on
    assert await scene.ask(first) == {(first, 202)}


async def test_what_a_shell_held_in_a_search_that_ended_is_forgotten(scene: Scene) -> None:
    machine = scene.machine
    machine.give(SHELL, 3, OTHER)  # for a third one
    first = machine.spawn(SHELL, 201)
    machine.held[first] = {OUT: (PIPE, os.O_WRONLY)}
    second = machine.spawn(SHELL, 202)
    machine.held[second] = {IN: (PIPE, os.O_RDONLY)}
    assert await scene.ask(first) == {(first, second)}
    assert not scene.pipes.holds(scene.image(SHELL))


async def test_who_captures_output_counts_once_it_has_forked_for_long(scene: Scene) -> None:
    machine = scene.machine
    machine.give(SHELL, 3, PIPE)
    child = machine.spawn(SHELL, 201)
    machine.held[child] = {OUT: (PIPE, os.O_WRONLY)}
    forked_ns = machine.now
    assert await scene.ask(child) == {(child, SHELL)}
    assert machine.now - forked_ns >= FORKING_NS
    assert scene.looks < LOOKS_MAX


async def test_an_input_that_nobody_can_write_to_is_given_up_soon_and_for_good(scene: Scene) -> None:
    machine = scene.machine
    for pid in (201, 202):
        machine.spawn(SHELL, pid)
        machine.give(pid, IN, PIPE)
    assert await scene.ask(201) == set()
    assert scene.looks == ENDED_LOOKS
    assert await scene.ask(202) == set()
    assert scene.looks == ENDED_LOOKS


async def test_many_writers_are_not_met_by_each_other(scene: Scene) -> None:
    machine = scene.machine
    machine.give(SHELL, 3, PIPE)
    machine.now += FORKING_NS
    writers = range(201, 231)
    for pid in writers:
        machine.spawn(SHELL, pid)
        machine.held[pid] = {OUT: (PIPE, os.O_WRONLY), ERROR: (PIPE, os.O_WRONLY)}
    machine.now += FORKING_NS
    for pid in writers:
        assert await scene.ask(pid) == {(pid, SHELL)}
    sources, sinks = scene.pipes.peers(scene.image(SHELL))
    assert sorted(image.pid for image in sources) == list(writers)
    assert sinks == []
