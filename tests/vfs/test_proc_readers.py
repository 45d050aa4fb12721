"""The threads that ask /proc: what they answer, and what happens to one that is stuck."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import trio

from pfs.vfs import proc_readers
from pfs.vfs.proc_readers import READERS, ProcReaders


@pytest.fixture
def readers() -> Iterator[ProcReaders]:
    made = ProcReaders()
    yield made
    made.close()


async def test_answers_come_to_who_asked(readers: ProcReaders) -> None:
    found: dict[int, int | None] = {}

    async def ask(number: int) -> None:
        found[number] = await readers.ask(lambda pid: pid * 2, number)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(ask, number)
    assert found == {number: number * 2 for number in range(100)}


async def test_what_a_question_raises_is_raised(readers: ProcReaders) -> None:
    with pytest.raises(ZeroDivisionError):
        await readers.ask(lambda pid: pid // 0, 1)
    assert await readers.ask(lambda pid: pid, 1) == 1


async def test_stuck_threads_are_left_and_replaced(
    readers: ProcReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proc_readers, "ANSWER_SECONDS_MAX", 0.01)
    monkeypatch.setattr(proc_readers, "STUCK_MAX", READERS + 1)
    until = threading.Event()

    def stick(pid: int) -> int:
        until.wait()
        return pid

    for number in range(READERS + 1):
        assert await readers.ask(stick, number) is None
        assert readers.stuck == number + 1
    assert await readers.ask(lambda pid: pid, 1) is None  # too many of them
    until.set()
    with trio.fail_after(10):
        while readers.stuck:
            await trio.lowlevel.checkpoint()
    monkeypatch.setattr(proc_readers, "ANSWER_SECONDS_MAX", 10)
    assert [await readers.ask(lambda pid: pid, number) for number in range(10)] == list(range(10))


async def test_who_asks_may_be_cancelled(readers: ProcReaders) -> None:
    until = threading.Event()
    with trio.move_on_after(0.01):
        await readers.ask(lambda _: until.wait(), 1)
    assert readers.stuck == 1
    until.set()
    assert await readers.ask(lambda pid: pid, 5) == 5


async def test_threads_end_when_they_are_let_go(readers: ProcReaders) -> None:
    before = set(threading.enumerate())
    for number in range(READERS):
        await readers.ask(lambda pid: pid, number)
    mine = set(threading.enumerate()) - before
    assert len(mine) == READERS
    readers.close()
    for thread in mine:
        thread.join(10)
    assert not any(thread.is_alive() for thread in mine)
