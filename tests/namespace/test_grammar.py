from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pfs.errors import NotFound, UsageError
from pfs.namespace.grammar import (
    Ancestor,
    At,
    Mod,
    Parent,
    Revision,
    Spelling,
    parse_revision,
    parse_spelling,
)
from pfs.namespace.spell import Place, parse_place
from pfs.namespace.when import Ago, Instant
from pfs.repo.names import is_valid_name
from tests.namespace.test_when import WHENS

YESTERDAY = At(Ago(1, "d"))


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("main", Revision("main")),
        ("v1.0^", Revision("v1.0", (Parent(1),))),
        ("v1.0^0", Revision("v1.0", (Parent(0),))),
        ("~2", Revision("", (Ancestor(2),))),
        ("~", Revision("", (Ancestor(1),))),
        ("deadbeef~~^2", Revision("deadbeef", (Ancestor(1), Ancestor(1), Parent(2)))),
        ("exp@{2.h.ago}", Revision("exp", (At(Ago(2, "h")),))),
        ("@{yesterday}~3", Revision("", (YESTERDAY, Ancestor(3)))),
        ("x@{2026-01-31T10:00+01:00}", Revision("x", (At(Instant(1769850000)),))),
    ],
)
def test_revisions(text: str, revision: Revision) -> None:
    assert parse_revision(text) == revision


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("repo", Spelling("repo")),
        ("repo@exp", Spelling("repo", Revision("exp"))),
        ("repo@{yesterday}", Spelling("repo", Revision("", (YESTERDAY,)))),
        ("repo@@{yesterday}", Spelling("repo", Revision("", (YESTERDAY,)))),
        ("repo~2", Spelling("repo", Revision("", (Ancestor(2),)))),
        ("repo@~2", Spelling("repo", Revision("", (Ancestor(2),)))),
        ("repo^", Spelling("repo", Revision("", (Parent(1),)))),
        ("repo@exp@{2.h.ago}", Spelling("repo", Revision("exp", (At(Ago(2, "h")),)))),
        ("repo@v1.0^", Spelling("repo", Revision("v1.0", (Parent(1),)))),
    ],
)
def test_names_in_the_root_of_a_mount(name: str, spelling: Spelling) -> None:
    assert parse_spelling(name) == spelling
    assert parse_spelling(name.encode()) == spelling


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("repo@", "is empty"),
        ("", "begins with no name of a repo"),
        (".hidden", "begins with no name of a repo"),
        ("x" * 101, "begins with no name of a repo"),
        ("repo.lock", "begins with no name of a repo"),
        ("a:b", "is not understood"),
        ("repo@a b", "is not understood"),
        ("repo@exp@", "is not understood"),
        ("repo@exp@{}", "is not a date"),
        ("repo@exp@{yesterday", "is not understood"),
        ("repo@exp~x", "'x' is not understood"),
        ("repo@exp^{commit}", "is not understood"),
        ("repo@-x", "can't be a name"),
        ("repo@x.lock", "can't be a name"),
        ("repo@a@b", "is not understood"),
        ("repo@~1@{yesterday}", "a date can only follow a branch"),
        ("repo@{yesterday}@{yesterday}", "a date can only follow a branch"),
        ("repo@~٣", "is not understood"),
        ("repo\n", "is not understood"),
    ],
)
def test_malformed_names_say_why(name: str, why: str) -> None:
    with pytest.raises(NotFound, match=why):
        parse_spelling(name)


def test_bytes_that_are_no_text_are_not_found() -> None:
    for name in (b"\xff", b"repo\xff", b"repo@\xc3\xa4", b"repo@a\0"):
        with pytest.raises(NotFound):
            parse_spelling(name)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(is_valid_name)
STEPS: st.SearchStrategy[Mod] = st.one_of(
    st.builds(Ancestor, st.integers(0, 10**9)), st.builds(Parent, st.integers(0, 10**9))
)


def revisions() -> st.SearchStrategy[Revision]:
    dates = st.lists(st.builds(At, WHENS), max_size=1)
    mods = st.builds(lambda first, rest: (*first, *rest), dates, st.lists(STEPS, max_size=4))
    made = st.builds(Revision, st.one_of(st.just(""), NAMES), mods)
    return made.filter(lambda revision: bool(revision.base or revision.mods))


@given(revisions())
def test_the_canonical_text_of_a_revision_parses_to_the_same(revision: Revision) -> None:
    assert parse_revision(str(revision)) == revision


@given(st.builds(Spelling, NAMES, st.one_of(st.none(), revisions())))
def test_the_canonical_name_parses_to_the_same(spelling: Spelling) -> None:
    assert parse_spelling(str(spelling)) == spelling
    assert str(parse_spelling(str(spelling).encode())) == str(spelling)


PIECES = st.sampled_from(["repo", "@", "{", "}", "~", "^", "1", ":", "yesterday", "x", "deadbeef", ".", "-"])


@given(st.lists(PIECES, max_size=8).map("".join))
@example("repo@{yesterday}")
def test_any_text_is_a_name_or_not_found(text: str) -> None:
    with suppress(NotFound):
        spelling = parse_spelling(text)
        assert parse_spelling(str(spelling)) == spelling


@given(st.binary(max_size=30))
def test_any_bytes_are_a_name_or_not_found(name: bytes) -> None:
    with suppress(NotFound):
        assert parse_spelling(str(parse_spelling(name))) == parse_spelling(name)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("proj", Place(Spelling("proj"))),
        ("proj:", Place(Spelling("proj"), b"")),
        ("proj:/", Place(Spelling("proj"), b"")),
        ("proj@exp:a/b", Place(Spelling("proj", Revision("exp")), b"a/b")),
        ("proj:./a//b/", Place(Spelling("proj"), b"a/b")),
        ("proj:a:b@c", Place(Spelling("proj"), b"a:b@c")),
        (
            "proj@{2026-01-31T10:00}:x",
            Place(Spelling("proj", Revision("", (At(Instant(1769853600)),))), b"x"),
        ),
        ("proj:x@{y:z}", Place(Spelling("proj"), b"x@{y:z}")),
        ("proj:\udcff", Place(Spelling("proj"), b"\xff")),
        (b"proj:\xff", Place(Spelling("proj"), b"\xff")),
    ],
)
def test_places_on_a_command_line(text: str | bytes, place: Place) -> None:
    assert parse_place(text) == place
    assert parse_place(str(place)) == place


def test_bad_places() -> None:
    for text in ("proj:../x", "proj:a/..", "proj:a\0b"):
        with pytest.raises(UsageError):
            parse_place(text)
    for text in (":x", "proj@:x", "proj@{2026-01-31T10:00:x"):
        with pytest.raises(NotFound):
            parse_place(text)
