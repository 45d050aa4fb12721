"""`pfs ps`: the processes that were recorded."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.lineage import command_text, exit_text, who_text
from pfs.cli.output import print_json, print_table, print_text, time_text
from pfs.control.wire import Json

LIMIT = 50


@click.command("ps")
@click.option("--cmd", metavar="GLOB", help="Only where the command line is so; without * or ?: contains it.")
@click.option("--user", metavar="USER", help="Only those of a user, by name or uid.")
@click.option("--since", metavar="WHEN", help="Only those that began then or later: 2.h.ago, 2026-01-31, …")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="At most so many."
)
@takes_json
@click.pass_obj
def command(invocation: Invocation, cmd: str | None, user: str | None, since: str | None, limit: int) -> None:
    """Recorded processes, the newest first; 'pfs show p:…' says all of one."""
    result = invocation.call("ps", {"command": cmd, "user": user, "since": since, "limit": limit})
    if invocation.as_json:
        print_json(result)
        return
    print_table([_row(row["process"], row["outputs"]) for row in result["processes"]])
    if result["more"]:
        print_text(f"(the newest {limit}; more with -n)")


def _row(process: Json, outputs: int) -> list[str]:
    return [
        process["id"],
        time_text(process["start_ns"]),
        who_text(process),
        str(process["pid"]),
        exit_text(process),
        f"{outputs} out",
        command_text(process["command"]),
    ]
