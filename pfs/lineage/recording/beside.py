"""What an interactive program wrote came from what was at that path, and from what was open meanwhile.

Editors live for weeks and open everything, so of their inputs only some are followed (evidence).  For each
path that such an activity reads or writes it has a set of positions of its inputs, the *buffer*: versions
that were at that path, and whatever was read through another handle while one that may write the path was
open.  A version it writes there shares the set, so that what an editor keeps in memory from one save to the
next stays in it.
"""

from __future__ import annotations

from pfs.lineage.live.state import Actor, Grip, LiveVersion
from pfs.lineage.live.tables import Tables


def opened(tables: Tables, actor: Actor, grip: Grip) -> None:
    """An interactive activity has opened a file, and looked at it where the handle can read."""
    grip.path = tables.below.path(grip.file.place)
    if grip.writes:
        buffer = actor.buffers.setdefault(grip.path, set())
        buffer.update(other.position for other in actor.grips if other.position >= 0)
    actor.grips[grip] = None
    looked(actor, grip)


def looked(actor: Actor, grip: Grip) -> None:
    """It has learned something through a handle."""
    if grip.position >= 0:
        learned(actor, grip.path, grip.position)


def learned(actor: Actor, path: bytes, position: int) -> None:
    """What was at a path has become an input."""
    actor.buffers.setdefault(path, set()).add(position)
    for grip in actor.grips:
        if grip.writes:
            actor.buffers.setdefault(grip.path, set()).add(position)


def wrote(tables: Tables, actor: Actor, version: LiveVersion) -> None:
    """It has written a version."""
    buffer = actor.buffers.setdefault(version.path, set())
    if version.beside is buffer:
        return
    if version.beside is not None:
        buffer |= version.beside
    version.beside = buffer
    tables.notes.version(version)


def moved(version: LiveVersion, path: bytes) -> None:
    """A version that an interactive activity wrote aside is put in its place by a rename."""
    writer = version.only_writer
    if version.beside is not None and writer is not None:
        buffer = writer.buffers.setdefault(path, set())
        buffer |= version.beside
        version.beside = buffer
