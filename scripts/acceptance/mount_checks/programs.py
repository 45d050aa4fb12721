"""Unmodified programs in the mount: git, make, pip, sqlite3, rsync, tar, vim, scripts."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

from scripts.acceptance.mount_checks.report import Run, Timer, check, noise
from tests.mounted.mounting import output, run

# Lua 5.1 with its own makefile, from an sdist of PyPI: real C that needs nothing but a compiler.
C_SOURCES = "lupa==2.4"
C_FOLDER = "third-party/lua51"
WAIT_SECONDS = 60


def make_git_repo(where: Path, files: int) -> None:
    """A git repo of two commits on the local disk, its files in many folders."""
    for number in range(files):
        path = where / f"folder{number % 97:02}/sub{number % 7}/file{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d\n" % number * (number % 500) + noise(number % 3000, number))
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    run("git", "init", "-q", ".", cwd=where)
    for message in ("first", "second"):
        (where / "changes.txt").write_text(message)
        run("git", "add", "-A", cwd=where)
        run("git", *identity, "commit", "-qm", message, cwd=where)


@check("git", "git clone of a local repo with 2,000+ files, git status clean, git fsck clean")
def git(job: Run) -> None:
    """Clone, ask, change, ask again."""
    source = job.directory / "source"
    source.mkdir()
    make_git_repo(source, job.pick(2500, 200))
    with job.mounted() as mount:
        clone = mount.repo() / "clone"
        with Timer() as timer:
            run("git", "clone", "-q", source, clone)
        job.note("git clone", timer)
        with Timer() as timer:
            status = output(run("git", "status", "--porcelain", cwd=clone))
        job.equal(f"git status --porcelain ({timer})", status, "")
        job.equal("git fsck --full", output(run("git", "fsck", "--full", "--no-progress", cwd=clone)), "")
        (clone / "changes.txt").write_text("third")
        job.equal(
            "a change is seen", output(run("git", "status", "--porcelain", cwd=clone)), " M changes.txt\n"
        )
        job.equal(
            "diff -r with the source",
            output(run("diff", "-r", "-x", ".git", source, clone, check=False))[:5],
            "diff ",
        )


@check("make", "make -j2 of a real C program in the mount, and the binary runs from the mount")
def make(job: Run) -> None:
    """Build Lua 5.1 and run a program with it."""
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--no-build-isolation"]
    run(*pip, "--no-binary", ":all:", C_SOURCES, "-d", job.directory)
    with job.mounted() as mount:
        repo = mount.repo()
        with tarfile.open(next(job.directory.glob("lupa-*.tar.gz"))) as sources:
            wanted = [member for member in sources if f"/{C_FOLDER}/" in member.name]
            sources.extractall(repo, wanted, filter="data")
        folder = next(repo.glob(f"*/{C_FOLDER}"))
        with Timer() as timer:
            run("make", "-j2", "-C", folder / "src", "posix")
        job.note("make -j2", timer)
        answer = output(run(folder / "src/lua", "-e", "print(2^10, _VERSION)"))
        job.equal("the binary's answer", answer, "1024\tLua 5.1\n")
        again = output(run("make", "-j2", "-C", folder / "src", "posix"))
        job.demand("a second make compiles nothing", again.count(" -c "), "= 0", " -c " not in again)


@check("pip", "pip install --target into the mount, and what was installed is imported from there")
def pip(job: Run) -> None:
    """Install two packages with dependencies."""
    with job.mounted() as mount:
        target = mount.repo() / "site"
        with Timer() as timer:
            run(
                sys.executable,
                "-m",
                "pip",
                "install",
                "-qq",
                "--target",
                target,
                "click",
                "rich",
                seconds=300,
            )
        job.note("pip install --target", timer)
        code = "import click, rich, pygments; print(click.__file__, rich.__file__)"
        where = output(
            run(sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {code}")
        )
        job.demand("imported from the mount", where.split()[0], str(target), where.count(str(target)) == 2)


@check("sqlite", "sqlite3 in rollback and WAL mode with PRAGMA integrity_check")
def sqlite(job: Run) -> None:
    """A writer and a reader at once, then the check, then the check of a committed copy."""
    with job.mounted() as mount:
        repo = mount.repo()
        for mode in ("delete", "wal"):
            path = repo / f"{mode}.db"
            with Timer() as timer:
                _fill_database(path, mode, job.pick(300, 30))
            checked = output(
                run("sqlite3", path, "PRAGMA journal_mode; PRAGMA integrity_check; SELECT count(*) FROM t;")
            )
            job.equal(f"{mode}: {timer}, then", checked.split(), [mode, "ok", str(job.pick(300, 30))])
        mount.commit(repo)
        for mode in ("delete", "wal"):
            copy = job.directory / f"{mode}.db"
            copy.write_bytes((mount.path / f"repo@~0/{mode}.db").read_bytes())
            job.equal(
                f"{mode}: as committed", output(run("sqlite3", copy, "PRAGMA integrity_check;")), "ok\n"
            )


def _fill_database(path: Path, mode: str, rows: int) -> None:
    with sqlite3.connect(path) as setup:
        setup.execute(f"PRAGMA journal_mode={mode}")
        setup.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, value BLOB)")
    setup.close()
    wrong: list[int] = []
    done = threading.Event()

    def read() -> None:
        reader = sqlite3.connect(path, timeout=30)
        seen = 0
        while not done.is_set():
            (count,) = reader.execute("SELECT count(*) FROM t").fetchone()
            wrong.extend([count] if count < seen else [])
            seen = count
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    writer = sqlite3.connect(path, timeout=30)
    for number in range(rows):
        with writer:
            writer.execute("INSERT INTO t VALUES (?, ?)", (number, noise(number * 7 % 2000, number)))
            writer.execute("UPDATE t SET value = ? WHERE id = ?", (b"changed", number // 2))
    writer.close()
    done.set()
    thread.join()
    assert not wrong, f"rows vanished for a reader: {wrong}"


def make_mixed_tree(where: Path, files: int) -> None:
    """Files, hard links, symlinks, xattrs, ACLs, sparse files, odd names, owners, times."""
    for number in range(files):
        path = where / f"d{number % 13}/e{number % 5}/f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(number * 37 % 20_000, number))
        os.utime(path, ns=(10**18 + number, 10**18 + number * 1_000_003))
        path.chmod((0o600, 0o755, 0o444, 0o4755)[number % 4])
        if number % 10 == 0:
            os.link(path, where / f"hard{number}")
            os.symlink(path.relative_to(where), where / f"soft{number}")
        if number % 20 == 0:
            run("setfacl", "-m", "u:65534:rw,g:65534:r", path)
        if number % 10 == 0:
            os.setxattr(path, "user.note", b"value %d" % number)
        if number % 30 == 0 and os.geteuid() == 0:
            os.chown(path, 1000 + number, 2000)
    (where / "leer zeichen\nund zeilen\tö").mkdir()
    (where / os.fsdecode(b"not\xffutf8")).write_bytes(b"x")
    with (where / "sparse").open("wb") as sparse:
        sparse.truncate(50_000_000)
        sparse.seek(20_000_000)
        sparse.write(b"in the middle")
    os.mkfifo(where / "fifo")


@check("rsync", "rsync -aHAX in and out with no difference on a second run")
def rsync(job: Run) -> None:
    """In, in again, out, out again, and compare."""
    source, back = job.directory / "source", job.directory / "back"
    source.mkdir()
    make_mixed_tree(source, job.pick(1500, 150))
    with job.mounted() as mount:
        inside = mount.repo() / "tree"
        for start, end in ((source, inside), (inside, back)):
            with Timer() as timer:
                run("rsync", "-aHAXS", f"{start}/", f"{end}/", seconds=600)
            again = output(run("rsync", "-aHAXS", "--itemize-changes", f"{start}/", f"{end}/"))
            job.equal(f"second run to {end.name} (first: {timer})", again, "")
            again = output(run("rsync", "-aHAXSnc", "--itemize-changes", f"{start}/", f"{end}/"))
            job.equal(f"with checksums to {end.name}", again, "")
        mount.commit(mount.path / "repo")
        again = output(
            run("rsync", "-aHAXSnc", "--itemize-changes", f"{source}/", f"{mount.path}/repo@~0/tree/")
        )
        job.equal("with the commit", again, "")


@check("tar", "tar out equals tar in")
def tar(job: Run) -> None:
    """The same bytes of an archive, before and after."""
    source = job.directory / "source"
    source.mkdir()
    make_mixed_tree(source, job.pick(1500, 150))
    options = ["--sort=name", "--numeric-owner", "--format=posix", "--xattrs", "--acls"]
    pax = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"

    def pack(where: Path, archive: Path) -> bytes:
        run("tar", *options, pax, "-cf", archive, "-C", where, ".", seconds=600)
        return archive.read_bytes()

    before = pack(source, job.directory / "before.tar")
    with job.mounted() as mount:
        inside = mount.repo() / "tree"
        inside.mkdir()
        with Timer() as timer:
            run("tar", *options, "-xpf", job.directory / "before.tar", "-C", inside, seconds=600)
        job.note("tar -x", timer)
        with Timer() as timer:
            after = pack(inside, job.directory / "after.tar")
        job.demand(f"tar of the mount ({timer})", f"{len(after)} bytes", "the same bytes", after == before)
        mount.commit(mount.path / "repo")
        after = pack(mount.path / "repo@~0/tree", job.directory / "after.tar")
        job.demand("tar of the commit", f"{len(after)} bytes", "the same bytes", after == before)
        os.unlink(job.directory / "after.tar")


@check("vim", "vim's save, in all three ways it has")
def vim(job: Run) -> None:
    """Each backup mode keeps text, mode and xattrs."""
    with job.mounted() as mount:
        repo = mount.repo()
        for way in ("yes", "no", "auto"):
            path = repo / f"{way}.txt"
            path.write_text("first\n")
            path.chmod(0o640)
            edit = f"+set backupcopy={way} writebackup backup backupdir=. backupskip="
            run("vim", "-es", "-u", "NONE", "-N", edit, "+normal oséconde", "+wq", path, cwd=repo)
            found = (path.read_text(), oct(path.stat().st_mode & 0o777), (repo / f"{way}.txt~").read_text())
            job.equal(f"backupcopy={way}", found, ("first\nséconde\n", "0o640", "first\n"))


@check(
    "scripts", "a Python script in the mount executes itself; a shell script that execs others does not hang"
)
def scripts(job: Run) -> None:
    """Programs whose own file is in the mount."""
    with job.mounted() as mount:
        repo = mount.repo()
        itself = repo / "itself.py"
        itself.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            "n = int(sys.argv[1])\nprint(n, flush=True)\n"
            "if n: os.execv(__file__, [__file__, str(n - 1)])\n"
        )
        shell = repo / "shell.sh"
        shell.write_text('#!/bin/sh\ncp /bin/echo ./echo && ./echo copied && ls "$0" && exec ./itself.py 1\n')
        for path in (itself, shell):
            path.chmod(0o755)
        job.equal("python, five times", output(run(itself, "4", seconds=WAIT_SECONDS)).split(), list("43210"))
        said = output(run("./shell.sh", cwd=repo, seconds=WAIT_SECONDS)).split()
        job.equal("shell", said, ["copied", "./shell.sh", "1", "0"])
        busy = subprocess.Popen([repo / "echo", "x"], stdout=subprocess.DEVNULL)
        job.equal("a copied binary", busy.wait(WAIT_SECONDS), 0)
