"""`pfs doctor`: check that this machine can mount, and say what to do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

import click

from pfs.cli.checks import Level, check_all, check_lineage, exclusions, gather
from pfs.cli.invocation import Invocation, takes_json
from pfs.cli.output import print_json, print_table, print_text
from pfs.errors import PfsError


@click.command("doctor")
@takes_json
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Look at /dev/fuse, fusermount3, limits, kernel, store, capture. Exit code 1 if mounting can't work."""
    points = tuple(str(mount.mount_point) for mount in invocation.mounts)
    findings = check_all(gather(invocation.store, points))
    with suppress(PfsError):  # no daemon, or somebody else's
        findings += check_lineage(invocation.call("debug", {"what": "counters"}))
    excluded = list(exclusions(points))
    if invocation.as_json:
        lines = [{"program": program, "line": line} for program, line in excluded]
        print_json({"findings": [asdict(finding) for finding in findings], "exclusions": lines})
    else:
        for finding in findings:
            hint = f". {finding.hint}" if finding.hint else ""
            print_text(f"{finding.level:<8} {finding.what}: {finding.message}{hint}")
        print_text("\nKeep programs that walk whole disks out of every old version:")
        print_table([["  " + program, line] for program, line in excluded])
    return int(any(finding.level is Level.ERROR for finding in findings))
