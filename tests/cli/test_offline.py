"""Reading commands on a store that no daemon holds, and what they import for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pfs.cli import COMMANDS
from pfs.disk import Disk
from pfs.objects.ids import Kind
from pfs.store.store import Store
from tests.cli.conftest import Run
from tests.repo.workshop import Workshop
from tests.versioning.trees import Thing, TreeMaker, folder

PATHS = {"d": folder(10), "d/a": Thing(11, (b"one\xff", b"two"))}
SLOW = ("trio", "rich", "starlette", "structlog", "pyfuse3", "hypothesis")


@pytest.fixture
def proj(store: Path) -> Path:
    """A real store with the repo `proj`: an initial commit and two more."""
    with Store.open(store, Disk()) as opened:
        maker = TreeMaker(Workshop(opened))
        maker.commit(PATHS)
        maker.commit({**PATHS, "new": Thing(12, (b"x",))}, message="second")
    return store


def imported_by(*words: str, store: Path | None = None) -> set[str]:
    """Top-level modules that a run of `pfs` has imported when it ends."""
    script = (
        "import sys; from pfs.cli.group import run; code = run(sys.argv[1:]);"
        "sys.stderr.write(chr(10).join(sys.modules)); sys.exit(code)"
    )
    environment = {**os.environ, **({} if store is None else {"PFS_STORE": str(store)})}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_help_imports_no_command_and_nothing_slow() -> None:
    modules = imported_by("--help")
    assert not [name for name in modules if name.startswith("pfs.cli.commands.")]
    assert not modules & {
        *SLOW,
        "lmdb",
        "msgspec",
        "platformdirs",
        "subprocess",
        "pfs.store",
        "pfs.versioning",
    }


def test_log_imports_nothing_that_only_daemons_need(proj: Path) -> None:
    assert not imported_by("log", "proj", "--json", store=proj) & {*SLOW}


def test_command_modules_import_only_their_own(proj: Path) -> None:
    modules = imported_by("rev-parse", "proj", store=proj)
    commands = {name for name in modules if name.startswith("pfs.cli.commands.")}
    assert commands == {"pfs.cli.commands.rev_parse"}


def test_every_command_module_is_in_the_table() -> None:
    folder_of_commands = Path(sys.modules["pfs.cli"].__path__[0]) / "commands"
    modules = {path.stem.replace("_", "-") for path in folder_of_commands.glob("*.py")} - {"--init--"}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ls", "proj"], "d\nnew\n"),
        (["ls", "proj@~1"], "d\n"),
        (["diff", "proj@~1", "proj"], "A new\n"),
        (["cat", "proj:d/a"], "one\udcfftwo"),
        (["branch", "proj"], None),
        (["tag", "proj"], ""),
        (["repos"], None),
        (["show", "proj@~1"], None),
        (["show", "proj:d/a"], None),
        (["log", "proj"], None),
        (["fsck"], None),
        (["status"], None),
        (["debug", "statistics"], None),
    ],
    ids=str,
)
def test_reading_needs_no_daemon(pfs: Run, proj: Path, words: list[str], expected: str | None) -> None:
    outcome = pfs(*words)
    assert (outcome.code, outcome.err) == (0, "")
    if expected is not None:
        assert outcome.out == expected
    assert isinstance(pfs(*words, "--json").document, dict)


def test_log_json_is_one_stable_document(pfs: Run, proj: Path) -> None:
    document = pfs("log", "proj", "--json").document
    assert document["commits"][0]["message"] == "second"
    assert set(document) == {"repo", "commits"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["log", "nothing"], 3, "no such repo"),
        (["log", "proj@mian"], 3, "did you mean main?"),
        (["log", "proj@deadbeef"], 3, "no such commit"),
        (["ls", "proj:no/such"], 3, "no such file"),
        (["cat", "proj:d"], 2, "no bytes"),
        (["rev-parse", "proj@{tomorrow}"], 3, "not a date"),
        (["ls", "proj:../x"], 2, "'..'"),
        (["commit", "proj"], 7, "no daemon"),
        (["umount"], 7, "not mounted"),
        (["ls", "/etc/passwd"], 2, "not in a mount"),
    ],
    ids=str,
)
def test_refusals_are_one_line(pfs: Run, proj: Path, words: list[str], code: int, says: str) -> None:
    outcome = pfs(*words)
    assert (outcome.code, outcome.out) == (code, "")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1


def test_no_store_and_no_store_of_ours(pfs: Run, store: Path) -> None:
    assert pfs("repos").code == 6
    store.rmdir()
    assert pfs("repos").code == 3
    store.mkdir()
    (store / "something").touch()
    assert "not a store" in pfs("repos").err


def test_store_option_beats_the_environment(pfs: Run, proj: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PFS_STORE", "/nowhere/at/all")
    assert pfs("repos").code == 3
    assert pfs("--store", str(proj), "repos").code == 0


def test_damaged_object_is_exit_code_6(pfs: Run, proj: Path) -> None:
    (pack,) = (proj / "packs").iterdir()
    raw = bytearray(pack.read_bytes())
    with Store.open(proj, Disk(), create=False, read_only=True) as opened:
        chunk = next(found for found in opened.objects() if found.kind == Kind.CHUNK)
    raw[chunk.offset + chunk.length - 1] ^= 1
    pack.write_bytes(raw)
    outcome = pfs("fsck", "--json")
    assert outcome.code == 6
    assert outcome.document["findings"]


def test_reader_that_goes_away(proj: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pfs.cli", "--store", str(proj), "log", "proj"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_version(pfs: Run) -> None:
    outcome = pfs("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("pfs ")
