"""`pfs init REPO`: make a repo."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text


@click.command("init")
@click.argument("repo")
@takes_json
@click.pass_obj
def command(invocation: Invocation, repo: str) -> None:
    """Make the repo REPO, with an empty first commit. The same as `mkdir MOUNTPOINT/REPO`."""
    made = invocation.call("init", {"repo": repo})
    if invocation.as_json:
        print_json(made)
    else:
        print_text(f"made the repo {made['repo']}")
