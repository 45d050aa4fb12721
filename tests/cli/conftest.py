"""Runs `pfs` in this process, against a daemon that answers from a table."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import trio

from pfs.cli.group import run
from pfs.control.server import Handler, Peer, serve


@dataclass
class Outcome:
    """How a run of `pfs` ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """Its one JSON document on stderr."""
        return json.loads(self.err)["error"]


Run = Callable[..., Outcome]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that stands for a store, chosen by $PFS_STORE; logs go beside it."""
    path = tmp_path / "store"
    path.mkdir()
    monkeypatch.setenv("PFS_STORE", str(path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PFS_DEBUG", raising=False)
    return path


@pytest.fixture
def pfs(store: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the command line with these words."""

    def run_pfs(*words: str) -> Outcome:
        code = run(words)
        captured = capfdbinary.readouterr()
        return Outcome(code, *(stream.decode(errors="surrogateescape") for stream in captured))

    return run_pfs


@dataclass
class FakeDaemon:
    """Answers each operation with what `answers` holds for it: a result, a function of its
    arguments, or an error to raise.
    """

    answers: dict[str, object] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def handlers(self) -> dict[str, Handler]:
        return {op: partial(self._answer, op) for op in self.answers}

    async def _answer(self, op: str, _peer: Peer, args: dict[str, Any]) -> object:
        self.asked.append((op, args))
        answer = self.answers[op]
        if callable(answer):
            return answer(args)
        if isinstance(answer, Exception):
            raise answer
        return answer


Serve = Callable[[dict[str, object]], FakeDaemon]


@pytest.fixture
def daemon(store: Path) -> Iterator[Serve]:
    """Start a daemon of the store in a thread; it ends with the test."""
    started: list[tuple[Callable[[], None], threading.Thread]] = []

    def start(answers: dict[str, object]) -> FakeDaemon:
        fake = FakeDaemon(answers)
        cancels: SimpleQueue[Callable[[], None]] = SimpleQueue()

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(serve, store, fake.handlers()))
                token = trio.lowlevel.current_trio_token()
                cancels.put(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))

        thread = threading.Thread(target=trio.run, args=(main,))
        thread.start()
        started.append((cancels.get(timeout=10), thread))
        return fake

    yield start
    for cancel, thread in started:
        cancel()
        thread.join()
