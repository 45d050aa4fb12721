"""The reading operations of the command line, once: each takes JSON arguments and gives a JSON result.

The daemon's control handlers run them in threads; the command line runs them on a store it opened
itself where no daemon is (`read_offline`). They look at what is frozen: a working tree is its newest
commit or checkpoint, so a daemon first freezes the branches that `working_trees` names. File names
are text with surrogate escapes, ids hex. Who may ask is left to the caller.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from pfs.disk import Disk
from pfs.errors import PfsError, UsageError
from pfs.namespace.resolve import Resolver, Shows
from pfs.objects.commit import Commit, CommitKind
from pfs.objects.entry import Entry, FileType, LinkRow
from pfs.objects.file import FileReader
from pfs.objects.tree import TreeReader
from pfs.overlay.branches import Branches
from pfs.overlay.tree import Readers
from pfs.repo.backing import Clock
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from pfs.versioning.diff import Change, diff
from pfs.versioning.fsck import Problem, check_working_tree, fsck
from pfs.versioning.inspect import inspect_object, statistics
from pfs.versioning.log import log
from pfs.versioning.read import CommitFiles, OpenPlace, open_place

Json = Any  # what the json module reads and writes
Args = Mapping[str, Json]

# Of decoded nodes, for one command; a daemon has readers of its own.
OFFLINE_CACHE_BYTES: Final = 32 << 20
# One answer holds at most this much of a file.
CAT_BYTES_MAX: Final = 64 << 20


def _no_problems() -> Iterable[Problem]:
    return ()


@dataclass(frozen=True)
class Context:
    """What operations work on. `check_overlay`: what is wrong with working trees, for fsck."""

    store: Store
    repositories: Repositories
    readers: Readers
    clock: Clock
    check_overlay: Callable[[], Iterable[Problem]] = field(default=_no_problems)

    @property
    def resolver(self) -> Resolver:
        """Finds what a revision means."""
        return Resolver(self.repositories, self.clock)

    def open(self, place: str) -> OpenPlace:
        """What `REPO[@REV][:PATH]` means. NotFound, UsageError."""
        return open_place(self.resolver, self.readers, os.fsencode(place))


def repos(context: Context, _args: Args) -> Json:
    """{} → {"repos": [{repo, default_branch, created_ns, branches, tags, head: {commit, short, …}}]}."""
    return {
        "repos": [
            {
                "repo": repo.name,
                "default_branch": repo.default_branch.name,
                "created_ns": repo.record.created_ns,
                "branches": len(repo.branches()),
                "tags": len(repo.tags()),
                "head": _head(repo, repo.default_branch.head),
            }
            for repo in context.repositories.list()
        ]
    }


def branches(context: Context, args: Args) -> Json:
    """{repo} → {"repo", "branches": [{branch, default, made_by, protected, born_ns, head}]}."""
    repo = context.repositories.get(_required(args, "repo"))
    return {
        "repo": repo.name,
        "branches": [
            {
                "branch": branch.name,
                "default": branch.branch_id == repo.default_branch.branch_id,
                "made_by": branch.made_by,
                "protected": branch.protected,
                "born_ns": branch.born_ns,
                "head": _head(repo, branch.head),
            }
            for branch in repo.branches()
        ],
    }


def tags(context: Context, args: Args) -> Json:
    """{repo} → {"repo", "tags": [{tag, commit, short, time_ns, message, author}]}."""
    repo = context.repositories.get(_required(args, "repo"))
    return {
        "repo": repo.name,
        "tags": [
            {
                "tag": tag.name,
                "commit": tag.target.hex(),
                "short": repo.commits.abbreviate(tag.target),
                "time_ns": tag.created_ns,
                "message": tag.message,
                "author": tag.author,
            }
            for tag in repo.tags()
        ],
    }


def log_(context: Context, args: Args) -> Json:
    """{place, all, stat, limit} → {"repo", "commits": [commit, with its `changes` where `stat`]}."""
    place = context.open(_required(args, "place"))
    resolution = place.resolution
    repo = resolution.repo
    timeline = resolution.branch if args.get("all") else None
    limit = args.get("limit")
    commits = []
    for logged in log(repo, context.readers, resolution.commit_id, path=place.path, timeline=timeline):
        document = _commit(repo, logged.commit_id, logged.commit)
        if args.get("stat"):
            document["changes"] = [_change(change) for change in _changes_of(context, repo, logged.commit)]
        commits.append(document)
        if limit is not None and len(commits) >= limit:
            break
    return {"repo": repo.name, "commits": commits}


def show(context: Context, args: Args) -> Json:
    """{place} → {"repo", "commit": commit with `changes`}, or {"repo", "entry"} for a place with a path."""
    place = context.open(_required(args, "place"))
    repo = place.resolution.repo
    if place.path:
        return {"repo": repo.name, "entry": _entry(place.files, place.files.entry(place.path), place.path)}
    commit_id = place.resolution.commit_id
    commit = repo.commits.read(commit_id)
    changes = [_change(change) for change in _changes_of(context, repo, commit)]
    return {"repo": repo.name, "commit": {**_commit(repo, commit_id, commit), "changes": changes}}


def diff_(context: Context, args: Args) -> Json:
    """{old, new, uncommitted, path} → {"old", "new": commit ids, "changes": […]}.

    `new` None: the working tree of old's branch. `uncommitted`: from the head of that branch to it.
    """
    old = context.open(_required(args, "old"))
    branch = _branch_of(old)
    if args.get("new") is not None:
        new = context.open(args["new"])
        new_id, new_files, new_path = new.commit_id, new.files, new.path
    else:
        new_id, new_path = branch.base, old.path
        new_files = _files(context, old.resolution.repo, new_id)
    old_id, old_files = old.commit_id, old.files
    if args.get("uncommitted"):
        old_id, old_files = branch.head, _files(context, old.resolution.repo, branch.head)
    if old.path != new_path:
        raise UsageError("the two places have different paths", hint="give the revisions, then one PATH")
    path = old.path if args.get("path") is None else os.fsencode(args["path"]).strip(b"/")
    changes = [_change(change) for change in diff(old_files, new_files, path)]
    return {"old": old_id.hex(), "new": new_id.hex(), "changes": changes}


def rev_parse(context: Context, args: Args) -> Json:
    """{place} → {repo, revision, branch, kind: "working tree" or "commit", commit, short, name}."""
    place = context.open(_required(args, "place"))
    resolution = place.resolution
    if place.path:
        place.files.entry(place.path)
    return {
        "repo": resolution.repo.name,
        "revision": str(place.spelling.revision) if place.spelling.revision is not None else None,
        "branch": None if resolution.branch is None else resolution.branch.name,
        "kind": "working tree" if resolution.shows is Shows.WORKING_TREE else "commit",
        "commit": resolution.commit_id.hex(),
        "short": resolution.repo.commits.abbreviate(resolution.commit_id),
        "name": os.fsdecode(resolution.canonical),
    }


def ls(context: Context, args: Args) -> Json:
    """{place} → {"commit", "path", "entries": [entry]}: a directory's, or the one that is there."""
    place = context.open(_required(args, "place"))
    top = place.files.entry(place.path)
    if top.type == FileType.DIRECTORY:
        below = place.path + b"/" if place.path else b""
        found = [(entry, below + entry.name) for entry in place.files.children(top)]
    else:
        found = [(top, place.path)]
    return {
        "commit": place.commit_id.hex(),
        "path": os.fsdecode(place.path),
        "entries": [_entry(place.files, entry, path) for entry, path in found],
    }


def cat(context: Context, args: Args) -> Json:
    """{place, offset, length} → {"size", "data": base64}; `length` None: to the end."""
    place = context.open(_required(args, "place"))
    size = place.files.entry(place.path).size
    offset = args.get("offset") or 0
    length = args.get("length")
    wanted = max(size - offset, 0) if length is None else min(length, max(size - offset, 0))
    if wanted > CAT_BYTES_MAX:
        raise UsageError(f"{wanted} bytes are too many for one answer", hint="leave --json out")
    data = b"".join(place.files.read(place.path, offset, wanted))
    return {"size": size, "data": b64encode(data).decode()}


def fsck_(context: Context, _args: Args) -> Json:
    """{} → {"checked": {what: count}, "findings": [{kind, where, message}], "notes": [harmless ones]}."""
    report = fsck(context.store, context.repositories, context.readers)
    report.problems.extend(context.check_overlay())
    return {
        "checked": dict(report.checked),
        "findings": [problem._asdict() for problem in report.problems],
        "notes": [problem._asdict() for problem in report.notes],
    }


def status(context: Context, _args: Args) -> Json:
    """{} → the status of a store that no daemon holds: mounted nowhere."""
    return {
        "store": str(context.store.path),
        "mount_point": None,
        "state": "not mounted",
        "daemon": None,
        "repos": status_of_repos(context, lambda _repo, branch: True if branch.base != branch.head else None),
        "statistics": statistics(context.store),
    }


def status_of_repos(context: Context, is_dirty: Callable[[Repo, BranchRecord], bool | None]) -> Json:
    """The `repos` of a status. `is_dirty`: whether a branch has uncommitted changes, None: unknown."""
    return [
        {
            "repo": repo.name,
            "default_branch": repo.default_branch.name,
            "branches": [
                {
                    "branch": branch.name,
                    "default": branch.branch_id == repo.default_branch.branch_id,
                    "head": _head(repo, branch.head),
                    "uncommitted": is_dirty(repo, branch),
                }
                for branch in repo.branches()
            ],
        }
        for repo in context.repositories.list()
    ]


OPERATIONS: Final[Mapping[str, Callable[[Context, Args], Json]]] = {
    "repos": repos,
    "branches": branches,
    "tags": tags,
    "log": log_,
    "show": show,
    "diff": diff_,
    "rev-parse": rev_parse,
    "ls": ls,
    "cat": cat,
    "fsck": fsck_,
    "status": status,
    "object": lambda context, args: inspect_object(context.store, _required(args, "id")),
    "statistics": lambda context, _args: statistics(context.store),
}
# Those whose answer depends on what is in working trees, with the arguments that name places.
_LOOK_AT_WORKING_TREES: Final = {"diff": ("old", "new"), "ls": ("place",), "cat": ("place",)}


def working_trees(context: Context, op: str, args: Args) -> list[tuple[Repo, BranchRecord]]:
    """The working trees that an operation looks at: a daemon freezes those that changed, then runs it."""
    found = {}
    for argument in _LOOK_AT_WORKING_TREES.get(op, ()):
        if (text := args.get(argument)) is None:
            continue
        place = context.open(text)
        shows_it = place.resolution.shows is Shows.WORKING_TREE
        if shows_it or (op == "diff" and args.get("new") is None):
            branch = _branch_of(place)
            found[branch.branch_id] = (place.resolution.repo, branch)
    return list(found.values())


@contextmanager
def opened(path: Path, clock: Clock) -> Iterator[Context]:
    """A store that nobody holds, opened for reading. Errors as `Store.open`."""
    with Store.open(path, Disk(), create=False, read_only=True) as store:
        readers = Readers(
            store,
            TreeReader(store, Entry, OFFLINE_CACHE_BYTES),
            TreeReader(store, LinkRow, OFFLINE_CACHE_BYTES),
            FileReader(store, OFFLINE_CACHE_BYTES),
        )
        repositories = Repositories(store, clock)
        branches = Branches(
            readers, store.disk, store.path, repositories, store.disk.boot_id(), clock, read_only=True
        )
        check = partial(_check_working_trees, repositories, branches)
        try:
            yield Context(store, repositories, readers, clock, check)
        finally:
            branches.close()


def _check_working_trees(repositories: Repositories, branches: Branches) -> Iterator[Problem]:
    """Replay what is in each branch's journal, in memory, and look at the outcome."""
    for repo in repositories.list():
        for branch in repo.branches():
            if not branches.has_journal(branch):
                continue
            where = f"{repo.name}@{branch.name}"
            try:
                tree = branches.open(repo, branch)
            except (PfsError, OSError) as error:
                yield Problem("working tree", where, str(error))
            else:
                yield from check_working_tree(tree, where)


def read_offline(path: Path, op: str, args: Args, clock: Clock) -> Json:
    """The answer of one operation on a store that nobody holds."""
    with opened(path, clock) as context:
        return OPERATIONS[op](context, args)


def cat_offline(path: Path, place: str, clock: Clock) -> Iterator[bytes]:
    """The bytes of a file in a store that nobody holds, a chunk at most at a time."""
    with opened(path, clock) as context:
        found = context.open(place)
        yield from found.files.read(found.path)


def _required(args: Args, name: str) -> str:
    """A text that must be there."""
    value = args.get(name)
    if not isinstance(value, str):
        raise UsageError(f"the argument {name} is missing")
    return value


def _branch_of(place: OpenPlace) -> BranchRecord:
    return place.resolution.branch or place.resolution.repo.default_branch


def _files(context: Context, repo: Repo, commit_id: bytes) -> CommitFiles:
    return CommitFiles(context.readers, repo.commits.read(commit_id))


def _changes_of(context: Context, repo: Repo, commit: Commit) -> Iterator[Change]:
    """What a commit changed against its first parent; of a first commit, everything in it."""
    if commit.parents:
        before = _files(context, repo, commit.parents[0])
    else:
        empty = msgspec.structs.replace(commit.root, content=b"", size=0, detail=0)
        before = CommitFiles(context.readers, msgspec.structs.replace(commit, root=empty, links=b""))
    return diff(before, CommitFiles(context.readers, commit))


def _head(repo: Repo, commit_id: bytes) -> Json:
    commit = repo.commits.read(commit_id)
    return {
        "commit": commit_id.hex(),
        "short": repo.commits.abbreviate(commit_id),
        "time_ns": commit.time_ns,
        "message": commit.message,
    }


def _commit(repo: Repo, commit_id: bytes, commit: Commit) -> dict[str, Json]:
    return {
        "commit": commit_id.hex(),
        "short": repo.commits.abbreviate(commit_id),
        "kind": CommitKind(commit.kind).name.lower(),
        "branch": commit.branch,
        "time_ns": commit.time_ns,
        "author": {"uid": commit.author.uid, "name": commit.author.name, "host": commit.author.host},
        "message": commit.message,
        "labels": dict(commit.labels),
        "parents": [parent.hex() for parent in commit.parents],
    }


def _change(change: Change) -> Json:
    old_path = None if change.old_path is None else os.fsdecode(change.old_path)
    return {"status": change.status.value, "path": os.fsdecode(change.path), "old_path": old_path}


_TYPE_WORDS: Final = {FileType.REGULAR: "file"}


def _entry(files: CommitFiles, entry: Entry, path: bytes) -> Json:
    kind = FileType(entry.type)
    return {
        "name": os.fsdecode(entry.name),
        "path": os.fsdecode(path),
        "type": _TYPE_WORDS.get(kind, kind.name.lower()),
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "file_id": entry.file_id,
        "content": entry.content.hex(),
        "target": os.fsdecode(files.target(entry)) if kind is FileType.SYMLINK else None,
    }
