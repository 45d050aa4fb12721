from __future__ import annotations

import pytest

from pfs.errors import UsageError
from pfs.repo.names import UnknownName, check_ref_name, check_repo_name, looks_like_commit_id

GOOD = ["a", "7", "main", "v1.0", "a_b-c.d", "x" * 100, "deadbee", "0123456g", "a.lock.b", "lock"]
BAD = ["", "-a", ".a", "_a", "a b", "a/b", "a@b", "ä", "a\n", "x" * 101, "a.lock", "a~1", "a:b"]


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name: str) -> None:
    check_repo_name(name)
    check_ref_name("branch", name)


@pytest.mark.parametrize("name", BAD)
def test_bad_names_say_what_to_do(name: str) -> None:
    for check in (check_repo_name, lambda name: check_ref_name("tag", name)):
        with pytest.raises(UsageError) as caught:
            check(name)
        assert caught.value.hint


@pytest.mark.parametrize("name", ["deadbeef", "DEADBEEF", "0" * 64, "12345678"])
def test_what_looks_like_a_commit_id_is_no_branch_but_may_be_a_repo(name: str) -> None:
    assert looks_like_commit_id(name)
    check_repo_name(name)
    with pytest.raises(UsageError, match="looks like a commit id"):
        check_ref_name("branch", name)


@pytest.mark.parametrize("name", ["deadbee", "0" * 65, "deadbeeg", "deadbeef\n"])
def test_what_does_not_look_like_a_commit_id(name: str) -> None:
    assert not looks_like_commit_id(name)


def test_hint_of_an_unknown_name() -> None:
    assert UnknownName("no", "mian", ["main", "exp"]).hint == "did you mean main?"
    assert UnknownName("no", "zzz", ["main", "exp"]).hint is None
    assert str(UnknownName("no such", "mian", [])) == "no such"
