"""Travelling in time by path: revisions, dates, errnos, and shells that stay where they are."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pfs.disk import Disk
from pfs.objects.commit import Author, Commit, CommitKind, encode_commit
from pfs.objects.entry import Entry, FileType
from pfs.objects.ids import Kind
from pfs.objects.tree import build
from pfs.repo.repositories import Repositories
from pfs.store.store import Store
from scripts.acceptance.mount_checks.report import Run, check, noise
from tests.mounted.mounting import Mount, output, run

AUTHOR = Author(os.geteuid(), "someone", "somewhere")
MINUTE_NS = 60 * 10**9
DAY_NS = 24 * 60 * MINUTE_NS
# A shell that enters $0, says where it is, and for each line read that again and a file by three spellings.
STAYS = 'cd "$0" && pwd -P && while read x; do /bin/pwd -P; cat number "$0/number" ./a/../number; done'


def make_past(store_path: Path, now_ns: int, ages_ns: list[int]) -> None:
    """A store with a repo "old" whose commits were made so long ago; each holds `age`, its number as text."""
    clock_ns = now_ns - max(ages_ns) - DAY_NS
    with Store.open(store_path, Disk()) as store:
        repositories = Repositories(store, lambda: clock_ns)
        repo = repositories.create("old", AUTHOR, uid=os.geteuid(), gid=os.getegid())
        branch = repo.default_branch
        for number, age_ns in enumerate(sorted(ages_ns, reverse=True)):
            clock_ns = now_ns - age_ns
            text = str(number).encode()
            entry = Entry(
                b"age", repositories.file_ids.take(), int(FileType.REGULAR), 0o644, size=len(text),
                mtime_ns=clock_ns, ctime_ns=clock_ns, content=store.put(Kind.CHUNK, text),
            )  # fmt: skip
            head = repo.commits.read(repo.branch_by_id(branch.branch_id).head)
            root = Entry(
                b"", head.root.file_id, int(FileType.DIRECTORY), 0o755, size=1,
                mtime_ns=clock_ns, ctime_ns=clock_ns, content=build(store, [entry]),
            )  # fmt: skip
            commit = Commit(
                kind=int(CommitKind.COMMIT), root=root, links=b"",
                parents=(repo.branch_by_id(branch.branch_id).head,), branch=branch.name, time_ns=clock_ns,
                author=AUTHOR, message=text.decode(), next_file_id=repositories.file_ids.next,
            )  # fmt: skip
            repo.record_commit(branch.branch_id, store.put(Kind.COMMIT, encode_commit(commit)))


@check("dates", "ls MNT/repo@{10.min.ago}, a bare date, yesterday, a branch with a date")
def dates(job: Run) -> None:
    """A repo whose commits are older than this run, made through the library."""
    base = job.directory / "0"
    base.mkdir()
    now_ns = time.time_ns()
    make_past(base / "store", now_ns, [3 * DAY_NS, 30 * 60 * MINUTE_NS, 20 * MINUTE_NS, 5 * MINUTE_NS])
    day = datetime.fromtimestamp((now_ns - 2 * DAY_NS) / 1e9, UTC).strftime("%Y-%m-%d")
    instant = datetime.fromtimestamp((now_ns - 15 * MINUTE_NS) / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mount = Mount(base)
    mount.start()
    try:
        wanted = {
            "old": "3",
            "old@{10.min.ago}": "2",
            "old@{1.h.ago}": "1",
            "old@{yesterday}": "1",
            "old@{2.d.ago}": "0",
            f"old@{{{day}}}": "0",
            f"old@{{{instant}}}": "2",
            "old@main@{10.min.ago}": "2",
            "old@{10.min.ago}~1": "1",
        }
        for name, text in wanted.items():
            job.equal(name, (mount.path / name / "age").read_text(), text)
        for name in ("old@{2001-01-01}", "old@{2999-01-01}"):
            job.equal(name, _errno(partial(os.listdir, mount.path / name)), "ENOENT")
    finally:
        mount.stop()


@check("revisions", "ls MNT/repo@v1, @~2, @HEX8; diff -r of two revisions shows just what changed")
def revisions(job: Run) -> None:
    """Five commits, a tag, a branch."""
    with job.mounted() as mount:
        repo = mount.repo()
        heads = []
        for number in range(5):
            (repo / f"file{number}").write_text(str(number))
            (repo / "all").write_text("".join(map(str, range(number + 1))))
            heads.append(mount.commit(repo, f"number {number}"))
        _pfs(mount, "tag", "repo@v1", "~3", job=job)
        (mount.path / "repo@exp").mkdir()
        wanted = {
            "repo@v1": 1,
            "repo@~2": 2,
            "repo@~0": 4,
            f"repo@{heads[3][:8]}": 3,
            "repo@v1^": 0,
            "repo@exp": 4,
        }
        for name, number in wanted.items():
            names = sorted(os.listdir(mount.path / name))
            job.equal(f"ls {name}", names, sorted(["all", *(f"file{n}" for n in range(number + 1))]))
        found = output(run("diff", "-r", "repo@v1/", "repo@~2/", cwd=mount.path, check=False)).splitlines()
        shown = [line for line in found if line[:1] not in "<>-0123456789\\"]
        job.equal("diff -r v1 ~2", shown, ["diff -r repo@v1/all repo@~2/all", "Only in repo@~2/: file2"])
        job.equal("ls MNT", sorted(os.listdir(mount.path)), ["repo", "repo@exp"])


def _pfs(mount: Mount, *words: str, job: Run) -> str:
    from scripts.acceptance.mount_checks.report import PFS

    done = run(PFS, "--store", mount.store, *words, cwd=Path("/"), check=False)
    job.equal(f"pfs {' '.join(words)}: exit code", done.returncode, 0)
    return output(done)


def _errno(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        return {"ENOTSUP": "EOPNOTSUPP"}.get(name, name)
    return "no error"


@check("errnos", "each errno of SPEC.md section 7 that can be reached")
def errnos(job: Run) -> None:
    """One call for each."""
    with job.mounted() as mount:
        repo, root = mount.repo(), mount.path
        (repo / "file").write_bytes(noise(200_000, 1))
        (repo / "dir").mkdir()
        mount.commit(repo)
        (root / "repo@b").mkdir()
        (root / "repo@b/file").write_text("dirty")
        mount.repo("other")
        commit = root / "repo@~0/file"

        def make(path: Path, flags: int = os.O_CREAT | os.O_WRONLY) -> Callable[[], object]:
            return lambda: os.close(os.open(path, flags, 0o644))

        with (repo / "file").open("r+b") as opened:
            table: dict[str, tuple[str, Callable[[], object]]] = {
                "unknown revision": ("ENOENT", lambda: os.stat(root / "repo@nope")),
                "malformed revision": ("ENOENT", lambda: os.stat(root / "repo@~x")),
                "write on a commit": ("EROFS", make(commit, os.O_WRONLY)),
                "create on a commit": ("EROFS", make(root / "repo@~0/new")),
                "unlink on a commit": ("EROFS", lambda: os.unlink(commit)),
                "chmod on a commit": ("EROFS", lambda: os.chmod(commit, 0o600)),
                "setxattr on a commit": ("EROFS", lambda: os.setxattr(commit, "user.a", b"b")),
                "rename across branches": ("EXDEV", lambda: os.rename(repo / "file", root / "repo@b/file2")),
                "rename across repos": ("EXDEV", lambda: os.rename(repo / "file", root / "other/file2")),
                "link across branches": ("EXDEV", lambda: os.link(repo / "file", root / "repo@b/file2")),
                "rename of a branch into a repo": ("EPERM", lambda: os.rename(root / "repo@b", repo / "b")),
                "file in the root": ("EPERM", make(root / "file")),
                "rmdir of a repo": ("EPERM", lambda: os.rmdir(root / "other")),
                "rmdir of a dirty branch": ("ENOTEMPTY", lambda: os.rmdir(root / "repo@b")),
                "mkdir .pfs": ("EEXIST", lambda: os.mkdir(repo / "dir/.pfs")),
                "rmdir .pfs": ("EPERM", lambda: os.rmdir(repo / ".pfs")),
                "rename .pfs": ("EPERM", lambda: os.rename(repo / ".pfs", repo / "x")),
                "create in .pfs": ("EPERM", make(repo / ".pfs/new")),
                "user.pfs.branch": ("EPERM", lambda: os.setxattr(repo / "file", "user.pfs.branch", b"x")),
                "long name": ("ENAMETOOLONG", make(repo / ("n" * 256))),
                "device node": ("EPERM", lambda: os.mknod(repo / "null", 0o020666, os.makedev(1, 3))),
                "O_TMPFILE": ("EOPNOTSUPP", lambda: os.close(os.open(repo, os.O_TMPFILE | os.O_WRONLY))),
                "fallocate": ("EOPNOTSUPP", lambda: _fallocate(opened.fileno())),
                "mkdir of a bad repo name": ("EINVAL", lambda: os.mkdir(root / "a b")),
                "mkdir of a branch like an id": ("EINVAL", lambda: os.mkdir(root / "repo@deadbeef")),
                "mkdir of a branch that is there": ("EEXIST", lambda: os.mkdir(root / "repo@b")),
            }  # fmt: skip
            for what, (wanted, call) in table.items():
                job.equal(what, _errno(call), wanted)
        mount.kill_only()
        job.equal("daemon dead", _errno(lambda: os.listdir(repo)), "ENOTCONN")
        mount.clear()


def _fallocate(fd: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, 0, ctypes.c_int64(0), ctypes.c_int64(4096)):
        raise OSError(ctypes.get_errno(), "fallocate")


@check("damage", "a damaged chunk gives EIO in that range only, and fsck names it")
def damage(job: Run) -> None:
    """Flip bytes in the middle of the largest pack record's bytes."""
    with job.mounted(fsck=False) as mount:
        repo = mount.repo()
        whole = noise(4_000_000, 5)
        (repo / "file").write_bytes(whole)
        mount.commit(repo)
        mount.stop()
        pack = max((mount.store / "packs").iterdir(), key=lambda path: path.stat().st_size)
        raw = bytearray(pack.read_bytes())
        at = raw.index(whole[2_000_000:2_000_064])
        raw[at] ^= 1
        pack.write_bytes(raw)
        mount.expected = ("damaged", "Corrupt")
        mount.start()
        fd = os.open(repo / "file", os.O_RDONLY)
        page = 4096
        readable = [
            n for n in range(0, len(whole), page) if _errno(partial(os.pread, fd, page, n)) == "no error"
        ]
        right = all(os.pread(fd, page, n) == whole[n : n + page] for n in readable)
        os.close(fd)
        lost = -(-len(whole) // page) - len(readable)
        job.demand(
            "pages that give EIO", lost, "1 to 90 of 977 (one chunk, and what was read ahead)", 0 < lost < 90
        )
        job.demand("all other pages", "right" if right else "wrong", "right", right)
        mount.stop()
        found = mount.check()
        job.demand("fsck", found, "names the chunk", bool(found))


@check("cwd", "shells in repo@v1, repo@HEX8, repo@~1: pwd -P never changes while others walk and commit")
def cwd(job: Run) -> None:
    """Two shells in one commit under two names, one in a moving revision."""
    with job.mounted() as mount:
        repo = mount.repo()
        for number in range(job.pick(40, 10)):
            (repo / f"a/b{number}/c").mkdir(parents=True)
            (repo / f"a/b{number}/c/file").write_text(str(number))
        (repo / "number").write_text("-1")
        head = mount.commit(repo)
        _pfs(mount, "tag", "repo@v1", job=job)
        (repo / "number").write_text("0")
        mount.commit(repo)
        root = mount.path
        places = [
            root / "repo@v1/a/b3",
            root / f"repo@{head[:8]}/a/b3",
            root / "repo@v1",
            root / f"repo@{head[:8]}",
        ]
        done = threading.Event()
        walkers = [threading.Thread(target=_walk, args=(done, place)) for place in places[2:]]
        for walker in walkers:
            walker.start()
        rounds = job.pick(400, 40)
        script = f'cd "$0" && for i in $(seq {rounds}); do /bin/pwd -P; ls >/dev/null; done | sort | uniq -c'
        shells = [
            subprocess.Popen(["sh", "-c", script, str(place)], stdout=subprocess.PIPE) for place in places
        ]
        moving = subprocess.Popen(
            ["sh", "-c", STAYS, str(root / "repo@~1")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert moving.stdin is not None
        assert moving.stdout is not None
        stays = moving.stdout.readline().strip()
        seen = set()
        for number in range(1, job.pick(60, 10)):
            (repo / "number").write_text(str(number))
            mount.commit(repo)
            print("go", file=moving.stdin, flush=True)
            where = moving.stdout.readline().strip()
            relative_absolute = moving.stdout
            seen.add((where, _numbers(relative_absolute, f"-1{number - 1}-1")))
        moving.stdin.close()
        moving.wait()
        for place, shell in zip(places, shells, strict=True):
            said = shell.communicate()[0].decode().split()
            job.equal(f"pwd -P in {place.relative_to(root)}", said, [str(rounds), str(place)])
        done.set()
        for walker in walkers:
            walker.join()
        job.equal("in repo@~1 while commits go on", sorted(seen), [(stays, "-1")])
        job.equal("repo@~1 led to", stays, str(root / f"repo@{head[:16]}"))


def _numbers(stream: object, expected: str) -> str:
    """What `cat number ABSOLUTE/number ./number` said: three texts without ends, read by their length."""
    text = "".join(itertools.islice(iter(lambda: stream.read(1), ""), len(expected)))  # type: ignore[attr-defined]
    return "-1" if text == expected else text


def _walk(done: threading.Event, place: Path) -> None:
    while not done.is_set():
        subprocess.run(["find", f"{place}/", "-type", "f"], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["ls", "-lR", f"{place}/"], stdout=subprocess.DEVNULL, check=True)
