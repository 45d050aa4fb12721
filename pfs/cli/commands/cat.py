"""`pfs cat PLACE…`: write files of any revision to stdout."""

from __future__ import annotations

import sys
import time
from base64 import b64decode
from collections.abc import Iterator

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json
from pfs.errors import UsageError

# What one request to the daemon brings.
PIECE_BYTES = 1 << 20


@click.command("cat")
@click.argument("places", nargs=-1, required=True, metavar="PLACE…")
@takes_json
@click.pass_obj
def command(invocation: Invocation, places: tuple[str, ...]) -> None:
    """Write the files at the PLACEs to stdout, one after the other. Needs no mount.

    With --json: {"size", "data"} of one file, data in base64.
    """
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
    offset = 0
    while True:
        answer = invocation.call("cat", {"place": place, "offset": offset, "length": PIECE_BYTES})
        piece = b64decode(answer["data"])
        if not piece:
            return
        yield piece
        offset += len(piece)
