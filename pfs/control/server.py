"""The daemon's end of the control socket, on trio.

Promises: one failed request never ends the server or another request; a peer is who the kernel
says it is; memory is bounded (length of a line, number of connections, time to send a request).
Decides nothing: what an operation does and whom it serves is up to its handler. A handler goes on
when its client has gone away.
"""

from __future__ import annotations

import logging
import os
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from pfs.control.wire import (
    REQUEST_BYTES_MAX,
    SOCKET_NAME,
    InternalError,
    Json,
    ProtocolError,
    as_pfs_error,
    decode_line,
    encode_line,
    error_document,
)
from pfs.errors import Busy, Denied, PfsError, UsageError

CONNECTIONS_MAX = 64
REQUEST_SECONDS_MAX = 10.0
# A client that does not read its answer is given up after this.
REPLY_SECONDS_MAX = 60.0
# What is left for an answer (of umount, say) once the daemon is ending.
LAST_REPLY_SECONDS_MAX = 2.0

_RECEIVE_BYTES = 65_536
_UCRED = struct.Struct("3i")  # struct ucred of SO_PEERCRED: pid, uid, gid
_SO_PEERGROUPS = 59  # Linux 4.13, asm-generic/socket.h; Python has no name for it
_GROUPS_BYTES = 1024  # what Python's getsockopt takes at most: 256 groups

log = logging.getLogger("pfs.control")


async def _report_nothing(_progress: Json) -> None:
    pass


@dataclass(frozen=True)
class Peer:
    """Who asks, by the kernel's word at connect; `report` sends a progress line to it."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int]
    report: Callable[[Json], Awaitable[None]] = _report_nothing


Handler = Callable[[Peer, dict[str, Json]], Awaitable[object]]


def admit_owner(peer: Peer, op: str) -> None:
    """The rule where no other is given: the daemon's own user and root may ask."""
    if peer.uid not in (0, os.geteuid()):
        raise Denied(f"{op}: this daemon serves the user with uid {os.geteuid()} only")


async def serve(
    store: Path,
    handlers: Mapping[str, Handler],
    *,
    admit: Callable[[Peer, str], None] = admit_owner,
    mode: int = 0o600,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests on STORE/control.sock until cancelled; the caller holds the store's lock.

    `admit(peer, op)` raises to refuse; `mode` is the socket's and decides who may connect at all
    (0o666 where `admit` or the handlers check the peer). `task_status` is told once it listens.
    """
    limit = trio.CapacityLimiter(CONNECTIONS_MAX)

    async def serve_one(stream: trio.SocketStream) -> None:
        async with stream:
            await _serve_connection(stream.socket, limit, handlers, admit)

    with _listening(store, mode) as listener:
        await trio.serve_listeners(serve_one, [trio.SocketListener(listener)], task_status=task_status)


@contextmanager
def _listening(store: Path, mode: int) -> Iterator[trio.socket.SocketType]:
    """The listening socket, bound by a path that has no limit of 107 bytes, and removed at the end."""
    directory = os.open(store, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # What is there was left by a daemon that was killed: the store's lock says that none lives.
        _remove_socket(directory)
        # Linux gives the name the mode of the socket: nobody else can connect in between.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        os.chmod(f"/proc/self/fd/{directory}/{SOCKET_NAME}", mode)
        listener.listen(CONNECTIONS_MAX)
        listener.setblocking(False)
        with trio.socket.from_stdlib_socket(listener) as wrapped:
            yield wrapped
    finally:
        listener.close()
        _remove_socket(directory)
        os.close(directory)


def _remove_socket(directory: int) -> None:
    try:
        if stat.S_ISSOCK(os.stat(SOCKET_NAME, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(SOCKET_NAME, dir_fd=directory)
    except FileNotFoundError:
        pass


async def _serve_connection(
    connection: trio.socket.SocketType,
    limit: trio.CapacityLimiter,
    handlers: Mapping[str, Handler],
    admit: Callable[[Peer, str], None],
) -> None:
    """One request; whatever goes wrong ends this connection only."""
    try:
        limit.acquire_on_behalf_of_nowait(connection)
    except trio.WouldBlock:
        await _send(connection, _failure(Busy(f"{CONNECTIONS_MAX} requests are being served already")))
        return
    try:
        await _send(connection, await _answer(connection, handlers, admit))
    finally:
        limit.release_on_behalf_of(connection)


async def _answer(
    connection: trio.socket.SocketType, handlers: Mapping[str, Handler], admit: Callable[[Peer, str], None]
) -> bytes:
    """The reply line to the one request of a connection."""
    op: Json = "request"
    try:
        request = decode_line(await _receive_line(connection))
        op, args = request.get("op"), request.get("args", {})
        if not isinstance(op, str) or not isinstance(args, dict):
            raise ProtocolError("a request has the fields op and args")
        handler = handlers.get(op)
        if handler is None:
            raise UsageError(f"this daemon has no operation {op}", hint="it may be an older pfs: mount again")
        peer = await _peer(connection)
        admit(peer, op)
        return encode_line({"ok": True, "result": await handler(peer, args)})
    except Exception as error:
        known = as_pfs_error(error)
        if isinstance(known, InternalError):
            log.exception("operation %s failed", op)
        return _failure(known)


def _failure(error: PfsError) -> bytes:
    return encode_line({"ok": False, "error": error_document(error)})


async def _receive_line(connection: trio.socket.SocketType) -> bytes:
    line = bytearray()
    with trio.move_on_after(REQUEST_SECONDS_MAX):
        while not line.endswith(b"\n"):
            received = await connection.recv(_RECEIVE_BYTES)
            if not received:
                raise ProtocolError("the request has no end")
            line += received
            if len(line) > REQUEST_BYTES_MAX:
                raise ProtocolError(f"the request is longer than {REQUEST_BYTES_MAX} bytes")
        return bytes(line)
    raise ProtocolError(f"no whole request within {REQUEST_SECONDS_MAX:.0f} s")


async def _send(connection: trio.socket.SocketType, line: bytes) -> None:
    """Send a line; a client that has gone away or does not read is no failure of ours."""
    rest = memoryview(line)

    async def send_rest() -> None:
        nonlocal rest
        while rest:
            rest = rest[await connection.send(rest) :]

    try:
        with trio.move_on_after(REPLY_SECONDS_MAX):
            await send_rest()
    except trio.Cancelled:
        with trio.move_on_after(LAST_REPLY_SECONDS_MAX) as last, suppress(OSError):
            last.shield = True
            await send_rest()
        raise
    except OSError:
        log.debug("a client went away before its answer")


async def _peer(connection: trio.socket.SocketType) -> Peer:
    """The credentials that the kernel noted when the peer connected."""
    ucred = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(ucred)

    async def report(progress: Json) -> None:
        await _send(connection, encode_line({"progress": progress}))

    return Peer(pid, uid, gid, frozenset({gid, *await _groups(connection, uid, gid)}), report)


async def _groups(connection: trio.socket.SocketType, uid: int, gid: int) -> Sequence[int]:
    """The supplementary groups of the peer; of its account where it has more than fit."""
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        # The account database may be slow (LDAP).
        return await trio.to_thread.run_sync(lambda: os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    return struct.unpack(f"{len(packed) // 4}I", packed)
