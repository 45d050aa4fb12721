"""The calls of the C library that pfs._native adds."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pfs import _native


def test_syncfs_takes_a_descriptor_or_a_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x")
        assert _native.syncfs(file.fileno()) is None  # type: ignore[func-returns-value]
        assert _native.syncfs(file) is None  # type: ignore[arg-type, func-returns-value]


def test_syncfs_raises_what_the_system_says(tmp_path: Path) -> None:
    closed = os.open(tmp_path, os.O_RDONLY)
    os.close(closed)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        _native.syncfs(closed)


def in_a_process_of_its_own(code: str) -> str:
    """The setting is of the whole process: not of the one that runs the tests."""
    program = f"from pfs import _native\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(("threshold_bytes", "is_returned"), [(32 << 10, "True"), (1 << 20, "False")])
def test_allocations_above_the_threshold_go_back_to_the_system(
    threshold_bytes: int, is_returned: str
) -> None:
    code = f"""
import os
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
assert _native.set_mmap_threshold({threshold_bytes})
pieces = [b"x" * (64 << 10) for _ in range(512)]
full = resident()
del pieces[:-1]
print(full - resident() >= 30 << 20)
"""
    assert in_a_process_of_its_own(code) == is_returned


@pytest.mark.parametrize("size_bytes", [-1, 1 << 31, 1 << 80])
def test_thresholds_that_no_malloc_takes(size_bytes: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        _native.set_mmap_threshold(size_bytes)


def test_kernels_are_named_slowest_first() -> None:
    assert _native.kernels()[0] == "scalar"
