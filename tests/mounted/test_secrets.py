"""Secrets of command lines, scripts and environments are in no file of a store, no answer and no export.

Each command of the list that the tests of redaction have is run under its own name and words by a program
that reads one file of the mount and writes another.  Then every file of the store is read as it is, every
object as it was before compression, and everything that can be asked.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from pfs.disk import Disk
from pfs.objects.ids import Kind
from pfs.store.store import Store
from tests.lineage.credentials import GIVEN_AWAY, drawn, tokens, words_of
from tests.mounted.mounting import Mount, run

COPY = "int main(){char b[4096];long n;while((n=read(0,b,4096))>0)write(1,b,n);return 0;}"
PFS = Path(sys.executable).with_name("pfs")
FORMS = ([], ["--json"], ["--dot"], ["--prov"], ["--openlineage"], ["--full"])
HIDDEN = "redacted "


def commands(random: Random) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Secrets, each with a command line and an environment that have it."""
    for line in GIVEN_AWAY:
        secret = drawn(random, 24)
        yield secret, words_of(line, secret), {}
    for token in tokens(random).values():
        yield token, ["prog", "run", token], {}
    for name in ("PYTHON_API_TOKEN", "CONDA_PASSWORD", "R_DB_AUTH", "SLURM_JWT", "SESSION_COOKIE"):
        secret = drawn(random, 24)
        yield secret, ["prog", "run"], {name: secret}
    secret = drawn(random, 24)
    yield secret, ["bash", "-c", f"export DB_PASSWORD='{secret}'\nload in.txt"], {}


def bytes_of(store: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a store, and what its objects are."""
    for path in sorted(store.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(store)), path.read_bytes()
    with Store.open(store, Disk(), read_only=True) as opened:
        for found in opened.objects():
            yield f"object {found.object_id.hex()}", opened.get(Kind(found.kind), found.object_id)


def pfs(mount: Mount, *words: str | Path) -> bytes:
    """What a command says."""
    return run(PFS, "--store", mount.store, *words).stdout


def answers(mount: Mount, base: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that can be asked, and every export."""
    for form in FORMS:
        yield f"lineage {form}", pfs(mount, "lineage", *form, "repo:all.txt")
    for option in ("--ro-crate", "--in-toto"):
        where = base / option
        pfs(mount, "lineage", option, where, "repo:all.txt")
        for path in where.rglob("*"):
            if path.is_file():
                yield f"lineage {option}", path.read_bytes()
    for words in (["who", "repo:all.txt"], ["blame", "repo:"], ["ps"], ["log", "repo"], ["debug", "handles"]):
        yield words[0], pfs(mount, *words)
        yield f"{words[0]} --json", pfs(mount, *words, "--json")


def findings(parts: Iterator[tuple[str, bytes]], secrets: list[bytes]) -> list[str]:
    """Where which secret was found."""
    return [f"{secret.decode()} in {name}" for name, part in parts for secret in secrets if secret in part]


def test_no_secret_is_stored_or_answered(mount: Mount, tmp_path: Path) -> None:
    tree = mount.repo()
    program = tmp_path / "copy"
    subprocess.run(
        ["gcc", "-w", "-o", program, "-include", "unistd.h", "-xc", "-"], input=COPY.encode(), check=True
    )
    (tree / "in.txt").write_text("some data\n")
    secrets = []
    made = []
    for number, (secret, words, environment) in enumerate(commands(Random(5))):
        secrets.append(secret.encode())
        made.append(tree / f"out{number}.txt")
        with (tree / "in.txt").open("rb") as source, made[-1].open("wb") as target:
            subprocess.run(
                words, executable=program, stdin=source, stdout=target, env=environment, check=True, cwd=tree
            )
    run("sh", "-c", "cat out*.txt > all.txt", cwd=tree)

    said = pfs(mount, "lineage", "--json", "--full", "repo:all.txt").decode()
    assert said.count(HIDDEN) > len(GIVEN_AWAY), "nothing was recorded, so nothing was hidden"
    assert not findings(iter([("lineage", said.encode()), ("ps", pfs(mount, "ps", "--json"))]), secrets)
    mount.kill9()
    assert not findings(bytes_of(mount.store), secrets)
    mount.start()
    mount.commit(tree)
    assert not findings(answers(mount, tmp_path / "exports"), secrets)
    mount.stop()
    assert not findings(bytes_of(mount.store), secrets)
    assert not findings(iter([("log", mount.log().encode())]), secrets)
