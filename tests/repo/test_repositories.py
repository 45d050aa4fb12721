from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pfs.disk import Disk
from pfs.errors import AlreadyExists, NoSpace, NotFound, UsageError
from pfs.objects.commit import CommitKind
from pfs.repo.records import ReflogKind
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from tests.repo.workshop import ALICE, DAY, Workshop


def test_a_new_repo_starts_with_an_empty_commit(workshop: Workshop) -> None:
    repo = workshop.repo
    main = repo.default_branch
    first = repo.commits.read(main.head)
    assert (main.name, main.view, main.base, main.born_ns) == ("main", 0, main.head, workshop.clock())
    assert (first.kind, first.parents, first.branch, first.author) == (CommitKind.INITIAL, (), "main", ALICE)
    assert (first.root.mode, first.root.uid, first.root.gid) == (0o755, 1000, 100)
    assert first.root.content == b""
    assert [record.kind for record in repo.reflog(main.branch_id)] == [ReflogKind.INITIAL]
    assert len(workshop.store.transactions) == 1


def test_repos_are_listed_by_name_and_found_again(workshop: Workshop) -> None:
    workshop.repositories.create("abc", ALICE, uid=0, gid=0, mode=0o700, default_branch="trunk")
    for repositories in (workshop.repositories, workshop.reopened()):
        assert [repo.name for repo in repositories.list()] == ["abc", "proj"]
        assert repositories.get("abc").default_branch.name == "trunk"
        assert repositories.find("xyz") is None
    assert workshop.repositories.get("abc").repo_id != workshop.repo.repo_id


def test_a_name_is_given_once(workshop: Workshop) -> None:
    with pytest.raises(AlreadyExists):
        workshop.repositories.create("proj", ALICE, uid=0, gid=0)
    with pytest.raises(UsageError):
        workshop.repositories.create("a@b", ALICE, uid=0, gid=0)
    with pytest.raises(UsageError):
        workshop.repositories.create("ok", ALICE, uid=0, gid=0, default_branch="deadbeef")
    assert len(workshop.store.transactions) == 1


def test_unknown_repo_names_the_likeliest(workshop: Workshop) -> None:
    with pytest.raises(NotFound, match="prj: no such repo") as caught:
        workshop.repositories.get("prj")
    assert caught.value.hint == "did you mean proj?"


def test_a_deleted_repo_comes_back_with_everything_within_30_days(workshop: Workshop) -> None:
    head = workshop.commit()
    workshop.repositories.delete("proj")
    assert workshop.repositories.find("proj") is None
    other = workshop.repositories.create("proj", ALICE, uid=0, gid=0)
    with pytest.raises(AlreadyExists):
        workshop.repositories.undelete("proj")
    workshop.repositories.delete("proj")
    workshop.clock.tick()
    assert workshop.repositories.undelete("proj").repo_id == other.repo_id  # the newest
    workshop.repositories.delete("proj")

    workshop.clock.now_ns += 10 * DAY
    repositories = workshop.reopened()
    assert len(repositories.deleted()) == 2
    again = {repositories.undelete("proj").repo_id}
    repositories.delete("proj")
    assert again == {other.repo_id}

    workshop.clock.now_ns += 31 * DAY
    with pytest.raises(NotFound, match="30 days"):
        repositories.undelete("proj")
    assert head in workshop.repo.commits
    workshop.repositories = workshop.reopened()


def test_a_failed_transaction_changes_nothing(workshop: Workshop) -> None:
    table = workshop.store.table()
    workshop.store.fail_next_commit = True
    with pytest.raises(NoSpace):
        workshop.repositories.create("abc", ALICE, uid=0, gid=0)
    workshop.store.fail_next_commit = True
    with pytest.raises(NoSpace):
        workshop.repositories.delete("proj")
    assert workshop.store.table() == table
    assert [repo.name for repo in workshop.repositories.list()] == ["proj"]


def test_names_survive_the_loss_of_both_databases(tmp_path: Path) -> None:
    with Store.open(tmp_path, Disk()) as store:
        workshop = Workshop(store)
        head = workshop.commit(next_file_id=77)
        workshop.checkpoint()
        workshop.repo.create_branch("exp", head, who="alice")
        workshop.repo.rename_branch("exp", "trial", who="alice")
        workshop.repo.create_tag("v1", head, author="alice")
        workshop.repo.delete_tag("v1", who="alice")
        table = workshop.store.table()
    shutil.rmtree(tmp_path / "refs.lmdb")
    shutil.rmtree(tmp_path / "objects.lmdb")
    with Store.open(tmp_path, Disk()) as store:
        assert dict(store.refs.scan(b"")) == table
        again = Repositories(store, workshop.clock)
        assert again.get("proj").branches() == workshop.repo.branches()
        assert again.get("proj").deleted() == workshop.repo.deleted()
        assert again.get("proj").commits.read(head).next_file_id == 77
        assert again.file_ids.next == 77


def test_file_ids_are_given_out_once_and_survive(workshop: Workshop) -> None:
    ids = workshop.repositories.file_ids
    first = ids.take(3)
    assert ids.take() == first + 3
    ids.raise_to(100)
    ids.raise_to(50)
    assert ids.take() == 100
    workshop.commit(next_file_id=500)
    assert ids.next == 500
    assert workshop.reopened().file_ids.next == 500


def test_the_root_directories_of_a_store_have_ids_of_their_own(workshop: Workshop) -> None:
    for name in ("abc", "xyz"):
        workshop.repositories.create(name, ALICE, uid=0, gid=0)
    roots = []
    for repo in workshop.reopened().list():
        first = repo.commits.read(repo.default_branch.head)
        roots.append(first.root.file_id)
        assert first.root.file_id < first.next_file_id
    assert len(set(roots)) == 3
    assert min(roots) >= 2  # 1 is the root of the mount


def test_views_are_numbered_once(workshop: Workshop) -> None:
    views, repo = workshop.repositories.views, workshop.repo
    head = repo.default_branch.head
    assert views.find(repo.repo_id, head) is None
    files = views.number(repo.repo_id, head)
    directories = views.number(repo.repo_id, head, b"v1.0")
    branch = repo.create_branch("exp", head, who="alice")
    assert len({0, 1, files, directories, branch.view}) == 5
    again = workshop.reopened().views
    assert again.number(repo.repo_id, head) == again.find(repo.repo_id, head) == files
    record = again.get(directories)
    assert record is not None
    assert (record.commit, record.spelling) == (head, b"v1.0")
    working = again.get(branch.view)
    assert working is not None
    assert working.branch_id == branch.branch_id
    assert again.get(0) is None
