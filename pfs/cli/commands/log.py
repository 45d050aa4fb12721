"""`pfs log [PLACE]`: the commits of a branch or of one path, newest first."""

from __future__ import annotations

import click

from pfs.cli.changes import change_line
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text, time_text
from pfs.control.wire import Json


@click.command("log")
@click.argument("place", required=False)
@click.option("--all", "with_checkpoints", is_flag=True, help="The branch's timeline: checkpoints, too.")
@click.option("--stat", "with_changes", is_flag=True, help="With what each commit changed.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many.")
@takes_json
@click.pass_obj
def command(
    invocation: Invocation, place: str | None, with_checkpoints: bool, with_changes: bool, limit: int | None
) -> None:
    """The commits of PLACE, newest first; with a path in it, those that changed that path."""
    result = invocation.read(
        "log",
        {
            "place": invocation.place(place),
            "all": with_checkpoints,
            "stat": with_changes,
            "limit": limit,
        },
    )
    if invocation.as_json:
        print_json(result)
        return
    for commit in result["commits"]:
        print_text(_line(commit))
        for change in commit.get("changes", ()):
            print_text(f"    {change_line(change)}")


def _line(commit: Json) -> str:
    author = commit["author"]
    title = commit["message"].partition("\n")[0]
    kind = "" if commit["kind"] == "commit" else f"({commit['kind']})"
    words = [commit["short"], time_text(commit["time_ns"]), f"{author['name']}@{author['host']}", kind, title]
    return "  ".join(word for word in words if word)
