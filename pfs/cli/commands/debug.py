"""`pfs debug`: look inside, for developers; its output may change from one version to the next."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json
from pfs.errors import NotFound


@click.group("debug")
def command() -> None:
    """Look inside; always JSON, and no promise that it stays as it is."""


@command.command("object")
@click.argument("object_id", metavar="ID")
@takes_json
@click.pass_obj
def show_object(invocation: Invocation, object_id: str) -> None:
    """What the object ID (64 hex digits) holds, and in which pack it is."""
    print_json(invocation.read("object", {"id": object_id}))


@command.command("statistics")
@takes_json
@click.pass_obj
def show_statistics(invocation: Invocation) -> None:
    """Counts and sizes of the store."""
    print_json(invocation.read("statistics", {}))


@command.command("counters")
@click.argument("prefix", default="")
@takes_json
@click.pass_obj
def show_counters(invocation: Invocation, prefix: str) -> None:
    """Counters of the running daemon: pauses of the event loop, requests, caches, queues."""
    counters = invocation.call("debug", {"what": "counters"})
    chosen = {name: value for name, value in counters.items() if name.startswith(prefix)}
    if not chosen:
        raise NotFound(f"no counter begins with {prefix}")
    print_json(chosen)


@command.command("kept")
@click.argument("place")
@takes_json
@click.pass_obj
def show_kept(invocation: Invocation, place: str) -> None:
    """Why the bytes of each version of the file at PLACE stay, and until when."""
    print_json(invocation.call("kept", {"place": invocation.place(place)}))


@command.command("handles")
@takes_json
@click.pass_obj
def show_handles(invocation: Invocation) -> None:
    """The open handles of the running daemon."""
    print_json(invocation.call("debug", {"what": "handles"}))
