"""fsck of everything committed: packs and refs by `Store.check`, then what every ref reaches.

Reports all it finds, not the first, and changes nothing. Each node of a tree and of a file is looked
at once, however many commits share it. Working trees (journal, working files) are the overlay's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pfs.errors import CorruptObject, NotFound
from pfs.objects.commit import Commit
from pfs.objects.entry import Entry, FileType, link_key
from pfs.objects.tree import TreeReader
from pfs.objects.tree_node import Row
from pfs.overlay.check import check_journal, check_node
from pfs.overlay.node import Node
from pfs.overlay.tree import Readers
from pfs.overlay.worktree import WorkingTree
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.whole_tree import check_whole_tree


class Problem(NamedTuple):
    """One thing that is wrong. `kind` is a word for scripts, `where` a place that a person can name."""

    kind: str
    where: str
    message: str


@dataclass
class Report:
    """What was looked at, what is wrong, and what is odd but harmless. Owned by one fsck."""

    checked: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def fsck(store: Store, repositories: Repositories, readers: Readers) -> Report:
    """Check packs, object index, refs, and every object that a ref reaches."""
    report = Report()
    for found in store.check():
        where = f"pack {found.pack}" if found.pack >= 0 else "store"
        (report.notes if found.harmless else report.problems).append(
            Problem(found.kind, where, found.message)
        )
    report.checked["objects"] = store.statistics().objects
    walk = _Walk(store, readers, report)
    for repo in [*repositories.list(), *repositories.deleted()]:
        report.checked["repos"] += 1
        _check_refs(repo, report)
        for commit_id in repo.commits.all_ids():
            walk.check_commit(repo, commit_id)
        for commit_id in sorted(_shown(repo)):
            walk.check_whole_tree(repo, commit_id)
    walk.finish()
    return report


def _shown(repo: Repo) -> set[bytes]:
    branches = repo.branches()
    named = {*(branch.head for branch in branches), *(branch.base for branch in branches)}
    return {
        commit_id for commit_id in named | {tag.target for tag in repo.tags()} if commit_id in repo.commits
    }


def check_slice(tree: WorkingTree, where: str, nodes: Sequence[Node] | None) -> list[Problem]:
    """What is wrong with some inodes of a working tree; None: with its journal.  On the event loop."""
    found = (
        check_journal(tree) if nodes is None else (what for node in nodes for what in check_node(tree, node))
    )
    return [Problem("working tree", where, what) for what in found]


def check_working_tree(tree: WorkingTree, where: str) -> list[Problem]:
    """All that is wrong with a working tree that nobody uses."""
    return [*check_slice(tree, where, None), *check_slice(tree, where, list(tree.nodes.values()))]


def _check_refs(repo: Repo, report: Report) -> None:
    """Every ref names commits that the repo knows; the default branch is a live one."""
    named = [(branch.name, "head", branch.head) for branch in repo.branches()]
    named += [(branch.name, "base", branch.base) for branch in repo.branches()]
    named += [(tag.name, "target", tag.target) for tag in repo.tags()]
    for name, what, commit_id in named:
        report.checked["refs"] += 1
        if commit_id not in repo.commits:
            message = f"its {what} {commit_id.hex()[:16]} is no commit of the repo"
            report.problems.append(Problem("refs", f"{repo.name}@{name}", message))
    try:
        is_live = repo.default_branch.deleted_ns is None
    except NotFound:
        is_live = False
    if not is_live:
        report.problems.append(Problem("refs", repo.name, "its default branch is not there"))


@dataclass
class _Walk:
    """Goes through all commits; what was looked at once is not looked at again."""

    store: Store
    readers: Readers
    report: Report
    _seen: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        from pfs.versioning.fsck_lineage import LineageCheck  # not at the start of every daemon

        self._lineage = LineageCheck(self.store)

    def finish(self) -> None:
        """Take down how much was looked at."""
        if self._lineage.segments:
            self.report.checked["lineage_segments"] = self._lineage.segments
        self._say("lineage", "store", self._lineage.check_circles())

    def check_commit(self, repo: Repo, commit_id: bytes) -> None:
        where = f"{repo.name}@{commit_id.hex()[:16]}"
        self.report.checked["commits"] += 1
        try:
            commit = repo.commits.read(commit_id)
        except CorruptObject as error:
            self._problem(where, error)
            return
        for parent in commit.parents:
            if parent not in repo.commits:
                message = f"its parent {parent.hex()[:16]} is not known"
                self.report.problems.append(Problem("refs", where, message))
        for segment in commit.lineage:
            self._say("lineage", where, self._lineage.check_segment(segment))
        self._check_links(where, commit)
        self._check_tree(where, commit)

    def check_whole_tree(self, repo: Repo, commit_id: bytes) -> None:
        """What only a walk through a whole tree shows: for the trees that branches and tags show."""
        self.report.checked["trees"] += 1
        try:
            commit = repo.commits.read(commit_id)
        except CorruptObject:
            return  # said where all commits are looked at
        for path, message in check_whole_tree(self.readers, commit):
            where = f"{repo.name}@{commit_id.hex()[:16]}:{path}"
            self.report.problems.append(Problem("tree", where, message))

    def _check_links(self, where: str, commit: Commit) -> None:
        for row in self._rows(f"{where}: links", self.readers.links, commit.links):
            self._check_entry(f"{where}: inode {row.entry.file_id}", row.entry)

    def _check_tree(self, where: str, commit: Commit) -> None:
        """All directories of a commit. A stack, not recursion: a tree may be deeper than Python's."""
        waiting = [(b"", commit.root)]
        while waiting:
            path, directory = waiting.pop()
            if directory.content in self._seen:
                continue  # one node may stand for the whole: then all below it was looked at, too
            self._check_counts(f"{where}:{os.fsdecode(path)}", directory)
            for entry in self._rows(f"{where}:{os.fsdecode(path)}", self.readers.entries, directory.content):
                child = path + b"/" + entry.name if path else entry.name
                here = f"{where}:{os.fsdecode(child)}"
                if entry.type == FileType.DIRECTORY:
                    waiting.append((child, entry))
                elif entry.type == FileType.LINK:
                    self._check_link(here, commit, entry)
                else:
                    self._check_entry(here, entry)

    def _rows(self, where: str, reader: TreeReader[Row], root: bytes) -> Iterator[Row]:
        """The rows of a tree, in no order, but for nodes that were looked at before."""
        waiting = [root] if root else []
        while waiting:
            node_id = waiting.pop()
            if not self._is_new(node_id):
                continue
            try:
                node = reader.node(node_id)
            except CorruptObject as error:
                self._problem(where, error)
                continue
            self.report.checked["tree_nodes"] += 1
            waiting.extend(child.id for child in node.children)
            yield from node.rows

    def _check_counts(self, where: str, directory: Entry) -> None:
        try:
            found = self.readers.entries.counts(directory.content)
        except CorruptObject:
            return  # said where its rows are read
        if found != (directory.size, directory.detail):
            message = f"it says {directory.size} entries, {directory.detail} directories, and has {found}"
            self.report.problems.append(Problem("counts", where, message))

    def _check_link(self, where: str, commit: Commit, entry: Entry) -> None:
        try:
            row = self.readers.links.get(commit.links, link_key(entry.file_id))
        except CorruptObject:
            return  # said where the links are read
        if row is None or row.entry.content != entry.content:
            message = f"the links tree says {'nothing' if row is None else 'another content'}"
            self.report.problems.append(Problem("links", where, f"{message} of inode {entry.file_id}"))

    def _check_entry(self, where: str, entry: Entry) -> None:
        """Everything that one entry names is there."""
        self.report.checked["files"] += 1
        if isinstance(entry.xattrs, bytes):
            self._check_present(where, entry.xattrs)
        self._say("lineage", where, self._lineage.check_entry(entry))
        if entry.type == FileType.REGULAR and entry.detail:
            self._check_file(where, entry)
        elif entry.content:
            self._check_present(where, entry.content)

    def _check_file(self, where: str, entry: Entry) -> None:
        waiting = [entry.content]
        if entry.content not in self._seen:
            try:
                size = self.readers.files.size(entry.content, entry.detail)
            except CorruptObject as error:
                self._problem(where, error)
                return
            if size != entry.size:
                message = f"it says {entry.size} bytes and has {size}"
                self.report.problems.append(Problem("size", where, message))
        while waiting:
            node_id = waiting.pop()
            if not self._is_new(node_id):
                continue
            try:
                node = self.readers.files.node(node_id)
            except CorruptObject as error:
                self._problem(where, error)
                continue
            self.report.checked["file_nodes"] += 1
            waiting.extend(child.id for child in node.children)
            for row in node.rows:
                self._check_present(where, row.chunk)

    def _check_present(self, where: str, object_id: bytes) -> None:
        """That an object is here; that its bytes are right is `Store.check`'s."""
        if self._is_new(object_id) and not self.store.contains(object_id):
            message = f"object {object_id.hex()[:16]}: no pack holds it"
            self.report.problems.append(Problem("missing", where, message))

    def _is_new(self, object_id: bytes) -> bool:
        if object_id in self._seen:
            return False
        self._seen.add(object_id)
        return True

    def _say(self, kind: str, where: str, messages: Iterable[str]) -> None:
        self.report.problems.extend(Problem(kind, where, message) for message in messages)

    def _problem(self, where: str, error: CorruptObject) -> None:
        self.report.problems.append(Problem(error.kind, where, error.message))
