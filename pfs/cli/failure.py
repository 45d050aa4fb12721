"""How the command line fails: the one printer of errors, and the exit code of each.

One line on stderr, `pfs: what happened. what to do`; under --json one JSON document there,
{"error": {kind, message, hint}}. Never a traceback, unless PFS_DEBUG=1: that of an unexpected
exception goes to a log that the line names.

Exit codes: those of pfs.errors, 130 after Ctrl-C, 141 when the reader of our output went away.
"""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import click

from pfs.control.wire import InternalError, as_pfs_error, encode_line, error_document
from pfs.errors import PfsError, UsageError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
READER_GONE = 141  # 128 + SIGPIPE


def exit_code_of(error: BaseException, *, as_json: bool) -> int:
    """Print what there is to say about an error that ended a command; the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # Python flushes stdout once more at exit: let that go nowhere, quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    if not isinstance(error, Exception):
        raise error
    known = _as_pfs_error(error)
    print_error(known, as_json=as_json)
    return known.exit_code


def print_error(error: PfsError, *, as_json: bool) -> None:
    """One line (or JSON document) on stderr."""
    if as_json:
        document = error_document(error)
        del document["exit_code"]
        text = encode_line({"error": document}).decode()
    else:
        text = f"pfs: {one_line(error)}\n"
    try:
        sys.stderr.write(text.encode(errors="backslashreplace").decode())
        sys.stderr.flush()
    except OSError:
        pass  # nobody is there to be told; the exit code still says it


def one_line(error: PfsError) -> str:
    """`what happened. what to do`, on one line whatever is in the message."""
    parts = [error.message.rstrip("."), error.hint] if error.hint else [error.message]
    return " ".join(". ".join(parts).split())


def _as_pfs_error(error: Exception) -> PfsError:
    if isinstance(error, click.ClickException):
        ctx = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"See '{ctx.command_path} --help'" if ctx is not None else None
        return UsageError(error.format_message(), hint=hint)
    known = as_pfs_error(error)
    if isinstance(known, InternalError) and known is not error:
        known.hint = _keep_traceback(error)
    return known


def _keep_traceback(error: Exception) -> str | None:
    """Show or log the traceback of a defect; where to find it."""
    if os.environ.get("PFS_DEBUG") == "1":
        traceback.print_exception(error)
        return None
    path = log_directory() / "pfs.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            log.write(f"{datetime.now(UTC).isoformat()} pfs {' '.join(sys.argv[1:])}\n")
            traceback.print_exception(error, file=log)
    except OSError:
        return "run it again with PFS_DEBUG=1 for the details"
    return f"(details in {path})"


def log_directory() -> Path:
    """Where logs of this user go."""
    from platformdirs import user_log_path  # slow to import, and rarely needed

    return user_log_path("pfs", appauthor=False)
