"""Branches, tags, dates and steps as paths: what each shows, and who stays where while commits go on."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.mounted.mounting import Mount, python, run, start, wait_all, wait_until


@pytest.fixture
def history(shared_mount: Mount, tree: Path) -> list[str]:
    """Five commits in which `file` holds 0 to 4; a tag v1 on the second; their ids."""
    ids = []
    for number in range(5):
        (tree / "file").write_text(str(number))
        (tree / f"only{number}").touch()
        ids.append(shared_mount.commit(tree, f"commit {number}"))
        if number == 1:
            shared_mount.ask("tag", action="create", repo=tree.name, tag="v1")
    return ids


def test_every_spelling_shows_its_commit(tree: Path, history: list[str]) -> None:
    (tree / "file").write_text("uncommitted")
    spellings = {
        "@~0": "4",
        "@~": "3",
        "@~2": "2",
        "~2": "2",
        "@^": "3",
        "@^0": "4",
        "@main~1": "3",
        "@v1": "1",
        "@v1^": "0",
        "@v1~0": "1",
        f"@{history[3][:8]}": "3",
        f"@{history[3]}": "3",
        f"@{history[3][:12]}~2": "1",
        "@{0.min.ago}": "4",
        "@main": "uncommitted",
        "": "uncommitted",
    }
    for spelling, expected in spellings.items():
        assert Path(f"{tree}{spelling}/file").read_text() == expected, spelling


def test_a_date_finds_what_was_shown_then(shared_mount: Mount, tree: Path, history: list[str]) -> None:
    moments = [Path(f"{tree}/.pfs/commits/{commit[:16]}").lstat().st_mtime for commit in history]
    assert moments == sorted(moments)
    then = datetime.fromtimestamp(int(moments[-1]) + 1, UTC)
    wait_until(
        lambda: os.path.exists(f"{tree}@{{{then:%Y-%m-%dT%H:%M:%SZ}}}")
    )  # until then it is in the future
    (tree / "file").write_text("later")
    shared_mount.commit(tree)
    there = datetime.fromtimestamp(then.timestamp(), timezone(timedelta(hours=5, minutes=30)))
    for text in (
        f"{then:%Y-%m-%dT%H:%M:%SZ}",
        f"{then:%Y%m%dT%H%M%SZ}",
        f"{then:%Y-%m-%dT%H:%M:%S}",
        f"{there:%Y-%m-%dT%H:%M:%S}+05:30",
    ):
        assert Path(f"{tree}@{{{text}}}/file").read_text() == "4", text
        assert Path(f"{tree}@main@{{{text}}}/file").read_text() == "4", text
        assert Path(f"{tree}@{{{text}}}~1/file").read_text() == "3", text
    assert Path(f"{tree}@{{0.min.ago}}/file").read_text() == "later"
    for text in ("yesterday", "2.d.ago", "2001-01-31", f"{then + timedelta(days=2):%Y-%m-%d}"):
        assert not os.path.exists(f"{tree}@{{{text}}}"), text


def test_four_spellings_are_directories_and_all_others_links(tree: Path, history: list[str]) -> None:
    name = tree.name
    head = history[-1]
    Path(f"{tree}@exp").mkdir()
    for spelling in ("", "@exp", "@v1", f"@{head[:8]}", f"@{head}"):
        assert not os.path.islink(f"{tree}{spelling}")
        assert os.path.isdir(f"{tree}{spelling}")
    links = {
        "@main": name,
        "@~0": f"{name}@{head[:16]}",
        "~0": f"{name}@{head[:16]}",
        "@~2": f"{name}@{history[2][:16]}",
        "@v1^0": f"{name}@{history[1][:16]}",
        f"@{head[:8]}~1": f"{name}@{history[3][:16]}",
        "@exp~0": f"{name}@{head[:16]}",
        "@{0.min.ago}": f"{name}@{head[:16]}",
    }
    for spelling, target in links.items():
        assert os.readlink(f"{tree}{spelling}") == target


def test_diff_shows_just_what_changed(tree: Path, history: list[str]) -> None:
    (tree / "file").write_text("uncommitted")
    done = run("diff", "-rq", f"{tree}@~1", f"{tree}@~0", check=False)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == [
        f"Files {tree}@~1/file and {tree}@~0/file differ",
        f"Only in {tree}@~0: only4",
    ]
    assert run("diff", "-r", f"{tree}@{history[1]}", f"{tree}@v1").stdout == b""


def test_dot_pfs_lists_branches_tags_and_commits(shared_mount: Mount, tree: Path, history: list[str]) -> None:
    Path(f"{tree}@exp").mkdir()
    (tree / "directory").mkdir()
    for where, up in ((tree, "../../../"), (tree / "directory", "../../../../")):
        dot = where / ".pfs"
        assert sorted(os.listdir(dot)) == ["branches", "commits", "ctl", "lineage", "log", "status", "tags"]
        assert sorted(os.listdir(dot / "branches")) == ["exp", "main"]
        assert os.listdir(dot / "tags") == ["v1"]
        assert os.readlink(dot / "tags/v1") == f"{up}{tree.name}@v1"
        assert (dot / "tags/v1/file").read_text() == "1"
        assert (dot / "branches/main/file").read_text() == "4"
        listed = run("ls", "-t", dot / "commits").stdout.decode().split()
        assert listed[:5] == [commit[:16] for commit in reversed(history)]
        assert (dot / "commits" / history[2][:16] / "file").read_text() == "2"
        assert [line.split()[-1] for line in (dot / "log").read_text().splitlines()[:5]] == list("43210")
    assert sorted(os.listdir(f"{tree}@v1/.pfs")) == [
        "branches",
        "commits",
        "lineage",
        "log",
        "status",
        "tags",
    ]
    assert shared_mount.path.joinpath(tree.name, ".pfs/status").read_text().startswith("{")


# branches


def test_branches_are_made_written_renamed_and_removed(
    shared_mount: Mount, tree: Path, history: list[str]
) -> None:
    root, name = shared_mount.path, tree.name
    exp = root / f"{name}@exp"
    exp.mkdir()
    assert (exp / "file").read_text() == "4"
    (exp / "file").write_text("on the branch")
    assert (tree / "file").read_text() == "4"
    with pytest.raises(OSError, match="not empty"):
        exp.rmdir()
    shared_mount.commit(exp, "on exp")
    assert Path(f"{exp}~0/file").read_text() == "on the branch"
    assert Path(f"{exp}~1/file").read_text() == "4"
    assert Path(f"{tree}@~0/file").read_text() == "4"
    run("mv", exp, root / f"{name}@renamed")
    assert not exp.exists()
    renamed = root / f"{name}@renamed"
    assert (renamed / "file").read_text() == "on the branch"
    (renamed / "more").write_text("more")
    shared_mount.commit(renamed, "on renamed")
    assert f"{name}@renamed" in os.listdir(root)
    shared_mount.remount()
    assert (renamed / "more").read_text() == "more"
    renamed.rmdir()
    assert not renamed.exists()
    assert f"{name}@renamed" not in os.listdir(root)
    renamed.mkdir()
    assert (renamed / "file").read_text() == "4"


def test_a_renamed_branch_keeps_its_open_files_and_directories(
    shared_mount: Mount, tree: Path, history: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, name = shared_mount.path, tree.name
    (root / f"{name}@a").mkdir()
    (root / f"{name}@a/directory").mkdir()
    monkeypatch.chdir(root / f"{name}@a/directory")
    with Path("file").open("w") as file:
        (root / f"{name}@a").rename(root / f"{name}@b")
        file.write("written after the branch was renamed")
    assert Path("file").read_text() == "written after the branch was renamed"
    assert os.getcwd() == str(root / f"{name}@b/directory")
    assert (root / f"{name}@b/directory/file").exists()


def test_rm_rf_of_a_branch_empties_it_and_stops(shared_mount: Mount, tree: Path, history: list[str]) -> None:
    branch = Path(f"{tree}@exp")
    branch.mkdir()
    done = run("rm", "-rf", branch, check=False)
    assert done.returncode == 1
    assert b"not empty" in done.stderr
    assert os.listdir(branch) == []
    assert (Path(f"{branch}~0/") / "file").read_text() == "4"


def test_mv_between_branches_copies(tree: Path, history: list[str]) -> None:
    branch = Path(f"{tree}@exp")
    branch.mkdir()
    (tree / "new").write_bytes(b"n" * 100_000)
    run("mv", tree / "new", branch / "new")
    assert (branch / "new").read_bytes() == b"n" * 100_000
    assert not (tree / "new").exists()


# who stays where


def test_a_shell_in_an_old_commit_stays_there(shared_mount: Mount, tree: Path, history: list[str]) -> None:
    shell = subprocess.Popen(
        ["sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=f"{tree}@~1/",
        text=True,
        env={"PATH": os.environ["PATH"]},
    )

    def ask(command: str) -> str:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(f"{command}\necho\n")
        shell.stdin.flush()
        answer = shell.stdout.readline().rstrip("\n")
        shell.stdout.readline()
        return answer

    expected = f"{tree}@{history[3][:16]}"
    for number in range(5, 9):
        assert ask("pwd -P") == expected
        assert ask("cat file; echo") == "3"
        assert ask("cat $(pwd -P)/file; echo") == "3"
        assert ask(f"cat {tree}@~1/file; echo") == str(number - 2)
        (tree / "file").write_text(str(number))
        shared_mount.commit(tree)
    shell.communicate(timeout=20)
    assert shell.returncode == 0


WALK = """
import os, sys
for _ in range(int(sys.argv[1])):
    for top in sys.argv[2:]:
        for where, directories, files in os.walk(top):
            for name in files:
                os.stat(os.path.join(where, name))
"""

WATCH = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    here = os.getcwd()
    assert here == sys.argv[1], here
    with open("file") as file:
        assert file.read() == "x"
"""


def test_two_spellings_of_one_commit_never_move_each_others_shells(shared_mount: Mount, tree: Path) -> None:
    deep = tree / "a/b/c"
    deep.mkdir(parents=True)
    for number in range(20):
        (deep / f"{number}").touch()
    (deep / "file").write_text("x")
    head = shared_mount.commit(tree)
    shared_mount.ask("tag", action="create", repo=tree.name, tag="v1")
    tops = [f"{tree}@v1", f"{tree}@{head[:8]}", f"{tree}@{head}", f"{tree}@~0/"]
    walkers = [start(sys.executable, "-c", WALK, "15", *order) for order in (tops, tops[::-1])]
    watchers = [start(sys.executable, "-c", WATCH, f"{top}/a/b/c", "3000") for top in tops[:3]]
    wait_all([*walkers, *watchers])


def test_a_commit_seen_under_many_spellings_reads_the_same(shared_mount: Mount, tree: Path) -> None:
    (tree / "directory").mkdir()
    for number in range(5):
        (tree / f"directory/{number}").write_text(f"content {number}")
    os.link(tree / "directory/0", tree / "linked")
    head = shared_mount.commit(tree)
    with Path(f"{tree}@{head}/directory/1").open() as long_open:
        for length in range(8, 65, 3):
            top = Path(f"{tree}@{head[:length]}")
            assert (top / "directory/1").read_text() == "content 1"
            assert (top / "linked").read_text() == "content 0"
            assert sorted(os.listdir(top / "directory")) == list("01234")
        assert long_open.read() == "content 1"


def test_more_commits_than_are_kept_open_can_be_walked(shared_mount: Mount, tree: Path) -> None:
    ids = []
    for number in range(300):
        (tree / "file").write_text(str(number))
        ids.append(shared_mount.commit(tree))
    with Path(f"{tree}@{ids[0]}/file").open() as first:
        for number, commit in enumerate(ids):
            assert Path(f"{tree}@{commit[:16]}/file").read_text() == str(number)
        assert first.read() == "0"
    assert Path(f"{tree}@{ids[0]}/file").read_text() == "0"


def test_a_read_only_mount_shows_everything_and_changes_nothing(mount: Mount, repo: Path) -> None:
    (repo / "file").write_text("committed")
    mount.commit(repo)
    (repo / "file").write_text("uncommitted")
    mount.remount("--read-only")
    assert (repo / "file").read_text() == "uncommitted"
    assert Path(f"{repo}@~0/file").read_text() == "committed"
    for attempt in (
        lambda: (repo / "file").write_text("x"),
        (mount.path / "new").mkdir,
        (repo / "file").unlink,
        lambda: mount.commit(repo),
    ):
        with pytest.raises(OSError, match="Read-only"):
            attempt()
    mount.remount()
    assert (repo / "file").read_text() == "uncommitted"


def test_names_seen_missing_appear_when_somebody_makes_them(shared_mount: Mount, tree: Path) -> None:
    for name in (f"{tree}@exp", f"{tree}@v9", f"{tree}@{'0' * 16}", f"{shared_mount.path}/later"):
        assert not os.path.exists(name)
    assert not os.path.exists(tree / "new")
    python("import sys; open(sys.argv[1], 'w').write('x')", tree / "new")
    assert (tree / "new").read_text() == "x"
    shared_mount.commit(tree)
    shared_mount.ask("tag", action="create", repo=tree.name, tag="v9")
    shared_mount.ask("branch", action="create", repo=tree.name, branch="exp")
    shared_mount.ask("init", repo="later")
    assert (Path(f"{tree}@v9") / "new").read_text() == "x"
    assert (Path(f"{tree}@exp") / "new").read_text() == "x"
    assert os.listdir(shared_mount.path / "later") == []
    shared_mount.ask("branch", action="delete", repo=tree.name, branch="exp")
    assert not os.path.exists(f"{tree}@exp")
    shared_mount.ask("tag", action="delete", repo=tree.name, tag="v9")
    assert not os.path.exists(f"{tree}@v9")
