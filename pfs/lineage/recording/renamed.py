"""A version that was written aside is put over another one: the usual way to save a file.

It keeps its identity; while nobody has looked, it becomes what REPLACED the version at the target.  If it
already continues another version in its own inode, that stays its previous, and only the change of names
tells the rest.
"""

from __future__ import annotations

from pfs.lineage.facts import Relation
from pfs.lineage.live.state import LiveVersion, Place
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording import beside


def rename(tables: Tables, version: LiveVersion, path: bytes, replaced: Place | None) -> None:
    """The newest version of a file is at another path, where there may have been another file."""
    if not version.is_open:
        return
    tables.move(version, path)
    beside.moved(version, path)
    if replaced is not None and not version.depends_on_previous:
        file = tables.files.get(replaced)
        before = tables.committed(replaced) if file is None or file.version is None else file.version
        lasting = tables.lasting(before)
        if lasting is not None:
            version.relation = Relation.REPLACED
            tables.follow(version, lasting)
        tables.unless_used(before)
    tables.notes.version(version)
