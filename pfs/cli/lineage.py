"""What the commands about lineage share, and the protocol of the operations that they call.

Places are REPO[@REV][:PATH]; what is marked `?` may be null.  A result is the document of the type named.
Text is drawn from it here, not in the daemon.

    lineage  {place, direction: "up"|"down", depth?: N, level?: LEVEL, full: bool}  → answer.Answer
    who      {place}: a name, of an entry that is or was there                      → replies.WhoReply
    blame    {place}: a directory (or one file)                                     → replies.BlameReply
    ps       {command?: GLOB, user?: NAME|UID, since?: WHEN, limit: N}              → replies.PsReply
    process  {process: "p:…"}                                                       → replies.ProcessReply
    why      {old: PLACE, new: PLACE}: a file in two revisions                      → replies.WhyReply

LEVEL is a name of pfs.lineage.facts.Level in small letters.  WHEN is a date as in revisions, which the daemon
reads by its own clock (pfs.namespace.when).  What answers, over a `Source` and `Names`, is in
pfs.lineage.answers: ask.ask; who, blame, ps and process of questions (parse_activity reads `p:…`); why.why.
replies.to_json makes the result.  Errors: NotFound where nothing is recorded, UsageError for an id or a level
that is none.
"""

from __future__ import annotations

from pfs.cli.output import time_text, visible
from pfs.control.wire import Json

COMMAND_WIDTH_MAX = 100
_SIGNALS_FROM = 128  # exit codes above it: a signal ended the process, as shells have it


def who_text(who: Json | None) -> str:
    """`alice@node7`; `-` where nobody was recorded."""
    if who is None:
        return "-"
    name = who["user"] or str(who["uid"])
    return f"{name}@{who['host']}" if who["host"] else name


def command_text(command: str) -> str:
    """A command line on one line, cut where it is long."""
    text = visible(command)
    return text if len(text) <= COMMAND_WIDTH_MAX else text[: COMMAND_WIDTH_MAX - 1] + "…"


def content_text(version: Json | None) -> str:
    """A content id shortened, as 91ab12cd… is."""
    if version is None:
        return ""
    if version["content"]:
        return f"{version['content'][:8]}…"
    return "empty" if version["known"] and not version["size"] else "?"


def event_cells(event: Json | None) -> list[str]:
    """Time, kind, content, who and how of one event."""
    if event is None:
        return ["-", "-", "", "-", "nothing is recorded"]
    who, version = event["who"], event["version"]
    how = command_text(who["command"]) if who is not None else ""
    if event["to_path"] is not None:
        how = f"{visible(event['path'])} -> {visible(event['to_path'])}  {how}"
    if version is not None and version["imported"]:
        how = f"from {visible(version['imported'])}  {how}"
    return [time_text(event["time_ns"]), event["kind"], content_text(version), who_text(who), how.rstrip()]


def exit_text(process: Json) -> str:
    """`running`, `exit 0`, `signal 9`."""
    if process["exit"] is None:
        return "running" if process["end_ns"] is None else ""
    code = process["exit"]
    return f"exit {code}" if code <= _SIGNALS_FROM else f"signal {code - _SIGNALS_FROM}"
