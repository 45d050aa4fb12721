"""How long the event loop was held at a stretch: a counter for tests and `pfs debug`."""

from __future__ import annotations

import time

import trio


class LoopWatch(trio.abc.Instrument):
    """Remembers the longest step of any task since the last reset."""

    def __init__(self) -> None:
        self.pause_ns_max = 0
        self.longest = ""  # the task that made the longest one
        self._started = time.perf_counter_ns()

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        """A task goes on."""
        self._started = time.perf_counter_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It has given the loop back."""
        took = time.perf_counter_ns() - self._started
        if took > self.pause_ns_max:
            self.pause_ns_max = took
            self.longest = task.name

    def reset(self) -> int:
        """The longest pause so far, in nanoseconds; counting begins anew."""
        longest, self.pause_ns_max = self.pause_ns_max, 0
        return longest
