"""Lineage of what real programs did on a mount: nothing missing, nothing extra, every argv exact.

Each scenario runs twice and is judged before and after a commit; the table of all is printed at the end.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import pytest

from pfs.daemon.lineage import INDEX_NAME
from pfs.disk import Disk
from pfs.lineage.answers.ask import NOT_RECORDED
from pfs.objects.ids import Kind
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from tests.mounted.lineage_scenarios.checker import Row, asker
from tests.mounted.lineage_scenarios.stage import ROWS, judge, perform, perform_and_kill
from tests.mounted.lineage_scenarios.table import SCENARIOS
from tests.mounted.mounting import Mount, run
from tests.store.faults import flip, pack_path

RUNS = 2
SLOW = {
    "make",
    "many_short_lived",
    "sqlite_many_times",
    "rsync",
    "tar",
    "copy_a_tree",
    "git_clone_and_checkout",
}
FLIPS = 7  # of each record
KILLED = ["pipes", "ed", "vim", "python_program", "sqlite_rollback", "make"]


@pytest.fixture
def show(request: pytest.FixtureRequest) -> list[Row]:
    """Rows for the table at the end."""
    return request.config.stash.setdefault(ROWS, [])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SCENARIOS]
)
def test_scenario(mount: Mount, show: list[Row], name: str) -> None:
    if SCENARIOS[name].needs_root and os.geteuid() != 0:
        pytest.skip("needs root, for a namespace")
    findings = []
    for number in range(RUNS):
        at = perform(mount, name, number)
        live = judge(mount, name, at)
        mount.commit(at.tree)
        committed = judge(mount, name, at, ", committed")
        show.append(live)
        findings += [*live.findings, *committed.findings]
        assert live[1:] == committed[1:], "a commit changes what is answered"
    mount.remount()
    after = judge(mount, name, at, ", mounted again")
    assert after[1:] == committed[1:], "a mount changes what is answered"
    assert not findings, "\n".join(findings)


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED)
def test_a_killed_daemon_leaves_no_wrong_edge(mount: Mount, show: list[Row], name: str) -> None:
    began = time.monotonic()
    whole = perform(mount, name, 0)
    seconds = time.monotonic() - began
    for number, part in enumerate((0.4, 0.7), 1):
        row = perform_and_kill(mount, name, number, seconds * part, whole)
        show.append(row)
        assert row.holds, "\n".join(row.findings)


def test_lineage_that_cannot_be_stored_stands_in_nobodys_way(make_mount: Callable[[], Mount]) -> None:
    mount = make_mount()
    mount.expected = ("lineage that can't be stored", "stored without it")
    mount.start(module="tests.mounted.defective_daemon")
    tree = mount.repo()
    (tree / "in.txt").write_text("b\na\n")
    for name in ("good.txt", "bad.txt", "fine.txt"):
        run("sh", "-c", f"sort in.txt > {name}", cwd=tree)
    mount.commit(tree)
    ask = asker(mount.store)
    assert ask("repo:good.txt")["coverage"]["headline"] == ask("repo:fine.txt")["coverage"]["headline"]
    assert any(process["argv"] == ["sort", "in.txt"] for process in ask("repo:good.txt")["processes"])
    assert ask("repo:bad.txt")["coverage"]["headline"] == NOT_RECORDED
    run("sh", "-c", "sort good.txt > later.txt", cwd=tree)
    mount.commit(tree)
    assert any(process["argv"] == ["sort", "good.txt"] for process in ask("repo:later.txt")["processes"])
    mount.remount()
    assert (tree / "bad.txt").read_text() == "a\nb\n"
    assert ask("repo:bad.txt")["coverage"]["headline"] == NOT_RECORDED


def test_checkpoints_do_not_pile_up_in_commits(mount: Mount) -> None:
    tree = mount.repo()
    for number in range(20):
        run("sh", "-c", f"echo {number} > name{number}; rm -f name{number - 1}", cwd=tree)
        mount.ask("ls", place="repo:")  # takes a checkpoint
    assert len(named_segments(mount)) <= 2
    mount.commit(tree)
    assert len(named_segments(mount)) <= 2
    mount.stop()
    shutil.rmtree(mount.store / INDEX_NAME)
    mount.start()
    events = mount.ask("who", place="repo:name3")["events"]
    assert [event["kind"] for event in events][-1] == "remove"


def named_segments(mount: Mount) -> tuple[bytes, ...]:
    """What the newest commit or checkpoint of a repo's default branch names."""
    with Store.open(mount.store, Disk(), read_only=True, lock=False) as store:
        (repo,) = Repositories(store, time.time_ns).list()
        return repo.commits.read(repo.default_branch.base).lineage


def test_a_changed_byte_of_a_stored_record_is_named(mount: Mount) -> None:
    at = perform(mount, "pipes", 0)
    mount.commit(at.tree)
    mount.stop()
    with Store.open(mount.store, Disk()) as store:
        stored = [found for found in store.objects() if found.kind == Kind.LINEAGE]
    assert stored
    for one in stored:
        name = one.object_id.hex()[:16]
        pack = pack_path(mount.store, one.pack)
        for offset in range(0, one.length, max(1, one.length // FLIPS)):
            flip(pack, one.offset + offset, offset % 8)
            assert any(name in str(finding) for finding in mount.check()), (name, offset)
            flip(pack, one.offset + offset, offset % 8)
    assert mount.check() == []
