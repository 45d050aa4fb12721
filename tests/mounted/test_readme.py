"""Every command of the README's transcript, on a real mount, with the output it shows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.mounted.mounting import Mount

ROOT = Path(__file__).parents[2]
MARK = "--- end of a command ---"


def transcript() -> list[tuple[str, str]]:
    """(command, output) of each `$` line in the README's console block."""
    block = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    steps: list[tuple[str, str]] = []
    for line in block[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        else:
            command, output = steps[-1]
            steps[-1] = command, f"{output}{line}\n"
    return steps


def normal(text: str, home: str) -> str:
    """Without what differs from run to run: ids, times, who and where."""
    text = text.replace(home, "/home/you")
    text = re.sub(r"\b[0-9a-f]{16}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME", text)
    text = re.sub(r"\S+@\S+  pid \d+", "WHO", re.sub(r" {3,}(?=\S+@\S+  pid)", "  ", text))
    return re.sub(r"\S+@\S+(?=  (?:third|raw|\(initial))", "WHO", text)


def test_the_transcript_is_what_happens(make_mount: Callable[[], Mount]) -> None:
    mount = make_mount()
    home = mount.base
    mount.path = home / "pfs"
    mount.start()
    steps = transcript()
    assert len(steps) > 10
    script = "".join(f"{command}\necho '{MARK}'\n" for command, _ in steps)
    environment = {
        **os.environ,
        "HOME": str(home),
        "PFS_STORE": str(mount.store),
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    outputs = done.stdout.split(f"{MARK}\n")
    assert done.stderr == ""
    for (command, expected), output in zip(steps, outputs, strict=False):
        assert normal(output.strip() + "\n", str(home)).strip() == normal(expected, str(home)).strip(), (
            command
        )


def test_the_start_script_and_its_five_lines(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    environment.pop("PFS_STORE", None)
    mount_point = tmp_path / "pfs"
    done = subprocess.run(
        [ROOT / "scripts/start"], env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    try:
        assert done.returncode == 0, done.stderr
        lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
        assert len(lines) == 5
        pasted = subprocess.run(
            ["bash", "-ec", "\n".join(lines)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert pasted.returncode == 0, pasted.stderr
        assert pasted.stdout.endswith("one\n")
    finally:
        subprocess.run(
            [ROOT / ".venv/bin/pfs", "umount", mount_point], env=environment, check=True, capture_output=True
        )
