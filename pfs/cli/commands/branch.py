"""`pfs branch`: list, make, rename and delete branches."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_table, print_text, time_text
from pfs.control.wire import Json
from pfs.errors import UsageError


@click.command("branch")
@click.argument("place", required=False, metavar="[REPO[@BRANCH]]")
@click.argument("other", required=False, metavar="[REV|NEW-NAME]")
@click.option("-d", "--delete", is_flag=True, help="Delete REPO@BRANCH; its working tree must be clean.")
@click.option("-m", "--rename", is_flag=True, help="Rename REPO@BRANCH to NEW-NAME.")
@takes_json
@click.pass_obj
def command(invocation: Invocation, place: str | None, other: str | None, delete: bool, rename: bool) -> None:
    """List the branches of REPO, or make REPO@BRANCH at REV (the head of the default branch).

    In a mounted repo, @BRANCH is one of that repo.
    """
    repo, _, branch = invocation.place(place).partition(":")[0].partition("@")
    if place is None or "@" not in place:
        if other is not None or delete or rename:
            raise UsageError("say which branch: REPO@BRANCH")
        _list(invocation, invocation.read("branches", {"repo": repo}))
        return
    if delete and (rename or other is not None):
        raise UsageError("--delete takes REPO@BRANCH and nothing else")
    if rename and other is None:
        raise UsageError("--rename takes REPO@BRANCH and the new name")
    args: dict[str, Json] = {"action": "create", "repo": repo, "branch": branch, "start": other}
    said = f"made the branch {repo}@{branch}"
    if delete:
        args = {"action": "delete", "repo": repo, "branch": branch}
        said = f"deleted the branch {repo}@{branch}"
    elif rename:
        args = {"action": "rename", "repo": repo, "branch": branch, "new_name": other}
        said = f"renamed {repo}@{branch} to {other}"
    result = invocation.call("branch", args)
    if invocation.as_json:
        print_json(result)
    else:
        print_text(said)


def _list(invocation: Invocation, result: Json) -> None:
    if invocation.as_json:
        print_json(result)
        return
    print_table(
        [
            [
                "*" if branch["default"] else " ",
                branch["branch"],
                branch["head"]["short"],
                time_text(branch["head"]["time_ns"]),
                branch["head"]["message"].partition("\n")[0],
            ]
            for branch in result["branches"]
        ]
    )
