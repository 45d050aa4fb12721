"""`pfs why OLD NEW PATH`: why a file is not what it was."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text, visible
from pfs.control.wire import Json


@click.command("why")
@click.argument("old")
@click.argument("new")
@click.argument("path", required=False)
@takes_json
@click.pass_obj
def command(invocation: Invocation, old: str, new: str, path: str | None) -> int:
    """Which cause changed between two versions: data, code, parameters, environment or tool.

    OLD and NEW are places of one file each, or, with PATH, two revisions and the file in them: inside a
    mounted repo 'pfs why v1 main model.pkl', elsewhere 'pfs why v1 main proj:model.pkl'.  Exit code 1 where
    the two versions are the same.
    """
    places = (old, new) if path is None else _in_revisions(_file(invocation, path), old, new)
    result = invocation.call("why", {"old": invocation.place(places[0]), "new": invocation.place(places[1])})
    if invocation.as_json:
        print_json(result)
    elif result["same"]:
        print_text("the two versions are the same")
    else:
        _print(result["causes"])
    return 1 if result["same"] else 0


def _file(invocation: Invocation, path: str) -> str:
    """A path as a place: one that is gone from the working tree is below the working directory, too."""
    place = invocation.place(path)
    if ":" in place:
        return place
    here, colon, above = invocation.place(None).partition(":")
    return f"{here}:{above}/{path}" if colon else f"{here}:{path}"


def _in_revisions(place: str, old: str, new: str) -> tuple[str, str]:
    """The places of a file in two revisions of its repo."""
    name, _, inside = place.partition(":")
    repo = name.partition("@")[0]

    def at(revision: str) -> str:
        # `@{yesterday}` is a date of the default branch, `@v1` the revision v1.
        spelled = revision if revision.startswith("@") else f"@{revision}"
        return f"{repo}{spelled}:{inside}"

    return at(old), at(new)


def _print(causes: list[Json]) -> None:
    """One line a cause, and below it why that is so."""
    waiting = [(0, cause) for cause in reversed(causes)]
    while waiting:
        depth, cause = waiting.pop()
        print_text(f"{'  ' * depth}{cause['kind']:<12} {visible(cause['text'])}".rstrip())
        waiting += [(depth + 1, below) for below in reversed(cause["because"])]
