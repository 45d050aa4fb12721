"""CPython's own tests with their files in the mount: what passes on the local disk has to pass here."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from scripts.acceptance.mount_checks.report import Run, Timer, check
from tests.mounted.mounting import run

MODULES = ("os", "shutil", "tempfile", "mmap", "fcntl", "posix", "zipfile", "tarfile")
SECONDS_MAX = 1200
# README, "Limits": what the kernel answers from modes and never asks us.
LIMITS: dict[str, str] = {}


@check("cpython", "CPython's test_os … test_tarfile: what passes on this machine's disk passes in the mount")
def cpython(job: Run) -> None:
    """Run each module on the disk and in the mount, and compare test by test."""
    modules = job.pick(MODULES, ("shutil", "mmap", "fcntl"))
    on_disk = job.directory / "disk"
    on_disk.mkdir()
    with job.mounted() as mount:
        in_mount = mount.repo() / "tmp"
        in_mount.mkdir()
        for module in modules:
            with Timer() as disk_timer:
                expected = _passing(module, on_disk, job.directory)
            with Timer() as mount_timer:
                found = _passing(module, in_mount, job.directory)
            lost = sorted(expected - found - LIMITS.keys())
            job.equal(
                f"test_{module}: {len(expected)} pass ({disk_timer} / {mount_timer}); of them not here",
                lost,
                [],
            )


def _passing(module: str, where: Path, results: Path) -> set[str]:
    """The tests of a module that pass with everything temporary in `where`."""
    report = results / f"test_{module}.xml"
    report.unlink(missing_ok=True)
    run(
        *(sys.executable, "-m", "test", "-u", "all,-network,-cpu,-largefile", "--tempdir", where),
        *("--junit-xml", report, f"test_{module}"),
        check=False,
        seconds=SECONDS_MAX,
        environment={"TMPDIR": str(where)},
        cwd=where,
    )
    return {
        case.get("name", "")
        for case in ElementTree.parse(report).iter("testcase")
        if case.get("status") == "run" and not {child.tag for child in case} & {"failure", "error", "skipped"}
    }
