"""A file that is opened to be executed is the program of the image that comes next, and an input of that.

Which open was the program's own and which its interpreter's or loader's, the path of the executable tells.
An exec that failed leaves what it had opened to the next one: rather an input too many than one too few.
"""

from __future__ import annotations

import msgspec

from pfs.lineage.facts import Flag, Level
from pfs.lineage.live.state import Actor, External, LiveVersion
from pfs.lineage.live.tables import Tables


def opened(tables: Tables, actor: Actor, source: LiveVersion | External) -> None:
    """An image has opened a file to execute it."""
    if all(one is not source for one, _ in actor.executing):
        path = source.path if isinstance(source, LiveVersion) else source.version.path
        source.uses += 1
        actor.executing.append((source, path))
        tables.notes.actor(actor)


def run(tables: Tables, actor: Actor, before: Actor) -> None:
    """An image runs what the one before has opened."""
    executing, before.executing = before.executing, []
    activity = actor.activity
    for source, path in executing:
        if not activity.exe or activity.exe.endswith(b"/" + path):
            activity = msgspec.structs.replace(activity, exe_version=source.id)
    actor.activity = activity
    tables.notes.actor(before)
    tables.notes.actor(actor)
    for source, _ in executing:
        tables.use(actor, source, Level.OBSERVED, Flag.NONE)
        tables.release(source)
