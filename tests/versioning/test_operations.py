"""The reading operations on a real store: what goes in and out as JSON."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pfs.disk import Disk
from pfs.errors import MissingObject, NotFound, PfsError, UsageError
from pfs.objects.ids import Kind
from pfs.store.store import Store
from pfs.versioning.fsck import Problem
from pfs.versioning.inspect import inspect_object
from pfs.versioning.operations import (
    CAT_BYTES_MAX,
    OPERATIONS,
    Context,
    cat_offline,
    read_offline,
    working_trees,
)
from tests.repo.workshop import Workshop
from tests.versioning.trees import Thing, TreeMaker, folder

FIRST = {"d": folder(10), "d/a": Thing(11, (b"one", b"two")), "link": Thing(12, target=b"d/a\xff")}
SECOND = {**FIRST, "d/a": Thing(11, (b"one", b"TWO")), "d/new": Thing(13, (b"x",))}


class Desk:
    """A repo `proj` with two commits, and operations on it."""

    def __init__(self, store: Store) -> None:
        self.workshop = Workshop(store)
        maker = TreeMaker(self.workshop)
        self.name = self.workshop.repo.name
        self.first = maker.commit(FIRST)
        self.second = maker.commit(SECOND)
        self.context = Context(store, self.workshop.repositories, maker.readers, self.workshop.clock)

    def ask(self, op: str, **args: Any) -> Any:
        answer = OPERATIONS[op](self.context, args)
        assert json.loads(json.dumps(answer)) == answer
        return answer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", Disk()) as opened:
        yield opened


@pytest.fixture
def desk(store: Store) -> Iterator[Desk]:
    made = Desk(store)
    yield made
    assert made.ask("fsck")["findings"] == []


def test_repos_and_branches(desk: Desk) -> None:
    (repo,) = desk.ask("repos")["repos"]
    assert (repo["repo"], repo["default_branch"], repo["branches"]) == (desk.name, "main", 1)
    assert repo["head"]["commit"] == desk.second.hex()
    (branch,) = desk.ask("branches", repo=desk.name)["branches"]
    assert (branch["branch"], branch["default"]) == ("main", True)


def test_tags(desk: Desk) -> None:
    desk.workshop.repo.create_tag("v1", desk.first, author="alice@node7", message="good")
    (tag,) = desk.ask("tags", repo=desk.name)["tags"]
    assert (tag["tag"], tag["commit"], tag["message"]) == ("v1", desk.first.hex(), "good")


def test_log_newest_first_with_limit_path_and_changes(desk: Desk) -> None:
    commits = desk.ask("log", place=desk.name)["commits"]
    assert [commit["commit"] for commit in commits[:2]] == [desk.second.hex(), desk.first.hex()]
    assert commits[-1]["kind"] == "initial"
    assert len(desk.ask("log", place=desk.name, limit=1)["commits"]) == 1
    only = desk.ask("log", place=f"{desk.name}:d/new")["commits"]
    assert [commit["commit"] for commit in only] == [desk.second.hex()]
    changes = desk.ask("log", place=desk.name, stat=True)["commits"][0]["changes"]
    assert {"status": "modified", "path": "d/a", "old_path": None} in changes


def test_show_a_commit_and_an_entry(desk: Desk) -> None:
    commit = desk.ask("show", place=f"{desk.name}@~1")["commit"]
    assert commit["commit"] == desk.first.hex()
    assert {change["path"] for change in commit["changes"]} >= {"d", "link"}
    entry = desk.ask("show", place=f"{desk.name}@~1:link")["entry"]
    assert (entry["type"], entry["target"]) == ("symlink", "d/a\udcff")
    assert desk.ask("show", place=f"{desk.name}@~2")["commit"]["changes"] == []


def test_diff_between_revisions_and_below_a_path(desk: Desk) -> None:
    answer = desk.ask("diff", old=f"{desk.name}@~1", new=desk.name)
    statuses = {change["path"]: change["status"] for change in answer["changes"]}
    assert statuses["d/a"] == "modified"
    assert statuses["d/new"] == "added"
    assert desk.ask("diff", old=f"{desk.name}@~1", new=None)["changes"] == answer["changes"]
    below = desk.ask("diff", old=f"{desk.name}@~1", new=desk.name, path="d/a")["changes"]
    assert [change["path"] for change in below] == ["d/a"]
    with pytest.raises(UsageError, match="different paths"):
        desk.ask("diff", old=f"{desk.name}:d", new=f"{desk.name}:e")


def test_diff_of_what_is_not_committed(desk: Desk) -> None:
    assert desk.ask("diff", old=desk.name, new=None, uncommitted=True)["changes"] == []


def test_rev_parse(desk: Desk) -> None:
    answer = desk.ask("rev-parse", place=f"{desk.name}@~1")
    assert answer["commit"] == desk.first.hex()
    assert answer["kind"] == "commit"
    assert answer["name"] == f"{desk.name}@{answer['short']}"
    assert desk.ask("rev-parse", place=desk.name)["kind"] == "working tree"
    with pytest.raises(NotFound):
        desk.ask("rev-parse", place=f"{desk.name}@nobranch")
    with pytest.raises(NotFound):
        desk.ask("rev-parse", place=f"{desk.name}:nothing")


def test_ls_of_directory_and_file(desk: Desk) -> None:
    entries = desk.ask("ls", place=f"{desk.name}:d")["entries"]
    assert [(entry["name"], entry["path"]) for entry in entries] == [("a", "d/a"), ("new", "d/new")]
    (entry,) = desk.ask("ls", place=f"{desk.name}@~1:d/a")["entries"]
    assert (entry["name"], entry["path"], entry["size"], entry["type"]) == ("a", "d/a", 6, "file")


def test_cat_a_piece_and_the_whole(desk: Desk) -> None:
    answer = desk.ask("cat", place=f"{desk.name}:d/a", offset=0, length=None)
    assert (answer["size"], b64decode(answer["data"])) == (6, b"oneTWO")
    assert b64decode(desk.ask("cat", place=f"{desk.name}:d/a", offset=2, length=2)["data"]) == b"eT"
    assert desk.ask("cat", place=f"{desk.name}:d/a", offset=9, length=2)["data"] == ""
    with pytest.raises(UsageError):
        desk.ask("cat", place=f"{desk.name}:d")


def test_cat_refuses_what_is_too_much_for_one_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CAT_BYTES_MAX > 6
    monkeypatch.setattr("pfs.versioning.operations.CAT_BYTES_MAX", 5)
    with pytest.raises(UsageError, match="too many"):
        desk.ask("cat", place=f"{desk.name}:d/a", offset=0, length=None)


def test_missing_arguments_are_usage_errors(desk: Desk) -> None:
    for op in ("branches", "tags", "log", "show", "diff", "rev-parse", "ls", "cat", "object"):
        with pytest.raises(UsageError, match="is missing"):
            desk.ask(op)


def test_status_and_statistics(desk: Desk) -> None:
    status = desk.ask("status")
    assert (status["mount_point"], status["daemon"], status["state"]) == (None, None, "not mounted")
    (branch,) = status["repos"][0]["branches"]
    assert (branch["branch"], branch["uncommitted"]) == ("main", None)
    assert desk.ask("statistics")["objects"] > 0


def test_object_of_every_kind(desk: Desk) -> None:
    commit = desk.ask("object", id=desk.second.hex())
    assert (commit["kind"], commit["holds"][5]) == ("commit", "main")
    chunk = desk.context.store.put(Kind.CHUNK, b"plain bytes")
    assert desk.ask("object", id=chunk.hex()) == {
        "id": chunk.hex(),
        "kind": "chunk",
        "bytes": 11,
        "holds": None,
    }
    with pytest.raises(MissingObject):
        inspect_object(desk.context.store, "00" * 32)
    with pytest.raises(UsageError):
        inspect_object(desk.context.store, "xyz")


def test_working_trees_that_must_be_frozen_first(desk: Desk) -> None:
    def named(op: str, **args: Any) -> list[str]:
        return [branch.name for _, branch in working_trees(desk.context, op, args)]

    assert named("ls", place=desk.name) == ["main"]
    assert named("ls", place=f"{desk.name}@~1") == []
    assert named("diff", old=f"{desk.name}@~1", new=None) == ["main"]
    assert named("diff", old=f"{desk.name}@~1", new=f"{desk.name}@~2") == []
    assert named("log", place=desk.name) == []


def test_fsck_reports_what_the_overlay_found(desk: Desk) -> None:
    problem = Problem("journal", "proj@main", "record 7 is torn")
    context = Context(
        desk.context.store,
        desk.context.repositories,
        desk.context.readers,
        desk.context.clock,
        check_overlay=lambda: [problem],
    )
    assert OPERATIONS["fsck"](context, {})["findings"] == [problem._asdict()]


def test_offline_the_store_is_opened_for_reading(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Store.open(path, Disk()) as store:
        desk = Desk(store)
        clock = desk.workshop.clock
    before = sorted(str(file) for file in path.rglob("*"))
    assert read_offline(path, "log", {"place": desk.name}, clock)["commits"]
    assert b"".join(cat_offline(path, f"{desk.name}@~1:d/a", clock)) == b"onetwo"
    assert sorted(str(file) for file in path.rglob("*")) == before
    with pytest.raises(PfsError):
        read_offline(tmp_path / "missing", "repos", {}, clock)
