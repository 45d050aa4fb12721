"""Commits of a world, step by step."""

from __future__ import annotations

from pfs.lineage.group import Origin
from pfs.lineage.live.state import LiveVersion, Place, Seen
from pfs.lineage.segment.order import in_order
from tests.lineage.world import World, content_id


class Commit:
    """One commit of a branch, in its steps: others act between them."""

    def __init__(self, world: World, branch: int) -> None:
        self.world = world
        self.branch = branch
        last = world.generation[branch]
        world.generation[branch] = last + 1
        self.numbers = list(range(world.stored_generation[branch] + 1, last + 1))
        self.files = {
            file.place: (bytes(file.data), world.recorder.newest(file.place), file)
            for (where, _), file in world.names.items()
            if where == branch
        }
        self.unchanged = {
            place: world.base[place]
            for place in self.files
            if place in world.base and place not in world.unknown
        }
        self.outputs = world.recorder.outputs(branch, self.numbers)
        self.changes = world.recorder.changes(branch)
        self.entries: dict[Place, Seen] = {}
        self.is_written = False

    def write(self) -> None:
        """What a thread does."""
        world = self.world
        roots: dict[Place, LiveVersion] = {}
        for version in self.outputs.values():
            if version.place in self.files:
                data = self.files[version.place][0]
                version.contain(content_id(data), 0, len(data), version.mtime_ns or 1)
                world.stored_bytes[version.id] = data
                roots[version.place] = version
        for version in world.recorder.upstream(roots.values()):
            if version.content is None and version.frozen is not None:
                data = version.frozen.content
                assert isinstance(data, bytes)
                version.contain(content_id(data), 0, len(data), version.mtime_ns or 1)
                world.stored_bytes[version.id] = data
        self.group = world.recorder.group(roots.values(), self.changes)
        self.rows: dict[int, Origin] = {}
        in_order(self.group)
        world.segments += 1
        name = content_id(b"segment %d" % world.segments)
        self.rows.update({fact.id: Origin(name, row) for row, fact in enumerate(self.group.versions)})
        for place, (data, version_id, file) in self.files.items():
            origin = self.rows.get(version_id)
            if origin is None and place in self.unchanged:
                self.entries[place] = self.unchanged[place]
            else:
                self.entries[place] = world.seen(file, data, origin)
        self.is_written = True

    def lands(self) -> bool:
        """The commit point."""
        world = self.world
        if not self.is_written:
            return False
        world.base.update(self.entries)  # a file without a name still holds what it held
        for place, (data, _, file) in self.files.items():
            if bytes(file.data) == data:
                world.unknown.discard(place)
                if file.raw:
                    world.note_truth(file)
        world.stored_generation[self.branch] = self.numbers[-1]
        world.rows.update({origin: version for version, origin in self.rows.items()})
        for fact, _ in self.group.used:
            world.stored.setdefault(fact.id, fact)
        world.stored.update({fact.id: fact for fact in self.group.versions})
        for piece in self.group.slices:
            inputs = world.stored_inputs.setdefault(piece.activity.id, {})
            for position, one in enumerate(piece.inputs, piece.first):
                known = inputs.setdefault(position, one)
                assert (known.source, known.watermark) == (one.source, one.watermark)
        return True

    def finish(self) -> None:
        """The recorder is told."""
        if self.lands():
            self.world.recorder.sealed(self.group, self.rows, self.branch, self.numbers)
