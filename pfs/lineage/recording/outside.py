"""Files beyond the mount: what was seen of them, and what two command lines say that name the same one.

A file beyond the mount is a version by its path, size and time.  Where its writer was seen, that version is
the writer's; else nobody recorded made it.  Where two activities only *name* a path, and it has changed since
the first one began, the first may have told the second through it (level INFERRED): `cc1 -o /tmp/ccX.s`, `as
/tmp/ccX.s`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from msgspec.structs import replace

from pfs.lineage.facts import OUTSIDE, Flag, Level, Relation, Version, raw_version_id, version_id
from pfs.lineage.live.state import Actor, External, LiveVersion, Place
from pfs.lineage.live.tables import Tables

PATHS_MAX: Final = 10_000  # that are remembered: temporary files are read soon after they are written
NAMERS_MAX: Final = 8  # activities that named one path

_PLACE = Place(OUTSIDE, 0, 0)


class Outside:
    """What is known of paths beyond the mount.  Owned by the recorder."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.written: OrderedDict[bytes, tuple[int, int, int]] = (
            OrderedDict()
        )  # path → version, size, mtime_ns
        self._namers: OrderedDict[bytes, list[Actor]] = OrderedDict()

    def read(self, actor: Actor, path: bytes, size: int, mtime_ns: int, content: bytes, level: int) -> None:
        """An activity has read a file, or its command line names it."""
        if not actor.pins:
            return
        tables = self._tables
        if level == Level.ARGUMENT:
            self._named(actor, path, mtime_ns)
        version, written_size, written_ns = self.written.get(path, (0, 0, 0))
        source = tables.find(version) if (written_size, written_ns) == (size, mtime_ns) else None
        if source is None:
            source = self._raw(path, size, mtime_ns, content)
        if not isinstance(source, LiveVersion) or source.only_writer is not actor:
            tables.use(actor, source, level, Flag.NONE)

    def write(
        self, actor: Actor, path: bytes, size: int, mtime_ns: int, content: bytes, is_new: bool
    ) -> None:
        """An activity has written a file and closed it; is_new: nothing of what was there before is left."""
        tables = self._tables
        last, _, _ = self.written.get(path, (0, 0, 0))
        before = tables.find(last)
        if isinstance(before, LiveVersion) and before.only_writer is actor and before.uses == 1:
            version = before
            version.is_open = True  # nobody has looked: it goes on
            for credit in version.credits:
                credit.mark = len(actor.inputs)
            actor.covered = max(actor.covered, len(actor.inputs))
        else:
            relation = Relation.CREATED if before is None else Relation.IN_PLACE
            if before is not None and is_new:
                relation = Relation.TRUNCATED
            version = LiveVersion(
                version_id(actor.id, actor.ordinal), tables.next_number(), _PLACE, path, relation
            )
            actor.ordinal += 1
            version.began = (actor.number, actor.ordinal)
            tables.follow(version, before, None if before is None else tables.base_of(before, actor))
            version.is_current = version.is_root = version.is_untouched = False
            tables.versions[version.id] = version
            tables.enter_path(version)
            tables.credit(version, actor, Flag.NONE)
        tables.wrote_at(actor, path)
        version.time_ns = tables.now_ns()
        version.contain(content, 0, size, mtime_ns)
        tables.finish(version)
        tables.notes.version(version)
        self.remember(path, version.id, size, mtime_ns)

    def contain(self, path: bytes, size: int, mtime_ns: int, content: bytes, height: int) -> None:
        """The content of a file that was read has become known."""
        tables = self._tables
        version, *written = self.written.get(path, (0, 0, 0))
        if written != [size, mtime_ns]:
            version = raw_version_id(OUTSIDE, path, b"%d %d" % (size, mtime_ns))
        source = tables.find(version)
        if isinstance(source, LiveVersion):
            source.contain(content, height, size, mtime_ns)
            tables.notes.version(source)
        elif source is not None:
            source.version = replace(source.version, content=content, height=height, is_known=True)
            tables.notes.external(source)

    def remember(self, path: bytes, version: int, size: int, mtime_ns: int) -> None:
        """The newest version that was written at a path; it stays while its path is remembered."""
        last, _, _ = self.written.get(path, (0, 0, 0))
        if last != version:
            self._release(last)
            self._tables.versions[version].uses += 1
        self.written[path] = (version, size, mtime_ns)
        self.written.move_to_end(path)
        while len(self.written) > PATHS_MAX:
            _, (old, _, _) = self.written.popitem(last=False)
            self._release(old)

    def _release(self, version: int) -> None:
        source = self._tables.find(version)
        if source is not None:
            self._tables.release(source)

    def _raw(self, path: bytes, size: int, mtime_ns: int, content: bytes) -> LiveVersion | External:
        key = content or b"%d %d" % (size, mtime_ns)
        version = raw_version_id(OUTSIDE, path, key)
        return self._tables.find(version) or self._tables.add_external(
            Version(
                id=version,
                repo=OUTSIDE,
                path=path,
                content=content,
                size=size,
                mtime_ns=mtime_ns,
                is_known=bool(content),
            ),
            None,
        )

    def _named(self, actor: Actor, path: bytes, mtime_ns: int) -> None:
        namers = self._namers.setdefault(path, [])
        self._namers.move_to_end(path)
        for other in namers:
            is_live = self._tables.actors.get(other.id) is other
            if is_live and other is not actor and other.activity.started_ns <= mtime_ns:
                mark = len(other.inputs)
                self._tables.hear(actor, other, mark, Level.INFERRED, Flag.NONE)
        if actor not in namers:
            namers.append(actor)
            del namers[:-NAMERS_MAX]
        while len(self._namers) > PATHS_MAX:
            self._namers.popitem(last=False)
