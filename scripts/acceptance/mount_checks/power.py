"""Power cuts and kills: what is there afterwards.

A power cut is a copy of the loop image that holds the store, made while everything runs: what the file
system has sent to its disk is in it, what sits in the page cache is not. The image lies on an xfs of
ours, where a copy (FICLONE) is one instant; a slow copy would show writes in an order that never was.
The copy is mounted and its store opened by a daemon that sees another boot id: in a mount namespace of
our own a file of ours lies over /proc/sys/kernel/random/boot_id, so pfs needs no door for tests.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from scripts.acceptance.mount_checks.report import LIFE_SECONDS, MIB, PFS, Run, Timer, check, noise
from tests.mounted.mounting import Mount, output, run

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PAGE = 4096
PAGES = 512  # of the file that is overwritten in part
PAGES_A_ROUND = 24
COMMIT_ROUNDS = 9
IMAGE_BYTES = 512 * MIB
HOST_BYTES = 40 * 512 * MIB  # sparse: copies share what did not change


def page_of(number: int, version: int) -> bytes:
    """4 KiB that say which page of which round they are, all through."""
    return struct.pack("<II", number, version) * (PAGE // 8)


def whole_of(version: int) -> bytes:
    """The whole of the file that is replaced, in round `version`; its length differs from round to round."""
    return struct.pack("<II", 0xB0B, version) * (500 + version * 37 % 5000)


def note_of(version: int) -> bytes:
    """What round `version` fsyncs."""
    return b"round %d\n" % version * (1 + version % 700)


@dataclass
class Boot:
    """A boot id of our own, over the kernel's; in a private mount namespace."""

    file: Path

    def cover(self) -> None:
        """Let this process and its children see it."""
        self.again()
        run("mount", "--bind", self.file, BOOT_ID)

    def again(self) -> None:
        """The machine starts anew."""
        self.file.write_text(f"{uuid.uuid4()}\n")


@dataclass
class Workload:
    """What happens in rounds until told to end, and what has been acknowledged so far."""

    repo: Path
    mount: Mount
    acknowledged: int = -1  # newest round whose note is fsynced
    commits: list[tuple[str, int]] = field(default_factory=list)  # (commit, newest whole round in it)
    rounds: int = 0
    end: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """The files as first committed: round 0."""
        (self.repo / "pages").write_bytes(b"".join(page_of(number, 0) for number in range(PAGES)))
        (self.repo / "whole").write_bytes(whole_of(0))
        self.commits.append((self.mount.commit(self.repo), 0))

    def run(self) -> None:
        """Rounds, until `end`."""
        pages = os.open(self.repo / "pages", os.O_WRONLY)
        version = 0
        while not self.end.is_set():
            version += 1
            for turn in range(PAGES_A_ROUND):
                number = (version * 31 + turn * 17) % PAGES
                os.pwrite(pages, page_of(number, version), number * PAGE)
            aside = self.repo / "whole.tmp"
            aside.write_bytes(whole_of(version))
            aside.rename(self.repo / "whole")
            note = os.open(self.repo / f"note{version}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(note, note_of(version))
            os.fsync(note)
            os.close(note)
            self.acknowledged = version
            if version % COMMIT_ROUNDS == 0:
                self.commits.append((self.mount.commit(self.repo), version))
            self.rounds = version
        os.close(pages)


@check("power_ext4", "power cuts (copies of the live loop image) on ext4", private_mounts=True)
def power_ext4(job: Run) -> None:
    """On ext4."""
    _power(job, "ext4")


@check("power_xfs", "power cuts (copies of the live loop image) on xfs", private_mounts=True)
def power_xfs(job: Run) -> None:
    """On xfs."""
    _power(job, "xfs")


@dataclass
class Cut:
    """A copy of the image, and what had been acknowledged before it was begun, and after it ended."""

    image: Path
    acknowledged: int
    rounds: int
    commits: list[tuple[str, int]]


def _power(job: Run, kind: str) -> None:
    boot = Boot(job.directory / "boot_id")
    boot.cover()
    host = job.directory / "host"
    _make_disk(job.directory / "host.img", "xfs", HOST_BYTES, host)
    try:
        _power_on(job, kind, boot, host)
    finally:
        run("umount", host)


def _make_disk(image: Path, kind: str, size: int, where: Path) -> None:
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    run(f"mkfs.{kind}", "-q", image)
    run("mount", "-o", "loop", image, where)


def _power_on(job: Run, kind: str, boot: Boot, host: Path) -> None:
    image, disk = host / "live.img", job.directory / "live"
    _make_disk(image, kind, IMAGE_BYTES, disk)
    base = disk / "0"
    base.mkdir()
    mount = Mount(base, life_seconds=LIFE_SECONDS)
    mount.start()
    try:
        cuts = _cut_often(job, mount, image)
    finally:
        mount.kill9()
        run("umount", disk)
    wrong: list[str] = []
    seen: set[str] = set()
    with Timer() as timer:
        for number, cut in enumerate(cuts):
            boot.again()
            wrong += [f"cut {number}: {text}" for text in _look(job, cut, seen)]
    for text in wrong[:10]:
        job.note("wrong", text)
    job.note("states seen", sorted(seen))
    job.equal(f"{len(cuts)} power cuts, looked at in {timer}: what is wrong", len(wrong), 0)


def _cut_often(job: Run, mount: Mount, image: Path) -> list[Cut]:
    """Copy the image again and again while the workload runs."""
    work = Workload(mount.repo(), mount)
    work.prepare()
    thread = threading.Thread(target=work.run)
    thread.start()
    pace = threading.Event()
    cuts = []
    for number in range(job.pick(40, 5)):
        pace.wait(0.013 * (number * 7 % 23))
        before = work.acknowledged, list(work.commits)
        copy = image.with_name(f"cut{number}.img")
        run("cp", "--reflink=always", image, copy)
        cuts.append(Cut(copy, before[0], 0, before[1]))
        if not thread.is_alive():
            break
    work.end.set()
    thread.join()
    for cut in cuts:
        cut.rounds = work.rounds + 1
    job.demand("rounds of the workload", work.rounds, f">= {len(cuts)}", work.rounds >= len(cuts))
    return cuts


def _look(job: Run, cut: Cut, seen: set[str]) -> list[str]:
    """Mount a copy, open its store, and say all that is wrong."""
    disk = job.directory / "dead"
    disk.mkdir(exist_ok=True)
    run("mount", "-o", "loop", cut.image, disk)
    shutil.rmtree(disk / "0/mount", ignore_errors=True)
    mount = Mount(disk / "0", life_seconds=LIFE_SECONDS)
    subprocess.run(["chattr", "-i", str(mount.path)], check=False, capture_output=True)
    try:
        mount.start()
        try:
            wrong = _wrong(mount, cut, seen)
            mount.stop()
        finally:
            mount.kill9()
        wrong += [f"fsck: {problem}" for problem in mount.check()]
        wrong += [line for line in mount.log().splitlines() if "Traceback" in line]
    except Exception as error:
        wrong = [f"{type(error).__name__}: {error}"]
    finally:
        run("umount", disk)
        cut.image.unlink()
    return wrong


def _wrong(mount: Mount, cut: Cut, seen: set[str]) -> list[str]:
    repo = mount.path / "repo"
    wrong = _wrong_pages((repo / "pages").read_bytes(), cut.rounds, seen)
    whole = (repo / "whole").read_bytes()
    version = struct.unpack_from("<II", whole)[1] if len(whole) >= 8 else -1
    if version < 0 or version > cut.rounds or whole != whole_of(version):
        wrong.append(f"whole: neither old nor new: {len(whole)} bytes, {whole[:16]!r}")
    seen.add("whole: committed" if version in {kept for _, kept in cut.commits} else "whole: newer")
    for number in range(1, cut.acknowledged + 1):
        try:
            found = (repo / f"note{number}").read_bytes()
        except FileNotFoundError:
            wrong.append(f"note{number}: fsynced and gone (acknowledged: {cut.acknowledged})")
            continue
        if found != note_of(number):
            wrong.append(f"note{number}: fsynced, and other bytes are there: {len(found)}, {found[:20]!r}")
    for commit, version in cut.commits:
        shown = mount.path / f"repo@{commit}"
        if (shown / "whole").read_bytes() != whole_of(version):
            wrong.append(f"commit {commit[:8]}: whole is not of round {version}")
        wrong += _wrong_pages((shown / "pages").read_bytes(), version, set())
    return wrong


def _wrong_pages(found: bytes, newest: int, seen: set[str]) -> list[str]:
    if len(found) != PAGES * PAGE:
        return [f"pages: {len(found)} bytes, {PAGES * PAGE} were committed"]
    wrong = []
    for number in range(PAGES):
        page = found[number * PAGE : (number + 1) * PAGE]
        at, version = struct.unpack_from("<II", page)
        if at != number or version > newest or page != page_of(number, version):
            wrong.append(f"pages: page {number} is neither old nor new: {page[:16]!r}, {page[-8:]!r}")
        seen.add("pages: first" if version == 0 else "pages: newer")
    return wrong


# Copies file after file and says on stdout which are finished.
COPIER = """
import os, sys
source, target = sys.argv[1:]
for folder, _, names in os.walk(source):
    inside = os.path.join(target, os.path.relpath(folder, source))
    os.makedirs(inside, exist_ok=True)
    for name in names:
        with open(os.path.join(folder, name), "rb") as old, open(os.path.join(inside, name), "wb") as new:
            new.write(old.read())
        print(os.path.join(inside, name), flush=True)
"""


@check(
    "kill9", "kill -9 of the daemon in a copy: mount again, every finished file is whole, pfs fsck is clean"
)
def kill9(job: Run) -> None:
    """Again and again, at different moments, through the command line."""
    source = job.directory / "source"
    for number in range(job.pick(3000, 300)):
        path = source / f"d{number % 31}/file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(number * 7919 % 150_000, number))
    store, where = job.directory / "store", job.directory / "mount"
    where.mkdir()
    pfs: list[str | Path] = [PFS, "--store", store]
    rounds = job.pick(6, 2)
    pid = _mount(pfs, where)
    (where / "repo").mkdir()
    for number in range(rounds):
        target = where / f"repo/copy{number}"
        copier = subprocess.Popen(
            [sys.executable, "-c", COPIER, str(source), str(target)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert copier.stdout is not None
        limit = job.pick(300, 40) * (number + 1)
        finished = [copier.stdout.readline().strip() for _ in range(limit)]
        os.kill(pid, 9)
        finished += [line.strip() for line in copier.stdout]
        copier.wait()
        with Timer() as timer:
            pid = _mount(pfs, where)
        wrong = []
        for name in finished:
            old = source / Path(name).relative_to(target)
            if Path(name).read_bytes() != old.read_bytes():
                wrong.append(name)
        job.equal(
            f"kill {number}, mounted again in {timer}: of {len(finished)} files not whole", wrong[:3], []
        )
    said = output(run(*pfs, "fsck", check=False))
    job.demand("pfs fsck", said.strip(), "clean", said.strip().endswith("clean"))
    run(*pfs, "umount")
    said = output(run(*pfs, "fsck", check=False))
    job.demand("pfs fsck, unmounted", said.strip(), "clean", said.strip().endswith("clean"))


def _mount(pfs: list[str | Path], where: Path) -> int:
    """`pfs mount`; the daemon's pid."""
    return int(json.loads(run(*pfs, "mount", where, "--json").stdout)["pid"])
