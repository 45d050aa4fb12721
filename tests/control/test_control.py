"""The control socket end to end: a real server on trio, the synchronous client in a thread."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pfs.control import server, wire
from pfs.control.client import ControlClient
from pfs.control.server import Handler, Peer, serve
from pfs.errors import Busy, Denied, NoDaemon, NotFound, PfsError, UsageError

Start = Callable[..., Any]


async def echo(peer: Peer, args: dict[str, Any]) -> object:
    return {"args": args, "peer": [peer.pid, peer.uid, peer.gid, sorted(peer.groups)]}


async def refuse(peer: Peer, args: dict[str, Any]) -> object:
    raise NotFound("proj@mian: no such branch", hint="did you mean main?")


async def break_down(peer: Peer, args: dict[str, Any]) -> object:
    raise ZeroDivisionError("planted")


async def count(peer: Peer, args: dict[str, Any]) -> object:
    for number in range(args["to"]):
        await peer.report({"done": number})
    return "counted"


async def unwritable(peer: Peer, args: dict[str, Any]) -> object:
    return {b"bytes": object()}


HANDLERS: dict[str, Handler] = {
    "echo": echo,
    "refuse": refuse,
    "break": break_down,
    "count": count,
    "unwritable": unwritable,
}


@pytest.fixture
async def client(tmp_path: Path, nursery: trio.Nursery) -> ControlClient:
    await nursery.start(partial(serve, tmp_path, HANDLERS))
    return ControlClient(tmp_path)


async def call(client: ControlClient, op: str, args: dict[str, Any] | None = None, **more: Any) -> Any:
    return await trio.to_thread.run_sync(partial(client.call, op, args, **more))


def raw(client: ControlClient, sent: bytes, *, end: bool = False) -> bytes:
    """What the server answers to arbitrary bytes."""
    with client._connect() as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(4096):
            received += piece
        return received


async def test_result_and_credentials(client: ControlClient) -> None:
    answer = await call(client, "echo", {"name": "ä\udcff"})
    assert answer["args"] == {"name": "ä\udcff"}
    groups = sorted({os.getegid(), *os.getgroups()})
    assert answer["peer"] == [os.getpid(), os.geteuid(), os.getegid(), groups]


async def test_daemon_pid_is_the_listener(client: ControlClient, tmp_path: Path) -> None:
    assert client.daemon_pid() == os.getpid()
    assert ControlClient(tmp_path / "elsewhere").daemon_pid() is None


async def test_error_comes_back_as_its_class(client: ControlClient) -> None:
    with pytest.raises(NotFound, match="mian") as caught:
        await call(client, "refuse")
    assert caught.value.hint == "did you mean main?"


async def test_failed_requests_do_not_end_the_server(
    client: ControlClient, caplog: pytest.LogCaptureFixture
) -> None:
    for op in ("break", "unwritable"):
        with pytest.raises(wire.InternalError):
            await call(client, op)
    assert "planted" in caplog.text
    with pytest.raises(UsageError, match="no operation fly"):
        await call(client, "fly")
    assert await call(client, "echo")


@pytest.mark.parametrize("sent", [b"\n", b"[]\n", b"{\n", b'{"op": 1}\n', b'{"op": "echo", "args": []}\n'])
async def test_request_that_is_none_is_answered(client: ControlClient, sent: bytes) -> None:
    answer = wire.decode_line(await trio.to_thread.run_sync(raw, client, sent))
    assert answer["error"]["kind"] == "protocol"


async def test_request_without_end_is_answered(client: ControlClient) -> None:
    answer = await trio.to_thread.run_sync(partial(raw, client, b'{"op": ', end=True))
    assert b"has no end" in answer


async def test_long_request_is_refused_at_both_ends(client: ControlClient) -> None:
    text = "x" * wire.REQUEST_BYTES_MAX
    with pytest.raises(UsageError, match="limit"):
        await call(client, "echo", {"text": text})
    answer = await trio.to_thread.run_sync(raw, client, text.encode() + b"x")
    assert b"is longer than" in answer


async def test_progress_comes_before_the_result(client: ControlClient) -> None:
    seen: list[object] = []
    assert await call(client, "count", {"to": 3}, progress=seen.append) == "counted"
    assert seen == [{"done": 0}, {"done": 1}, {"done": 2}]


async def test_client_that_leaves_harms_nobody(client: ControlClient) -> None:
    def ask_and_leave() -> None:
        with client._connect() as connection:
            connection.sendall(wire.encode_line({"op": "count", "args": {"to": 10_000}}))

    await trio.to_thread.run_sync(ask_and_leave)
    assert await call(client, "echo")


async def test_other_users_are_refused_unless_admitted(tmp_path: Path, nursery: trio.Nursery) -> None:
    def admit_nobody(peer: Peer, op: str) -> None:
        raise Denied(f"{op}: not for uid {peer.uid}")

    await nursery.start(partial(serve, tmp_path, HANDLERS, admit=admit_nobody))
    with pytest.raises(Denied, match="echo: not for uid"):
        await call(ControlClient(tmp_path), "echo")


def test_owner_and_root_are_admitted_by_default() -> None:
    for uid in (0, os.geteuid()):
        server.admit_owner(Peer(1, uid, uid, frozenset()), "log")
    with pytest.raises(Denied):
        server.admit_owner(Peer(1, os.geteuid() + 1, 0, frozenset()), "log")


async def test_no_daemon_and_dead_daemon(tmp_path: Path) -> None:
    client = ControlClient(tmp_path)
    with pytest.raises(NoDaemon):
        client.call("echo")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / wire.SOCKET_NAME))
    with pytest.raises(NoDaemon):
        client.call("echo")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, tmp_path, HANDLERS))
        assert await call(client, "echo")
        nursery.cancel_scope.cancel()
    assert not (tmp_path / wire.SOCKET_NAME).exists()


async def test_store_path_of_any_length(tmp_path: Path, nursery: trio.Nursery) -> None:
    store = tmp_path.joinpath(*["d" * 200] * 5)
    store.mkdir(parents=True)
    await nursery.start(partial(serve, store, HANDLERS, mode=0o666))
    assert await call(ControlClient(store), "echo")
    assert stat.S_IMODE((store / wire.SOCKET_NAME).stat().st_mode) == 0o666


async def test_too_many_connections_are_told_so(
    client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_connections = [client._connect() for _ in range(server.CONNECTIONS_MAX)]
    try:
        with pytest.raises(Busy, match="are being served"):
            await call(client, "echo")
    finally:
        for connection in open_connections:
            connection.close()


async def test_slow_request_is_given_up(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    await nursery.start(partial(serve, tmp_path, HANDLERS))
    with ControlClient(tmp_path)._connect() as connection:
        connection.setblocking(False)
        connection.sendall(b'{"op"')
        stream = trio.socket.from_stdlib_socket(connection.dup())
        with stream:
            assert b"no whole request within 10 s" in await stream.recv(4096)
    assert trio.current_time() >= server.REQUEST_SECONDS_MAX


async def test_answer_of_the_operation_that_ends_the_daemon_arrives(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:

        async def umount(peer: Peer, args: dict[str, Any]) -> object:
            nursery.cancel_scope.cancel()
            return {"pid": os.getpid()}

        await nursery.start(partial(serve, tmp_path, {"umount": umount}))
        with trio.CancelScope(shield=True):
            assert await call(ControlClient(tmp_path), "umount") == {"pid": os.getpid()}


async def test_daemon_that_ends_in_the_middle_is_no_daemon(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:

        async def hang(peer: Peer, args: dict[str, Any]) -> object:
            nursery.cancel_scope.cancel()
            await trio.sleep_forever()
            return None

        await nursery.start(partial(serve, tmp_path, {"hang": hang}))
        with trio.CancelScope(shield=True), pytest.raises(NoDaemon):
            await call(ControlClient(tmp_path), "hang")


def test_reply_that_is_none_is_a_protocol_error(tmp_path: Path) -> None:
    from io import BytesIO

    from pfs.control.client import _result

    for replies in (b'{"ok": false}\n', b"[]\n"):
        with pytest.raises(PfsError) as caught:
            _result(BytesIO(replies), None)
        assert caught.value.kind == "protocol"
    for replies in (b"", b'{"ok": tr'):
        with pytest.raises(NoDaemon):
            _result(BytesIO(replies), None)
