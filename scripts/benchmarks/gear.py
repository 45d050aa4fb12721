"""The Gear loops of gear.c, compiled into a temporary directory and called through ctypes.

For measuring only. Cut points are not frozen: nothing stored depends on them.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("gear.c")
SEED = 2016
OPTIMIZATION = "-O2"
"""Gear is a third faster than at -O3 (gcc 12)."""
ROUNDS_MAX = 12


class Gear:
    """Gear hashing in C. Buffers are `bytes`."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            library = Path(directory) / "gear.so"
            subprocess.run(["cc", OPTIMIZATION, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
            self._library = ctypes.CDLL(str(library))
        self._library.gear_plain.restype = ctypes.c_size_t
        self._library.gear_nc2.restype = ctypes.c_size_t
        self._library.gear_fill(ctypes.c_uint64(SEED))

    def plain(self, data: bytes, average_bytes: int) -> int:
        """How many chunks one cut in `average_bytes` (a power of two) makes, every byte hashed."""
        return int(self._library.gear_plain(data, ctypes.c_size_t(len(data)), ctypes.c_uint64(average_bytes)))

    def nc2(self, data: bytes, average_bytes: float) -> list[int]:
        """Cut points of FastCDC with normalization level 2, sizes from average / 4 to average * 8."""
        min_bytes = int(average_bytes / 4)
        cuts = (ctypes.c_uint64 * (len(data) // min_bytes + 1))()
        count = self._library.gear_nc2(
            data,
            *(ctypes.c_size_t(n) for n in (len(data), min_bytes, int(average_bytes), int(average_bytes * 8))),
            ctypes.c_double(average_bytes),
            cuts,
        )
        return cuts[:count]

    def nc2_average(self, data: bytes, wanted_bytes: float) -> float:
        """The `average_bytes` with which nc2 cuts these data into chunks of `wanted_bytes` on average."""
        average = wanted_bytes
        for _ in range(ROUNDS_MAX):
            have = len(data) / len(self.nc2(data, average))
            if abs(have / wanted_bytes - 1) < 0.005:
                break
            average *= (wanted_bytes / have) ** 0.8
        return average
