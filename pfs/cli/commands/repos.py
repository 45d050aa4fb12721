"""`pfs repos`: list the repos of the store."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_table, time_text


@click.command("repos")
@takes_json
@click.pass_obj
def command(invocation: Invocation) -> None:
    """List the repos: name, default branch, number of branches, last commit."""
    result = invocation.read("repos", {})
    if invocation.as_json:
        print_json(result)
        return
    print_table(
        [
            [
                repo["repo"],
                repo["default_branch"],
                f"{repo['branches']} branch{'' if repo['branches'] == 1 else 'es'}",
                time_text(repo["head"]["time_ns"]),
                repo["head"]["short"],
            ]
            for repo in result["repos"]
        ]
    )
