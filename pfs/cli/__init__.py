"""The command line: a person at a terminal, or a script.

Commands only parse, call and print; each stands in `pfs.cli.commands.NAME` and is imported when it
is used. Nothing here imports trio, lmdb or anything slow: `pfs --help` reads one table.
"""

from __future__ import annotations

from typing import Final

# Command → what `pfs --help` says of it, in the order of the help.
COMMANDS: Final[dict[str, str]] = {
    "mount": "Mount the store at a directory.",
    "umount": "Unmount the store; returns when everything is durable.",
    "status": "What is mounted, which repos there are, what is not committed.",
    "doctor": "Check that this machine can mount, and say what to do.",
    "init": "Make a repo.",
    "repos": "List the repos.",
    "commit": "Commit what a working tree holds.",
    "log": "The commits of a branch, newest first.",
    "show": "One commit, one entry in it, or one process.",
    "diff": "What differs between two revisions.",
    "lineage": "What a file was made from, and by whom.",
    "who": "All that happened to a name, and who did it.",
    "blame": "Who wrote each entry of a directory last.",
    "ps": "The processes that were recorded.",
    "why": "Why a file is not what it was: data, code, parameters, …",
    "branch": "List, make, rename or delete branches.",
    "tag": "List, make or delete tags.",
    "rev-parse": "Which commit a revision means, or why none.",
    "ls": "List a directory of any revision; needs no mount.",
    "cat": "Write a file of any revision to stdout; needs no mount.",
    "fsck": "Check everything in the store.",
    "debug": "Look inside: objects, counters of the daemon.",
    "help": "More about a command or a topic.",
}


def main() -> int:
    """Run the command line; the exit code. The entry point of `pfs`."""
    from pfs.cli.group import run

    return run()
