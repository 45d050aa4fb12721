"""`pfs blame PLACE`: who wrote each entry of a directory last."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.lineage import event_cells
from pfs.cli.output import print_json, print_table, visible


@click.command("blame")
@click.argument("place", required=False)
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None) -> None:
    """Who wrote each entry of the directory PLACE last, when, and with which command line."""
    result = invocation.call("blame", {"place": invocation.place(place)})
    if invocation.as_json:
        print_json(result)
        return
    rows = []
    for entry in result["entries"]:
        name = visible(entry["name"]) + ("/" if entry["type"] == "directory" else "")
        rows.append([name, *event_cells(entry["last"])])
    print_table(rows)
