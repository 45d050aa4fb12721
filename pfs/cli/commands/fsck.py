"""`pfs fsck`: check everything in the store, and report all that is wrong."""

from __future__ import annotations

import click

from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_text
from pfs.errors import CorruptObject


@click.command("fsck")
@takes_json
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Check every object, ref and working tree. Exit code 6 if anything is wrong."""
    result = invocation.read("fsck", {})
    if invocation.as_json:
        print_json(result)
    else:
        for finding in result["findings"]:
            print_text(f"{finding['kind']}: {finding['where']}: {finding['message']}")
        checked = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in result["checked"].items())
        print_text(f"checked {checked}: {_verdict(len(result['findings']))}")
    return CorruptObject.exit_code if result["findings"] else 0


def _verdict(count: int) -> str:
    return f"{count} problem{'' if count == 1 else 's'}" if count else "clean"
