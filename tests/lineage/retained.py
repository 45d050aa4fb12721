"""A story in which it is known, too, what has bytes and who runs: for the tests of retention."""

from __future__ import annotations

from dataclasses import dataclass, field

from pfs.lineage.facts import Version
from pfs.lineage.retention import Keep, Retention, Settings
from tests.lineage.sources import Story


@dataclass
class World(Story):
    """A story, and what else is known of it."""

    anchors: set[int] = field(default_factory=set)
    timeline: dict[int, int] = field(default_factory=dict)
    scratch: set[bytes] = field(default_factory=set)
    gone: dict[int, int] = field(default_factory=dict)
    last_read: dict[int, int] = field(default_factory=dict)

    def is_anchored(self, version: int) -> bool:
        return version in self.anchors

    def timeline_until_ns(self, version: int) -> int:
        return self.timeline.get(version, 0)

    def is_scratch(self, version: Version) -> bool:
        return version.path in self.scratch

    def gone_ns(self, version: int) -> int:
        return self.gone.get(version, 0)

    def is_running(self, activity: int) -> bool:
        return activity not in self.source.endings

    def last_read_ns(self, version: int) -> int:
        return self.last_read.get(version, 0)

    def keep(self, version: int, **changed: object) -> Keep:
        return Retention(self.source, self, Settings(**changed), self.now_ns).of(version)

    def run(self, argv: str, *inputs: int, to: str, anchored: bool = False, **more: object) -> int:
        """A process reads, writes one file, and ends."""
        process = self.process(*argv.split())
        for version in inputs:
            self.read(process, version)
        made = self.write(process, to, **more)
        self.ends(process)
        if anchored:
            self.anchors.add(made)
        else:
            self.gone[made] = self.now_ns
        return made
