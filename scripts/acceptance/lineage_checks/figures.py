"""Bytes an edge, the time of questions at a million edges, and secrets: as benchmarks and tests show them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.acceptance.mount_checks.report import Run, check

ROOT = Path(__file__).resolve().parents[3]
BENCH = ROOT / "scripts/bench"


@check("queries", "producer, ancestors, closure and impact at a million edges: LINEAGE.md section 4")
def queries(job: Run) -> None:
    """Its exit code says whether all are fast enough."""
    if not job.full:
        job.note("scripts/bench lineage_queries", "clocks: not at this scale")
        return
    _run(job, BENCH, "lineage_queries")


@check("sizes", "bytes an edge in commits, of a build and of a pipeline")
def sizes(job: Run) -> None:
    """What the format was made for, with what is stored for real workloads."""
    _run(job, "-m", "pytest", "-q", "-s", "tests/lineage/test_segment_sizes.py")


@check("secrets", "canaries on command lines, in scripts and environments: none in the store or in exports")
def secrets(job: Run) -> None:
    """On a real mount."""
    _run(job, "-m", "pytest", "-q", "tests/mounted/test_secrets.py")


def _run(job: Run, *words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print("".join(f"     {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    job.equal("exit code", done.returncode, 0)
