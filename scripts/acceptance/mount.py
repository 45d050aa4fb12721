"""What the mount has to show, at full size, timings included: `scripts/accept mount [OPTION...]`.

One check per clause of the list, each on a daemon, a store and a mount of its own. A line says what was
measured, what is demanded, and whether that holds; the exit code is 1 if anything does not.
`--scale small` runs the same with small numbers and judges no clock.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
TOPICS = ("programs", "cpython", "history", "commits", "flat", "large", "power", "bad_input", "benchmarks")


def main(arguments: list[str]) -> int:
    """Run the checks that were asked for."""
    sys.path.insert(0, str(TOP))
    from scripts.acceptance.mount_checks.report import CHECKS, Run

    for topic in TOPICS:
        importlib.import_module(f"scripts.acceptance.mount_checks.{topic}")
    parser = argparse.ArgumentParser(prog="scripts/accept mount", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="just these checks")
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--list", action="store_true", help="name the checks and end")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()), help="where stores and mounts go"
    )
    parser.add_argument("--private", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.list:
        width = max(map(len, CHECKS))
        print("\n".join(f"{name:{width}}  {check.what}" for name, check in CHECKS.items()))
        return 0
    names = given.only or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        parser.error(f"no check is called {unknown[0]}; --list names them")
    run = Run(given.scale == "full", given.directory, private=given.private)
    for name in names:
        run.carry_out(CHECKS[name])
    if given.results is not None:
        run.save(given.results)
        return 0
    return run.summary()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
