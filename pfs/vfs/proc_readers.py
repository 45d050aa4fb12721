"""Threads that ask /proc on behalf of the event loop, which waits for none of them longer than a second.

A look at a process may block: while it is in execve(2), for as long as that waits for us.  A thread that does
is left to itself and another takes its place, up to a number; it ends when it comes back.  Threads of our own
because the road through `trio.to_thread` costs the loop more than the look itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, TypeVar

import outcome
import trio

READERS: Final = 4  # at work at once
ANSWER_SECONDS_MAX: Final = 1.0  # from when a thread takes it up
STUCK_MAX: Final = 64  # threads that don't come back, beyond which nothing is asked

T = TypeVar("T")


class _Question:
    __slots__ = ("answer", "ask", "pid", "task")

    def __init__(self, ask: Callable[[int], Any], pid: int, task: trio.lowlevel.Task) -> None:
        self.ask = ask
        self.pid = pid
        self.task: trio.lowlevel.Task | None = task  # who waits; None: nobody any more
        self.answer: outcome.Outcome[Any] = outcome.Value(None)


class ProcReaders:
    """The threads.  Owned by the event loop; they start when they are needed."""

    def __init__(self) -> None:
        self.stuck = 0  # threads that nobody waits for any more
        self._turns = trio.Semaphore(READERS)
        self._asked: SimpleQueue[_Question | None] = SimpleQueue()
        self._answered: deque[_Question] = deque()
        self._threads = 0

    async def ask(self, question: Callable[[int], T | None], pid: int) -> T | None:
        """`question(pid)`, put in a thread; None where that takes too long.  Raises what it raises."""
        async with self._turns:
            if self.stuck >= STUCK_MAX:
                return None
            asked = _Question(question, pid, trio.lowlevel.current_task())
            if self._threads - self.stuck < READERS:
                self._start(trio.lowlevel.current_trio_token())
            self._asked.put(asked)

            def leave(_: object) -> trio.lowlevel.Abort:
                asked.task = None
                self.stuck += 1
                return trio.lowlevel.Abort.SUCCEEDED

            with trio.move_on_after(ANSWER_SECONDS_MAX):
                found: T | None = await trio.lowlevel.wait_task_rescheduled(leave)
                return found
        return None

    def close(self) -> None:
        """Let the threads end."""
        for _ in range(self._threads):
            self._asked.put(None)

    def _start(self, token: trio.lowlevel.TrioToken) -> None:
        threading.Thread(target=self._answer, args=(token,), name="proc reader", daemon=True).start()
        self._threads += 1

    def _answer(self, token: trio.lowlevel.TrioToken) -> None:
        while (asked := self._asked.get()) is not None:
            asked.answer = outcome.capture(asked.ask, asked.pid)
            self._answered.append(asked)
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._deliver, idempotent=True)

    def _deliver(self) -> None:
        while self._answered:
            asked = self._answered.popleft()
            if asked.task is not None:
                trio.lowlevel.reschedule(asked.task, asked.answer)
            else:
                self.stuck -= 1
                self._threads -= 1
                self._asked.put(None)  # another has taken its place
