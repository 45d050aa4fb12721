"""`pfs rev-parse PLACE`: which commit a revision means, or why none."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text


@click.command("rev-parse")
@click.argument("place", required=False)
@click.option("--short", is_flag=True, help="The first 16 digits.")
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None, short: bool) -> None:
    """The id of the commit that PLACE means; of a working tree, its committed head."""
    result = invocation.read("rev-parse", {"place": invocation.place(place)})
    if invocation.as_json:
        print_json(result)
    else:
        print_text(result["short" if short else "commit"])
