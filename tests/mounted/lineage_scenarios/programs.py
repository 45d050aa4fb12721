"""Python programs, and single processes that do several things one after the other."""

from __future__ import annotations

import sys

from tests.mounted.lineage_scenarios.scenario import (
    PYTHON,
    At,
    Made,
    Scenario,
    lines,
    made,
    python,
    run,
    scenario,
    together,
    write,
)

TRAIN = """
import argparse
import features
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--out")
given = parser.parse_args()
with open("data.csv") as file:
    total = sum(features.value(line) for line in file)
with open(given.out, "w") as file:
    file.write(f"{total * given.lr}\\n" * 40)
"""
FEATURES = """
def value(line):
    return int(line.split(",")[1])
"""
COMPILED = f"__pycache__/features.{sys.implementation.cache_tag}.pyc"


@scenario
class PythonProgram(Scenario):
    """A program with a module of its own and a parameter, twice: the second run takes the compiled module."""

    def prepare(self, at: At) -> None:
        write(at, {"train.py": TRAIN, "features.py": FEATURES, "data.csv": lines(1)})

    def _argv(self, rate: str, out: str) -> list[str]:
        return [PYTHON, "train.py", "--lr", rate, "--out", out]

    def act(self, at: At) -> None:
        run(at, *self._argv("0.1", "one.txt"))
        run(at, *self._argv("0.2", "two.txt"))

    def expect(self, at: At) -> list[Made]:
        first, second = self._argv("0.1", "one.txt"), self._argv("0.2", "two.txt")
        return [
            made(COMPILED, {"train.py", "features.py"}, first),
            made("one.txt", {"train.py", "features.py", "data.csv"}, first, may=["__pycache__/*"]),
            made(
                "two.txt", {"train.py": None, "data.csv": None, COMPILED: first}, second, may=["features.py"]
            ),
        ]


PARALLEL = """
import multiprocessing
context = multiprocessing.get_context("fork")
def work(number, results):
    with open(f"part{number}.txt") as file:
        text = file.read()
    with open(f"out{number}.txt", "w") as file:
        file.write(text.upper())
    results.put(len(text) * (number + 1))
if __name__ == "__main__":
    results = context.SimpleQueue()
    workers = [context.Process(target=work, args=(number, results)) for number in range(4)]
    for worker in workers:
        worker.start()
    sizes = [results.get() for worker in workers]
    for worker in workers:
        worker.join()
    with open("total.txt", "w") as file:
        file.write(f"{sum(sizes)}\\n" * 20)
"""
PARTS = [f"part{number}.txt" for number in range(4)]


@scenario
class Multiprocessing(Scenario):
    """Workers that are forks, and answers that come back through a pipe which all of them hold."""

    def prepare(self, at: At) -> None:
        write(at, {"sum.py": PARALLEL, **{name: lines(number) for number, name in enumerate(PARTS)}})

    def act(self, at: At) -> None:
        run(at, PYTHON, "sum.py")

    def expect(self, at: At) -> list[Made]:
        argv = [PYTHON, "sum.py"]
        # Each worker holds both ends of the queue, so it could have read what the others wrote there.
        return [
            *(made(f"out{n}.txt", {"sum.py", PARTS[n]}, argv, may=PARTS) for n in range(4)),
            made("total.txt", {"sum.py", *PARTS}, argv),
        ]


ONE_AFTER_THE_OTHER = """
first = open("a.txt").read()
with open("one.txt", "w") as file:
    file.write(first.upper())
second = open("b.txt").read()
with open("two.txt", "w") as file:
    file.write(first + second)
"""


@scenario
class OneAfterTheOther(Scenario):
    """Reads A, writes one, reads B, writes two: one does not depend on B."""

    def prepare(self, at: At) -> None:
        write(at, {"a.txt": lines(2), "b.txt": lines(3)})

    def act(self, at: At) -> None:
        python(at, ONE_AFTER_THE_OTHER)

    def expect(self, at: At) -> list[Made]:
        argv = [PYTHON, "-c", ONE_AFTER_THE_OTHER]
        return [made("one.txt", {"a.txt"}, argv), made("two.txt", {"a.txt", "b.txt"}, argv)]


THREADS = """
import queue, threading
lines = queue.SimpleQueue()
def read():
    with open("in.txt") as file:
        for line in file:
            lines.put(line)
    lines.put("")
def write():
    with open("out.txt", "w") as file:
        while line := lines.get():
            file.write(line.upper())
threads = [threading.Thread(target=work) for work in (write, read)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


SUBSHELL = ["sh", "-c", "(echo new > out.txt; echo said); true"]
BELOW_A_READER = f"""
import subprocess, sys
open("in.txt").read()
start = "import subprocess; subprocess.run({SUBSHELL}, capture_output=True, check=True)"
subprocess.run([sys.executable, "-S", "-c", start], check=True)
"""


@scenario
class BelowAReader(Scenario):
    """A subshell of a shell that came by two execs from one who has read: its memory is no copy of that."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(17)})

    def act(self, at: At) -> None:
        python(at, BELOW_A_READER)

    def expect(self, at: At) -> list[Made]:
        return [made("out.txt", {}, SUBSHELL)]


@scenario
class Threads(Scenario):
    """One thread reads and another writes: threads belong to their process."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(4)})

    def act(self, at: At) -> None:
        python(at, THREADS)

    def expect(self, at: At) -> list[Made]:
        return [made("out.txt", {"in.txt"}, [PYTHON, "-c", THREADS])]


MEMMAP = """
import sys
import numpy
source = numpy.memmap("in.raw", dtype="uint8", mode="r")
out = numpy.memmap(sys.argv[1], dtype="uint8", mode=sys.argv[2], shape=source.shape)
out[: source.size // 2] = source[: source.size // 2] + 1
out.flush()
"""


@scenario
class NumpyMemmap(Scenario):
    """Stores through a mapping: a new file, then a change of one that was there."""

    def prepare(self, at: At) -> None:
        write(at, {"in.raw": lines(5, 400), "grid.raw": lines(6, 800), "store.py": MEMMAP})

    def act(self, at: At) -> None:
        run(at, PYTHON, "store.py", "out.raw", "w+")
        run(at, PYTHON, "store.py", "grid.raw", "r+")

    def expect(self, at: At) -> list[Made]:
        new, change = ([PYTHON, "store.py", *words] for words in (("out.raw", "w+"), ("grid.raw", "r+")))
        return [
            made("out.raw", {"store.py", "in.raw"}, new, may=["out.raw"], flag="mmap"),
            made("grid.raw", {"store.py", "in.raw", "grid.raw"}, change, flag="mmap"),
        ]


ROUNDS = 6
PING_PONG = f"""
import os, sys, time
ping = sys.argv[1] == "ping"
for number in range({ROUNDS}):
    source = (f"b{{number - 1}}" if number else None) if ping else f"a{{number}}"
    while source and not os.path.exists(source):
        time.sleep(0.002)
    text = open(source).read() if source else ""
    target = f"{{'a' if ping else 'b'}}{{number}}"
    with open(target + ".new", "w") as file:
        file.write(text + f"{{target}} was here\\n" * 5)
    os.rename(target + ".new", target)
"""


@scenario
class PingPong(Scenario):
    """Two processes that answer each other, file after file."""

    def act(self, at: At) -> None:
        together(at, *([PYTHON, "-c", PING_PONG, who] for who in ("ping", "pong")))

    def expect(self, at: At) -> list[Made]:
        ping, pong = ([PYTHON, "-c", PING_PONG, who] for who in ("ping", "pong"))
        found = []
        for number in range(ROUNDS):
            found.append(made(f"a{number}", {f"b{n}": pong for n in range(number)}, ping))
            found.append(made(f"b{number}", {f"a{n}": ping for n in range(number + 1)}, pong))
        return found
