"""What commands print: JSON documents, tables, times and sizes. Plain text, the same in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from pfs.control.wire import Json

_NS_PER_SECOND = 10**9
_ESCAPES = {ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r", 0x1B: "\\x1b"}


def print_json(document: Json) -> None:
    """One JSON document, in ASCII: file names that are no UTF-8 stand as lone surrogates."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_text(text: str) -> None:
    """A line of text; bytes of file names that are no UTF-8 come out as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows with their columns aligned; the last column is as long as it is."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        print_text("  ".join([*cells, row[-1]]).rstrip())


def visible(name: str) -> str:
    """A file name on one line: what would move the cursor is escaped."""
    return name.translate(_ESCAPES)


def time_text(time_ns: int) -> str:
    """A time as 2026-01-31 10:00:00Z."""
    return f"{datetime.fromtimestamp(time_ns // _NS_PER_SECOND, UTC):%Y-%m-%d %H:%M:%SZ}"


def size_text(size_bytes: int) -> str:
    """A size with three digits or so: 999 B, 1.2 MiB."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def mode_text(kind: str, mode: int) -> str:
    """A type and permission bits as `ls -l` has them."""
    import stat

    types = {
        "file": stat.S_IFREG,
        "directory": stat.S_IFDIR,
        "symlink": stat.S_IFLNK,
        "fifo": stat.S_IFIFO,
        "socket": stat.S_IFSOCK,
    }
    return stat.filemode(types.get(kind, 0) | mode)
