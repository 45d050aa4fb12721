"""What people type: pipes, redirections, scripts, filters, editors, descriptors that are passed on."""

from __future__ import annotations

import os
import shlex
import subprocess

from tests.mounted.lineage_scenarios.scenario import (
    PYTHON,
    At,
    Made,
    Scenario,
    lines,
    made,
    run,
    scenario,
    sh,
    write,
)


@scenario
class Pipes(Scenario):
    """Redirections both ways, and a pipe of four programs."""

    def prepare(self, at: At) -> None:
        write(at, {"raw.csv": lines(1)})

    def act(self, at: At) -> None:
        sh(at, "sort < raw.csv > sorted.csv")
        sh(at, "cat sorted.csv | grep -v 77 | cut -d, -f2 | uniq -c > counts.txt")

    def expect(self, at: At) -> list[Made]:
        return [
            made("sorted.csv", {"raw.csv"}, ["sort"]),
            made("counts.txt", {"sorted.csv": ["sort"]}, ["uniq", "-c"]),
        ]


@scenario
class ProcessSubstitution(Scenario):
    """Two programs that write into pipes which a third one opens by name."""

    def prepare(self, at: At) -> None:
        write(at, {"left.csv": lines(1), "right.csv": lines(2)})

    def act(self, at: At) -> None:
        run(at, "bash", "-c", "paste <(cut -d, -f1 left.csv) <(cut -d, -f2 right.csv) > both.txt")

    def expect(self, at: At) -> list[Made]:
        argv = ["paste", "/dev/fd/*", "/dev/fd/*"]
        return [made("both.txt", {"left.csv", "right.csv"}, argv, gap=True)]


SCRIPT = """#!/bin/sh
grep -v '^#' in.txt > clean.txt
wc -l clean.txt > count.txt
echo "done: $(cat count.txt)" > report.txt
"""


@scenario
class ScriptInTheMount(Scenario):
    """A shell script that is itself a file of the working tree."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(3), "build.sh": SCRIPT})
        (at.here / "build.sh").chmod(0o755)

    def act(self, at: At) -> None:
        run(at, "./build.sh")

    def expect(self, at: At) -> list[Made]:
        return [
            made("clean.txt", {"in.txt"}, ["grep", "-v", "^#", "in.txt"]),
            made("count.txt", {"clean.txt"}, ["wc", "-l", "clean.txt"]),
            made("report.txt", {"build.sh", "count.txt"}, ["/bin/sh", "./build.sh"]),
        ]


@scenario
class SedInPlace(Scenario):
    """`sed -i` writes a new file and renames it over the old one."""

    def prepare(self, at: At) -> None:
        write(at, {"text.txt": lines(4), "other.txt": lines(5)})

    def act(self, at: At) -> None:
        run(at, "sed", "-i", "s/7/seven/g", "text.txt")

    def expect(self, at: At) -> list[Made]:
        argv = ["sed", "-i", "s/7/seven/g", "text.txt"]
        return [made("text.txt", {"text.txt"}, argv, may=["sed??????"])]


@scenario
class SortOntoItself(Scenario):
    """`sort -o f f` reads all of a file before it empties and writes it."""

    def prepare(self, at: At) -> None:
        write(at, {"f": lines(6)})

    def act(self, at: At) -> None:
        run(at, "sort", "-o", "f", "f")

    def expect(self, at: At) -> list[Made]:
        return [made("f", {"f"}, ["sort", "-o", "f", "f"])]


@scenario
class Tee(Scenario):
    """One stream into two files and on into a third program."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(7)})

    def act(self, at: At) -> None:
        sh(at, "sort in.txt | tee a.txt b.txt | wc -l > n.txt")

    def expect(self, at: At) -> list[Made]:
        tee = ["tee", "a.txt", "b.txt"]
        return [
            made("a.txt", {"in.txt": None}, tee),
            made("b.txt", {"in.txt": None}, tee),
            made("n.txt", {"in.txt": None}, ["wc", "-l"]),
        ]


WORDS = [f"in/{number:02}.txt" for number in range(20)]


@scenario
class XargsIntoOneLog(Scenario):
    """Four processes at a time append to one descriptor that they were given."""

    def prepare(self, at: At) -> None:
        write(at, {name: lines(number, 10 + number) for number, name in enumerate(WORDS)})

    def act(self, at: At) -> None:
        sh(at, "printf '%s\\n' in/*.txt | xargs -P4 -n1 wc -l >> log.txt")

    def expect(self, at: At) -> list[Made]:
        writers = [["wc", "-l", name] for name in WORDS]
        return [made("log.txt", set(WORDS), *writers, may=["log.txt"], chain=True)]


@scenario
class FilterThatDropsNothing(Scenario):
    """The output equals one of two inputs, and did depend on the other."""

    def prepare(self, at: At) -> None:
        write(at, {"all.txt": lines(8), "bad.txt": "a line that is nowhere in it\n" * 3})

    def act(self, at: At) -> None:
        sh(at, "grep -vxFf bad.txt all.txt > good.txt")

    def expect(self, at: At) -> list[Made]:
        return [made("good.txt", {"all.txt", "bad.txt"}, ["grep", "-vxFf", "bad.txt", "all.txt"])]


@scenario
class WriteIntoTheMiddle(Scenario):
    """`dd conv=notrunc`: what is not written stays what it was."""

    def prepare(self, at: At) -> None:
        write(at, {"disk.img": lines(9, 3000), "patch.bin": lines(10, 20)})

    def act(self, at: At) -> None:
        run(at, *self._dd, "status=none")

    _dd = ("dd", "if=patch.bin", "of=disk.img", "bs=512", "seek=30", "conv=notrunc")

    def expect(self, at: At) -> list[Made]:
        return [made("disk.img", {"patch.bin", "disk.img"}, [*self._dd, "status=none"])]


COPY_DESCRIPTORS = "import os; os.write(4, os.read(3, 65536).upper())"


@scenario
class InheritedDescriptors(Scenario):
    """Files that one program opened and another, after several execs, reads and writes."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(11)})

    def act(self, at: At) -> None:
        last = shlex.join([PYTHON, "-c", COPY_DESCRIPTORS])
        sh(at, f"exec 3< in.txt 4> out.txt; exec {last}")
        sh(at, "exec env LC_ALL=C nice -n 1 sort -r < in.txt > chain.txt")
        sh(at, "exec 5> far.txt; exec sh -c 'exec env LC_ALL=C sort in.txt >&5'")

    def expect(self, at: At) -> list[Made]:
        return [
            made("out.txt", {"in.txt"}, [PYTHON, "-c", COPY_DESCRIPTORS]),
            made("chain.txt", {"in.txt"}, ["sort", "-r"]),
            made("far.txt", {"in.txt"}, ["sort", "in.txt"]),
        ]


CAPTURE = """
import subprocess
told = subprocess.run(["sh", "-c", "(cat in.txt; true); true"], capture_output=True, check=True).stdout
open("out.txt", "wb").write(told.upper())
"""


@scenario
class CapturedOutput(Scenario):
    """A program that takes what a child of its child's child prints."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(16)})

    def act(self, at: At) -> None:
        run(at, PYTHON, "-c", CAPTURE)

    def expect(self, at: At) -> list[Made]:
        return [made("out.txt", {"in.txt"}, [PYTHON, "-c", CAPTURE])]


@scenario
class ChildPidNamespace(Scenario):
    """A process whose own idea of its pid is another one."""

    needs_root = True

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(12)})

    def act(self, at: At) -> None:
        run(at, "unshare", "--pid", "--fork", "sh", "-c", "sort in.txt > out.txt")

    def expect(self, at: At) -> list[Made]:
        return [made("out.txt", {"in.txt"}, ["sort", "in.txt"])]


@scenario
class OutsideInput(Scenario):
    """A program that reads a file in no mount: named where it could be seen, flagged elsewhere."""

    def prepare(self, at: At) -> None:
        write(at, {"in.txt": lines(13)})
        (at.outside / "prices.txt").write_text(lines(14))

    def act(self, at: At) -> None:
        sh(at, f"paste -d, in.txt {at.outside}/prices.txt > out.txt")

    def expect(self, at: At) -> list[Made]:
        prices = str(at.outside / "prices.txt")
        return [made("out.txt", {"in.txt"}, ["paste", "-d,", "in.txt", prices], outside=[prices])]


@scenario
class OutsidePipe(Scenario):
    """Out of a file in no mount by short pipelines, whose first programs may be over before anybody looks."""

    needs_root = True  # for the kernel to tell of files beyond the mount

    def prepare(self, at: At) -> None:
        (at.outside / "raw.txt").write_text(lines(15, 200))

    def act(self, at: At) -> None:
        sh(at, f"cat {at.outside}/raw.txt | sort -r > sorted.txt")
        sh(at, f"cat {at.outside}/raw.txt | tr 0-9 a-j | cut -d, -f1 > cut.txt")
        sh(at, f"head -n2 < {at.outside}/raw.txt > head.txt")
        with (at.outside / "raw.txt").open("rb") as source, (at.here / "tail.txt").open("wb") as target:
            subprocess.run(["cut", "-c1"], stdin=source, stdout=target, check=True)

    def expect(self, at: At) -> list[Made]:
        raw = [str(at.outside / "raw.txt")]
        return [
            made("sorted.txt", {}, ["sort", "-r"], outside=raw, gap=True),
            made("cut.txt", {}, ["cut", "-d,", "-f1"], outside=raw, gap=True),
            made("head.txt", {}, ["head", "-n2"], outside=raw),
            made("tail.txt", {}, ["cut", "-c1"], outside=raw),
        ]


TEXTS = [f"text{number:02}.txt" for number in range(20)]
VIM = ("vim", "-es", "-u", "NONE", "-N", "-i", "NONE")
EDIT = (
    "-c",
    "silent argdo edit",
    "-c",
    "buffer text07.txt",
    "-c",
    "normal Goadded",
    "-c",
    "write",
    "-c",
    "qall!",
)


@scenario
class Vim(Scenario):
    """An editor that has opened twenty files and saved one."""

    def prepare(self, at: At) -> None:
        write(at, {name: lines(100 + number) for number, name in enumerate(TEXTS)})

    def act(self, at: At) -> None:
        run(at, *VIM, *EDIT, *TEXTS)

    def expect(self, at: At) -> list[Made]:
        may = [".*.sw?", "4913", "*~"]
        return [made("text07.txt", {"text07.txt"}, [*VIM, *EDIT, *TEXTS], may=may)]


@scenario
class Ed(Scenario):
    """The same with the oldest one, which writes the file where it is."""

    def prepare(self, at: At) -> None:
        write(at, {name: lines(200 + number) for number, name in enumerate(TEXTS)})
        opened = "".join(f"e {name}\n" for name in [*TEXTS, "text07.txt"])
        (at.outside / "commands").write_text(f"{opened}$a\nadded\n.\nw\nq\n")

    def act(self, at: At) -> None:
        run(at, "ed", "-s", stdin=at.outside / "commands")

    def expect(self, at: At) -> list[Made]:
        return [made("text07.txt", {"text07.txt"}, ["ed", "-s"])]


SHORT_LIVED = 500
SHORT = 'head -c 150 "in/$1" > "out/$1"'


@scenario
class ManyShortLived(Scenario):
    """500 processes, fifty at a time: each output has its own input, and each argv is right."""

    def prepare(self, at: At) -> None:
        write(at, {f"in/{number}": lines(number) for number in range(1, SHORT_LIVED + 1)})
        os.mkdir(at.here / "out")

    def act(self, at: At) -> None:
        each = shlex.join(["sh", "-c", SHORT, "each"])
        sh(at, f"seq {SHORT_LIVED} | xargs -P50 -n1 {each}")

    def expect(self, at: At) -> list[Made]:
        numbers = range(1, SHORT_LIVED + 1)
        return [made(f"out/{n}", {f"in/{n}"}, ["head", "-c", "150", f"in/{n}"]) for n in numbers]
