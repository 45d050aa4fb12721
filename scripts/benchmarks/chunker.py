"""What must hold of the chunker, measured: `scripts/bench chunker [--rounds N]`.

All contenders run in this process, one after the other in every round, on the same real bytes; figures are
medians over the rounds. The ratios are demands, exit code 1 when one fails; absolute speeds depend on the
machine. Peers run at 64 KiB average with their own bounds; with ours they skip more, which is shown beside.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import io
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from blake3 import blake3

from pfs import _native, chunker
from scripts.benchmarks.dedup import DATA_SETS, distinct_chunks, quality
from scripts.benchmarks.gear import Gear
from tests.chunker import samples

MIB = 1024 * 1024
REAL_BYTES = 150 * MIB
DEDUP_BYTES = 48 * MIB
DEAREST_BYTES = 32 * MIB
INSERT_BYTES = 256 * MIB
AVERAGE_BYTES = 64 * 1024
TOP = Path(__file__).resolve().parents[2]

Contender = Callable[[], object]


@dataclass(frozen=True)
class Demand:
    """One line of the table."""

    what: str
    demanded: str
    measured: str
    holds: bool


def at_least(what: str, measured: float, demanded: float) -> Demand:
    """A ratio that may not be smaller."""
    return Demand(what, f">= {demanded:.2f}", f"{measured:.3f}", measured >= demanded)


def install_peers() -> None:
    """Install the bench extra into .venv when it is not there."""
    if importlib.util.find_spec("fastcdc") is None or importlib.util.find_spec("pyfastcdc") is None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-e", ".[bench]"], cwd=TOP, check=True)


def tar_of(folder: Path, size: int) -> bytes:
    """A tar file in memory of the folder's files in the order of their paths, `size` bytes of it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if buffer.tell() >= size:
                break
            if path.is_file() and not path.is_symlink():
                tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)
    return buffer.getvalue()[:size]


def real_data() -> bytes:
    """Installed Python packages and system libraries, half and half."""
    packages = tar_of(Path(sysconfig.get_paths()["purelib"]), REAL_BYTES // 2)
    return packages + tar_of(Path("/usr/lib"), REAL_BYTES - len(packages))


def median_speeds(contenders: dict[str, Contender], size: int, rounds: int) -> dict[str, float]:
    """GB/s of each, from the median time over interleaved rounds; a first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: size / statistics.median(times) / 1e9 for name, times in seconds.items()}


def cut_by(kernel: str, data: bytes) -> list[int]:
    """Cut points by one kernel."""
    return _native.cut_points(data, chunker.MIN_BYTES, chunker.MAX_BYTES, True, kernel)  # type: ignore[arg-type]


def hash_pieces(data: bytes, ends: list[int]) -> None:
    """BLAKE3 of every chunk, as the store does it."""
    view, start = memoryview(data), 0
    for end in ends:
        blake3(view[start:end]).digest()
        start = end


def ends_by_pyfastcdc(data: bytes, **bounds: Any) -> list[int]:
    """Cut points of pyfastcdc, at its own bounds unless told."""
    from pyfastcdc import FastCDC

    return [chunk.offset + chunk.length for chunk in FastCDC(avg_size=AVERAGE_BYTES, **bounds).cut_buf(data)]


def ends_by_fastcdc(data: bytes, *bounds: int) -> list[int]:
    """Cut points of fastcdc, at its own bounds unless told."""
    from fastcdc import fastcdc

    least, most = bounds or (None, None)
    return [chunk.offset + chunk.length for chunk in fastcdc(data, least, AVERAGE_BYTES, most)]


def speed_contenders(data: bytes, gear: Gear) -> dict[str, Contender]:
    """Everything that is timed on real data."""
    target = bytearray(len(data))
    address = (ctypes.c_char * len(data)).from_buffer(target)
    bounds = {"min_size": chunker.MIN_BYTES, "max_size": chunker.MAX_BYTES}
    return {
        "memcpy": lambda: ctypes.memmove(address, data, len(data)),
        "pfs": lambda: chunker.cut(data),
        "pfs, scalar kernel": lambda: cut_by("scalar", data),
        "C Gear loop": lambda: gear.plain(data, AVERAGE_BYTES),
        "C Gear-NC2": lambda: gear.nc2(data, AVERAGE_BYTES),
        "pyfastcdc": lambda: ends_by_pyfastcdc(data),
        "pyfastcdc, our bounds": lambda: ends_by_pyfastcdc(data, **bounds),
        "fastcdc": lambda: ends_by_fastcdc(data),
        "fastcdc, our bounds": lambda: ends_by_fastcdc(data, *bounds.values()),
        "pfs + BLAKE3": lambda: hash_pieces(data, chunker.cut(data)),
        "pyfastcdc + BLAKE3": lambda: hash_pieces(data, ends_by_pyfastcdc(data)),
    }


def check_speed(data: bytes, gear: Gear, rounds: int) -> list[Demand]:
    """Speed on real data, beside the peers."""
    speeds = median_speeds(speed_contenders(data, gear), len(data), rounds)
    averages = {
        "pfs": chunker.cut(data),
        "pyfastcdc": ends_by_pyfastcdc(data),
        "fastcdc": ends_by_fastcdc(data),
    }
    print(f"GB/s on {len(data) / MIB:.0f} MiB of real files, median of {rounds} rounds")
    for name, speed in speeds.items():
        average = f"  average {len(data) / len(averages[name]) / 1024:.0f} KiB" if name in averages else ""
        print(f"  {name:24} {speed:6.2f}{average}")
    pfs = speeds["pfs"]
    return [
        at_least("pfs / pyfastcdc", pfs / speeds["pyfastcdc"], 3.5),
        at_least("pfs / fastcdc", pfs / speeds["fastcdc"], 5),
        at_least("pfs / memcpy", pfs / speeds["memcpy"], 1),
        at_least("scalar kernel / C Gear loop", speeds["pfs, scalar kernel"] / speeds["C Gear loop"], 0.55),
        at_least("with BLAKE3: pfs / pyfastcdc", speeds["pfs + BLAKE3"] / speeds["pyfastcdc + BLAKE3"], 1.4),
    ]


def check_dearest(gear: Gear, rounds: int) -> Demand:
    """Speed against Gear on inputs made to be slow; the scalar kernel is shown, the chosen one judged."""
    inputs = {kind: make(DEAREST_BYTES) for kind, make in samples.KINDS.items()}
    inputs["most ties"] = samples.most_ties(DEAREST_BYTES, chunker.MIN_BYTES, chunker.MAX_BYTES)
    ratios: dict[str, float] = {}
    print(f"\nGB/s on {DEAREST_BYTES / MIB:.0f} MiB of each kind  pfs  scalar  C Gear loop")
    for kind, data in inputs.items():
        contenders: dict[str, Contender] = {
            "pfs": partial(chunker.cut, data),
            "scalar": partial(cut_by, "scalar", data),
            "gear": partial(gear.plain, data, AVERAGE_BYTES),
        }
        speeds = median_speeds(contenders, len(data), rounds)
        ratios[kind] = speeds["pfs"] / speeds["gear"]
        print(f"  {kind:20} {speeds['pfs']:7.2f} {speeds['scalar']:7.2f} {speeds['gear']:7.2f}")
    kind = min(ratios, key=ratios.__getitem__)
    return at_least(f"slowest input ({kind}): pfs / C Gear loop", ratios[kind], 0.25)


def check_dedup(gear: Gear) -> list[Demand]:
    """Dedup quality against Gear-NC2 at equal average size."""
    return [
        at_least(f"dedup of {name} / Gear-NC2", quality(gear, make(DEDUP_BYTES)), 0.99)
        for name, make in DATA_SETS.items()
    ]


def check_insert(real: bytes) -> Demand:
    """New chunks after one byte inserted in front."""
    data = (real * (INSERT_BYTES // len(real) + 1))[:INSERT_BYTES]
    longer = b"!" + data
    old, new = (distinct_chunks(some, chunker.cut(some)) for some in (data, longer))
    made = len(new.keys() - old.keys())
    return Demand(f"new chunks, 1 byte before {INSERT_BYTES // MIB} MiB", "1 or 2", str(made), 1 <= made <= 2)


def main(arguments: list[str]) -> int:
    """Measure, print the table, and return 1 when a demand does not hold."""
    parser = argparse.ArgumentParser(prog="scripts/bench chunker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds; figures are medians (7)")
    rounds = parser.parse_args(arguments).rounds
    install_peers()
    gear = Gear()
    real = real_data()
    demands = check_speed(real, gear, rounds)
    demands.append(check_dearest(gear, rounds))
    demands += check_dedup(gear)
    demands.append(check_insert(real))
    width = max(len(demand.what) for demand in demands)
    print(f"\n{'':{width}}  demanded  measured")
    for demand in demands:
        verdict = "ok" if demand.holds else "NOT MET"
        print(f"{demand.what:{width}}  {demand.demanded:>8}  {demand.measured:>8}  {verdict}")
    return 0 if all(demand.holds for demand in demands) else 1
