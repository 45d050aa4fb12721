"""A daemon in which any method of the filesystem can be made to fail.

Run as `python -m tests.mounted.faulty_daemon`.  The file `plant` beside the store holds the
method's name and what is to happen: `raise` an error that nobody expects, or `return` something
of the wrong type.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pfs.daemon.__main__ import main
from pfs.vfs.filesystem import Filesystem


def arm(plant: Path) -> None:
    """Let every public method of Filesystem look at what is planted first."""
    for name, method in inspect.getmembers(Filesystem, inspect.isfunction):
        if not name.startswith("_"):
            setattr(Filesystem, name, _armed(name, method, plant))
    begin = Filesystem.__init__

    def begin_armed(self: Filesystem, *args: Any) -> None:
        begin(self, *args)
        self.statvfs = _armed("statvfs", self.statvfs, plant)

    Filesystem.__init__ = begin_armed  # type: ignore[method-assign]


def _armed(name: str, method: Callable[..., Any], plant: Path) -> Callable[..., Any]:
    def is_planted(how: str) -> bool:
        try:
            return plant.read_text() == f"{name} {how}"
        except FileNotFoundError:
            return False

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def waiting(*args: Any, **keywords: Any) -> Any:
            if is_planted("raise"):
                raise RuntimeError(f"planted in {name}")
            return object() if is_planted("return") else await method(*args, **keywords)

        return waiting

    @functools.wraps(method)
    def direct(*args: Any, **keywords: Any) -> Any:
        if is_planted("raise"):
            raise RuntimeError(f"planted in {name}")
        return object() if is_planted("return") else method(*args, **keywords)

    return direct


if __name__ == "__main__":
    arm(Path(sys.argv[sys.argv.index("--store") + 1]).parent / "plant")
    sys.exit(main(sys.argv[1:]))
