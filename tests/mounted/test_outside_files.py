"""Lineage through files beyond the mount, of real programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mounted.conftest import Make
from tests.mounted.lineage_scenarios.checker import Answer, asker
from tests.mounted.mounting import COMMAND_SECONDS, Mount, wait_until

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a program whose standard input is nothing."""
    subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, check=True, timeout=COMMAND_SECONDS)


def shell(repo: Path, script: str, *arguments: str | Path, name: str = "bash") -> None:
    """Run a script with $1... in a repo."""
    run(name, "-c", script, name, *arguments, cwd=repo)


def ask(mount: Mount, name: str) -> Answer:
    return asker(mount.store)(f"repo:{name}")


def inputs(answer: Answer) -> set[str]:
    """Names of all that an output came from, however far."""
    return {version["path"] for version in answer["versions"] if version["id"] != answer["root"]}


def programs(answer: Answer) -> set[str]:
    return {Path(process["exe"]).name for process in answer["processes"]}


def versions(answer: Answer, path: str | Path) -> list[Any]:
    return [version for version in answer["versions"] if version["path"] == str(path)]


@pytest.fixture
def outside(mount: Mount) -> Path:
    """A directory beyond the mount."""
    made = mount.base / "outside"
    made.mkdir()
    return made


def test_a_file_that_is_read_is_an_input(as_root: None, mount: Mount, repo: Path, outside: Path) -> None:
    data = outside / "x.csv"
    data.write_text("a,b\n" * 100)
    program = "import json, sys, csv; open('out', 'w').write(open(sys.argv[2]).read())"
    run(sys.executable, "-c", program, "--data", data, cwd=repo)
    answer = ask(mount, "out")
    assert inputs(answer) == {str(data)}
    assert {edge["level"] for edge in answer["edges"]} == {"observed"}
    assert answer["coverage"]["headline"] == "complete inside pfs"


def test_the_content_of_a_copy_is_that_of_the_file(
    as_root: None, mount: Mount, repo: Path, outside: Path
) -> None:
    sizes = {"small": 100, "large": 3_000_000, "zeros": 1_000_000}
    for name, size in sizes.items():
        (outside / name).write_bytes(bytes(size) if name == "zeros" else os.urandom(size))
        run("cp", outside / name, repo / name)
    wait_until(lambda: all(source_content(mount, name, outside / name) for name in sizes))
    mount.commit(repo)
    for name in sizes:
        [copy] = versions(ask(mount, name), name)
        assert copy["content"] == source_content(mount, name, outside / name), name


def source_content(mount: Mount, name: str, path: Path) -> str:
    """The content id of the file that another came from."""
    [source] = versions(ask(mount, name), path)
    return str(source["content"] or "")


def test_one_of_many_outside_inputs_is_the_source_of_each_copy(
    as_root: None, mount: Mount, repo: Path, outside: Path
) -> None:
    """By content: else a copied tree would be a cross product."""
    for number in range(20):
        (outside / f"{number}.txt").write_text(f"number {number}\n" * 100)
    run("cp", "-r", outside, repo / "copy")
    wait_until(lambda: all(version["content"] for version in ask(mount, "copy/7.txt")["versions"]))
    mount.commit(repo)
    assert inputs(ask(mount, "copy/7.txt")) == {str(outside / "7.txt")}


def test_a_compiler_passes_on_through_temporary_files(as_root: None, mount: Mount, repo: Path) -> None:
    (repo / "header.h").write_text("#define NUMBER 3\n")
    (repo / "main.c").write_text('#include "header.h"\nint main(void) { return NUMBER; }\n')
    (repo / "other.c").write_text("int other(void) { return 1; }\n")
    shell(repo, "gcc -c other.c && gcc main.c -o prog")
    answer = ask(mount, "prog")
    found = {path for path in inputs(answer) if not path.startswith("/tmp/cc")}
    assert found == {"main.c", "header.h"}
    assert {name for name in programs(answer) if "python" not in name} >= {"cc1"}
    assert any(name.endswith("as") for name in programs(answer))


def test_redirections(as_root: None, mount: Mount, repo: Path, outside: Path) -> None:
    data = outside / "data"
    data.write_text("c\na\nb\n" * 50_000)  # more than fits into a pipe
    shell(repo, "sort < $1 > plain; cat < $1 | sort > piped; exec sort < $1 > last", data)
    for name in ("plain", "piped", "last"):
        assert str(data) in inputs(ask(mount, name)), name


@pytest.mark.parametrize("name", ["bash", "dash"])
def test_a_chain_of_programs_that_never_ask(
    as_root: None, mount: Mount, repo: Path, outside: Path, name: str
) -> None:
    (repo / "in").write_text("some words\nand more\n")
    (repo / "unrelated").write_text("nothing\n")
    script = "cat unrelated > $1/0; rev in > $1/1; tac $1/1 > $1/2; rev < $1/2 > $1/3; cat $1/3 > out"
    shell(repo, script, outside, name=name)
    found = inputs(ask(mount, "out"))
    assert "in" in found
    if name == "bash":
        assert "unrelated" not in found


def test_a_pipeline_that_ends_beyond_the_mount(
    as_root: None, mount: Mount, repo: Path, outside: Path
) -> None:
    (repo / "in").write_text("b\na\nb\n" * 1000)
    shell(repo, "sort in | uniq -c > $1/counts; cat $1/counts > out", outside)
    answer = ask(mount, "out")
    assert inputs(answer) == {"in", str(outside / "counts")}


def test_workers_of_a_program_that_reads_before_it_forks(
    as_root: None, mount: Mount, repo: Path, outside: Path
) -> None:
    data = outside / "data"
    data.write_text("some\n" * 100)
    program = (
        "import os, sys\n"
        "read = open(sys.argv[1]).read()\n"
        "if not os.fork():\n"
        "    open('out', 'w').write(read)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    run(sys.executable, "-c", program, data, cwd=repo)
    assert str(data) in inputs(ask(mount, "out"))


def test_what_was_opened_is_known_at_the_next_request(
    as_root: None, mount: Mount, repo: Path, outside: Path
) -> None:
    """Each file beyond the mount was opened right before its output was written: none is late."""
    count = 300
    for number in range(count):
        (outside / str(number)).write_text(str(number))
    program = (
        "import os, sys\n"
        "for number in range(int(sys.argv[2])):\n"
        "    out = os.open(f'{number}', os.O_WRONLY | os.O_CREAT)\n"
        "    data = os.open(f'{sys.argv[1]}/{number}', os.O_RDONLY)\n"
        "    os.write(out, b'x')\n"  # the data were not even read yet
        "    os.close(data)\n"
        "    os.close(out)\n"
    )
    run(sys.executable, "-S", "-c", program, outside, str(count), cwd=repo)
    late = [
        number
        for number in range(0, count, 10)
        if str(outside / str(number)) not in inputs(ask(mount, str(number)))
    ]
    assert late == []


def test_users_for_whom_nothing_is_told_have_command_lines(make_mount: Make) -> None:
    mount = make_mount()
    mount.start(module="tests.mounted.deaf_daemon")
    repo = mount.repo()
    outside = mount.base / "outside"
    outside.mkdir()
    data, stdin = outside / "data", outside / "stdin"
    for path in (data, stdin):
        path.write_text("some\n")
    shell(repo, "cat - $1 < $2 > out", data, stdin)
    answer = ask(mount, "out")
    levels = {
        version["path"]: edge["level"]
        for edge in answer["edges"]
        if edge["kind"] == "used"
        for version in answer["versions"]
        if version["id"] == edge["version"]
    }
    assert levels == {str(data): "argument", str(stdin): "observed"}
