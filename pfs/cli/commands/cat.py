"""`pfs cat PLACE…`: write files of any revision to stdout."""

from __future__ import annotations

import sys
import time
from base64 import b64decode
from collections.abc import Iterator

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json
from pfs.control.wire import Json
from pfs.errors import UsageError

# What one request to the daemon brings.
PIECE_BYTES = 1 << 20


@click.command("cat")
@click.argument("places", nargs=-1, metavar="PLACE…")
@click.option("--content", metavar="ID", help="A version by the content id that 'pfs lineage --json' names.")
@takes_json
@click.pass_obj
def command(invocation: Invocation, places: tuple[str, ...], content: str | None) -> None:
    """Write the files at the PLACEs to stdout, one after the other. Needs no mount.

    With --json: {"size", "data"} of one file, data in base64.
    """
    if bool(places) == (content is not None):
        raise UsageError("say what to write: a PLACE, or --content ID")
    if content is not None:
        for piece in pieces_of(invocation, "content", {"content": content}):
            sys.stdout.buffer.write(piece)
        return
    if invocation.as_json:
        if len(places) != 1:
            raise UsageError("--json takes one PLACE")
        print_json(
            invocation.read("cat", {"place": invocation.place(places[0]), "offset": 0, "length": None})
        )
        return
    for place in places:
        for piece in _pieces(invocation, invocation.place(place)):
            sys.stdout.buffer.write(piece)


def _pieces(invocation: Invocation, place: str) -> Iterator[bytes]:
    """The bytes of a file, in pieces: asked from the daemon, or read from the store."""
    if invocation.client.daemon_pid() is None:
        from pfs.versioning.operations import cat_offline

        yield from cat_offline(invocation.store, place, time.time_ns)
        return
    yield from pieces_of(invocation, "cat", {"place": place})


def pieces_of(invocation: Invocation, op: str, what: dict[str, Json]) -> Iterator[bytes]:
    """What a reading operation of the daemon gives piece by piece."""
    offset = 0
    while True:
        answer = invocation.call(op, {**what, "offset": offset, "length": PIECE_BYTES})
        piece = b64decode(answer["data"])
        if not piece:
            return
        yield piece
        offset += len(piece)
