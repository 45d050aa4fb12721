"""A store that is watched, in memory or real, a clock set by hand, and a repo on top of them."""

from __future__ import annotations

from collections.abc import Mapping

from pfs.errors import MissingObject, NoSpace
from pfs.objects.commit import Author, Commit, CommitKind, encode_commit
from pfs.objects.ids import Kind, object_id
from pfs.repo.backing import Backing, Refs
from pfs.repo.repo import Repo
from pfs.repo.repositories import Repositories
from pfs.store import keys

SECOND = 10**9
DAY = 24 * 3600 * SECOND
START_NS = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
ALICE = Author(1000, "alice", "node7")


class FakeRefs:
    """An ordered table in a dictionary."""

    def __init__(self) -> None:
        self.table: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.table.get(key)

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return [(key, value) for key, value in sorted(self.table.items()) if key.startswith(prefix)]

    def first(self, prefix: bytes, bound: bytes) -> tuple[bytes, bytes] | None:
        above = [key for key in self.table if key.startswith(prefix) and key >= bound]
        return (min(above), self.table[min(above)]) if above else None

    def last(self, prefix: bytes, bound: bytes | None = None) -> tuple[bytes, bytes] | None:
        below = [key for key in self.table if key.startswith(prefix) and (bound is None or key <= bound)]
        return (max(below), self.table[max(below)]) if below else None


class FakeStore:
    """Objects and refs in memory: what the real store does, without files."""

    def __init__(self) -> None:
        self.refs = FakeRefs()
        self.objects: dict[bytes, bytes] = {}

    def get(self, kind: Kind, object_id: bytes) -> bytes:
        try:
            return self.objects[object_id]
        except KeyError:
            raise MissingObject(object_id) from None

    def put(self, kind: Kind, payload: bytes) -> bytes:
        new_id = object_id(kind, payload)
        self.objects[new_id] = payload
        return new_id

    def commit_refs(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if value is None:
                self.refs.table.pop(key, None)
            else:
                self.refs.table[key] = value


class WatchedRefs:
    """Counts the keys that are read."""

    def __init__(self, refs: Refs) -> None:
        self._refs = refs
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self._refs.get(key)

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        found = list(self._refs.scan(prefix))
        self.reads += len(found)
        return found

    def first(self, prefix: bytes, bound: bytes) -> tuple[bytes, bytes] | None:
        self.reads += 1
        return self._refs.first(prefix, bound)

    def last(self, prefix: bytes, bound: bytes | None = None) -> tuple[bytes, bytes] | None:
        self.reads += 1
        return self._refs.last(prefix, bound)


class WatchedStore:
    """A store whose transactions are recorded; the next one can be made to fail as on a full disk."""

    def __init__(self, store: Backing) -> None:
        self._store = store
        self.refs = WatchedRefs(store.refs)
        self.transactions: list[dict[bytes, bytes | None]] = []
        self.fail_next_commit = False

    def get(self, kind: Kind, object_id: bytes) -> bytes:
        return self._store.get(kind, object_id)

    def put(self, kind: Kind, payload: bytes) -> bytes:
        return self._store.put(kind, payload)

    def commit_refs(self, changes: Mapping[bytes, bytes | None]) -> None:
        assert changes
        assert all(1 <= len(key) <= keys.MAX_KEY_BYTES for key in changes)
        if self.fail_next_commit:
            self.fail_next_commit = False
            raise NoSpace("full")
        self._store.commit_refs(changes)
        self.transactions.append(dict(changes))

    def table(self) -> dict[bytes, bytes]:
        """All refs that are stored."""
        return dict(self.refs.scan(b""))


class FakeClock:
    """A clock that stands still until it is set."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def tick(self, ns: int = SECOND) -> int:
        self.now_ns += ns
        return self.now_ns


class Workshop:
    """A store with one repo, and the shortest way to make commits in it."""

    def __init__(self, store: Backing | None = None) -> None:
        self.store = WatchedStore(FakeStore() if store is None else store)
        self.clock = FakeClock()
        self.repositories = Repositories(self.store, self.clock)
        self.repo: Repo = self.repositories.create("proj", ALICE, uid=1000, gid=100)

    def put_commit(self, *parents: bytes, branch: str = "main", **fields: object) -> bytes:
        """Store a commit object that no branch shows yet."""
        parent = self.repo.commits.read(parents[0])
        values: dict[str, object] = {
            "kind": CommitKind.COMMIT,
            "root": parent.root,
            "links": b"",
            "parents": parents,
            "branch": branch,
            "time_ns": self.clock(),
            "author": ALICE,
            "message": f"at {self.clock()}",
            "next_file_id": parent.next_file_id,
        }
        return self.store.put(Kind.COMMIT, encode_commit(Commit(**(values | fields))))  # type: ignore[arg-type]

    def commit(self, branch: str = "main", **fields: object) -> bytes:
        """One second later, a commit on a branch."""
        self.clock.tick()
        record = self.repo.branch(branch)
        commit_id = self.put_commit(record.head, branch=branch, **fields)
        self.repo.record_commit(record.branch_id, commit_id)
        return commit_id

    def checkpoint(self, branch: str = "main") -> bytes:
        """One second later, a checkpoint on a branch."""
        return self.commit(branch, kind=CommitKind.CHECKPOINT)

    def reopened(self) -> Repositories:
        """The names as a new daemon would load them."""
        return Repositories(self.store, self.clock)


def check_invariants(made: Workshop) -> None:
    """What pfs.store.keys promises of the records, and that memory shows what is stored."""
    again = {repo.name: repo for repo in made.reopened().list()}
    assert list(again) == [repo.name for repo in made.repositories.list()]
    for repo in made.repositories.list():
        stored = again[repo.name]
        assert stored.record == repo.record
        assert stored.branches() == repo.branches()
        assert stored.tags() == repo.tags()
        assert stored.deleted() == repo.deleted()
        assert repo.default_branch in repo.branches()
        live = [ref.name for ref in (*repo.branches(), *repo.tags())]
        assert len(live) == len(set(live))
        for branch in repo.branches():
            assert branch.head in repo.commits
            assert branch.base in repo.commits
            records = list(repo.reflog(branch.branch_id))
            assert next(record.new for record in records if record.kind.installs_tree) == branch.base
            assert [record.time_ns for record in records] == sorted(
                (record.time_ns for record in records), reverse=True
            )
        for commit_id in repo.commits.all_ids():
            row = repo.commits.row(commit_id)
            assert row.depth == (repo.commits.row(row.parents[0]).depth + 1 if row.parents else 0)
            assert repo.commits.read(commit_id).next_file_id <= made.repositories.file_ids.next
