"""`pfs who PLACE`: all that happened to a name, and who did it."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.lineage import event_cells
from pfs.cli.output import print_json, print_table


@click.command("who")
@click.argument("place")
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str) -> None:
    """Every change of the name PLACE, the oldest first: of files that are deleted, too."""
    result = invocation.call("who", {"place": invocation.place(place)})
    if invocation.as_json:
        print_json(result)
    else:
        print_table([event_cells(event) for event in result["events"]])
