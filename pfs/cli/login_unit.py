"""A systemd user unit that mounts the store at each login."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TEMPLATE = """\
[Unit]
Description=pfs store {store} at {mount_point}

[Service]
Type=notify
ExecStart={start}
Restart=on-failure
RestartSec=2
TimeoutStopSec=infinity

[Install]
WantedBy=default.target
"""


def enable(store: Path, mount_point: Path, options: Sequence[str]) -> Path:
    """Write the unit and enable it for the next login; where it is."""
    folder = _unit_folder()
    name = f"pfs-{re.sub(r'[^A-Za-z0-9]+', '-', str(mount_point)).strip('-')}.service"
    unit = folder / name
    wanted = folder / "default.target.wants" / name
    wanted.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(unit_text(store, mount_point, options))
    if not wanted.is_symlink():
        wanted.symlink_to(unit)
    # What `systemctl enable` does is this link; a running manager only has to read it.
    subprocess.run(["systemctl", "--user", "daemon-reload"], capture_output=True, check=False, timeout=30)
    return unit


def unit_text(store: Path, mount_point: Path, options: Sequence[str]) -> str:
    """The unit file."""
    words = [
        *(sys.executable, "-m", "pfs.cli", "--store", str(store), "mount", str(mount_point)),
        *("--foreground", *options),
    ]
    return _TEMPLATE.format(
        store=_escape(str(store)),
        mount_point=_escape(str(mount_point)),
        start=" ".join(_quote(word) for word in words),
    )


def _unit_folder() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(config) / "systemd" / "user"


def _escape(text: str) -> str:
    """`%` begins a specifier in a unit file, and a line ends a setting."""
    return text.replace("%", "%%").replace("\n", " ")


def _quote(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
