"""Every scenario of tests/mounted/lineage_scenarios, 20 times under load, and with the daemon killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from scripts.acceptance.lineage_checks.rules import kept
from scripts.acceptance.mount_checks.report import CHECKS, Check, Run, disk_bytes, pack_bytes
from tests.mounted.lineage_scenarios.checker import Row, table
from tests.mounted.lineage_scenarios.stage import judge, perform, perform_and_kill
from tests.mounted.lineage_scenarios.table import SCENARIOS

RUNS = 20
KILLS = 5
BUSY_PER_PROCESSOR = 2
FIGURES = {"sqlite_many_times"}  # whose kept bytes are shown


@contextmanager
def busy_processors() -> Iterator[None]:
    """More work than processors, at the same priority as everybody's."""
    spin = [sys.executable, "-c", "while True: pass"]
    count = BUSY_PER_PROCESSOR * (os.cpu_count() or 1)
    processes = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_scenario(name: str, job: Run) -> None:
    """All runs on one mount; each is judged live and committed, the last one after a new mount, too."""
    if SCENARIOS[name].needs_root and os.geteuid() != 0:
        job.note("not run", "needs root")
        return
    rows: list[Row] = []
    seconds: list[float] = []
    changed = 0
    with job.mounted() as mount:
        with busy_processors():
            for number in range(job.pick(RUNS, 1)):
                began = time.monotonic()
                at = perform(mount, name, number)
                seconds.append(time.monotonic() - began)
                rows.append(judge(mount, name, at))
                before = disk_bytes(mount.store)
                mount.commit(at.tree)
                committed = judge(mount, name, at, ", committed")
                changed += committed[1:] != rows[-1][1:]
            if name in FIGURES:
                made = [f"{at.tree.name}:{at.name}/{one.path}" for one in SCENARIOS[name].expect(at)]
                job.note("versions of the last run, by why they are kept", kept(mount, made))
                job.note("store before the last commit", f"{before:,} bytes on the disk")
                job.note("packs after all runs", f"{pack_bytes(mount.store):,} bytes")
        mount.remount()
        rows.append(judge(mount, name, at, ", mounted again"))
        report(job, rows)
        job.equal("runs in which a commit changed an answer", changed, 0)
        job.note("longest run", f"{max(seconds):.1f} s")
        with busy_processors():
            killed = [
                perform_and_kill(mount, name, RUNS + number, min(seconds) * (number + 1) / (KILLS + 1), at)
                for number in range(job.pick(KILLS, 1))
            ]
        wrong = [finding for row in killed for finding in row.findings]
        job.demand(f"wrong edges after {len(killed)} kills of the daemon", len(wrong), "= 0", not wrong)
        for finding in wrong[:10]:
            job.note("found", finding)


def report(job: Run, rows: list[Row]) -> None:
    """The worst row in a table, and whether all hold."""
    worst = max(rows, key=lambda row: (len(row.findings), len(row.flagged), row.weaker))
    print("\n".join(f"     {line}" for line in table([worst]).splitlines()), flush=True)
    findings = [finding for row in rows for finding in row.findings]
    job.demand("rows that hold", f"{sum(row.holds for row in rows)} of {len(rows)}", "all", not findings)
    exact, expected = sum(row.argv_exact for row in rows), sum(row.argv_expected for row in rows)
    job.demand("argv exact", f"{exact} of {expected}", "all", exact == expected)
    for finding in findings[:10]:
        job.note("found", finding)


for _name, _scenario in SCENARIOS.items():
    _what = (_scenario.__doc__ or "").partition("\n")[0]
    CHECKS[_name] = Check(_name, _what, partial(run_scenario, _name))
