"""Bad input: one line that says what to do, the documented exit code, nothing changed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.acceptance.mount_checks.large import small_disk
from scripts.acceptance.mount_checks.report import MIB, PFS, Run, check, noise
from tests.mounted.mounting import NOBODY, run

SECONDS_MAX = 60


def picture(*places: Path) -> dict[str, tuple[int, int, int, int]]:
    """Mode, size, time of change and number of all that is below some directories."""
    found = {}
    for place in places:
        for folder, folders, names in os.walk(place):
            for name in [".", *folders, *names]:
                if name == "lock":  # says who looked last, and holds nothing else
                    continue
                status = os.lstat(os.path.join(folder, name))
                is_file = stat.S_ISREG(status.st_mode)
                found[os.path.join(folder, name)] = (
                    status.st_mode, status.st_size if is_file else 0, status.st_mtime_ns, status.st_ino
                )  # fmt: skip
    return found


class Refusals:
    """Runs commands that have to be refused."""

    def __init__(self, job: Run, store: Path) -> None:
        self.job = job
        self.store = store
        self.watched: Sequence[Path] = ()

    def refused(
        self,
        what: str,
        exit_code: int,
        *words: str | Path,
        mentions: str = "",
        store: Path | None = None,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """One line on stderr, nothing on stdout, that exit code, and everything as it was."""
        before = picture(*self.watched)
        try:
            done = run(
                *prefix, PFS, "--store", store or self.store, *words,
                check=False, cwd=Path("/"), seconds=SECONDS_MAX, environment=environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            self.job.demand(what, f"no answer in {SECONDS_MAX} s", f"exit code {exit_code}", False)
            return
        after = picture(*self.watched)
        said = done.stderr.decode(errors="replace")
        lines = said.splitlines()
        wrong = []
        if done.returncode != exit_code:
            wrong.append(f"exit code {done.returncode}")
        if len(lines) != 1 or not said.startswith("pfs: "):
            wrong.append(f"{len(lines)} lines")
        if done.stdout:
            wrong.append(f"stdout {done.stdout[:60]!r}")
        if mentions not in said:
            wrong.append(f"does not mention {mentions!r}")
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if changed:
            wrong.append(f"changed: {changed[:4]}")
        shown = f"{said.strip()[:300]}" + (f"  WRONG: {'; '.join(wrong)}" if wrong else "")
        self.job.demand(what, shown, f"exit code {exit_code}, one line", not wrong)


@contextmanager
def _mounted(pfs: list[str | Path], where: Path) -> Iterator[None]:
    where.mkdir(exist_ok=True)
    run(*pfs, "mount", where)
    try:
        yield
    finally:
        run(*pfs, "umount", "--lazy", check=False)


@check(
    "bad_mounts",
    "mount point missing, busy, not empty; newer format; two daemons; store and mount in one another",
)
def bad_mounts(job: Run) -> None:
    """Refused before anything is done."""
    top = job.directory
    store, where = top / "store", top / "mount"
    pfs: list[str | Path] = [PFS, "--store", store]
    say = Refusals(job, store)
    (top / "full").mkdir()
    (top / "full/file").write_text("x")
    (top / "plain").write_text("x")
    (top / "other").mkdir()
    say.watched = (top,)
    say.refused("missing mount point", 3, "mount", top / "nowhere", mentions="mkdir")
    say.refused("a file as mount point", 2, "mount", top / "plain")
    say.refused("a mount point that is not empty", 5, "mount", top / "full", mentions="empty")
    say.refused("no directory given", 2, "mount", mentions="Missing argument")
    say.refused("an option that is none", 2, "mount", "--fast", where)
    say.refused("umount of what is not mounted", 3, "umount", top / "other")
    with _mounted(pfs, where):
        run(*pfs, "init", "repo")
        say.watched = (top / "full", top / "other", store / "packs", store / "journal")
        say.refused("the store is mounted elsewhere", 5, "mount", top / "other", mentions=str(where))
        say.refused(
            "another store is mounted there", 5, "mount", where, store=top / "store2", mentions="mounted here"
        )
        second = run(
            *(PFS.with_name("python"), "-m", "pfs.daemon", "--store", store, "--mount", top / "other"),
            check=False, cwd=Path("/"), seconds=SECONDS_MAX,
        )  # fmt: skip
        said = second.stderr.decode()
        wanted = "exit code 5, one line that names the process"
        job.demand("a second daemon on one store", said.strip(), wanted,
                   second.returncode == 5 and said.count("\n") == 1 and "process" in said)  # fmt: skip
    run("mount", "-t", "tmpfs", "tmpfs", top / "other") if os.geteuid() == 0 else None
    try:
        say.watched = (store,)
        if os.geteuid() == 0:
            say.refused("something else is mounted there", 5, "mount", top / "other", mentions="mounted here")
    finally:
        run("umount", top / "other", check=False)
    say.refused("a mount point inside the store", 2, "mount", store / "packs")
    (top / "newer").mkdir()
    shutil.copytree(store, top / "newer/store")
    _raise_format(top / "newer/store/format")
    say.watched = (top / "newer",)
    say.refused(
        "a store of a newer format", 6, "mount", top / "other", store=top / "newer/store", mentions="newer"
    )
    say.refused("a newer format, reading", 6, "log", "repo", store=top / "newer/store", mentions="newer")
    (top / "stranger").mkdir()
    (top / "stranger/thesis.tex").write_text("x")
    say.watched = (top / "stranger",)
    say.refused("a directory that is no store", 6, "mount", top / "other", store=top / "stranger")


def _raise_format(path: Path) -> None:
    """The same file with a format number that nobody knows yet."""
    import re

    text = path.read_bytes()
    newer = re.sub(rb"\d+", b"999", text, count=1)
    assert newer != text, text
    path.write_bytes(newer)


@check("bad_names", "unknown revisions and illegal names, on the command line")
def bad_names(job: Run) -> None:
    """Each says why; the store stays as it was."""
    top = job.directory
    store, where = top / "store", top / "mount"
    pfs: list[str | Path] = [PFS, "--store", store]
    say = Refusals(job, store)
    say.refused("a command without a daemon", 7, "commit", "repo", "-m", "x", mentions="pfs mount")
    say.refused("reading where no store is", 3, "log", "repo")
    with _mounted(pfs, where):
        run(*pfs, "init", "repo")
        (where / "repo/file").write_text("x")
        run(*pfs, "commit", "repo", "-m", "first")
        say.watched = (store / "packs", store / "journal")
        say.refused("unknown repo", 3, "log", "rpeo", mentions="repo")
        say.refused("unknown branch", 3, "rev-parse", "repo@mian", mentions="main")
        say.refused("unknown ancestor", 3, "rev-parse", "repo@~7")
        say.refused("unknown commit", 3, "rev-parse", "repo@0123456789abcdef")
        say.refused("malformed revision", 3, "rev-parse", "repo@~x")
        say.refused("a date before the branch", 3, "rev-parse", "repo@{2001-01-01}")
        say.refused("a date in the future", 3, "rev-parse", "repo@{2999-01-01}")
        say.refused("unknown path", 3, "cat", "repo@~0:nothing")
        say.refused("commit of a commit", 2, "commit", "repo@~0", "-m", "x")
        for name in ("a b", ".hidden", "a" * 101, "x.lock", "ä"):
            say.refused(f"repo named {name[:12]!r}", 2, "init", name)
        say.refused("repo that is there", 1, "init", "repo")
        for name in ("deadbeef", "-x", "a/b", "v1.lock"):
            say.refused(f"branch named {name!r}", 2, "branch", f"repo@{name}")
            say.refused(f"tag named {name!r}", 2, "tag", f"repo@{name}")
        say.refused("branch that is there", 1, "branch", "repo@main")
        say.refused("an unknown command", 2, "comit", mentions="commit")


@check("bad_disks", "store on a read-only or a full disk", private_mounts=True)
def bad_disks(job: Run) -> None:
    """Refused as a whole, and while it is mounted."""
    top = job.directory
    with small_disk(top, 48 * MIB) as disk:
        store, where = disk / "store", top / "mount"
        pfs: list[str | Path] = [PFS, "--store", store]
        say = Refusals(job, store)
        with _mounted(pfs, where):
            run(*pfs, "init", "repo")
            (where / "repo/kept").write_bytes(noise(100_000, 1))
            run(*pfs, "commit", "repo", "-m", "first")
            _fill(job, where / "repo", pfs)
        (top / "mount2").mkdir()
        run("mount", "-o", "remount,ro", disk)
        say.watched = (store,)
        say.refused("a store on a read-only disk", 4, "mount", top / "mount2", mentions="read-only")
        say.refused(
            "a new store on a read-only disk",
            4,
            "mount",
            top / "mount2",
            store=disk / "new",
            mentions="ead-only",
        )
        listed = run(*pfs, "ls", "repo@~0", check=False)
        job.equal("reading it without a mount", (listed.returncode, b"kept" in listed.stdout), (0, True))
        run("mount", "-o", "remount,rw", disk)
        with (disk / "ballast").open("wb") as ballast:
            try:
                while True:
                    ballast.write(bytes(MIB))
                    ballast.flush()
            except OSError as error:
                job.note("the disk is full", error)
                ballast_full = True
        job.equal("filled", ballast_full, True)
        say.watched = ()
        say.refused(
            "a new store on a full disk", 1, "mount", top / "mount2", store=disk / "new", mentions="space"
        )


def _fill(job: Run, repo: Path, pfs: list[str | Path]) -> None:
    """Fill the disk through the mount; everything but writing goes on."""
    error = "none"
    written = 0
    try:
        with (repo / "filler").open("wb", buffering=0) as filler:
            while True:
                written += filler.write(noise(MIB, written))
    except OSError as failure:
        error = str(failure.strerror)
    full = "No space left on device"
    job.demand("writing until the disk is full", f"{error} after {written >> 20} MiB", full, error == full)
    job.equal("reading", (repo / "kept").read_bytes() == noise(100_000, 1), True)
    for what, words in (("status", ["status"]), ("log", ["log", "repo"])):
        done = run(*pfs, *words, check=False)
        job.equal(f"pfs {what} on a full disk", (done.returncode, done.stderr.decode()), (0, ""))
    done = run(*pfs, "commit", "repo", "-m", "full", check=False)
    said = done.stderr.decode()
    job.demand("pfs commit on a full disk", said.strip() or "done", "done, or one line and exit code 1",
               (done.returncode, said.count("\n")) in ((0, 0), (1, 1)))  # fmt: skip
    (repo / "filler").unlink()
    job.equal("after deleting it", sorted(os.listdir(repo)), ["kept"])
    done = run(*pfs, "commit", "repo", "-m", "deleted", check=False)
    job.equal("commit of the deletion", (done.returncode, done.stderr.decode()), (0, ""))


@check("bad_fuse", "/dev/fuse missing or forbidden", private_mounts=True)
def bad_fuse(job: Run) -> None:
    """Forbidden: another user's, closed to others. Missing: /dev is another one."""
    top = job.directory
    store = top / "store"
    say = Refusals(job, store)
    (top / "mount").mkdir()
    private = top / "dev"
    private.mkdir()
    for name, minor in (("null", 3), ("urandom", 9), ("zero", 5)):
        os.mknod(private / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        (private / name).chmod(0o666)
    os.mknod(private / "fuse", stat.S_IFCHR | 0o600, os.makedev(10, 229))
    os.chown(private / "fuse", NOBODY, NOBODY)
    run("mount", "--bind", private, "/dev")
    home = {"HOME": str(top), "XDG_STATE_HOME": str(top)}
    say.watched = (top / "mount", private)
    # Root may open anything unless it gives that right away.
    without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    say.refused(
        "/dev/fuse forbidden",
        4,
        "mount",
        top / "mount",
        prefix=without,
        mentions="/dev/fuse",
        environment=home,
    )
    (private / "fuse").unlink()
    say.refused("/dev/fuse missing", 3, "mount", top / "mount", mentions="/dev/fuse", environment=home)
