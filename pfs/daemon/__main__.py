"""`python -m pfs.daemon`: parse, start, report on the ready pipe, end with an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pfs.control.wire import encode_line, error_document
from pfs.daemon.log import configure
from pfs.daemon.process import Options, run
from pfs.errors import PfsError


def main(argv: list[str]) -> int:
    """Run the daemon until it is unmounted or told to end; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pfs.daemon")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--mount", type=Path, required=True)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--allow-other", action="store_true")
    parser.add_argument("--no-capture", action="store_true")
    parser.add_argument("--ready-fd", type=int, default=-1)
    given = parser.parse_args(argv)
    options = Options(
        given.store, given.mount, given.read_only, given.allow_other, not given.no_capture, given.ready_fd
    )
    configure()
    try:
        run(options)
    except PfsError as error:
        _report(options.ready_fd, error)
        return error.exit_code
    return 0


def _report(ready_fd: int, error: PfsError) -> None:
    """Say why there is no mount: to who waits on the pipe, else to stderr."""
    if ready_fd >= 0:
        try:
            os.write(ready_fd, encode_line({"ok": False, "error": error_document(error)}))
        except OSError:
            return  # it was ready before, and nobody listens any more
    else:
        hint = f": {error.hint}" if error.hint else ""
        sys.stderr.write(f"pfs: {error}{hint}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
