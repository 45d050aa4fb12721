"""Programs that know nothing of pfs, at work on a mount: what only they can show."""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounted.mounting import NOBODY, Mount, acting_as, output, python, run

ROOT = Path(__file__).parents[2]
FILES = 2_100
SCRIPT_SECONDS = 30  # a deadlock between exec and the daemon would last for ever


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository on the local disk with FILES files, links, modes and some history."""
    path = tmp_path_factory.mktemp("origin")
    for number in range(FILES):
        file = path / f"d{number % 37}/e{number % 5}/f{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"line of file {number}\n" * (number % 50))
    (path / "link").symlink_to("d1/e1")
    (path / "program").write_text("#!/bin/sh\necho ran\n")
    (path / "program").chmod(0o755)
    (path / "big").write_bytes(os.urandom(3 << 20))
    git(path, "init", "-q", "-b", "main")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "one")
    (path / "d1/e1/f1.txt").write_text("changed\n")
    git(path, "commit", "-q", "-a", "-m", "two")
    git(path, "gc", "-q")
    return path


def git(where: Path, *words: str) -> str:
    identity = [
        "-c",
        "user.name=n",
        "-c",
        "user.email=n@example.org",
        "-c",
        "gc.auto=0",
        "-c",
        "safe.directory=*",
    ]
    return run("git", *identity, *words, cwd=where).stdout.decode()


def test_git_clones_and_finds_nothing_wrong(shared_mount: Mount, tree: Path, origin: Path) -> None:
    git(tree, "clone", "-q", str(origin), "clone")
    clone = tree / "clone"
    assert git(clone, "status", "--porcelain") == ""
    git(clone, "fsck", "--strict")
    assert len(git(clone, "ls-files").splitlines()) == FILES + 3
    git(clone, "checkout", "-q", "-b", "side", "HEAD~1")
    (clone / "d2/e2/f2.txt").write_text("on the side\n")
    git(clone, "commit", "-q", "-a", "-m", "side")
    git(clone, "merge", "-q", "main", "-m", "merged")
    git(clone, "gc", "-q")
    assert git(clone, "status", "--porcelain") == ""
    git(clone, "fsck", "--strict")
    shared_mount.commit(tree)
    shared_mount.remount()
    assert git(clone, "status", "--porcelain") == ""
    assert run("diff", "-r", clone, f"{tree}@~0/clone").stdout == b""


MAKEFILE = """
SOURCES := $(wildcard *.c)
OBJECTS := $(SOURCES:.c=.o)
CFLAGS := -O1 -std=gnu11 -MMD -I.
main: $(OBJECTS)
\t$(CC) -o $@ $^
generated.h: generate.sh
\t./generate.sh > $@
$(OBJECTS): generated.h
-include $(OBJECTS:.o=.d)
"""


def test_make_builds_a_program_that_runs_from_the_mount(shared_mount: Mount, tree: Path) -> None:
    for name in ("chunker.c", "chunker_avx2.c", "chunker.h"):
        (tree / name).write_bytes((ROOT / "native" / name).read_bytes())
    units = range(12)
    for number in units:
        (tree / f"unit{number}.c").write_text(
            f'#include "generated.h"\nint unit{number}(void) {{ return ADD + {number}; }}\n'
        )
    calls = "".join(f"int unit{number}(void);\n" for number in units)
    total = "+".join(f"unit{number}()" for number in units)
    main = f'#include <stdio.h>\n{calls}int main(void) {{ printf("%d\\n", {total}); return 0; }}\n'
    (tree / "main.c").write_text(main)
    (tree / "Makefile").write_text(MAKEFILE)
    (tree / "generate.sh").write_text("#!/bin/sh\necho '#define ADD 100'\n")
    (tree / "generate.sh").chmod(0o755)
    run("make", "-s", "-j2", cwd=tree)
    expected = f"{100 * len(units) + sum(units)}\n".encode()
    assert run("./main", cwd=tree).stdout == expected
    assert b"up to date" in run("make", "-j2", cwd=tree).stdout
    (tree / "unit3.c").write_text('#include "generated.h"\nint unit3(void) { return ADD + 4; }\n')
    made = run("make", "-j2", cwd=tree).stdout
    assert made.count(b"-c -o") == 1
    shared_mount.commit(tree)
    assert b"up to date" in run("make", "-j2", cwd=tree).stdout
    assert run(f"{tree}@~0/main").stdout == f"{int(expected) + 1}\n".encode()
    (tree / "main").unlink()
    run("make", "-s", "-j2", cwd=tree)


def test_pip_installs_a_package_that_imports(tree: Path) -> None:
    bundled = Path(ensurepip.__file__).parent / "_bundled"
    wheels = sorted([*bundled.glob("pip-*.whl"), *Path("/usr/share/python-wheels").glob("pip-*.whl")])
    assert wheels, "no wheel of pip on this machine: install python3-venv"
    target = tree / "site-packages"
    run(
        sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", target, wheels[0]
    )
    assert sum(len(files) for _, _, files in os.walk(target)) > 500
    where = python("import pip; print(pip.__file__)", environment={"PYTHONPATH": str(target)})
    assert where.startswith(str(target))


SQL = """
PRAGMA journal_mode={mode};
CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, number INTEGER);
CREATE INDEX i ON t (text);
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000)
INSERT INTO t SELECT x, 'text ' || x % 97, x * 7 FROM n;
BEGIN; UPDATE t SET number = number + 1 WHERE id % 3 = 0; COMMIT;
BEGIN; DELETE FROM t WHERE id % 10 = 1; ROLLBACK;
DELETE FROM t WHERE id > 4900;
PRAGMA integrity_check;
SELECT count(*), sum(number) FROM t;
"""
SQL_RESULT = "ok", f"4900|{sum(x * 7 + (x % 3 == 0) for x in range(1, 4901))}"


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_sqlite_keeps_its_integrity(shared_mount: Mount, tree: Path, mode: str) -> None:
    database = tree / "base.db"
    lines = run("sqlite3", database, stdin=SQL.format(mode=mode).encode()).stdout.decode().split()
    assert lines == [mode, *SQL_RESULT]
    script = """
import sqlite3, sys
writer, reader = (sqlite3.connect(sys.argv[1], timeout=20) for _ in range(2))
for number in range(30):
    with writer:
        writer.execute("INSERT INTO t (text, number) VALUES ('more', ?)", (number,))
    assert reader.execute("SELECT count(*) FROM t").fetchone()[0] == 4901 + number
    if number % 10 == 0:
        with open(sys.argv[2], "w") as ctl:
            ctl.write("commit in the middle")
"""
    python(script, database, tree / ".pfs/ctl")
    shared_mount.commit(tree)
    assert run("sqlite3", database, "PRAGMA integrity_check; SELECT count(*) FROM t;").stdout == b"ok\n4930\n"
    copy = shared_mount.base / f"{mode}.db"
    for step in range(3):
        for suffix in ("", "-wal", "-journal"):
            committed = Path(f"{tree}@~{step}/base.db{suffix}")
            target = Path(f"{copy}{suffix}")
            target.unlink(missing_ok=True)
            if committed.exists():
                target.write_bytes(committed.read_bytes())
        assert run("sqlite3", copy, "PRAGMA integrity_check;").stdout == b"ok\n"


@pytest.fixture(scope="module")
def odd_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with everything that a copy can lose."""
    path = tmp_path_factory.mktemp("odd")
    (path / "a/b").mkdir(parents=True)
    for number in range(200):
        (path / f"a/file{number}").write_bytes(os.urandom(number * 37))
    os.link(path / "a/file7", path / "a/b/hard")
    os.link(path / "a/file7", path / "hard2")
    (path / "link").symlink_to("a/nowhere")
    os.mkfifo(path / "fifo")
    with (path / "sparse").open("wb") as file:
        file.seek(10 << 20)
        file.write(b"end")
    (path / "empty").mkdir()
    os.setxattr(path / "a/file1", "user.x", b"value")
    (path / "a/file2").chmod(0o4711)
    run("setfacl", "-m", "u:65534:r", path / "a/file3")
    run("setfacl", "-d", "-m", "u:65534:rx", path / "a/b")
    if os.geteuid() == 0:
        os.chown(path / "a/file4", 12, 34)
    for name in ("a/file5", "link", "a/b", "empty"):
        os.utime(path / name, ns=(10**18 + 1, 10**18 + 123_456_789), follow_symlinks=False)
    (path / "new\nline\udcff").write_text("odd name")
    return path


RSYNC = ["rsync", "-aHAX", "--delete", "--itemize-changes"]


def test_rsync_in_and_out_finds_no_difference(shared_mount: Mount, tree: Path, odd_tree: Path) -> None:
    run(*RSYNC, f"{odd_tree}/", f"{tree}/in/")
    assert run(*RSYNC, f"{odd_tree}/", f"{tree}/in/").stdout == b""
    assert run(*RSYNC, "--checksum", f"{odd_tree}/", f"{tree}/in/").stdout == b""
    shared_mount.commit(tree)
    shared_mount.remount()
    out = shared_mount.base / "out"
    run(*RSYNC, f"{tree}@~0/in/", f"{out}/")
    for here in (f"{tree}/in/", f"{tree}@~0/in/", f"{odd_tree}/"):
        assert run(*RSYNC, "--checksum", here, f"{out}/").stdout == b""
    (odd_tree / "a/file9").write_text("changed")
    try:
        assert run(*RSYNC, f"{odd_tree}/", f"{tree}/in/").stdout.split()[1:] == [b"a/file9"]
    finally:
        (odd_tree / "a/file9").write_bytes((out / "a/file9").read_bytes())


TAR = ["tar", "--xattrs", "--acls", "--sort=name", "--sparse", "--numeric-owner", "--format=posix"]
TAR_STABLE = ["--pax-option=exthdr.name=%d/p/%f,delete=atime,delete=ctime"]


def test_tar_out_is_tar_in(shared_mount: Mount, tree: Path, odd_tree: Path) -> None:
    packed = shared_mount.base / "in.tar"
    run(*TAR, *TAR_STABLE, "-cf", packed, "-C", odd_tree, ".")
    run(*TAR, "-xpf", packed, "-C", tree)
    shared_mount.commit(tree)
    shared_mount.remount()
    assert run(*TAR, "--compare", "-f", packed, "-C", tree).stdout == b""
    listing = [*TAR, "--full-time", "-tvf"]
    for number, top in enumerate((str(tree), f"{tree}@~0/")):
        again = shared_mount.base / f"out{number}.tar"
        run(*TAR, *TAR_STABLE, "-cf", again, "-C", top, ".")
        assert run(*listing, again).stdout == run(*listing, packed).stdout


def test_cp_a_keeps_everything(tree: Path, odd_tree: Path) -> None:
    run("cp", "-a", odd_tree, tree / "copy")
    assert run(*RSYNC, "--checksum", f"{odd_tree}/", f"{tree}/copy/").stdout == b""
    run("cp", "-a", "--sparse=always", tree / "copy", tree / "again")
    assert run(*RSYNC, "--checksum", f"{tree}/copy/", f"{tree}/again/").stdout == b""
    run("rm", "-rf", tree / "copy", tree / "again")
    assert os.listdir(tree) == []


def test_vim_saves(shared_mount: Mount, tree: Path) -> None:
    path = tree / "text"
    path.write_text("one\ntwo\n")
    path.chmod(0o640)
    shared_mount.commit(tree)
    for backup in ("no", "yes", "auto"):
        edit = ["-c", f"set backup backupskip= backupcopy={backup}", "-c", f"normal Go{backup}", "-c", "wq"]
        run("vim", "-es", "-u", "NONE", *edit, path, stdin=b"")
    assert path.read_text() == "one\ntwo\nno\nyes\nauto\n"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert sorted(os.listdir(tree)) == ["text", "text~"]
    assert Path(f"{tree}@~0/text").read_text() == "one\ntwo\n"


def test_sed_and_ed_edit_in_place(tree: Path) -> None:
    (tree / "text").write_text("one\n")
    run("sed", "-i", "s/one/two/", tree / "text")
    assert (tree / "text").read_text() == "two\n"
    run("sh", "-c", f"echo three >> '{tree}/text'; sort -ro '{tree}/text' '{tree}/text'")
    assert (tree / "text").read_text() == "two\nthree\n"


def test_a_script_in_the_mount_runs_itself(shared_mount: Mount, tree: Path) -> None:
    script = tree / "script.py"
    script.write_text(
        f"#!{sys.executable}\nimport os, subprocess, sys\n"
        "print(len(sys.argv), flush=True)\n"
        "if len(sys.argv) < 4: os.execv(sys.argv[0], [*sys.argv, 'again'])\n"
    )
    script.chmod(0o755)
    assert run(script, seconds=SCRIPT_SECONDS).stdout.split() == [b"1", b"2", b"3", b"4"]
    shared_mount.commit(tree)
    assert run(f"{tree}@~0/script.py", "x", "y", "z", seconds=SCRIPT_SECONDS).stdout == b"4\n"


SHELL = """#!/bin/sh
cat "$0" > copy
./second one two
(echo from a subshell; ./second three) | sort > sorted
exec ./second last
"""


def test_a_shell_script_in_the_mount_that_runs_programs_does_not_hang(tree: Path) -> None:
    """Execve flushes close-on-exec handles while it holds the lock that /proc needs."""
    (tree / "first").write_text(SHELL)
    (tree / "second").write_text('#!/bin/sh\nread line < "$0"\nexec /bin/echo "$line" "$@"\n')
    for name in ("first", "second"):
        (tree / name).chmod(0o755)
    for _ in range(10):
        done = run("./first", cwd=tree, seconds=SCRIPT_SECONDS)
        assert done.stdout == b"#!/bin/sh one two\n#!/bin/sh last\n", output(done)
    assert (tree / "sorted").read_text() == "#!/bin/sh three\nfrom a subshell\n"
    assert (tree / "copy").read_text() == SHELL


def test_a_running_program_can_be_replaced_and_committed(shared_mount: Mount, tree: Path) -> None:
    program = tree / "program"
    program.write_bytes(Path("/bin/cat").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program], stdin=-1, stdout=-1) as running:
        with pytest.raises(OSError, match="busy"):
            program.open("r+b")
        shared_mount.commit(tree)
        (tree / "new").write_bytes(Path("/bin/echo").read_bytes())
        (tree / "new").chmod(0o755)
        (tree / "new").rename(program)
        shared_mount.commit(tree)
        assert running.communicate(b"still cat", timeout=20)[0] == b"still cat"
    assert run(program, "now echo").stdout == b"now echo\n"
    assert run(f"{tree}@~1/program", stdin=b"cat again").stdout == b"cat again"


@pytest.mark.usefixtures("as_root")
def test_another_user_works_in_a_directory_of_its_own(shared_mount: Mount, tree: Path) -> None:
    os.chown(tree, NOBODY, NOBODY)
    script = "umask 027; mkdir d; echo x > d/f; ln d/f g; ln -s d l; chmod 600 g; mv d e; cat e/f; id -u"
    assert run("sh", "-c", script, cwd=tree, uid=NOBODY).stdout == b"x\n65534\n"
    assert {(tree / name).lstat().st_uid for name in ("e", "e/f", "g", "l")} == {NOBODY}
    with acting_as(NOBODY), pytest.raises(PermissionError):
        os.chown(tree / "g", 0, 0)
