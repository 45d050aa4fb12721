"""The benchmarks that the list names: the demands on the chunker, and what the speed work starts from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.acceptance.mount_checks.report import Run, check

BENCH = Path(__file__).resolve().parents[2] / "bench"


@check("bench_chunker", "scripts/bench chunker prints the ratios demanded in CHUNKING.md")
def bench_chunker(job: Run) -> None:
    """Its exit code says whether all hold."""
    if not job.full:
        job.note("scripts/bench chunker", "clocks: not at this scale")
        return
    job.equal("exit code", subprocess.run([sys.executable, BENCH, "chunker"], check=False).returncode, 0)


@check("bench_quick", "scripts/bench quick: ten rows beside the disk, borg's mount and bindfs")
def bench_quick(job: Run) -> None:
    """The table itself is the result; nothing is demanded of it yet."""
    options = [] if job.full else ["--small"]
    done = subprocess.run(
        [sys.executable, BENCH, "quick", *options], stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    job.equal("exit code", done.returncode, 0)
    job.equal("rows", len(rows) - 1, 10)
