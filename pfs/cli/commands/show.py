"""`pfs show PLACE`: one commit, or one entry in it."""

from __future__ import annotations

import click

from pfs.cli.changes import change_line
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import mode_text, print_json, print_table, print_text, time_text, visible
from pfs.control.wire import Json


@click.command("show")
@click.argument("place", required=False)
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None) -> None:
    """The commit that PLACE means and what it changed; with a path in it, what is recorded of that entry."""
    result = invocation.read("show", {"place": invocation.place(place)})
    if invocation.as_json:
        print_json(result)
    elif "entry" in result:
        _print_entry(result["entry"])
    else:
        _print_commit(result["commit"])


def _print_commit(commit: Json) -> None:
    author = commit["author"]
    rows = [
        ["commit", commit["commit"]],
        ["branch", commit["branch"]],
        ["kind", commit["kind"]],
        ["author", f"{author['name']}@{author['host']} (uid {author['uid']})"],
        ["time", time_text(commit["time_ns"])],
        *(["parent", parent] for parent in commit["parents"]),
        *(["label", f"{key}={value}"] for key, value in commit["labels"].items()),
    ]
    print_table(rows)
    if commit["message"]:
        print_text("\n" + "\n".join(f"    {line}" for line in commit["message"].splitlines()))
    if commit["changes"]:
        print_text("")
    for change in commit["changes"]:
        print_text(change_line(change))


def _print_entry(entry: Json) -> None:
    rows = [
        ["path", visible(entry["path"])],
        ["mode", mode_text(entry["type"], entry["mode"])],
        ["owner", f"{entry['uid']}:{entry['gid']}"],
        ["size", str(entry["size"])],
        ["modified", time_text(entry["mtime_ns"])],
        ["file id", str(entry["file_id"])],
        ["content", entry["content"] or "(empty)"],
    ]
    if entry["target"] is not None:
        rows.append(["target", visible(entry["target"])])
    print_table(rows)
