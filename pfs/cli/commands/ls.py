"""`pfs ls PLACE`: list a directory of any revision, or one entry."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import mode_text, print_json, print_table, print_text, time_text, visible
from pfs.control.wire import Json


@click.command("ls")
@click.argument("place", required=False)
@click.option("-l", "--long", "as_table", is_flag=True, help="With mode, owner, size and time, as recorded.")
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None, as_table: bool) -> None:
    """List the directory PLACE, or the one entry if it is none. Needs no mount.

    Without a daemon a working tree is what was last committed or checkpointed.
    """
    result = invocation.read("ls", {"place": invocation.place(place)})
    if invocation.as_json:
        print_json(result)
    elif as_table:
        print_table([_row(entry) for entry in result["entries"]])
    else:
        for entry in result["entries"]:
            print_text(visible(entry["name"]))


def _row(entry: Json) -> list[str]:
    target = entry["target"]
    return [
        mode_text(entry["type"], entry["mode"]),
        f"{entry['uid']}:{entry['gid']}",
        str(entry["size"]).rjust(12),
        time_text(entry["mtime_ns"]),
        visible(entry["name"]) + ("" if target is None else f" -> {visible(target)}"),
    ]
