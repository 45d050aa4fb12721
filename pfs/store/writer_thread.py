"""The one thread of a store that makes LMDB write transactions.

LMDB ties a write transaction to the thread that began it: committed in another, it blocks every later one
for ever.  So they all run here, in the order in which they were submitted.  The queue is as long as there
are threads that wait for their job, and one more for each pack that was sealed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_Job = Callable[[], None]


class WriterThread:
    """A queue of jobs and the thread that does them."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Do `job` after all that were submitted before; its result or error comes through the future."""
        future: Future[T] = Future()

        def do() -> None:
            try:
                result = job()
            except BaseException as error:  # the caller gets it, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(do)
        return future

    def close(self) -> None:
        """Do what was submitted, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
