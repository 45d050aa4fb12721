from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.errors import AmbiguousRevision, NotFound
from pfs.repo.commits import CommitIndex
from pfs.repo.records import CommitRecord, encode
from pfs.store import keys
from tests.repo.workshop import FakeStore, Workshop


def index_of(*ids: bytes) -> CommitIndex:
    store = FakeStore()
    for commit_id in ids:
        store.refs.table[keys.commit(1, commit_id)] = encode(CommitRecord(0, 1, 1, (), 0))
    store.refs.table[keys.commit(2, bytes(32))] = encode(CommitRecord(0, 1, 1, (), 0))
    return CommitIndex(store, 1)


def test_a_prefix_names_the_one_commit_that_has_it(workshop: Workshop) -> None:
    commit_id = workshop.commit()
    workshop.checkpoint()
    commits = workshop.repo.commits
    for digits in (8, 9, 15, 16, 63, 64):
        assert commits.resolve(commit_id.hex()[:digits]) == commit_id
        assert commits.resolve(commit_id.hex()[:digits].upper()) == commit_id
    assert commits.abbreviate(commit_id) == commit_id.hex()[:16]


def test_what_no_commit_or_more_than_one_has_is_not_found() -> None:
    same = bytes.fromhex("0123456789abcdef0123")
    one, two = same + b"\x10" + bytes(21), same + b"\x1f" + bytes(21)
    commits = index_of(one, two)
    with pytest.raises(AmbiguousRevision) as caught:
        commits.resolve("0123456789abcdef01231")
    assert caught.value.hint == "it may be 0123456789abcdef012310, 0123456789abcdef01231f"
    assert commits.resolve("0123456789abcdef012310") == one
    assert commits.abbreviate(two) == "0123456789abcdef01231f"
    with pytest.raises(NotFound, match="no such commit"):
        commits.resolve("00000000")  # another repo has it
    for digits in ("0123456", "xyz", ""):
        with pytest.raises(NotFound, match="no commit id"):
            commits.resolve(digits)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30, unique=True), st.integers(8, 64))
def test_prefixes_agree_with_a_list(tails: list[int], digits: int) -> None:
    ids = [bytes(6) + bytes([tail]) + bytes(25) for tail in tails]
    commits = index_of(*ids)
    for commit_id in ids:
        prefix = commit_id.hex()[:digits]
        assert commits.with_prefix(prefix) == sorted(one for one in ids if one.hex().startswith(prefix))
        assert commits.with_prefix(commits.abbreviate(commit_id)) == [commit_id]


def test_walking_back_along_parents(workshop: Workshop) -> None:
    commits = workshop.repo.commits
    first = workshop.repo.default_branch.head
    one = workshop.commit()
    side = workshop.put_commit(first, message="side")
    exp = workshop.repo.create_branch("exp", first, who="alice")
    workshop.repo.record_commit(exp.branch_id, side)
    workshop.clock.tick()
    merge = workshop.put_commit(one, side)
    workshop.repo.record_commit(workshop.repo.default_branch.branch_id, merge)

    assert commits.parent(merge, 0) == merge
    assert commits.parent(merge, 1) == one
    assert commits.parent(merge, 2) == side
    assert [commits.ancestor(merge, steps) for steps in range(3)] == [merge, one, first]
    assert commits.row(merge).depth == 2
    with pytest.raises(NotFound, match="has 2 parents, no number 3"):
        commits.parent(merge, 3)
    with pytest.raises(NotFound, match="has only 2 commits before it, not 3"):
        commits.ancestor(merge, 3)
    assert {commit_id for commit_id, _ in commits.ancestry(merge)} == {merge, one, side, first}
    order = [commit_id for commit_id, _ in commits.ancestry(merge)]
    assert (order[0], order[-1]) == (merge, first)
    assert [commit_id for commit_id, _ in commits.ancestry(one, first)] == [one, first]


def test_too_many_steps_cost_one_read(workshop: Workshop) -> None:
    head = workshop.commit()
    workshop.store.refs.reads = 0
    with pytest.raises(NotFound):
        workshop.repo.commits.ancestor(head, 10**15)
    assert workshop.store.refs.reads == 1


def test_checkpoints_are_known_but_no_ancestors(workshop: Workshop) -> None:
    checkpoint = workshop.checkpoint()
    head = workshop.commit()
    assert checkpoint in workshop.repo.commits
    assert checkpoint not in [commit_id for commit_id, _ in workshop.repo.commits.ancestry(head)]
