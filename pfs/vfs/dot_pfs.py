"""`.pfs`, which resolves in every directory of a repo and is never listed.

`branches/ tags/ commits/` hold relative symlinks into the root of the mount whose
time is the commit's; `log` and `status` are text, `lineage/NAME` what `pfs lineage`
says of a file of that directory; writing `commit MESSAGE` to `ctl` commits.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from pfs.errors import NotFound, UsageError
from pfs.objects.entry import FileType
from pfs.overlay.node import Node, path_of
from pfs.overlay.tree import CommitTree, Tree
from pfs.overlay.worktree import WorkingTree
from pfs.repo.commits import is_checkpoint
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.vfs.caller import Caller
from pfs.vfs.special import Shown, ShownDirectory, ShownFile, ShownLink, Special, SpecialTree

DOT_PFS = b".pfs"
LOG_COMMITS_MAX = 1_000  # `.pfs/log` is for eyes; `pfs log` has them all

Explain = Callable[[bytes, Caller], Awaitable[bytes]]  # `REPO[@REV]:PATH`, who asks
Commit = Callable[[WorkingTree, str, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that `.pfs` was looked up in."""

    tree: Tree
    repo: Repo
    name: bytes  # of the tree in the root of the mount
    depth: int  # directories between it and the tree's root

    def up(self, levels: int) -> bytes:
        """From a directory `levels` below `.pfs` to the root of the mount."""
        return b"../" * (self.depth + levels + 2)


class DotPfs:
    """Makes the inodes of `.pfs`.  Owned by the event loop."""

    def __init__(
        self,
        special: SpecialTree,
        number: Callable[[Node], int],
        names_of: Callable[[Tree], tuple[Repo, bytes]],
        commit: Commit,
        explain: Explain | None = None,
    ) -> None:
        """explain: None where no lineage is recorded."""
        self._special = special
        self._number = number
        self._names_of = names_of
        self._commit = commit
        self._explain = explain

    def node(self, directory: Node) -> Special:
        """The inode of `.pfs` in a directory."""
        tree = directory.tree
        assert isinstance(tree, Tree)
        repo, name = self._names_of(tree)
        depth, at = 0, directory
        while at is not tree.root and at.parent in tree.nodes:
            depth, at = depth + 1, tree.nodes[at.parent]
        place = Place(tree, repo, name, depth)
        return self._special.show(self._number(directory), DOT_PFS, self._shown(place, directory))

    def _shown(self, place: Place, directory: Node) -> ShownDirectory:
        entries: dict[bytes, Shown] = {
            b"branches": _refs(place, place.repo.branches),
            b"tags": _refs(place, place.repo.tags),
            b"commits": _commits(place),
            b"log": ShownFile(lambda: _log_text(place)),
            b"status": ShownFile(lambda: _status_text(place)),
        }
        if self._explain is not None:
            entries[b"lineage"] = _lineage(place, directory, self._explain)
        if isinstance(place.tree, WorkingTree):
            tree = place.tree

            async def write(data: bytes, uid: int, _pid: int) -> None:
                await self._control(tree, data, uid)

            entries[b"ctl"] = ShownFile(lambda: b"", write, tree.root)
        types = {
            name: FileType.DIRECTORY if isinstance(shown, ShownDirectory) else FileType.REGULAR
            for name, shown in entries.items()
        }
        return ShownDirectory(entries.get, types.items)

    async def _control(self, tree: WorkingTree, data: bytes, uid: int) -> None:
        """One command a write: `commit MESSAGE`."""
        word, _, rest = data.decode("utf-8", "replace").strip().partition(" ")
        if word != "commit":
            raise UsageError(f"ctl: {word!r} is not a command", hint="write 'commit MESSAGE'")
        await self._commit(tree, rest.strip(), uid)


def _refs(place: Place, refs: Callable[[], Iterable[object]]) -> ShownDirectory:
    def find(name: bytes) -> Shown | None:
        for ref in refs():
            if ref.name.encode() == name:  # type: ignore[attr-defined]
                target = ref.head if isinstance(ref, BranchRecord) else ref.target  # type: ignore[attr-defined]
                link = place.up(1) + place.repo.name.encode() + b"@" + name
                return ShownLink(link, place.repo.commits.row(target).time_ns)
        return None

    def names() -> Iterator[tuple[bytes, FileType]]:
        for ref in refs():
            yield ref.name.encode(), FileType.SYMLINK  # type: ignore[attr-defined]

    return ShownDirectory(find, names)


def _commits(place: Place) -> ShownDirectory:
    repo = place.repo

    def find(name: bytes) -> Shown | None:
        try:
            commit_id = repo.commits.resolve(name.decode("ascii", "replace"))
        except NotFound:
            return None
        link = place.up(1) + repo.name.encode() + b"@" + name
        return ShownLink(link, repo.commits.row(commit_id).time_ns)

    def names() -> Iterator[tuple[bytes, FileType]]:
        for commit_id, row in repo.commits.ancestry(_head(place)):
            if not is_checkpoint(row):
                yield commit_id.hex()[:16].encode(), FileType.SYMLINK

    return ShownDirectory(find, names)


def _lineage(place: Place, directory: Node, explain: Explain) -> ShownDirectory:
    tree = place.tree

    def find(name: bytes) -> Shown | None:
        node = tree.lookup(directory, name)
        if node is None:
            return None
        is_file = tree.attributes(node).type == FileType.REGULAR
        tree.forget(node, 0)
        path = path_of(directory)
        spelled = place.name + b":" + (path + b"/" + name if path else name)
        return ShownFile(bytes, explain=partial(explain, spelled)) if is_file else None

    def names() -> Iterator[tuple[bytes, FileType]]:
        for listed in tree.listing(directory).names(0):
            if listed.type == FileType.REGULAR:
                yield listed.name, FileType.REGULAR

    return ShownDirectory(find, names)


def _head(place: Place) -> bytes:
    if isinstance(place.tree, CommitTree):
        return place.tree.commit_id
    assert isinstance(place.tree, WorkingTree)
    return place.repo.branch_by_id(place.tree.branch_id).head


def _log_text(place: Place) -> bytes:
    lines: list[str] = []
    repo = place.repo
    for commit_id, row in islice(repo.commits.ancestry(_head(place)), LOG_COMMITS_MAX):
        commit = repo.commits.read(commit_id)
        when = datetime.fromtimestamp(row.time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        first = commit.message.partition("\n")[0]
        lines.append(f"{commit_id.hex()[:16]}  {when}  {commit.author.name}  {first}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _status_text(place: Place) -> bytes:
    status: dict[str, object] = {"repo": place.repo.name, "commit": _head(place).hex()}
    if isinstance(place.tree, WorkingTree):
        branch = place.repo.branch_by_id(place.tree.branch_id)
        changed = place.tree.is_dirty() or branch.base != branch.head
        status |= {"branch": branch.name, "uncommitted": changed, "writers": place.tree.writers}
    return json.dumps(status, indent=1).encode() + b"\n"
