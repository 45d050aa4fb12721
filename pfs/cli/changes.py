"""Changes between two trees, as lines of text."""

from __future__ import annotations

from pfs.cli.output import visible
from pfs.control.wire import Json

_LETTERS = {"added": "A", "deleted": "D", "modified": "M", "type": "T", "attributes": "m", "renamed": "R"}


def change_line(change: Json) -> str:
    """`M path`, git's letters; `m` where only mode, owner, times or xattrs differ, `R old -> new`."""
    letter = _LETTERS.get(change["status"], "?")
    path = visible(change["path"])
    if change.get("old_path") is not None:
        return f"{letter} {visible(change['old_path'])} -> {path}"
    return f"{letter} {path}"
