from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.store import keys

NUMBERS = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=2))
def test_reflog_keys_sort_as_their_numbers(rows: list[tuple[int, int, int]]) -> None:
    assert sorted(keys.reflog(*row) for row in rows) == [keys.reflog(*row) for row in sorted(rows)]
    for row in rows:
        key = keys.reflog(*row)
        assert keys.reflog_position(key) == row
        assert key.startswith(keys.reflog_of(row[0]))
        assert key <= keys.reflog_until(row[0], row[1])
        assert row[1] == 0 or key > keys.reflog_until(row[0], row[1] - 1)


@given(NUMBERS, NUMBERS, st.binary(min_size=32, max_size=32), st.text(max_size=100))
def test_tables_do_not_overlap(repo_id: int, ref_id: int, commit_id: bytes, name: str) -> None:
    ascii_name = name.encode("ascii", "ignore")
    made = [
        keys.repo(repo_id),
        keys.branch(repo_id, ref_id),
        keys.tag(repo_id, ref_id),
        keys.reflog(ref_id, 1, 2),
        keys.commit(repo_id, commit_id),
        keys.view(repo_id),
        keys.view_of(repo_id, commit_id, ascii_name),
        keys.counter("file"),
        keys.setting(name),
        keys.journal(ref_id),
        keys.other("overlay", name.encode()),
    ]
    assert len({key[:1] for key in made}) == len(made)
    assert all(1 <= len(key) <= keys.MAX_KEY_BYTES for key in made)
    assert keys.commit_id_of(keys.commit(repo_id, commit_id)) == commit_id
    assert keys.commit(repo_id, commit_id).startswith(keys.commits(repo_id, commit_id[:4]))


def test_a_path_of_any_length_makes_a_key() -> None:
    assert len(keys.other("overlay", b"x" * 100_000)) == len(keys.other("overlay", b""))
    assert keys.other("overlay", b"a") != keys.other("overlay", b"b")


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        keys.commit(1, b"short")
    with pytest.raises(ValueError, match="limit is 511"):
        keys.setting("x" * 511)
