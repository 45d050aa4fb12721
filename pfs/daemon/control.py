"""The operations of the control socket: who may ask, then one call.

Reading operations are versioning's, run in threads on what is frozen: branches
that they look at get a checkpoint first.  Those that change something run here.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from functools import partial
from typing import Any

import trio

from pfs.control.server import Handler, Peer
from pfs.daemon.build import Daemon, author_of
from pfs.daemon.loop_watch import LoopWatch
from pfs.daemon.permissions import Permissions
from pfs.errors import Busy, Denied, NotClean, UsageError
from pfs.namespace.grammar import parse_revision
from pfs.objects.commit import CommitKind
from pfs.repo.records import BranchRecord
from pfs.repo.repo import Repo
from pfs.versioning import operations
from pfs.versioning.committer import Message
from pfs.versioning.operations import Context
from pfs.vfs.caller import Caller

Json = Any
Args = dict[str, Any]

READ_THREADS = 8
_PLACES = ("place", "old", "new", "repo")
_QUESTIONS = (
    "lineage",
    "who",
    "blame",
    "ps",
    "process",
    "why",
    "content",
    "kept",
)  # those of versioning.questions
_OF_PROCESSES = ("ps", "process", "kept")
_OWNER_ONLY = frozenset({"content", "kept", "fsck", "object", "statistics", "umount", "debug"})


def handlers(daemon: Daemon, watch: LoopWatch) -> dict[str, Handler]:
    """All operations by name."""
    control = Control(daemon, watch)
    found: dict[str, Handler] = {
        op: partial(control.read, op) for op in operations.OPERATIONS if op != "status"
    }
    found |= {op: partial(control.ask, op) for op in _QUESTIONS}
    for op in ("status", "init", "commit", "branch", "tag", "umount", "debug"):
        found[op] = getattr(control, op)
    return found


class Control:
    """Answers requests.  Called on the event loop."""

    def __init__(self, daemon: Daemon, watch: LoopWatch) -> None:
        self._daemon = daemon
        self._watch = watch
        self._permissions = Permissions(daemon.readers)
        self._limiter = trio.CapacityLimiter(READ_THREADS)
        daemon.explain = self.explain
        self._context = Context(
            daemon.store, daemon.repositories, daemon.readers, daemon.now_ns, daemon.check_overlay
        )

    def admit(self, peer: Peer, op: str) -> None:
        """Some operations are for the daemon's own user alone; of the others it depends on what they name."""
        if op in _OWNER_ONLY and not self._permissions.is_owner(peer):
            raise Denied(f"{op}: only the daemon's own user may ask for this")

    def _check_places(self, peer: Peer, args: Args) -> None:
        """Denied unless the peer may read every place that is named."""
        for name in _PLACES:
            if isinstance(args.get(name), str):
                self._permissions.check_read(peer, self._context.open(args[name]))

    async def read(self, op: str, peer: Peer, args: Args) -> Json:
        """One of versioning's reading operations."""
        self.admit(peer, op)
        for repo, branch in operations.working_trees(self._context, op, args):
            await self._daemon.commit(repo, branch.name, _nobody(), CommitKind.CHECKPOINT)
        self._check_places(peer, args)  # what is new is there by now
        run = partial(operations.OPERATIONS[op], self._context, args)
        return await trio.to_thread.run_sync(run, limiter=self._limiter)

    async def ask(self, op: str, peer: Peer, args: Args) -> Json:
        """A question about lineage; what it looks at is frozen and indexed first."""
        self.admit(peer, op)
        lineage = self._daemon.lineage
        if lineage is None:
            raise UsageError(f"{op}: this daemon records no lineage", hint="mount without --no-capture")
        from pfs.versioning.lineage_names import StoredNames  # as with Daemon._build_lineage
        from pfs.versioning.questions import QUESTIONS, Asked

        await self._daemon.checkpoint_all()
        self._check_places(peer, args)  # what is new is there by now
        names = StoredNames(
            self._daemon.store,
            self._daemon.repositories,
            self._daemon.readers,
            peer.uid,
            self._permissions.is_owner(peer),
        )
        # processes that have made nothing are live only
        source = lineage.source if op in _OF_PROCESSES else lineage.index
        asked = Asked(self._context, source, names)

        def run() -> Json:
            lineage.sealer.wait_indexed()
            return QUESTIONS[op](asked, args)

        return await trio.to_thread.run_sync(run, limiter=self._limiter)

    async def explain(self, place: bytes, caller: Caller) -> bytes:
        """What `pfs lineage` says of `REPO[@REV]:PATH`, for a program that opens `.pfs/lineage/NAME`."""
        from pfs.lineage.answers.answer import from_json  # as with Daemon._build_lineage
        from pfs.lineage.render.text import render_text

        groups = await trio.to_thread.run_sync(_groups, caller.uid, caller.gid, limiter=self._limiter)
        peer = Peer(caller.pid, caller.uid, caller.gid, groups)
        document = await self.ask("lineage", peer, {"place": os.fsdecode(place)})
        text = await trio.to_thread.run_sync(lambda: render_text(from_json(document)), limiter=self._limiter)
        return text.encode("utf-8", "surrogateescape")

    async def status(self, _peer: Peer, _args: Args) -> Json:
        """{} → store, mount_point, state, daemon, repos, statistics."""
        daemon = self._daemon
        return {
            "store": str(daemon.store.path),
            "mount_point": str(daemon.mount_point),
            "state": daemon.state,
            "daemon": {"pid": os.getpid(), "uid": os.geteuid(), "read_only": daemon.read_only},
            "repos": operations.status_of_repos(self._context, self._is_dirty),
            "statistics": operations.OPERATIONS["statistics"](self._context, {}),
        }

    async def init(self, peer: Peer, args: Args) -> Json:
        """{repo} → {"repo"}: make a repo."""
        if not self._permissions.is_owner(peer):
            raise Denied("init: only the daemon's own user makes repos")
        name = _text(args, "repo")
        make = partial(
            self._daemon.repositories.create,
            name,
            author_of(peer.uid),
            uid=peer.uid,
            gid=peer.gid,
        )
        repo = await trio.to_thread.run_sync(make)
        self._daemon.root.working_tree(repo, repo.default_branch)
        return {"repo": repo.name}

    async def commit(self, peer: Peer, args: Args) -> Json:
        """{place, message, labels} → {repo, branch, changed, commit, short}."""
        place = self._context.open(_text(args, "place"))
        repo, branch = place.resolution.repo, place.resolution.branch
        if branch is None or (place.spelling.revision is not None and place.spelling.revision.mods):
            raise UsageError(f"{args['place']}: only a branch can be committed")
        self._check_change(peer, repo, branch)
        labels = tuple(sorted(dict(args.get("labels") or {}).items()))
        message = Message(author_of(peer.uid), str(args.get("message") or ""), labels)
        made = await self._daemon.commit(repo, branch.name, message)
        commit_id = repo.branch(branch.name).head if made is None else made
        return {
            "repo": repo.name,
            "branch": branch.name,
            "changed": made is not None,
            "commit": commit_id.hex(),
            "short": repo.commits.abbreviate(commit_id),
        }

    async def branch(self, peer: Peer, args: Args) -> Json:
        """{action: create|delete|rename, repo, branch, start, new_name} → {repo, branch}."""
        repo = self._daemon.repositories.get(_text(args, "repo"))
        self._check_change(peer, repo, repo.default_branch)
        name, who = _text(args, "branch"), _who(peer)
        match args.get("action"):
            case "create":
                start = args.get("start")
                commit_id = repo.default_branch.head if start is None else self._commit_id(repo, start)
                await trio.to_thread.run_sync(partial(repo.create_branch, name, commit_id, who=who))
            case "delete":
                await self._delete_branch(repo, repo.branch(name), who)
            case "rename":
                new_name = _text(args, "new_name")
                branch = repo.branch(name)
                await trio.to_thread.run_sync(partial(repo.rename_branch, name, new_name, who=who))
                self._daemon.root.rename_branch(repo, branch.branch_id)
                name = new_name
            case action:
                raise UsageError(f"branch: no action {action}")
        return {"repo": repo.name, "branch": name}

    async def _delete_branch(self, repo: Repo, branch: BranchRecord, who: str) -> None:
        try:
            await self._daemon.root.delete_branch(repo, branch, who)
        except OSError:
            raise NotClean(
                f"{repo.name}@{branch.name} has uncommitted changes", hint="commit them, or remove the files"
            ) from None

    async def tag(self, peer: Peer, args: Args) -> Json:
        """{action: create|delete, repo, tag, revision, message} → {repo, tag}."""
        repo = self._daemon.repositories.get(_text(args, "repo"))
        self._check_change(peer, repo, repo.default_branch)
        name = _text(args, "tag")
        if args.get("action") == "delete":
            await trio.to_thread.run_sync(partial(repo.delete_tag, name, who=_who(peer)))
        else:
            revision = args.get("revision")
            target = repo.default_branch.head if revision is None else self._commit_id(repo, revision)
            message = str(args.get("message") or "")
            make = partial(repo.create_tag, name, target, message=message, author=_who(peer))
            await trio.to_thread.run_sync(make)
        return {"repo": repo.name, "tag": name}

    async def umount(self, peer: Peer, args: Args) -> Json:
        """{lazy} → {mount_point}: the mount goes now, the process when all is durable."""
        self.admit(peer, "umount")
        command = ["fusermount3", "-u", *(["-z"] if args.get("lazy") else []), str(self._daemon.mount_point)]
        done = await trio.to_thread.run_sync(
            partial(subprocess.run, command, capture_output=True, text=True, check=False)
        )
        if done.returncode:
            raise Busy(
                f"{self._daemon.mount_point} is in use",
                hint="leave it and close its files, or 'pfs umount --lazy'",
            )
        self._daemon.state = "stopping"
        return {"mount_point": str(self._daemon.mount_point)}

    async def debug(self, peer: Peer, args: Args) -> Json:
        """{what: counters|handles, reset} → numbers of the running daemon."""
        self.admit(peer, "debug")
        match args.get("what"):
            case "counters":
                pause_ns = self._watch.reset() if args.get("reset") else self._watch.pause_ns_max
                longest = {"loop_pause_ns_max": pause_ns, "loop_pause_task": self._watch.longest}
                return {**longest, **self._daemon.counters()}
            case "handles":
                return self._daemon.filesystem.handles()
            case what:
                raise UsageError(f"debug: nothing is known of {what}")

    def _check_change(self, peer: Peer, repo: Repo, branch: BranchRecord) -> None:
        self._permissions.check_change(peer, repo, self._daemon.root.working_tree(repo, branch))

    def _commit_id(self, repo: Repo, revision: object) -> bytes:
        found = self._daemon.resolver.resolve(repo.name, parse_revision(str(revision)))
        return found.commit_id

    def _is_dirty(self, _repo: Repo, branch: BranchRecord) -> bool | None:
        tree = self._daemon.branches.find(branch.branch_id)
        return branch.base != branch.head or (tree is not None and tree.is_dirty())


def _nobody() -> Message:
    return Message(author_of(os.geteuid()))


def _who(peer: Peer) -> str:
    author = author_of(peer.uid)
    return f"{author.name}@{author.host}"


def _text(args: Args, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"the argument {name} is missing")
    return value


def _groups(uid: int, gid: int) -> frozenset[int]:
    """The groups that a user is in by the machine's lists; those of a process need a look at /proc."""
    try:
        return frozenset(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return frozenset((gid,))
