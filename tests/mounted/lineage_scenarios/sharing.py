"""Files that several processes have open at once: databases, logs, one ball between two players."""

from __future__ import annotations

import contextlib
import subprocess
import time

from tests.mounted.lineage_scenarios.scenario import (
    COMMAND_SECONDS,
    PYTHON,
    At,
    Made,
    Scenario,
    lines,
    made,
    run,
    scenario,
    sh,
    start,
    together,
    write,
)

STEP_SECONDS = 0.005

# A process waits for another by looking for an empty file outside of the mount, and never opens it.
WAIT = """
import os, sys, time
tokens = sys.argv[1]
def say(name):
    open(os.path.join(tokens, name), "w").close()
def wait(name):
    while not os.path.exists(os.path.join(tokens, name)):
        time.sleep(0.002)
"""

READ_TWICE = (
    WAIT
    + """
import sqlite3
base = sqlite3.connect("base.db", isolation_level=None)
for number in range(2):
    total = base.execute("SELECT sum(number) FROM t").fetchone()[0]
    with open(f"read{number}.txt", "w") as file:
        file.write(f"{total}\\n" * 30)
    say(f"read{number}")
    if number == 0:
        wait("written")
base.close()
"""
)


class Sqlite(Scenario):
    """A writer, a reader that stays, a second writer while it does, and a reader after them."""

    mode: str

    @property
    def _make(self) -> list[str]:
        rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500)"
        sql = f"PRAGMA journal_mode={self.mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, number INTEGER);"
        return ["sqlite3", "base.db", f"{sql} {rows} INSERT INTO t SELECT x, x FROM n;"]

    _update = ("sqlite3", "base.db", "UPDATE t SET number = number + 1 WHERE id % 5 = 0")
    _sum = ("sqlite3", "base.db", "SELECT sum(number) FROM t")

    def _reader(self, at: At) -> list[str]:
        return [PYTHON, "-c", READ_TWICE, str(at.tokens())]

    def act(self, at: At) -> None:
        run(at, *self._make)
        sh(at, f"sqlite3 base.db '{self._sum[2]}' > before.txt")
        reader = start(at, *self._reader(at))
        try:
            wait_for(at, "read0", reader)
            run(at, *self._update)
            (at.tokens() / "written").touch()
            assert reader.wait(COMMAND_SECONDS) == 0
        finally:
            reader.kill()
        sh(at, f"sqlite3 base.db '{self._sum[2]}' > after.txt")


def wait_for(at: At, name: str, process: subprocess.Popen[bytes]) -> None:
    """Until a process has said so; fails where it ended without."""
    deadline = time.monotonic() + COMMAND_SECONDS
    while not (at.tokens() / name).exists():
        assert time.monotonic() < deadline, f"{process.args!r} never said {name}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(STEP_SECONDS)
            assert (at.tokens() / name).exists(), f"{process.args!r} ended with {code} and never said {name}"


@scenario
class SqliteRollback(Sqlite):
    """SQLite with a rollback journal, and a reader in between."""

    mode = "delete"

    def expect(self, at: At) -> list[Made]:
        may = ["base.db-journal"]
        return [
            made("before.txt", {"base.db": self._make}, self._sum, may=may),
            made("read0.txt", {"base.db": self._make}, self._reader(at), may=may),
            made("read1.txt", {"base.db": self._update}, self._reader(at), may=may, states={"base.db": 2}),
            made("after.txt", {"base.db": self._update}, self._sum, may=may),
            made("base.db", {"base.db": self._make}, self._update, may=may),
        ]


@scenario
class SqliteWal(Sqlite):
    """SQLite with a write-ahead log: the reader that stays sees the change in the log."""

    mode = "wal"

    def expect(self, at: At) -> list[Made]:
        may = ["base.db-wal", "base.db-shm"]
        return [
            made("before.txt", {"base.db": self._make}, self._sum, may=may),
            made("read0.txt", {"base.db": self._make}, self._reader(at), may=may),
            made("read1.txt", {"base.db": None, "base.db-wal": self._update}, self._reader(at), may=may),
            made("after.txt", {"base.db": self._reader(at)}, self._sum, may=may),
        ]


UPDATES = 200


@scenario
class SqliteManyTimes(Scenario):
    """200 processes with one update each: a chain of 200 versions, each with its own process."""

    def _argv(self, number: int) -> list[str]:
        return ["sqlite3", "count.db", f"UPDATE t SET number = {number + 1}"]

    _make = ("sqlite3", "count.db", "CREATE TABLE t (number INTEGER); INSERT INTO t VALUES (0)")

    def act(self, at: At) -> None:
        run(at, *self._make)
        for number in range(UPDATES):
            run(at, *self._argv(number))

    def expect(self, at: At) -> list[Made]:
        writers = [self._make, *(self._argv(number) for number in range(UPDATES))]
        states = {"count.db": UPDATES}
        return [made("count.db", {"count.db"}, *writers, may=["count.db-journal"], states=states, chain=True)]


FOLLOW = (
    WAIT
    + """
with open("log.txt") as log:
    text = log.read()
    say("opened")
    for number in range(int(sys.argv[2])):
        wait(f"appended{number}")
        text += log.read()
        with open(f"copy{number}.txt", "w") as file:
            file.write(text.upper())
        say(f"copied{number}")
"""
)
APPENDS = 4


@scenario
class LogThatGrows(Scenario):
    """A reader holds a log open while others append: each READ that saw more is an input."""

    def prepare(self, at: At) -> None:
        write(at, {"log.txt": lines(1)})

    def _reader(self, at: At) -> list[str]:
        return [PYTHON, "-c", FOLLOW, str(at.tokens()), str(APPENDS)]

    def _append(self, number: int) -> list[str]:
        return ["sh", "-c", f"echo line {number} of those that came later >> log.txt"]

    def act(self, at: At) -> None:
        reader = start(at, *self._reader(at))
        try:
            wait_for(at, "opened", reader)
            for number in range(APPENDS):
                run(at, *self._append(number))
                (at.tokens() / f"appended{number}").touch()
                wait_for(at, f"copied{number}", reader)
            assert reader.wait(COMMAND_SECONDS) == 0
        finally:
            reader.kill()

    def expect(self, at: At) -> list[Made]:
        appends = [self._append(number) for number in range(APPENDS)]
        copies = [
            made(f"copy{n}.txt", {"log.txt": appends[n]}, self._reader(at), states={"log.txt": n + 2})
            for n in range(APPENDS)
        ]
        return [*copies, made("log.txt", {"log.txt"}, *appends, states={"log.txt": APPENDS}, chain=True)]


HOLD = (
    WAIT
    + """
me, other, at = sys.argv[2], sys.argv[3], int(sys.argv[4])
with open("shared.bin", "r+b", buffering=0) as shared:
    say(f"{me} holds")
    wait(f"{other} holds")
    text = open(f"{me}.txt", "rb").read()
    for number in range(5):
        shared.seek(at + number * 100)
        shared.write(text[:90])
        say(f"{me} wrote {number}")
        wait(f"{other} wrote {number}")
"""
)


@scenario
class TwoHolders(Scenario):
    """Two processes hold one file writable: one version, both of them writers, no cycle."""

    def prepare(self, at: At) -> None:
        write(at, {"a.txt": lines(1), "b.txt": lines(2), "shared.bin": lines(3, 300)})

    def _argv(self, at: At) -> list[list[str]]:
        start = [PYTHON, "-c", HOLD, str(at.tokens())]
        return [[*start, "a", "b", "0"], [*start, "b", "a", "1000"]]

    def act(self, at: At) -> None:
        together(at, *self._argv(at))

    def expect(self, at: At) -> list[Made]:
        of = {"a.txt", "b.txt", "shared.bin"}
        return [made("shared.bin", of, *self._argv(at), states={"shared.bin": 1}, flag="shared")]


BALL = (
    WAIT
    + """
turn = int(sys.argv[2])
for number in range(turn, int(sys.argv[3]), 2):
    if number:
        wait(f"turn{number}")
    text = open("ball.txt").read()
    with open("ball.txt", "w") as file:
        file.write(text + f"player {turn} in turn {number}\\n")
    say(f"turn{number + 1}")
"""
)
TURNS = 10


@scenario
class OneBall(Scenario):
    """Two long-lived processes that read and rewrite one file in turn."""

    def prepare(self, at: At) -> None:
        write(at, {"ball.txt": lines(1)})

    def _argv(self, at: At, player: int) -> list[str]:
        return [PYTHON, "-c", BALL, str(at.tokens()), str(player), str(TURNS)]

    def act(self, at: At) -> None:
        together(at, self._argv(at, 0), self._argv(at, 1))

    def expect(self, at: At) -> list[Made]:
        last, before = self._argv(at, 1), self._argv(at, 0)
        return [made("ball.txt", {"ball.txt": before}, last, states={"ball.txt": TURNS // 2})]
