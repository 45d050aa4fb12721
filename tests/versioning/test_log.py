from __future__ import annotations

from pfs.repo.records import ReflogKind
from pfs.versioning.log import log
from tests.repo.workshop import Workshop
from tests.versioning.trees import Thing, TreeMaker, folder

A, B = (b"a",), (b"b",)


def test_a_log_goes_back_to_the_first_commit(workshop: Workshop, maker: TreeMaker) -> None:
    first = workshop.repo.default_branch.head
    made = [workshop.commit(message=text) for text in ("one", "two", "three")]
    entries = list(log(workshop.repo, maker.readers, made[-1]))
    assert [logged.commit_id for logged in entries] == [*reversed(made), first]
    assert [logged.commit.message for logged in entries] == ["three", "two", "one", ""]
    assert [one.commit_id for one in log(workshop.repo, maker.readers, made[0])] == [made[0], first]


def test_the_timeline_has_checkpoints_and_what_the_branch_was_moved_from(
    workshop: Workshop, maker: TreeMaker
) -> None:
    repo = workshop.repo
    first = repo.default_branch.head
    one, checkpoint, two = workshop.commit(), workshop.checkpoint(), workshop.commit()
    main = repo.default_branch
    repo.record_commit(main.branch_id, one, kind=ReflogKind.MOVE, time_ns=workshop.clock.tick())
    main = repo.default_branch
    assert [entry.commit_id for entry in log(repo, maker.readers, main.head)] == [one, first]
    timeline = log(repo, maker.readers, main.head, timeline=main)
    assert [entry.commit_id for entry in timeline] == [two, checkpoint, one, first]
    repo.forget_checkpoints(repo.reflog(main.branch_id))
    timeline = log(repo, maker.readers, main.head, timeline=main)
    assert [entry.commit_id for entry in timeline] == [two, one, first]


def test_the_log_of_a_path_has_the_commits_that_changed_it(workshop: Workshop, maker: TreeMaker) -> None:
    tree = {"d": folder(10), "d/f": Thing(11, A), "g": Thing(12, A)}
    made = [
        maker.commit(tree),
        maker.commit(tree | {"d/f": Thing(11, B)}),
        maker.commit(tree | {"d/f": Thing(11, B), "g": Thing(12, B)}),
        maker.commit(tree | {"d/f": Thing(11, B, mode=0o600), "g": Thing(12, B)}),
        maker.commit({"d": folder(10), "g": Thing(12, B)}),
    ]

    def of(path: bytes) -> list[int]:
        found = log(workshop.repo, maker.readers, made[-1], path=path)
        return [made.index(entry.commit_id) for entry in found]

    assert of(b"d/f") == [4, 3, 1, 0]
    assert of(b"d") == [4, 3, 1, 0]
    assert of(b"g") == [2, 0]
    assert of(b"never") == []


def test_a_merge_is_in_the_log_of_a_path_only_if_it_made_something_new(
    workshop: Workshop, maker: TreeMaker
) -> None:
    repo = workshop.repo
    base = maker.commit({"f": Thing(5, A), "g": Thing(6, A)})
    repo.create_branch("side", base, who="alice")
    side = maker.commit({"f": Thing(5, B), "g": Thing(6, A)}, "side")
    ours = maker.commit({"f": Thing(5, A), "g": Thing(6, B)})
    tree = {"f": Thing(5, B), "g": Thing(6, B)}
    merge = maker.commit(tree, parents=(ours, side))
    for path, expected in ((b"f", [side, base]), (b"g", [ours, base])):
        found = [entry.commit_id for entry in log(repo, maker.readers, merge, path=path)]
        assert found == expected
