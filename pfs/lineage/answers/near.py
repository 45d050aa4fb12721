"""The closure around a version up to a depth that is counted in jobs, as a person reads an answer.

What one job made and used itself adds nothing to the depth: the sources of a program built by one `make` are
one away from it, whatever object files and libraries were in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pfs.lineage.answers.jobs import Jobs
from pfs.lineage.facts import Source
from pfs.lineage.index.walk import Closure, EdgeKind

# The closure of these versions, one version deep, with its edges.
Step = Callable[[Sequence[int]], Closure]


def near(source: Source, jobs: Jobs, step: Step, root: int, depth: int, *, down: bool) -> Closure:
    """All within `depth` jobs of a version."""
    inside = _Inside(source, jobs)
    expanded: dict[int, None] = {}
    frontier = [root]
    for _ in range(depth):
        beyond: dict[int, None] = {}
        while frontier:
            expanded.update(dict.fromkeys(frontier))
            found = step(frontier)
            same = inside.down(found) if down else inside.up(found)
            new = [version for version in found.versions if version not in expanded]
            beyond.update(dict.fromkeys(version for version in new if version not in same))
            frontier = [version for version in new if version in same]
        frontier = [version for version in beyond if version not in expanded]
    return step(list(expanded)) if expanded else Closure([root], [0], [], [], {})


class _Inside:
    """Tells which versions are no farther away than those they were found from."""

    def __init__(self, source: Source, jobs: Jobs) -> None:
        self._source = source
        self._jobs = jobs
        self._makers: dict[int, set[int]] = {}

    def up(self, found: Closure) -> set[int]:
        """Those that were made by a job that used them."""
        same = self._revised(found, first=True)
        for edge in found.edges:
            if edge.kind == EdgeKind.USED and self._unit(edge.target) in self._made_by(edge.source):
                same.add(edge.source)
        return same

    def down(self, found: Closure) -> set[int]:
        """Those that were made by a job that had made what it used for them."""
        same = self._revised(found, first=False)
        used = [edge for edge in found.edges if edge.kind == EdgeKind.USED]
        units = {self._unit(edge.target) for edge in used} & {
            unit for edge in used for unit in self._made_by(edge.source)
        }
        for edge in found.edges:
            if edge.kind == EdgeKind.GENERATED and self._unit(edge.source) in units:
                same.add(edge.target)
        return same

    def _revised(self, found: Closure, *, first: bool) -> set[int]:
        return {
            edge.source if first else edge.target
            for edge in found.edges
            if edge.kind == EdgeKind.REVISED
            and not self._made_by(edge.source).isdisjoint(self._made_by(edge.target))
        }

    def _unit(self, activity: int) -> int:
        return self._jobs.root(activity) or activity

    def _made_by(self, version: int) -> set[int]:
        if version not in self._makers:
            record = self._source.version(version)
            writers = () if record is None else record.writers
            self._makers[version] = {self._unit(writer.activity) for writer in writers}
        return self._makers[version]
