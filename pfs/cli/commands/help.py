"""`pfs help [TOPIC]`: the help of a command, or a page on revisions or exit codes."""

from __future__ import annotations

from collections.abc import Iterator

import click

from pfs.cli import COMMANDS
from pfs.cli.failure import INTERRUPTED, READER_GONE
from pfs.cli.output import print_text
from pfs.control.wire import error_classes
from pfs.errors import NotFound

REVISIONS = """\
Wherever a command takes a place: REPO[@REV][:PATH], or a path inside a mount.
Inside a mounted repo, @REV[:PATH] means that repo.

  REPO                 the working tree of the default branch
  REPO@BRANCH          the working tree of a branch
  REPO@TAG             the commit a tag names
  REPO@1a2b3c4d        the commit whose id begins so (8 to 64 hex digits)
  REV~N, REV^N         N first parents back; the N-th parent (git's meaning)
  BRANCH@{WHEN}        what a reader of the branch saw at a time:
                       2026-01-31, 2026-01-31T10:00Z, 20260131T100000Z,
                       10.min.ago, 2.h.ago, 3.d.ago, yesterday
  REPO@~1, REPO@{yesterday}    forms of the default branch

The same names stand in the root of the mount. REPO, REPO@BRANCH, REPO@TAG and REPO@ID are
directories there; every other spelling is a symlink to one of them. So `ls -l`, `find`, `cp -r`,
`tar`, `du` and `rsync -a` want a trailing slash: find repo@~1/ -name x"""

EXIT_CODES = {
    0: "ok",
    1: "negative answer or conflict",
    2: "usage",
    3: "not found",
    4: "denied",
    5: "busy",
    6: "integrity",
    7: "no daemon",
    INTERRUPTED: "interrupted",
    READER_GONE: "the reader of the output went away",
}


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """The help of the command TOPIC; or of `revisions` or `exit-codes`."""
    parent = ctx.parent
    assert parent is not None
    if topic is None:
        print_text(parent.get_help())
        print_text("\nTopics of 'pfs help': revisions, exit-codes")
    elif topic == "revisions":
        print_text(REVISIONS)
    elif topic == "exit-codes":
        for line in _exit_code_lines():
            print_text(line)
    elif topic in COMMANDS:
        group = parent.command
        assert isinstance(group, click.Group)
        found = group.get_command(parent, topic)
        assert found is not None
        with click.Context(found, info_name=topic, parent=parent) as inner:
            print_text(found.get_help(inner))
    else:
        raise NotFound(f"no help on {topic}", hint="topics: revisions, exit-codes, and every command")


def _exit_code_lines() -> Iterator[str]:
    """The table of exit codes, with the kinds of errors that the classes give them."""
    kinds: dict[int, list[str]] = {code: [] for code in EXIT_CODES}
    for cls in error_classes():
        if cls.kind not in kinds[cls.exit_code]:
            kinds[cls.exit_code].append(cls.kind)
    for code, meaning in EXIT_CODES.items():
        found = f" ({', '.join(kinds[code])})" if kinds[code] else ""
        yield f"{code:>3}  {meaning}{found}"
