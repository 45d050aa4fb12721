"""`pfs diff [OLD [NEW [PATH]]]`: names and status of what differs between two revisions."""

from __future__ import annotations

import click

from pfs.cli.changes import change_line
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text


@click.command("diff")
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.argument("path", required=False)
@takes_json
@click.pass_obj
def command(invocation: Invocation, old: str | None, new: str | None, path: str | None) -> None:
    """What differs between the places OLD and NEW, one changed path a line; PATH: only there.

    With OLD only: against the working tree. Without both: what is not committed yet.
    """
    old_place = None if old is None else invocation.place(old)
    new_place = None if new is None else invocation.place(new)
    if old_place is None:
        old_place = invocation.place(None)
    args = {"old": old_place, "new": new_place, "uncommitted": old is None, "path": path}
    result = invocation.read("diff", args)
    if invocation.as_json:
        print_json(result)
        return
    for change in result["changes"]:
        print_text(change_line(change))
