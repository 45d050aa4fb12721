"""What goes over the control socket: the protocol, and errors as JSON.

    STORE/control.sock, a unix stream socket. One request a connection, one JSON document a line:
    request   {"op": TEXT, "args": {…}}                      at most 1 MiB, within 10 s
    replies   {"progress": …}                                any number, then exactly one of
              {"ok": true, "result": …}
              {"ok": false, "error": {"kind", "message", "hint", "exit_code"}}

File names are text as `os.fsdecode` makes it: bytes that are no UTF-8 travel as lone surrogates,
which JSON writes as \\udcXX. Bytes travel as base64. The same error document goes over the pipe on
which a starting daemon reports, and to stderr under --json.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pfs import errors
from pfs.errors import Denied, NoSpace, PfsError, ReadOnly

SOCKET_NAME = "control.sock"
# A commit message or a list of paths fits; a program gone wrong does not fill the daemon's memory.
REQUEST_BYTES_MAX = 1 << 20

Json = Any  # what the json module reads and writes


class InternalError(PfsError):
    """A defect of pfs itself: the log has the traceback."""

    kind = "internal"


class ProtocolError(PfsError):
    """The other end does not keep to the protocol: another version of pfs, or something else."""

    kind = "protocol"
    hint = "if pfs was upgraded, 'pfs umount' and mount again"


def encode_line(document: Json) -> bytes:
    """One JSON document as one line of ASCII."""
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def decode_line(line: bytes | bytearray) -> dict[str, Json]:
    """The JSON object of one line; `ProtocolError` where it is something else."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a JSON line: {error}") from None
    if not isinstance(document, dict):
        raise ProtocolError("not a JSON object")
    return cast(dict[str, Json], document)


def error_classes(cls: type[PfsError] = PfsError) -> Iterator[type[PfsError]]:
    """A class of errors and all below it, bases first."""
    yield cls
    for child in cls.__subclasses__():
        yield from error_classes(child)


def error_document(error: PfsError) -> dict[str, Json]:
    """An error as JSON: {kind, message, hint, exit_code}."""
    return {
        "kind": error.kind,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def error_from_document(document: Mapping[str, Json]) -> PfsError:
    """The error that `error_document` described, of its class; an unknown kind keeps its exit code."""
    kind = str(document.get("kind", ""))
    # A subclass that only refines shares the kind of its base: the base comes first and is meant.
    cls = next((cls for cls in error_classes() if cls.kind == kind), None)
    if cls is None:
        code = document.get("exit_code", PfsError.exit_code)
        cls = type("RemoteError", (PfsError,), {"kind": kind, "exit_code": code})
    # Past __init__, which wants the facts (an object id, a place) that stay on the other side.
    error = cls.__new__(cls)
    PfsError.__init__(error, str(document.get("message", "no message")))
    error.hint = cast("str | None", document.get("hint"))
    return error


def as_pfs_error(error: Exception) -> PfsError:
    """Any exception as one of ours: what a system call said keeps its meaning, the rest is internal."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, PfsError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        cls = _BY_ERRNO.get(error.errno, PfsError)
        text = error.strerror or errno.errorcode.get(error.errno, "system error")
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return cls(f"{where}{text}")
    return InternalError(f"internal error: {type(error).__name__}: {error}")


_BY_ERRNO: dict[int, type[PfsError]] = {
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EROFS: ReadOnly,
    errno.ENOENT: errors.NotFound,
}
