from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.errors import NotFound
from pfs.repo import reflog
from pfs.repo.records import ReflogKind
from tests.repo.workshop import DAY, START_NS, FakeRefs, WatchedRefs, Workshop, check_invariants


def test_a_date_shows_what_a_reader_saw(workshop: Workshop) -> None:
    repo = workshop.repo
    first = repo.default_branch.head
    times = {workshop.clock(): first}
    for make in (workshop.commit, workshop.checkpoint, workshop.commit):
        made = make()
        times[workshop.clock()] = made
    for time_ns, shown in times.items():
        assert repo.at(repo.default_branch, time_ns) == shown
    assert repo.at(repo.default_branch, START_NS + 1) == first


def test_before_birth_and_in_the_future_nothing_is_shown(workshop: Workshop) -> None:
    head = workshop.commit()
    workshop.clock.tick(DAY)
    exp = workshop.repo.create_branch("exp", head, who="alice")
    for time_ns in (workshop.clock() - 1, 0, -1):
        with pytest.raises(NotFound, match="did not exist"):
            workshop.repo.at(exp, time_ns)
    with pytest.raises(NotFound, match="future"):
        workshop.repo.at(exp, workshop.clock() + 1)
    assert workshop.repo.at(exp, workshop.clock()) == head


def test_names_only_records_hide_no_checkpoint(workshop: Workshop) -> None:
    checkpoint = workshop.checkpoint()
    workshop.clock.tick()
    main = workshop.repo.rename_branch("main", "trunk", who="alice")
    assert workshop.repo.at(main, workshop.clock()) == checkpoint


def test_a_clock_that_goes_back_does_not_reorder(workshop: Workshop) -> None:
    early = workshop.commit()
    workshop.clock.now_ns -= DAY
    late = workshop.commit()
    workshop.clock.now_ns += 2 * DAY
    main = workshop.repo.default_branch
    assert workshop.repo.at(main, workshop.clock()) == late
    assert [record.new for record in workshop.repo.reflog(main.branch_id)][:2] == [late, early]


def test_a_date_among_ten_thousand_records_is_a_few_reads() -> None:
    table = FakeRefs()
    for number in range(10_000):
        time_ns = number * 100
        record = reflog.ReflogRecord(
            number, 5, time_ns, b"", number.to_bytes(32, "big"), ReflogKind.CHECKPOINT, "", ""
        )
        key, value = reflog.as_change(record)
        table.table[key] = value
    refs = WatchedRefs(table)
    assert reflog.shown_at(refs, 5, 777_777) == (7777).to_bytes(32, "big")
    assert refs.reads == 1
    assert reflog.shown_at(refs, 4, 777_777) is None
    assert reflog.shown_at(refs, 6, 777_777) is None


STEP = st.one_of(
    st.tuples(st.sampled_from(["commit", "checkpoint", "rename"]), st.integers(-5, 20)),
    st.tuples(st.just("thin"), st.integers(0, 20)),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=25), probes=st.lists(st.integers(-10, 200), max_size=20))
def test_dates_agree_with_a_list(steps: list[tuple[str, int]], probes: list[int]) -> None:
    workshop = Workshop()
    repo = workshop.repo
    main_id = repo.default_branch.branch_id
    model: list[tuple[int, bytes, str]] = [(workshop.clock(), repo.default_branch.head, "initial")]
    newest_ns = workshop.clock()
    for number, (what, amount) in enumerate(steps):
        main = repo.branch_by_id(main_id)
        if what == "thin":
            gone = list(repo.reflog(main_id))[amount:]
            repo.forget_checkpoints(gone)
            dropped = {record.new for record in gone if record.new != main.base}
            model = [row for row in model if row[2] != "checkpoint" or row[1] not in dropped]
            continue
        workshop.clock.now_ns += amount
        newest_ns = max(newest_ns, workshop.clock())
        if what == "rename":
            repo.rename_branch(main.name, f"name{number}", who="alice")
        else:
            kind = 1 if what == "commit" else 2
            made = workshop.put_commit(main.head, kind=kind, message=str(number))
            repo.record_commit(main_id, made)
            model.append((newest_ns, made, what))
    workshop.clock.now_ns = max(newest_ns, START_NS + 200)
    for probe in probes:
        seen = [row[1] for row in model if row[0] <= START_NS + probe]
        if seen:
            assert repo.at(repo.branch_by_id(main_id), START_NS + probe) == seen[-1]
        else:
            with pytest.raises(NotFound):
                repo.at(repo.branch_by_id(main_id), START_NS + probe)
    check_invariants(workshop)
