"""Why the bytes of recorded versions stay (the rules: pfs.lineage.retention), by what a store's refs hold.

A version is in the first commit or checkpoint of its branch after its last write, and in those that follow
until something else took its place: so a few of the branch's reflog say what holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property

from pfs.lineage.facts import Source, Version, spell_version
from pfs.lineage.retention import FOREVER, Reason, Retention, Settings, thinned_until_ns
from pfs.repo.commits import is_checkpoint
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.versioning.lineage_names import StoredNames


class Holders:
    """What holds versions (pfs.lineage.retention.Known), for one question: it remembers what it found."""

    def __init__(self, source: Source, names: StoredNames, settings: Settings) -> None:
        self._source = source
        self._names = names
        self._settings = settings
        self._found: dict[int, tuple[bool, int, int]] = {}

    def is_anchored(self, version: int) -> bool:
        """Whether a commit, tag, head or working tree has its bytes."""
        return self._held(version)[0]

    def timeline_until_ns(self, version: int) -> int:
        """Until when the last checkpoint that has it stays; 0: none has."""
        return self._held(version)[1]

    def gone_ns(self, version: int) -> int:
        """When something else had taken its place."""
        return self._held(version)[2]

    def is_scratch(self, version: Version) -> bool:
        """No path is, yet."""
        del version
        return False

    def is_running(self, activity: int) -> bool:
        """Whether an activity has not ended, as far as is known."""
        return self._source.ending(activity) is None

    def last_read_ns(self, version: int) -> int:
        """Only openings are known."""
        del version
        return 0

    def _held(self, number: int) -> tuple[bool, int, int]:
        if number not in self._found:
            version = self._source.version(number)
            self._found[number] = (False, 0, 0) if version is None else self._look(version)
        return self._found[number]

    def _look(self, version: Version) -> tuple[bool, int, int]:
        """(anchored, until when the timeline has it, when it had gone)."""
        repo = self._repos.get(version.repo)
        if repo is None:
            return False, 0, version.time_ns
        if any(self._names.has(repo, tag.target, version) for tag in repo.tags()):
            return True, 0, 0
        branch = next((one for one in repo.branches() if one.branch_id == version.branch), None)
        if branch is None:
            return False, 0, version.time_ns
        if self._names.has(repo, branch.base, version):
            return True, 0, 0
        until_ns, later = 0, self._installed(repo, branch, version.time_ns)
        for place, (commit_id, time_ns) in enumerate(later):
            if not self._names.has(repo, commit_id, version):
                return False, until_ns, time_ns
            if not is_checkpoint(repo.commits.row(commit_id)):
                return True, 0, 0
            after = [later_ns for _, later_ns in later[place + 1 :]]
            until_ns = max(until_ns, thinned_until_ns(time_ns, after, self._settings.thinning))
        return False, until_ns, version.time_ns

    @cached_property
    def _repos(self) -> dict[int, Repo]:
        return {repo.repo_id: repo for repo in self._names.repositories.list()}

    def _installed(self, repo: Repo, branch: BranchRecord, since_ns: int) -> list[tuple[bytes, int]]:
        """Commits and checkpoints of a branch since a time, with when they came, the oldest first."""
        found: list[tuple[bytes, int]] = []
        for record in repo.reflog(branch.branch_id):
            if record.time_ns < since_ns:
                break
            if record.new:
                found.append((record.new, record.time_ns))
        return found[::-1]


def kept(
    source: Source, names: StoredNames, repo: Repo, path: bytes, now_ns: int
) -> Iterator[dict[str, object]]:
    """Of every version that was at a path: its bytes' id and size, why they stay, and until when."""
    settings = Settings()
    retention = Retention(source, Holders(source, names, settings), settings, now_ns)
    for number in source.versions_at(repo.repo_id, path):
        version = source.version(number)
        if version is None:
            continue
        keep = retention.of(number)
        yield {
            "version": spell_version(number),
            "content": version.content.hex() if version.is_known else None,
            "size": version.size,
            "reason": keep.reason.name.lower(),
            "until": None
            if keep.until_ns is FOREVER or keep.reason == Reason.NOTHING
            else _date(keep.until_ns),
        }


def _date(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
