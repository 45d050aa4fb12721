from __future__ import annotations

import pytest

from pfs.errors import NotFound
from pfs.namespace.resolve import Resolver, Shows
from tests.repo.workshop import ALICE, DAY, SECOND, Workshop


@pytest.fixture
def resolver(workshop: Workshop) -> Resolver:
    return Resolver(workshop.repositories, workshop.clock)


def test_working_trees(workshop: Workshop, resolver: Resolver) -> None:
    head = workshop.commit()
    workshop.checkpoint()
    exp = workshop.repo.create_branch("exp", head, who="alice")
    main = resolver.resolve_name(b"proj")
    assert (main.shows, main.canonical, main.is_symlink) == (Shows.WORKING_TREE, b"proj", False)
    assert (main.branch, main.commit_id) == (workshop.repo.default_branch, head)
    by_name = resolver.resolve_name(b"proj@main")
    assert (by_name.canonical, by_name.is_symlink) == (b"proj", True)
    other = resolver.resolve_name(b"proj@exp")
    assert (other.shows, other.canonical, other.is_symlink) == (Shows.WORKING_TREE, b"proj@exp", False)
    assert other.branch == exp


def test_the_default_branch_may_change(workshop: Workshop, resolver: Resolver) -> None:
    workshop.repo.create_branch("exp", workshop.commit(), who="alice")
    workshop.repo.set_default_branch("exp")
    assert resolver.resolve_name("proj@exp").canonical == b"proj"
    assert not resolver.resolve_name("proj@main").is_symlink
    assert resolver.listing() == [b"proj", b"proj@main"]


def test_tags_and_ids_are_directories_under_their_own_spelling(
    workshop: Workshop, resolver: Resolver
) -> None:
    head = workshop.commit()
    workshop.repo.create_tag("v1.0", head, author="alice")
    for spelling in ("v1.0", head.hex()[:8], head.hex()[:17].upper(), head.hex()):
        found = resolver.resolve_name(f"proj@{spelling}")
        assert (found.shows, found.commit_id, found.branch) == (Shows.COMMIT, head, None)
        assert (found.canonical, found.is_symlink) == (f"proj@{spelling}".encode(), False)
        assert found.view_spelling == spelling.encode()


def test_steps_and_dates_are_symlinks_to_a_commit(workshop: Workshop, resolver: Resolver) -> None:
    first = workshop.repo.default_branch.head
    head = workshop.commit()
    workshop.repo.create_tag("v1.0", head, author="alice")
    checkpoint = workshop.checkpoint()
    expected = {
        "proj~0": head,
        "proj@~1": first,
        "proj^": first,
        "proj@main~0": head,
        "proj@v1.0^": first,
        f"proj@{head.hex()[:10]}^0": head,
        "proj@{0.min.ago}": checkpoint,
        "proj@main@{2026-01-01T00:00:01Z}": head,
        "proj@{2026-01-01}": first,
        "proj@main@{0.d.ago}~1": head,
    }
    for name, commit_id in expected.items():
        found = resolver.resolve_name(name)
        assert (found.shows, found.commit_id, found.is_symlink) == (Shows.COMMIT, commit_id, True), name
        assert found.canonical == f"proj@{commit_id.hex()[:16]}".encode()
        target = resolver.resolve_name(found.canonical)
        assert (target.commit_id, target.is_symlink) == (commit_id, False)
        assert target.canonical == found.canonical
        assert target.view_spelling == found.view_spelling


def test_the_same_date_shows_more_as_time_goes_by(workshop: Workshop, resolver: Resolver) -> None:
    workshop.clock.tick(DAY)
    head = workshop.commit()
    assert resolver.resolve_name("proj@{yesterday}").commit_id != head
    workshop.clock.tick(DAY - SECOND)
    assert resolver.resolve_name("proj@{yesterday}").commit_id != head
    workshop.clock.tick(SECOND)
    assert resolver.resolve_name("proj@{yesterday}").commit_id == head


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nope", "nope: no such repo"),
        ("proj@nope", "no such branch or tag"),
        ("proj@deadbeef", "no such commit"),
        ("proj~5", "has only 1 commit before it"),
        ("proj^2", "no number 2"),
        ("proj@{yesterday}", "did not exist"),
        ("proj@{2027-01-01}", "in the future"),
        ("proj@v1@{yesterday}", "only a branch"),
        ("proj@gone", "no such branch or tag"),
        ("proj@{tomorrow}", "not a date"),
    ],
)
def test_what_stands_for_nothing_says_why(
    workshop: Workshop, resolver: Resolver, name: str, why: str
) -> None:
    head = workshop.commit()
    workshop.repo.create_tag("v1", head, author="alice")
    workshop.repo.create_branch("gone", head, who="alice")
    workshop.repo.delete_branch("gone", who="alice")
    with pytest.raises(NotFound, match=why):
        resolver.resolve_name(name)


def test_a_slip_of_the_finger_gets_a_hint(workshop: Workshop, resolver: Resolver) -> None:
    with pytest.raises(NotFound) as caught:
        resolver.resolve_name("proj@mian~2")
    assert (str(caught.value), caught.value.hint) == (
        "proj@mian: no such branch or tag",
        "did you mean main?",
    )


def test_the_listing_shows_each_branch_of_a_person_once(workshop: Workshop, resolver: Resolver) -> None:
    head = workshop.commit()
    workshop.repositories.create("abc", ALICE, uid=0, gid=0)
    workshop.repo.create_branch("exp", head, who="alice")
    workshop.repo.create_branch("job-1", head, who="pfs", made_by="job")
    workshop.repo.create_tag("v1", head, author="alice")
    assert resolver.listing() == [b"abc", b"proj", b"proj@exp"]
    assert resolver.resolve_name(b"proj@job-1").shows is Shows.WORKING_TREE


def test_a_lookup_reads_nothing_or_a_few_keys(workshop: Workshop, resolver: Resolver) -> None:
    head = workshop.commit()
    workshop.repo.create_tag("v1", head, author="alice")
    costs = {"proj": 0, "proj@main": 0, "proj@v1": 0, f"proj@{head.hex()[:8]}": 1, "proj@nope": 0}
    costs |= {"proj@{0.d.ago}": 2, "proj~0": 2, "proj~1": 3}
    for name, reads in costs.items():
        workshop.store.refs.reads = 0
        try:
            resolver.resolve_name(name)
        except NotFound:
            assert name == "proj@nope"
        assert workshop.store.refs.reads == reads, name
