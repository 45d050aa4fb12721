"""Each command asks the daemon the right question and prints the answer."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from pfs import errors
from pfs.cli import COMMANDS
from tests.cli.conftest import Run, Serve

COMMIT: dict[str, Any] = {
    "commit": "ab" * 32,
    "short": "ab" * 8,
    "kind": "commit",
    "branch": "main",
    "time_ns": 1_700_000_000 * 10**9,
    "author": {"uid": 1000, "name": "alice", "host": "node7"},
    "message": "first\n\nmore",
    "labels": {"ticket": "7"},
    "parents": ["cd" * 32],
}
CHANGES = [
    {"status": "modified", "path": "a b", "old_path": None},
    {"status": "renamed", "path": "new\nname", "old_path": "old"},
]
ENTRY = {
    "name": "a",
    "path": "d/a",
    "type": "file",
    "mode": 0o644,
    "uid": 1,
    "gid": 2,
    "size": 5,
    "mtime_ns": 0,
    "file_id": 9,
    "content": "ef" * 32,
    "target": None,
}
HEAD = {key: COMMIT[key] for key in ("commit", "short", "time_ns", "message")}

# words, operation, arguments it must get, its answer, what must be printed
CASES: list[tuple[list[str], str, dict[str, Any], Any, str]] = [
    (["init", "proj"], "init", {"repo": "proj"}, {"repo": "proj"}, "made the repo proj\n"),
    (
        ["repos"],
        "repos",
        {},
        {"repos": [{"repo": "proj", "default_branch": "main", "branches": 1, "head": HEAD}]},
        f"proj  main  1 branch  2023-11-14 22:13:20Z  {COMMIT['short']}\n",
    ),
    (
        ["commit", "proj", "-m", "fix\nmore", "--label", "a=b=c"],
        "commit",
        {"place": "proj", "message": "fix\nmore", "labels": {"a": "b=c"}},
        {"changed": True, "repo": "proj", "branch": "main", "short": "abab"},
        "proj@main abab fix\n",
    ),
    (
        ["commit", "proj@exp"],
        "commit",
        {"place": "proj@exp", "message": "", "labels": {}},
        {"changed": False, "repo": "proj", "branch": "exp"},
        "proj@exp: nothing to commit\n",
    ),
    (
        ["log", "proj", "--stat", "-n", "3"],
        "log",
        {"place": "proj", "all": False, "stat": True, "limit": 3},
        {"commits": [{**COMMIT, "changes": CHANGES}]},
        f"{COMMIT['short']}  2023-11-14 22:13:20Z  alice@node7  first\n    M a b\n    R old -> new\\nname\n",
    ),
    (
        ["diff", "proj@v1", "proj@v2", "d"],
        "diff",
        {"old": "proj@v1", "new": "proj@v2", "uncommitted": False, "path": "d"},
        {"changes": CHANGES},
        "M a b\nR old -> new\\nname\n",
    ),
    (
        ["branch", "proj"],
        "branches",
        {"repo": "proj"},
        {"branches": [{"branch": "main", "default": True, "head": HEAD}]},
        f"*  main  {COMMIT['short']}  2023-11-14 22:13:20Z  first\n",
    ),
    (
        ["branch", "proj@exp", "v1"],
        "branch",
        {"action": "create", "repo": "proj", "branch": "exp", "start": "v1"},
        {},
        "made the branch proj@exp\n",
    ),
    (
        ["branch", "-d", "proj@exp"],
        "branch",
        {"action": "delete", "repo": "proj", "branch": "exp"},
        {},
        "deleted the branch proj@exp\n",
    ),
    (
        ["branch", "-m", "proj@exp", "done"],
        "branch",
        {"action": "rename", "repo": "proj", "branch": "exp", "new_name": "done"},
        {},
        "renamed proj@exp to done\n",
    ),
    (
        ["tag", "proj"],
        "tags",
        {"repo": "proj"},
        {"tags": [{"tag": "v1", "short": "abab", "time_ns": 0, "message": ""}]},
        "v1  abab  1970-01-01 00:00:00Z\n",
    ),
    (
        ["tag", "proj@v1", "-m", "good"],
        "tag",
        {"action": "create", "repo": "proj", "tag": "v1", "revision": None, "message": "good"},
        {},
        "made the tag proj@v1\n",
    ),
    (
        ["rev-parse", "proj@{yesterday}", "--short"],
        "rev-parse",
        {"place": "proj@{yesterday}"},
        {"commit": "ab" * 32, "short": "ab" * 8},
        "ab" * 8 + "\n",
    ),
    (["ls", "proj:d"], "ls", {"place": "proj:d"}, {"entries": [ENTRY]}, "a\n"),
    (
        ["ls", "-l", "proj:d"],
        "ls",
        {"place": "proj:d"},
        {"entries": [ENTRY, {**ENTRY, "type": "symlink", "mode": 0o777, "target": "\udcff"}]},
        "-rw-r--r--  1:2             5  1970-01-01 00:00:00Z  a\n"
        "lrwxrwxrwx  1:2             5  1970-01-01 00:00:00Z  a -> \udcff\n",
    ),
    (
        ["fsck"],
        "fsck",
        {},
        {"checked": {"objects": 3, "tree_nodes": 2}, "findings": []},
        "checked 3 objects, 2 tree nodes: clean\n",
    ),
    (
        ["debug", "counters", "loop"],
        "debug",
        {"what": "counters"},
        {"loop.pause_ms_max": 3, "other": 1},
        '{\n  "loop.pause_ms_max": 3\n}\n',
    ),
    (["debug", "object", "ab" * 32], "object", {"id": "ab" * 32}, {}, "{}\n"),
]


@pytest.mark.parametrize(("words", "op", "args", "answer", "printed"), CASES, ids=lambda case: str(case)[:40])
def test_command(
    pfs: Run, daemon: Serve, words: list[str], op: str, args: dict[str, Any], answer: Any, printed: str
) -> None:
    fake = daemon({op: answer})
    outcome = pfs(*words)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == printed
    assert fake.asked == [(op, args)]
    if words[0] != "debug":
        assert pfs(*words, "--json").document == answer


def test_show_prints_commit_and_entry(pfs: Run, daemon: Serve) -> None:
    daemon({"show": {"commit": {**COMMIT, "changes": CHANGES}}})
    out = pfs("show", "proj@v1").out
    for part in (COMMIT["commit"], "alice@node7 (uid 1000)", "ticket=7", "    first", "M a b", "cd" * 32):
        assert part in out


def test_show_entry(pfs: Run, daemon: Serve) -> None:
    daemon({"show": {"entry": ENTRY}})
    out = pfs("show", "proj@v1:d/a").out
    assert "d/a" in out
    assert "-rw-r--r--" in out


def test_status(pfs: Run, daemon: Serve) -> None:
    branch = {"branch": "main", "default": True, "head": HEAD, "uncommitted": True}
    answer = {
        "store": "/s",
        "mount_point": "/m",
        "daemon": {"pid": 7},
        "repos": [{"repo": "proj", "branches": [branch, {**branch, "branch": "exp", "default": False}]}],
    }
    daemon({"status": answer})
    out = pfs("status").out
    assert "pid 7" in out
    assert "proj@exp  " + COMMIT["short"] + "  uncommitted changes" in out
    assert pfs("status", "--json").document == answer


def test_cat_asks_for_pieces_until_one_is_empty(pfs: Run, daemon: Serve) -> None:
    pieces = {0: b"one\xff", 4: b"two", 7: b""}
    fake = daemon({"cat": lambda args: {"data": b64encode(pieces[args["offset"]]).decode()}})
    outcome = pfs("cat", "proj:f", "proj@v1:f")
    assert (outcome.code, outcome.out) == (0, "one\udcfftwo" * 2)
    assert [args["place"] for _, args in fake.asked] == ["proj:f"] * 3 + ["proj@v1:f"] * 3


def test_fsck_with_findings_is_exit_code_6(pfs: Run, daemon: Serve) -> None:
    finding = {"kind": "missing", "where": "proj@main:f", "message": "no pack holds it"}
    daemon({"fsck": {"checked": {"objects": 1}, "findings": [finding]}})
    outcome = pfs("fsck")
    assert outcome.code == 6
    assert outcome.out == "missing: proj@main:f: no pack holds it\nchecked 1 objects: 1 problem\n"
    assert pfs("fsck", "--json").code == 6


@pytest.mark.parametrize(
    "words",
    [
        ["branch", "proj", "other"],
        ["branch", "-d", "proj"],
        ["branch", "-d", "proj@a", "b"],
        ["branch", "-m", "proj@a"],
        ["tag", "-d", "proj"],
        ["tag", "-d", "proj@v", "main"],
        ["commit", "proj", "--label", "x"],
        ["commit", "proj", "--label", "x=1", "--label", "x=2"],
        ["log", "proj", "-n", "0"],
        ["log"],
        ["fly"],
        ["log", "proj", "--fly"],
    ],
    ids=" ".join,
)
def test_usage_errors_are_one_line_and_exit_code_2(pfs: Run, daemon: Serve, words: list[str]) -> None:
    daemon({})
    outcome = pfs(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("pfs: ")
    assert outcome.err.count("\n") == 1
    assert pfs(*words, "--json").error["kind"] == "usage"


@pytest.mark.parametrize(
    "words", [["init", "p"], ["commit", "p"], ["branch", "p@x"], ["tag", "p@x"]], ids=" ".join
)
def test_changes_without_a_daemon_say_so(pfs: Run, words: list[str]) -> None:
    outcome = pfs(*words)
    assert outcome.code == 7
    assert "no daemon holds the store" in outcome.err
    assert "pfs mount" in outcome.err


def test_error_of_the_daemon_is_one_line_with_its_hint(pfs: Run, daemon: Serve) -> None:
    daemon({"log": errors.NotFound("proj@mian: no such branch", hint="Did you mean main?")})
    outcome = pfs("log", "proj@mian")
    assert outcome.code == 3
    assert outcome.err == "pfs: proj@mian: no such branch. Did you mean main?\n"
    outcome = pfs("log", "proj@mian", "--json")
    assert outcome.error == {
        "kind": "not_found",
        "message": "proj@mian: no such branch",
        "hint": "Did you mean main?",
    }


def test_defect_is_one_line_and_goes_to_the_log(
    pfs: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfs.cli.commands.help.print_text", lambda text: 1 // 0)
    outcome = pfs("help")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "pfs: internal error: ZeroDivisionError" in outcome.err
    log = tmp_path / "state" / "pfs" / "log" / "pfs.log"
    assert str(log) in outcome.err
    assert "Traceback" in log.read_text()
    monkeypatch.setenv("PFS_DEBUG", "1")
    assert "Traceback" in pfs("help").err


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_interrupt_and_lost_reader_are_quiet(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pfs.cli import failure

    monkeypatch.setattr(failure.os, "dup2", lambda *_: None)
    assert failure.exit_code_of(error, as_json=False) == code
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help(pfs: Run, name: str) -> None:
    outcome = pfs(name, "--help")
    assert outcome.code == 0
    assert f"pfs {name}" in outcome.out
    assert pfs("help", name).out.strip() == outcome.out.strip()


def test_help_lists_all_commands_and_topics(pfs: Run) -> None:
    assert all(f"  {name} " in pfs("help").out for name in COMMANDS)
    assert "yesterday" in pfs("help", "revisions").out
    assert pfs("help", "flying").code == 3


def test_exit_codes_come_from_the_classes(pfs: Run) -> None:
    lines = dict(line.strip().split("  ", 1) for line in pfs("help", "exit-codes").out.splitlines())
    assert lines["7"] == "no daemon (no_daemon)"
    assert "not_found" in lines["3"]
    assert "integrity" in lines["6"]


def test_doctor_reports_all_and_lists_exclusions(pfs: Run) -> None:
    outcome = pfs("doctor")
    assert outcome.code in (0, 1)
    assert "/dev/fuse" in outcome.out
    assert "PRUNEFS" in outcome.out
    document = pfs("doctor", "--json").document
    assert {finding["what"] for finding in document["findings"]} >= {"/dev/fuse", "kernel", "open files"}
