"""Ask the daemon of a store: one request, its progress, its answer.

Synchronous and without trio, for the command line. Errors of the daemon come back as the classes
of `pfs.errors`; where nobody listens it is `NoDaemon`. What goes over the socket: `wire`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from pfs.control.wire import (
    REQUEST_BYTES_MAX,
    SOCKET_NAME,
    Json,
    ProtocolError,
    decode_line,
    encode_line,
    error_from_document,
)
from pfs.errors import Denied, NoDaemon, UsageError

# A result may be long (the log of a repo), but not endless.
REPLY_BYTES_MAX = 1 << 30
_UCRED = struct.Struct("3i")  # struct ucred of SO_PEERCRED: pid, uid, gid


class ControlClient:
    """Asks the daemon that holds the store at `store`; each call is a connection of its own."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def daemon_pid(self) -> int | None:
        """The pid of the process that listens on the store's socket; None where nobody does."""
        try:
            with self._connect() as connection:
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except NoDaemon:
            return None
        return int(_UCRED.unpack(credentials)[0])

    def call(
        self,
        op: str,
        args: Mapping[str, Json] | None = None,
        *,
        progress: Callable[[Json], None] | None = None,
        timeout_seconds: float | None = None,
    ) -> Json:
        """The result of one operation.

        `progress` gets each progress report; `timeout_seconds` limits the wait for each line.
        Raises what the daemon raised, `NoDaemon` where none answers.
        """
        line = encode_line({"op": op, "args": dict(args or {})})
        if len(line) > REQUEST_BYTES_MAX:
            raise UsageError(f"{op}: the request has {len(line)} bytes, the limit is {REQUEST_BYTES_MAX}")
        with self._connect() as connection:
            connection.settimeout(timeout_seconds)
            try:
                connection.sendall(line)
                with connection.makefile("rb") as replies:
                    return _result(replies, progress)
            except TimeoutError:
                raise NoDaemon(f"the daemon of {self.store} does not answer") from None
            except (BrokenPipeError, ConnectionResetError):
                raise NoDaemon(f"the daemon of {self.store} ended before it answered") from None

    def _connect(self) -> socket.socket:
        """A connection to the daemon, by a path that has no limit of 107 bytes."""
        try:
            directory = os.open(self.store, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NoDaemon(f"{self.store}: no daemon, and no store either") from None
        except PermissionError:
            raise Denied(f"{self.store}: this store is not yours to enter") from None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            raise NoDaemon(f"no daemon holds the store {self.store}") from None
        except PermissionError:
            connection.close()
            raise Denied(f"the daemon of {self.store} does not talk to this user") from None
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(directory)
        return connection


def _result(replies: BinaryIO, progress: Callable[[Json], None] | None) -> Json:
    for document in _documents(replies):
        if "progress" in document:
            if progress is not None:
                progress(document["progress"])
        elif document.get("ok") is True:
            return document.get("result")
        elif isinstance(document.get("error"), dict):
            raise error_from_document(document["error"])
        else:
            raise ProtocolError("a reply that is neither progress nor result nor error")
    raise NoDaemon("the daemon ended before it answered")


def _documents(replies: BinaryIO) -> Iterator[dict[str, Json]]:
    while line := replies.readline(REPLY_BYTES_MAX):
        if not line.endswith(b"\n"):
            raise NoDaemon("the daemon ended in the middle of its answer")
        yield decode_line(line)
