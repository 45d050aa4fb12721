"""PostgreSQL with its data in the mount, a new backend for each transaction: what lineage keeps of that."""

from __future__ import annotations

import os
import re
from pathlib import Path

from scripts.acceptance.lineage_checks.rules import kept
from scripts.acceptance.mount_checks.report import Run, check, counters, disk_bytes
from tests.mounted.lineage_scenarios.checker import asker
from tests.mounted.mounting import NOBODY, output, run

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
FILES_ASKED = 20


@check("pgbench", "pgbench -C for 30 s: every edge right, and how many versions and bytes are kept")
def pgbench(job: Run) -> None:
    """The server runs as an ordinary user, as it demands."""
    if not PROGRAMS:
        job.demand("PostgreSQL is installed", "no", "apt-get install -y postgresql", False)
        return
    bin_directory = PROGRAMS[-1]
    uid = NOBODY if os.geteuid() == 0 else None
    sockets = job.directory / "sockets"
    sockets.mkdir()
    with job.mounted() as mount:
        tree = mount.repo()
        cluster = tree / "cluster"
        cluster.mkdir(mode=0o700)
        if uid is not None:
            os.chown(cluster, uid, uid)
            os.chown(sockets, uid, uid)
        where = ["-h", str(sockets), "-U", "postgres"]
        run(bin_directory / "initdb", "-D", cluster, "-U", "postgres", "--no-sync", uid=uid, cwd=sockets)
        options = f"-k {sockets} -c listen_addresses="
        control: list[str | Path] = [bin_directory / "pg_ctl", "-D", cluster, "-w"]
        run(*control, "-o", options, "-l", sockets / "log", "start", uid=uid, cwd=sockets)
        try:
            run(bin_directory / "pgbench", *where, "-i", "-q", "-s", "1", "postgres", uid=uid, cwd=sockets)
            mount.commit(tree)
            before = disk_bytes(mount.store)
            timed = ["-C", "-c", "2", "-T", str(job.pick(30, 3)), "postgres"]
            done = run(bin_directory / "pgbench", *where, *timed, uid=uid, cwd=sockets)
        finally:
            run(*control, "-m", "fast", "stop", uid=uid, cwd=sockets)
        transactions = re.search(r"actually processed: (\d+)", output(done))
        job.note("transactions, a process each", transactions.group(1) if transactions else output(done))
        places = [f"{tree.name}:{path.relative_to(tree)}" for path in _newest(tree / "cluster/base")]
        _judge_files(job, mount.store, places)
        job.note("live", _sizes(before, disk_bytes(mount.store)))
        job.note(f"versions of these {len(places)} files, by why they are kept", kept(mount, places))
        mount.commit(tree)
        job.note("committed", _sizes(before, disk_bytes(mount.store)))
        job.note("the same after the commit", kept(mount, places))
        job.note("bytes of the lineage journal", f"{counters(mount)['lineage_journal_bytes']:,}")


def _sizes(before: int, after: int) -> str:
    return f"{before:,} → {after:,} bytes on the disk"


def _newest(base: Path) -> list[Path]:
    """Files that were changed last."""
    files = (path for path in base.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: -path.stat().st_mtime_ns)[:FILES_ASKED]


def _judge_files(job: Run, store: Path, places: list[str]) -> None:
    """The newest files of the database are by the server's processes and by nobody else."""
    ask = asker(store)
    strange = []
    for place in places:
        answer = ask(place)
        makers = {
            edge["process"]
            for edge in answer["edges"]
            if edge["kind"] == "generated" and edge["version"] == answer["root"]
        }
        programs = {process["exe"] for process in answer["processes"] if process["id"] in makers}
        strange += [f"{place}: {programs}"] if any("postgres" not in name for name in programs) else []
    job.equal(f"files of {len(places)} that somebody else wrote", strange, [])
