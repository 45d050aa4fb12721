from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.repo.workshop import Workshop


def test_changes_from_many_threads_take_their_turn(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()

    def work(name: str) -> set[bytes]:
        branch = repo.create_branch(name, head, who="alice")
        made = set()
        for number in range(5):
            branch = repo.branch(name)
            commit_id = workshop.put_commit(branch.head, branch=name, message=f"{name} {number}")
            repo.record_commit(branch.branch_id, commit_id, expected_head=branch.head)
            made.add(commit_id)
        repo.rename_branch(name, f"{name}-done", who="alice")
        return made

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(work, ["a", "b", "c", "d"]))
    branches = {branch.name: branch for branch in repo.branches()}
    assert sorted(branches) == ["a-done", "b-done", "c-done", "d-done", "main"]
    assert len({branch.branch_id for branch in branches.values()}) == 5
    assert len({branch.view for branch in branches.values()}) == 5
    for name, ids in zip("abcd", made, strict=True):
        branch = branches[f"{name}-done"]
        records = list(repo.reflog(branch.branch_id))
        assert [record.seq for record in records] == list(range(6, -1, -1))
        assert ids <= {commit_id for commit_id, _ in repo.commits.ancestry(branch.head)}


def test_names_are_read_while_they_change(workshop: Workshop) -> None:
    repo, head = workshop.repo, workshop.commit()
    repo.create_branch("even", head, who="alice")

    def change() -> None:
        for _ in range(20):
            repo.rename_branch("even", "odd", who="alice")
            repo.rename_branch("odd", "even", who="alice")

    with ThreadPoolExecutor(1) as threads:
        changing = threads.submit(change)
        looks = 0
        while not changing.done() or not looks:
            assert {"main"} < {branch.name for branch in repo.branches()} <= {"main", "even", "odd"}
            looks += 1
        changing.result()
