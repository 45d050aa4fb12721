"""`pfs tag`: list, make and delete tags."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_table, print_text, time_text
from pfs.errors import UsageError


@click.command("tag")
@click.argument("place", required=False, metavar="[REPO[@TAG]]")
@click.argument("revision", required=False, metavar="[REV]")
@click.option("-m", "--message", default="", help="What the tag is for.")
@click.option("-d", "--delete", is_flag=True, help="Delete REPO@TAG.")
@takes_json
@click.pass_obj
def command(
    invocation: Invocation, place: str | None, revision: str | None, message: str, delete: bool
) -> None:
    """List the tags of REPO, or make REPO@TAG for the commit REV (the head of the default branch).

    In a mounted repo, @TAG is one of that repo.
    """
    repo, _, tag = invocation.place(place).partition(":")[0].partition("@")
    if place is None or "@" not in place:
        if revision is not None or delete:
            raise UsageError("say which tag: REPO@TAG")
        _list(invocation, repo)
        return
    if delete and revision is not None:
        raise UsageError("--delete takes REPO@TAG and nothing else")
    action = "delete" if delete else "create"
    result = invocation.call(
        "tag",
        {"action": action, "repo": repo, "tag": tag, "revision": revision, "message": message},
    )
    if invocation.as_json:
        print_json(result)
    else:
        print_text(f"{'deleted' if delete else 'made'} the tag {repo}@{tag}")


def _list(invocation: Invocation, repo: str) -> None:
    result = invocation.read("tags", {"repo": repo})
    if invocation.as_json:
        print_json(result)
        return
    print_table(
        [[tag["tag"], tag["short"], time_text(tag["time_ns"]), tag["message"]] for tag in result["tags"]]
    )
