"""The `pfs` command itself: loads the one command that is used, and ends with its exit code.

Every error leaves through `pfs.cli.failure`, which is the only place that prints one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import click

from pfs.cli import COMMANDS
from pfs.cli.failure import exit_code_of
from pfs.cli.invocation import Invocation


class LazyGroup(click.Group):
    """Knows its commands from a table and imports one when it is run."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pfs.cli.commands.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begins with; a usage error names the likeliest other one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, COMMANDS, n=1)
            hint = f"Did you mean {close[0]}?" if close else "See 'pfs --help'."
            raise click.UsageError(f"no such command: {name}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The store; else $PFS_STORE, else the user's data directory.",
)
@click.version_option(package_name="pfs-fs", prog_name="pfs", message="%(prog)s %(version)s")
@click.pass_context
def pfs(ctx: click.Context, store: Path | None) -> None:
    """A mounted filesystem that keeps versions and knows where every file came from."""
    ctx.obj = Invocation(store_option=store)


def run(args: Sequence[str] | None = None) -> int:
    """Run `pfs` with these arguments (those of the process, without); the exit code."""
    words = list(sys.argv[1:] if args is None else args)
    as_json = "--json" in words
    try:
        # Not `pfs.main`: that would end with exit code 1 when the reader of our output goes away.
        with pfs.make_context("pfs", words) as ctx:
            result = pfs.invoke(ctx)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:
        return exit_code_of(error, as_json=as_json)
