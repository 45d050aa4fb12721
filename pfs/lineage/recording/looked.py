"""Who looks at a file learns from its newest version; a version that others write ends by that.

Not so between *co-writers*, who hold the file writable at the same time: what one reads there, the others
have told it, up to their last writes.  Nobody learns from what it alone wrote, but from what lies below that.
"""

from __future__ import annotations

from pfs.lineage.facts import Flag, Level, Relation
from pfs.lineage.live.state import Actor, External, File, Grip, LiveVersion
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording import beside


def look_through(tables: Tables, grip: Grip, actor: Actor, flags: int) -> None:
    """An activity may read a file through a handle now.  Raises OSError (of freeze)."""
    grip.position = look(tables, actor, grip.file, flags)
    grip.reader, grip.seen = actor, grip.file.stamp
    if actor.activity.interactive:
        beside.looked(actor, grip)


def look(tables: Tables, actor: Actor, file: File, flags: int, level: int = Level.OBSERVED) -> int:
    """An activity may read a file now: the position of the input that this is, -1 where it is none.

    Raises OSError (of freeze).
    """
    if not actor.pins:
        return -1
    version = file.version
    source: LiveVersion | External | None
    if version is None:
        source = tables.committed(file.place) or raw(tables, file)
        if source.id in actor.own:
            return -1
    elif not version.is_open:
        source = tables.base_of(newest(tables, file), actor)
    elif version.only_writer is actor:
        source = tables.base_of(version, actor)
    elif is_shared_with(file, version, actor):
        return _look_beside(tables, actor, version, flags)
    else:
        source = newest(tables, file)
    if source is None:
        return -1
    return tables.use(actor, source, level, flags)


def newest(tables: Tables, file: File) -> LiveVersion | External:
    """The newest version of a file, which ends by this.  Raises OSError (of freeze)."""
    version = file.version
    if version is None:
        return tables.committed(file.place) or raw(tables, file)
    if not version.is_open:
        keep(tables, file, version)
    elif version.generation < tables.generations.get(file.place.branch, 0):
        tables.finish(version)
        keep(tables, file, version)
    else:
        freeze(tables, file, version)
    return version


def keep(tables: Tables, file: File, version: LiveVersion) -> None:
    """Keep the bytes of a version that the end of a generation has ended: its commit may not want them."""
    if version.frozen is None and version.origin is None:
        version.frozen = tables.below.freeze(file.place)
        version.size, version.mtime_ns = version.frozen.size, version.frozen.mtime_ns
        tables.notes.version(version)


def freeze(tables: Tables, file: File, version: LiveVersion) -> None:
    """End the version that is written, and keep its bytes.  Raises OSError, then nothing has changed."""
    held = tables.below.freeze(file.place)
    version.frozen = held
    version.size, version.mtime_ns = held.size, held.mtime_ns
    version.time_ns = version.time_ns or held.mtime_ns
    tables.finish(version)
    file.stamp += 1
    tables.notes.version(version)


def raw(tables: Tables, file: File) -> LiveVersion:
    """Bytes that are in no commit and that nobody recorded made.  Raises OSError (of freeze)."""
    held = tables.below.freeze(file.place)
    version = tables.begin_version(None, file, Relation.RAW, None)
    version.is_untouched = False
    version.frozen = held
    version.size, version.mtime_ns, version.time_ns = held.size, held.mtime_ns, held.mtime_ns
    tables.finish(version)
    tables.notes.version(version)
    return version


def is_shared_with(file: File, version: LiveVersion, actor: Actor) -> bool:
    """Whether this activity and another that wrote the version may both write the file now."""
    if actor not in file.holders:
        return False
    for other in file.holders:
        if other is not actor and other.ended is None and version.credit_of(other) is not None:
            return True
    return False


def _look_beside(tables: Tables, actor: Actor, version: LiveVersion, flags: int) -> int:
    for one in version.credits:
        if one.actor is not actor:
            tables.hear(actor, one.actor, one.mark, Level.OBSERVED, flags | Flag.SHARED)
    if version.depends_on_previous:
        before = tables.find(version.previous)
        source = None if before is None else tables.base_of(before, actor)
        if source is not None:
            return tables.use(actor, source, Level.OBSERVED, flags)
    return -1
