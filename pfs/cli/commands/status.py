"""`pfs status`: what is mounted where, and what is not committed."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_table, print_text
from pfs.control.wire import Json


@click.command("status")
@takes_json
@click.pass_obj
def command(invocation: Invocation) -> None:
    """The store, its mount point and daemon, its repos and branches, and which have uncommitted changes."""
    status = invocation.read("status", {})
    if invocation.as_json:
        print_json(status)
        return
    daemon = status["daemon"]
    print_table(
        [
            ["store", status["store"]],
            ["mounted at", status["mount_point"] or "nowhere: start it with 'pfs mount DIR'"],
            *([["daemon", f"pid {daemon['pid']}"]] if daemon else []),
        ]
    )
    if status["repos"]:
        print_text("")
        print_table([_row(repo, branch) for repo in status["repos"] for branch in repo["branches"]])


def _row(repo: Json, branch: Json) -> list[str]:
    name = repo["repo"] if branch["default"] else f"{repo['repo']}@{branch['branch']}"
    words = {True: "uncommitted changes", False: "clean", None: "(ask the daemon)"}
    return [name, branch["head"]["short"], words[branch["uncommitted"]]]
