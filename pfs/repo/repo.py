"""One repo: its branches, tags, reflogs and commits, and every change of them.

Names are in memory; records change only under the ledger's lock and reach memory after the transaction that
made them durable.  A commit, its reflog record, its row and the counters are one transaction
(`record_commit`). What a working tree holds, and whether it is clean, is for the caller to know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from pfs.errors import AlreadyExists, Busy, NotFound, UsageError
from pfs.objects.commit import CommitKind
from pfs.repo import reflog
from pfs.repo.commits import CommitIndex
from pfs.repo.ledger import Change, Ledger
from pfs.repo.names import UnknownName, check_ref_name
from pfs.repo.records import (
    RETENTION_NS,
    BranchRecord,
    MadeBy,
    ReflogKind,
    ReflogRecord,
    RepoRecord,
    TagRecord,
    decode,
)
from pfs.repo.views import take_view
from pfs.store import keys

Ref = BranchRecord | TagRecord
AnyRef = TypeVar("AnyRef", BranchRecord, TagRecord)

_REFLOG_KIND: Final = {kind: ReflogKind(kind.name.lower()) for kind in CommitKind}


class Repo:
    """A named history inside a store.  Any thread may read; changes block and take their turn."""

    def __init__(self, ledger: Ledger, record: RepoRecord, refs: Iterable[Ref] | None = None) -> None:
        self._ledger = ledger
        self._record = record
        self.commits = CommitIndex(ledger.store, record.repo_id)
        self._refs: dict[int, Ref] = {}  # by ref id, deleted ones too
        self._by_name: dict[str, int] = {}  # the live ones
        for ref in self._stored_refs() if refs is None else refs:
            self._install(ref)

    # -- reading -----------------------------------------------------------------------------------------

    @property
    def record(self) -> RepoRecord:
        """The repo's own record as it is now."""
        return self._record

    @property
    def repo_id(self) -> int:
        """The number of the repo."""
        return self._record.repo_id

    @property
    def name(self) -> str:
        """The name of the repo."""
        return self._record.name

    @property
    def default_branch(self) -> BranchRecord:
        """The branch that `REPO` alone means."""
        return self.branch_by_id(self._record.default_branch)

    def names(self) -> Collection[str]:
        """The names of all live branches and tags, in no order; a live view."""
        return self._by_name.keys()

    def find(self, name: str) -> Ref | None:
        """The live branch or tag of this name, or None."""
        ref = self._refs.get(self._by_name.get(name, 0))
        return ref if ref is not None and ref.name == name and ref.deleted_ns is None else None

    def branches(self) -> list[BranchRecord]:
        """The live branches, by name."""
        return [ref for ref in self._live() if isinstance(ref, BranchRecord)]

    def branch(self, name: str) -> BranchRecord:
        """A live branch.  NotFound, with the likeliest other name as a hint."""
        ref = self.find(name)
        if not isinstance(ref, BranchRecord):
            raise self._unknown("branch", name)
        return ref

    def branch_by_id(self, branch_id: int) -> BranchRecord:
        """A branch by its number, deleted or not.  NotFound."""
        ref = self._refs.get(branch_id)
        if not isinstance(ref, BranchRecord):
            raise NotFound(f"{self.name}: no branch has number {branch_id}")
        return ref

    def tags(self) -> list[TagRecord]:
        """The live tags, by name."""
        return [ref for ref in self._live() if isinstance(ref, TagRecord)]

    def tag(self, name: str) -> TagRecord:
        """A live tag.  NotFound, with the likeliest other name as a hint."""
        ref = self.find(name)
        if not isinstance(ref, TagRecord):
            raise self._unknown("tag", name)
        return ref

    def deleted(self) -> list[Ref]:
        """The deleted branches and tags whose records are still there, by number."""
        return [ref for _, ref in sorted(self._refs.items()) if ref.deleted_ns is not None]

    def reflog(self, ref_id: int, until_ns: int | None = None) -> Iterator[ReflogRecord]:
        """What happened to a branch or tag, newest first, from `until_ns` back."""
        return reflog.newest_first(self._ledger.store.refs, ref_id, until_ns)

    def at(self, branch: BranchRecord, time_ns: int) -> bytes:
        """The newest commit or surviving checkpoint of a branch at or before a time.

        NotFound before the branch was born and in the future.
        """
        if time_ns > self._ledger.clock():
            raise NotFound(f"{self.name}@{branch.name}: that date is in the future")
        shown = reflog.shown_at(self._ledger.store.refs, branch.branch_id, time_ns)
        if shown is None:
            raise NotFound(f"{self.name}@{branch.name}: the branch did not exist yet at that date")
        return shown

    def first_after(self, branch: BranchRecord, time_ns: int) -> bytes | None:
        """The first commit or surviving checkpoint of a branch at or after a time, None if there is none."""
        return reflog.installed_after(self._ledger.store.refs, branch.branch_id, time_ns)

    # -- changing ----------------------------------------------------------------------------------------

    def create_branch(self, name: str, at: bytes, *, who: str, made_by: MadeBy = "person") -> BranchRecord:
        """Make a branch whose head is the commit `at`.  UsageError, AlreadyExists, NotFound."""
        check_ref_name("branch", name)
        with self._ledger.lock:
            self._check_free(name)
            self.commits.row(at)
            change = Change(self._ledger)
            ref_id = change.take("ref")
            view = take_view(change, self.repo_id, branch_id=ref_id)
            born_ns = change.log(
                ref_id, ReflogKind.CREATE, old=b"", new=at, time_ns=self._ledger.clock(), who=who
            )
            branch = BranchRecord(ref_id, self.repo_id, name, at, at, born_ns, made_by=made_by, view=view)
            return self._commit_ref(change, branch)

    def rename_branch(self, name: str, new_name: str, *, who: str) -> BranchRecord:
        """Give a branch a name that is free.  NotFound, UsageError, AlreadyExists."""
        check_ref_name("branch", new_name)
        with self._ledger.lock:
            branch = self.branch(name)
            self._check_free(new_name)
            renamed = msgspec.structs.replace(branch, name=new_name)
            message = f"{name} to {new_name}"
            return self._log_and_commit(renamed, ReflogKind.RENAME, branch.base, who, message)

    def delete_branch(self, name: str, *, who: str) -> BranchRecord:
        """Free a branch's name; its record and reflog stay for 30 days.  The default branch: UsageError."""
        with self._ledger.lock:
            branch = self.branch(name)
            if branch.branch_id == self._record.default_branch:
                raise UsageError(
                    f"{self.name}@{name}: the default branch can't be deleted",
                    hint="make another branch the default first",
                )
            deleted = msgspec.structs.replace(branch, deleted_ns=self._ledger.clock())
            return self._log_and_commit(deleted, ReflogKind.DELETE, branch.base, who)

    def undelete_branch(self, name: str, *, who: str) -> BranchRecord:
        """Give the newest deleted branch of this name back.  NotFound, AlreadyExists."""
        with self._ledger.lock:
            branch = self._newest_deleted(BranchRecord, name)
            restored = msgspec.structs.replace(branch, deleted_ns=None)
            return self._log_and_commit(restored, ReflogKind.UNDELETE, branch.base, who)

    def protect_branch(self, name: str, protected: bool) -> BranchRecord:
        """Set or clear the mark that makes changes of a branch fail with EROFS."""
        with self._ledger.lock:
            branch = msgspec.structs.replace(self.branch(name), protected=protected)
            return self._commit_ref(Change(self._ledger), branch)

    def set_default_branch(self, name: str) -> None:
        """Make a branch the one that `REPO` alone means.  NotFound."""
        with self._ledger.lock:
            record = msgspec.structs.replace(self._record, default_branch=self.branch(name).branch_id)
            self.store_record(record)

    def create_tag(self, name: str, target: bytes, *, message: str = "", author: str) -> TagRecord:
        """Name a commit for good.  UsageError, AlreadyExists, NotFound."""
        check_ref_name("tag", name)
        with self._ledger.lock:
            self._check_free(name)
            self.commits.row(target)
            change = Change(self._ledger)
            ref_id = change.take("ref")
            now_ns = self._ledger.clock()
            change.log(
                ref_id, ReflogKind.CREATE, old=b"", new=target, time_ns=now_ns, who=author, message=message
            )
            return self._commit_ref(
                change, TagRecord(ref_id, self.repo_id, name, target, now_ns, message, author)
            )

    def delete_tag(self, name: str, *, who: str) -> TagRecord:
        """Free a tag's name; its record stays for 30 days.  NotFound."""
        with self._ledger.lock:
            tag = msgspec.structs.replace(self.tag(name), deleted_ns=self._ledger.clock())
            return self._log_and_commit(tag, ReflogKind.DELETE, tag.target, who)

    def undelete_tag(self, name: str, *, who: str) -> TagRecord:
        """Give the newest deleted tag of this name back.  NotFound, AlreadyExists."""
        with self._ledger.lock:
            tag = msgspec.structs.replace(self._newest_deleted(TagRecord, name), deleted_ns=None)
            return self._log_and_commit(tag, ReflogKind.UNDELETE, tag.target, who)

    def record_commit(
        self,
        branch_id: int,
        commit_id: bytes,
        *,
        kind: ReflogKind | None = None,
        time_ns: int | None = None,
        journal_generation: int | None = None,
        expected_head: bytes | None = None,
        extra_changes: Mapping[bytes, bytes | None] | None = None,
    ) -> BranchRecord:
        """Let a branch show a commit that has been put: THE commit point of a commit or checkpoint.  Blocks.

        One transaction moves `base` (and `head`, unless the commit is a checkpoint), appends to the reflog,
        makes the commit known, keeps the file ids and writes `extra_changes`, such as the journal position.
        `kind` and `time_ns` are the commit's own where they are not given (ReflogKind.MOVE for a commit
        that was made elsewhere).  Busy if the head is no longer `expected_head`; NotFound for a deleted
        branch.
        """
        commit = self.commits.read(commit_id)
        with self._ledger.lock:
            branch = self.branch_by_id(branch_id)
            if branch.deleted_ns is not None:
                raise NotFound(f"{self.name}@{branch.name}: the branch has been deleted")
            if expected_head is not None and branch.head != expected_head:
                raise Busy(
                    f"{self.name}@{branch.name}: somebody else has committed meanwhile", hint="try again"
                )
            kind = _REFLOG_KIND[CommitKind(commit.kind)] if kind is None else kind
            change = Change(self._ledger, extra_changes)
            change.log(
                branch_id,
                kind,
                old=branch.base,
                new=commit_id,
                time_ns=commit.time_ns if time_ns is None else time_ns,
                who=f"{commit.author.name}@{commit.author.host}",
                message=commit.message.partition("\n")[0],
            )
            if commit_id not in self.commits:
                self.commits.add(change, commit_id, commit, branch_id)
            self._ledger.file_ids.raise_to(commit.next_file_id)
            change.keep_file_ids()
            moved = msgspec.structs.replace(
                branch, base=commit_id, head=branch.head if kind is ReflogKind.CHECKPOINT else commit_id
            )
            if journal_generation is not None:
                moved = msgspec.structs.replace(moved, journal_generation=journal_generation)
            return self._commit_ref(change, moved)

    def record_generation(self, branch_id: int, journal_generation: int) -> None:
        """Note that the base holds all of the journal up to this generation: it changed nothing.  Blocks."""
        with self._ledger.lock:
            branch = self.branch_by_id(branch_id)
            moved = msgspec.structs.replace(branch, journal_generation=journal_generation)
            self._commit_ref(Change(self._ledger), moved)

    def forget_checkpoints(self, thinned: Iterable[ReflogRecord]) -> None:
        """Drop checkpoints from their branch's timeline, in one transaction.

        A checkpoint that is still a base, a head or a tag's target stays; what else needs one is for the
        caller to know.
        """
        with self._ledger.lock:
            pinned = self._pinned()
            change = Change(self._ledger)
            for record in thinned:
                if record.kind is ReflogKind.CHECKPOINT and record.new not in pinned:
                    change.remove(keys.reflog(record.ref_id, record.time_ns, record.seq))
                    self.commits.remove(change, record.new)
            change.commit()

    def forget_deleted(self, before_ns: int) -> None:
        """Drop the records and reflogs of branches and tags that were deleted before a time."""
        with self._ledger.lock:
            change = Change(self._ledger)
            gone = [
                ref for ref in self.deleted() if ref.deleted_ns is not None and ref.deleted_ns < before_ns
            ]
            for ref in gone:
                change.remove(_key_of(ref))
                for record in self.reflog(ref.ref_id):
                    change.remove(keys.reflog(record.ref_id, record.time_ns, record.seq))
            change.commit()
            for ref in gone:
                del self._refs[ref.ref_id]

    def store_record(self, record: RepoRecord) -> None:
        """Replace the repo's own record.  For Repositories; the caller holds the lock."""
        change = Change(self._ledger)
        change.put(keys.repo(self.repo_id), record)
        change.commit()
        self._record = record

    # -- helpers -----------------------------------------------------------------------------------------

    def _stored_refs(self) -> Iterator[Ref]:
        refs = self._ledger.store.refs
        for _, value in refs.scan(keys.branches(self.repo_id)):
            yield decode(BranchRecord, value)
        for _, value in refs.scan(keys.tags(self.repo_id)):
            yield decode(TagRecord, value)

    def _install(self, ref: Ref) -> None:
        """Show a record in memory.

        Readers on other threads take no lock: they see the change at the one step that replaces the record,
        and believe a name only if the record agrees.
        """
        before = self._refs.get(ref.ref_id)
        if ref.deleted_ns is None:
            self._by_name[ref.name] = ref.ref_id
        self._refs[ref.ref_id] = ref
        if before is None or before.deleted_ns is not None:
            return
        if ref.deleted_ns is not None or ref.name != before.name:
            del self._by_name[before.name]

    def _commit_ref(self, change: Change, ref: AnyRef) -> AnyRef:
        change.put(_key_of(ref), ref)
        change.commit()
        self._install(ref)
        return ref

    def _log_and_commit(
        self, ref: AnyRef, kind: ReflogKind, shown: bytes, who: str, message: str = ""
    ) -> AnyRef:
        change = Change(self._ledger)
        old = b"" if kind is ReflogKind.UNDELETE else shown
        new = b"" if kind is ReflogKind.DELETE else shown
        now_ns = self._ledger.clock()
        change.log(ref.ref_id, kind, old=old, new=new, time_ns=now_ns, who=who, message=message)
        return self._commit_ref(change, ref)

    def _live(self) -> list[Ref]:
        live = [ref for ref in list(self._refs.values()) if ref.deleted_ns is None]  # of one instant
        return sorted(live, key=lambda ref: ref.name)

    def _check_free(self, name: str) -> None:
        taken = self.find(name)
        if taken is not None:
            word = "branch" if isinstance(taken, BranchRecord) else "tag"
            raise AlreadyExists(f"{self.name}@{name}: there is a {word} of this name already")

    def _newest_deleted(self, kind: type[AnyRef], name: str) -> AnyRef:
        self._check_free(name)
        since_ns = self._ledger.clock() - RETENTION_NS
        found = {
            (ref.deleted_ns, ref.ref_id): ref
            for ref in self._refs.values()
            if isinstance(ref, kind) and ref.name == name and (ref.deleted_ns or 0) >= since_ns
        }
        if not found:
            raise NotFound(f"{self.name}@{name}: nothing of this name was deleted in the last 30 days")
        return found[max(found)]

    def _unknown(self, word: str, name: str) -> UnknownName:
        return UnknownName(f"{self.name}@{name}: no such {word}", name, self._by_name)

    def _pinned(self) -> set[bytes]:
        pinned: set[bytes] = set()
        for ref in self._refs.values():
            pinned.update((ref.head, ref.base) if isinstance(ref, BranchRecord) else (ref.target,))
        return pinned


def _key_of(ref: Ref) -> bytes:
    key = keys.branch if isinstance(ref, BranchRecord) else keys.tag
    return key(ref.repo_id, ref.ref_id)
