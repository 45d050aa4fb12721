from __future__ import annotations

import pytest

from pfs.errors import AlreadyExists, Busy, NoSpace, NotFound, UsageError
from pfs.objects.commit import CommitKind
from pfs.repo.records import ReflogKind
from tests.repo.workshop import DAY, Workshop


def test_a_commit_is_one_transaction_that_moves_head_and_base(workshop: Workshop) -> None:
    before = len(workshop.store.transactions)
    commit_id = workshop.commit(message="one\ntwo")
    main = workshop.repo.default_branch
    assert (main.head, main.base) == (commit_id, commit_id)
    assert len(workshop.store.transactions) == before + 1
    newest = next(workshop.repo.reflog(main.branch_id))
    assert (newest.kind, newest.new, newest.who) == (ReflogKind.COMMIT, commit_id, "alice@node7")
    assert newest.message == "one"


def test_a_checkpoint_moves_only_the_base(workshop: Workshop) -> None:
    head = workshop.commit()
    checkpoint = workshop.checkpoint()
    main = workshop.repo.default_branch
    assert (main.head, main.base) == (head, checkpoint)
    after = workshop.commit()
    assert workshop.repo.commits.ancestor(after, 1) == head


def test_extra_changes_and_journal_generation_are_in_the_same_transaction(workshop: Workshop) -> None:
    main = workshop.repo.default_branch
    commit_id = workshop.put_commit(main.head)
    workshop.repo.record_commit(
        main.branch_id, commit_id, journal_generation=7, extra_changes={b"jx": b"42", b"gone": None}
    )
    assert workshop.store.transactions[-1][b"jx"] == b"42"
    assert workshop.repo.default_branch.journal_generation == 7
    workshop.commit()
    assert workshop.repo.default_branch.journal_generation == 7


def test_a_head_that_has_moved_is_busy(workshop: Workshop) -> None:
    main = workshop.repo.default_branch
    workshop.commit()
    late = workshop.put_commit(main.head, message="late")
    with pytest.raises(Busy):
        workshop.repo.record_commit(main.branch_id, late, expected_head=main.head)
    assert late not in workshop.repo.commits


def test_a_failed_commit_changes_nothing(workshop: Workshop) -> None:
    main = workshop.repo.default_branch
    workshop.store.fail_next_commit = True
    with pytest.raises(NoSpace):
        workshop.commit()
    assert workshop.repo.default_branch == main


def test_a_branch_can_be_moved_to_a_commit_made_elsewhere(workshop: Workshop) -> None:
    head = workshop.commit()
    exp = workshop.repo.create_branch("exp", head, who="bob")
    ahead = workshop.commit()
    moved = workshop.repo.record_commit(
        exp.branch_id, ahead, kind=ReflogKind.MOVE, time_ns=workshop.clock.tick()
    )
    assert (moved.head, moved.base) == (ahead, ahead)
    assert workshop.repo.commits.row(ahead).branch_id == workshop.repo.default_branch.branch_id


def test_branches_and_tags_share_one_namespace(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()
    repo.create_branch("exp", head, who="alice")
    repo.create_tag("v1.0", head, author="alice", message="first")
    for name in ("exp", "v1.0", "main"):
        with pytest.raises(AlreadyExists):
            repo.create_branch(name, head, who="alice")
        with pytest.raises(AlreadyExists):
            repo.create_tag(name, head, author="alice")
    with pytest.raises(AlreadyExists):
        repo.rename_branch("exp", "v1.0", who="alice")
    assert [branch.name for branch in repo.branches()] == ["exp", "main"]
    assert [tag.name for tag in repo.tags()] == ["v1.0"]
    assert sorted(repo.names()) == ["exp", "main", "v1.0"]
    for lookup, name in ((repo.branch, "v1.0"), (repo.tag, "exp")):
        with pytest.raises(NotFound):
            lookup(name)


def test_names_and_commits_are_checked(workshop: Workshop) -> None:
    head = workshop.commit()
    with pytest.raises(UsageError):
        workshop.repo.create_branch("deadbeef", head, who="alice")
    with pytest.raises(UsageError):
        workshop.repo.create_tag("a b", head, author="alice")
    with pytest.raises(UsageError):
        workshop.repo.rename_branch("main", "x.lock", who="alice")
    with pytest.raises(NotFound):
        workshop.repo.create_branch("exp", bytes(32), who="alice")
    with pytest.raises(NotFound) as caught:
        workshop.repo.branch("mian")
    assert caught.value.hint == "did you mean main?"


def test_a_renamed_branch_keeps_its_number_and_history(workshop: Workshop) -> None:
    head = workshop.commit()
    born = workshop.repo.create_branch("a", head, who="alice")
    renamed = workshop.repo.rename_branch("a", "b", who="alice")
    assert (renamed.branch_id, renamed.view, renamed.head) == (born.branch_id, born.view, head)
    assert workshop.repo.find("a") is None
    assert [record.kind for record in workshop.repo.reflog(born.branch_id)] == [
        ReflogKind.RENAME,
        ReflogKind.CREATE,
    ]
    assert workshop.repo.at(renamed, workshop.clock()) == head


def test_a_deleted_branch_frees_its_name_and_comes_back(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()
    old = repo.create_branch("exp", head, who="alice")
    repo.delete_branch("exp", who="alice")
    assert repo.find("exp") is None
    with pytest.raises(NotFound):
        repo.record_commit(old.branch_id, head)
    new = repo.create_branch("exp", head, who="alice")
    assert new.branch_id != old.branch_id
    with pytest.raises(AlreadyExists):
        repo.undelete_branch("exp", who="alice")
    repo.rename_branch("exp", "other", who="alice")
    assert repo.undelete_branch("exp", who="alice").branch_id == old.branch_id
    assert repo.branch("other").branch_id == new.branch_id


def test_the_default_branch_stays(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()
    with pytest.raises(UsageError, match="default"):
        repo.delete_branch("main", who="alice")
    repo.create_branch("next", head, who="alice")
    repo.set_default_branch("next")
    assert repo.default_branch.name == "next"
    assert repo.default_branch.view != 0
    repo.delete_branch("main", who="alice")
    with pytest.raises(NotFound):
        repo.set_default_branch("main")


def test_tags_are_deleted_and_given_back(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()
    tag = repo.create_tag("v1", head, author="alice", message="one")
    repo.delete_tag("v1", who="bob")
    assert repo.tags() == []
    assert repo.undelete_tag("v1", who="bob") == tag
    kinds = [record.kind for record in repo.reflog(tag.tag_id)]
    assert kinds == [ReflogKind.UNDELETE, ReflogKind.DELETE, ReflogKind.CREATE]


def test_what_was_deleted_long_ago_is_forgotten(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()
    branch = repo.create_branch("a", head, who="alice")
    repo.create_tag("t", head, author="alice")
    repo.delete_branch("a", who="alice")
    repo.delete_tag("t", who="alice")
    workshop.clock.now_ns += 31 * DAY
    with pytest.raises(NotFound):
        repo.undelete_branch("a", who="alice")
    assert len(repo.deleted()) == 2
    repo.forget_deleted(workshop.clock() - 30 * DAY)
    assert repo.deleted() == []
    assert list(repo.reflog(branch.branch_id)) == []


def test_protection_is_a_mark(workshop: Workshop) -> None:
    assert workshop.repo.protect_branch("main", True).protected
    assert not workshop.repo.protect_branch("main", False).protected


def test_thinned_checkpoints_leave_the_timeline_but_pinned_ones_stay(workshop: Workshop) -> None:
    repo = workshop.repo
    first, tagged, last = workshop.checkpoint(), workshop.checkpoint(), workshop.checkpoint()
    repo.create_tag("keep", tagged, author="alice")
    main = repo.default_branch
    repo.forget_checkpoints(repo.reflog(main.branch_id))
    assert [record.new for record in repo.reflog(main.branch_id)] == [last, tagged, main.head]
    assert first not in repo.commits
    assert repo.commits.row(last).kind == CommitKind.CHECKPOINT
