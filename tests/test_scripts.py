"""The scripts refuse what they do not understand in one line, and change nothing then."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = [
    *sorted(
        path
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and path.read_bytes().startswith((b"#!/usr/bin/env bash", b"# Sourced"))
    ),
    ROOT / ".ci" / "run",
]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_sound_bash(script: Path) -> None:
    assert run("bash", "-n", str(script)).stderr == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["setup", "--fly"], "unknown option --fly"),
        (["start", "--fly"], "unknown option --fly"),
        (["start", "a", "b"], "one mount point"),
        (["accept"], "which issue?"),
        (["accept", "flying"], "no scripts/acceptance/flying.py"),
    ],
    ids=" ".join,
)
def test_refusal_is_one_line(words: list[str], says: str) -> None:
    done = run(str(ROOT / "scripts" / words[0]), *words[1:])
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(f"scripts/{words[0]}: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["setup", "start"])
def test_help_shows_the_usage(name: str) -> None:
    assert f"usage: scripts/{name}" in run(str(ROOT / "scripts" / name), "--help").stdout


INSTALL = """
set -euo pipefail
. {root}/scripts/lib.sh
PATH={fakes}
install_packages fuse3 gcc
"""


def test_packages_that_cannot_be_installed_say_how(tmp_path: Path) -> None:
    """An ordinary user without sudo, and a machine without apt."""

    def refusal(**programs: str) -> str:
        for name, text in programs.items():
            (tmp_path / name.replace("_", "-")).write_text(f"#!/bin/bash\n{text}\n")
            (tmp_path / name.replace("_", "-")).chmod(0o755)
        done = run("bash", "-c", INSTALL.format(root=ROOT, fakes=tmp_path))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "This is no Debian" in refusal()
    assert "install them as root: apt-get install -y fuse3 gcc" in refusal(apt_get="exit 0", id="echo 1000")
    assert "sudo refused" in refusal(sudo="exit 1")
