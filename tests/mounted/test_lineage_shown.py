"""Lineage as files and attributes of the mount show it, in `pfs ps` and in `pfs doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mounted.mounting import Mount, acting_as, run

PFS = Path(sys.executable).with_name("pfs")


def asked(mount: Mount, *words: str | Path) -> Any:
    return json.loads(run(PFS, "--store", mount.store, *words, "--json").stdout)


def said(mount: Mount, *words: str | Path) -> str:
    return run(PFS, "--store", mount.store, *words).stdout.decode()


@pytest.fixture
def tree(mount: Mount) -> Path:
    """A repo in which `data/out.txt` was sorted out of `in.txt`."""
    tree = mount.repo()
    (tree / "in.txt").write_text("b\na\n")
    (tree / "data").mkdir()
    run("sh", "-c", "sort -u in.txt > data/out.txt", cwd=tree)
    return tree


def test_a_file_says_where_it_came_from(mount: Mount, tree: Path) -> None:
    shown = (tree / "data/.pfs/lineage/out.txt").read_text()
    assert shown == said(mount, "lineage", "repo:data/out.txt")
    assert os.listdir(tree / "data/.pfs/lineage") == ["out.txt"]
    assert os.listdir(tree / ".pfs/lineage") == ["in.txt"]
    mount.commit(tree)
    old = mount.path / "repo@~0/data"
    run("sh", "-c", "sort -r in.txt > data/out.txt", cwd=tree)
    newer = (tree / "data/.pfs/lineage/out.txt").read_text()
    assert newer == said(mount, "lineage", "repo:data/out.txt") != shown
    assert (old / ".pfs/lineage/out.txt").read_text() == said(mount, "lineage", "repo@~0:data/out.txt")


def test_what_is_not_there_says_nothing(tree: Path) -> None:
    for name in ("nothing", "data"):
        with pytest.raises(FileNotFoundError):
            (tree / ".pfs/lineage" / name).read_text()
    with pytest.raises(PermissionError):
        (tree / ".pfs/lineage/in.txt").write_text("x")


def test_attributes_say_who_made_a_file(mount: Mount, tree: Path) -> None:
    def attributes(path: Path) -> dict[str, str]:
        names = ("lineage", "process", "argv", "inputs")
        return {name: os.getxattr(path, f"user.pfs.{name}").decode() for name in names}

    live = attributes(tree / "data/out.txt")
    assert live["argv"] == "sort -u in.txt"
    answer = asked(mount, "lineage", "repo:data/out.txt")
    assert live["lineage"] == answer["root"]
    generated = [edge for edge in answer["edges"] if edge["kind"] == "generated"]
    (process,) = [edge["process"] for edge in generated if edge["version"] == answer["root"]]
    assert live["process"] == process
    by_it = [edge for edge in answer["edges"] if edge["kind"] == "used" and edge["process"] == process]
    used = {edge["version"] for edge in by_it}
    assert used <= set(live["inputs"].splitlines())
    mount.commit(tree)
    assert attributes(tree / "data/out.txt") == live
    assert attributes(mount.path / "repo@~0/data/out.txt") == live
    mount.remount()
    assert attributes(tree / "data/out.txt") == live
    assert not [name for name in os.listxattr(tree / "data/out.txt") if name.startswith("user.pfs")]
    with pytest.raises(OSError, match="No data"):
        os.getxattr(tree / "data", "user.pfs.argv")


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as others")
def test_others_see_programs_not_words(make_mount: Any) -> None:
    mount = make_mount()
    mount.start("--allow-other")
    tree = mount.repo()
    tree.chmod(0o755)
    (tree / "in.txt").write_text("b\na\n")
    run("sh", "-c", "sort -u in.txt > out.txt", cwd=tree)
    (tree / "secret.txt").write_text("x\n")
    (tree / "secret.txt").chmod(0o600)
    with acting_as(65534):
        assert os.getxattr(tree / "out.txt", "user.pfs.argv") == b"sort"
        assert "-u" not in (tree / ".pfs/lineage/out.txt").read_text()
        with pytest.raises(PermissionError):
            (tree / ".pfs/lineage/secret.txt").read_text()


def test_processes_that_made_nothing_are_shown_while_they_run(mount: Mount, tree: Path) -> None:
    reader = subprocess.Popen(
        ["python3", "-c", "f = open('in.txt'); f.read(); print(flush=True); input()"],
        cwd=tree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert reader.stdout is not None
        reader.stdout.readline()
        rows = [row for row in asked(mount, "ps")["processes"] if row["process"]["pid"] == reader.pid]
        (row,) = [row for row in rows if row["process"]["end_ns"] is None]
        assert row["outputs"] == 0
        shown = asked(mount, "show", row["process"]["id"])
        assert "in.txt" in {version["path"] for version in shown["versions"]}
    finally:
        reader.communicate(b"\n")


def test_doctor_says_what_is_seen(mount: Mount) -> None:
    findings = {one["what"]: one for one in asked(mount, "doctor")["findings"]}
    assert findings["processes"]["level"] == "ok"
    assert "writers" not in findings
    assert findings["files beyond the mount"]["level"] == ("ok" if os.geteuid() == 0 else "warning")
    mount.stop()
    mount.start("--no-capture")
    findings = {one["what"]: one for one in asked(mount, "doctor")["findings"]}
    assert findings["lineage"]["hint"] == "mount without --no-capture"


def test_one_file_is_blamed_and_raw_files_are_compared(mount: Mount, tree: Path) -> None:
    (row,) = asked(mount, "blame", "repo:data/out.txt")["entries"]
    assert row["name"] == "out.txt"
    assert row["last"]["who"]["program"] == "sort"
    mount.stop()
    mount.start("--no-capture")
    (tree / "raw.txt").write_text("one\n")
    mount.commit(tree)
    (tree / "raw.txt").write_text("two\n")
    mount.commit(tree)
    mount.stop()
    mount.start()
    answer = asked(mount, "why", "repo@~1:raw.txt", "repo:raw.txt")
    assert [cause["kind"] for cause in answer["causes"]] == ["unrecorded"]
    same = run(PFS, "--store", mount.store, "why", "repo:raw.txt", "repo:raw.txt", check=False)
    assert (same.returncode, same.stdout) == (1, b"the two versions are the same\n")


def test_bytes_stay_for_a_reason(mount: Mount, tree: Path) -> None:
    run("sh", "-c", "sort -r in.txt > step.txt; cut -c1 step.txt > end.txt; rm step.txt", cwd=tree)
    mount.commit(tree)
    (step,) = asked(mount, "debug", "kept", "repo:step.txt")
    assert step["reason"] == "intermediate"
    assert step["until"] is not None
    assert run(PFS, "--store", mount.store, "cat", "--content", step["content"]).stdout == b"b\na\n"
    (end,) = asked(mount, "debug", "kept", "repo:end.txt")
    assert (end["reason"], end["until"]) == ("anchored", None)
    run("sh", "-c", "rm end.txt", cwd=tree)
    mount.commit(tree)
    assert asked(mount, "debug", "kept", "repo:end.txt")[0]["reason"] == "anchored"
