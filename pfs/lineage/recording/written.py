"""Who writes a file: when a new version begins, what became of the one before, and whose it is.

A version goes on while the same activity, or one that holds the file writable together with it, writes in the
same generation of the branch, and nobody else has looked.  A file that was made or emptied and not written
since belongs to whoever writes first: the shell opens `> out`, the program writes.
"""

from __future__ import annotations

from pfs.lineage.facts import Flag, Relation
from pfs.lineage.live.state import Actor, Credit, External, File, LiveVersion
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording.looked import freeze, is_shared_with, newest, raw


def make(tables: Tables, actor: Actor, file: File, path: bytes | None = None) -> None:
    """A file was made: empty, its maker's until somebody writes."""
    version = tables.begin_version(actor, file, Relation.CREATED, None, path)
    version.time_ns = tables.now_ns()
    tables.credit(version, actor, Flag.NONE)  # noted once it is written or closed


def empty(tables: Tables, actor: Actor, file: File) -> None:
    """A file is cut to nothing: what is written to it later does not depend on what it was."""
    version = _open_version(tables, file)
    if version is not None and (
        version.is_untouched or version.only_writer is actor or is_shared_with(file, version, actor)
    ):
        tables.uncredit(version)
        if version.depends_on_previous:
            tables.relate(version, Relation.TRUNCATED)
        version.is_untouched, version.floor, version.beside = True, 0, None
        tables.credit(version, actor, Flag.NONE)
        version.time_ns = tables.now_ns()
        file.stamp += 1
        tables.notes.version(version)
        return
    before = file.version or tables.committed(file.place)
    _end(tables, version)
    version = _begin(tables, actor, file, Relation.TRUNCATED, tables.lasting(before))
    tables.unless_used(before)
    version.time_ns = tables.now_ns()
    tables.credit(version, actor, Flag.NONE)
    tables.notes.version(version)


def write(tables: Tables, actor: Actor, file: File, offset: int, size_before: int, flags: int) -> LiveVersion:
    """Bytes from an offset on are about to be written: the version that they belong to.

    Raises OSError (of freeze), then nothing has changed.
    """
    version = _open_version(tables, file)
    if version is None:
        return _next(tables, actor, file, offset, size_before, flags)
    credit = version.credit_of(actor)
    is_first = version.is_untouched
    if is_first:
        if credit is None:
            tables.uncredit(version)
    elif credit is None and not is_shared_with(file, version, actor):
        freeze(tables, file, version)
        return _next(tables, actor, file, offset, size_before, flags)
    if version.relation == Relation.APPENDED and offset < version.floor:
        version.relation = Relation.IN_PLACE
    elif credit is not None and not is_first and _covers(credit, actor, flags):
        return version
    if credit is None:
        credit = tables.credit(version, actor, flags)
    else:
        credit.mark = len(actor.inputs)
        credit.flags |= flags
        actor.covered = max(actor.covered, credit.mark)
    version.is_untouched = False
    version.time_ns = tables.now_ns()
    file.stamp += 1
    if version.is_noted and version.beside is None:
        tables.notes.wrote(version, credit, is_first=is_first)
    else:
        tables.notes.version(version)
    return version


def _next(tables: Tables, actor: Actor, file: File, offset: int, size_before: int, flags: int) -> LiveVersion:
    before = file.version or tables.committed(file.place)
    if before is None and size_before > 0:
        before = raw(tables, file)
    if size_before == 0:
        relation = Relation.TRUNCATED
    else:
        relation = Relation.APPENDED if offset >= size_before else Relation.IN_PLACE
    previous = before if size_before else tables.lasting(before)
    version = _begin(tables, actor, file, relation, previous)
    tables.unless_used(before)
    version.floor = size_before
    version.is_untouched = False
    version.time_ns = tables.now_ns()
    tables.credit(version, actor, flags)
    tables.notes.version(version)
    return version


def _begin(
    tables: Tables, actor: Actor, file: File, relation: int, previous: LiveVersion | External | None
) -> LiveVersion:
    return tables.begin_version(actor, file, Relation.CREATED if previous is None else relation, previous)


def _open_version(tables: Tables, file: File) -> LiveVersion | None:
    """The version that is written to; None where the next write begins one."""
    version = file.version
    if version is None or not version.is_open:
        return None
    if version.generation < tables.generations.get(file.place.branch, 0):
        newest(tables, file)
        return None
    return version


def _end(tables: Tables, version: LiveVersion | None) -> None:
    if version is not None:
        tables.finish(version)
        tables.notes.version(version)


def _covers(credit: Credit, actor: Actor, flags: int) -> bool:
    return credit.mark == len(actor.inputs) and credit.flags | flags == credit.flags
