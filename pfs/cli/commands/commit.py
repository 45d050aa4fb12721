"""`pfs commit [PLACE] -m MESSAGE`: commit what a working tree holds."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text
from pfs.errors import UsageError


@click.command("commit")
@click.argument("place", required=False)
@click.option("-m", "--message", default="", help="What this commit is, in a line or more.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be given more than once.")
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None, message: str, labels: tuple[str, ...]) -> None:
    """Commit the working tree of PLACE (REPO, REPO@BRANCH or a path in a mount).

    Without PLACE: that of the working directory. Nothing changed: says so, exit code 0.
    """
    args = {"place": invocation.place(place), "message": message, "labels": _parse_labels(labels)}
    made = invocation.call("commit", args)
    if invocation.as_json:
        print_json(made)
    elif made["changed"]:
        title = message.partition("\n")[0]
        print_text(f"{made['repo']}@{made['branch']} {made['short']} {title}".rstrip())
    else:
        print_text(f"{made['repo']}@{made['branch']}: nothing to commit")


def _parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for label in labels:
        key, separator, value = label.partition("=")
        if not key or not separator:
            raise UsageError(f"--label {label}: write KEY=VALUE")
        if key in parsed:
            raise UsageError(f"--label {key} is given twice")
        parsed[key] = value
    return parsed
