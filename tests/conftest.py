"""What all tests share: the markers, and a loud failure where mounting is impossible.

A test that needs a real mount stands in tests/mounted (or is marked `mounted`). On a machine
where /dev/fuse can't be opened it fails, with what to do; it is never skipped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

MOUNTED = Path(__file__).parent / "mounted"
FUSE_DEVICE = Path("/dev/fuse")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mounted: needs /dev/fuse and a real mount")
    config.addinivalue_line("markers", "slow: takes more than about a second")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if MOUNTED in item.path.parents:
            item.add_marker(pytest.mark.mounted)


def why_no_mount(device: Path = FUSE_DEVICE, program: str = "fusermount3") -> str | None:
    """Why this machine can't mount, and what to do; None where it can."""
    try:
        os.close(os.open(device, os.O_RDWR))
    except FileNotFoundError:
        return f"{device} is missing: modprobe fuse, or pass the device into the container"
    except PermissionError:
        return f"{device} may not be opened: run as root or make it readable and writable for this user"
    if shutil.which(program) is None:
        return f"{program} is not installed: run scripts/setup"
    return None


@pytest.fixture(autouse=True)
def _mount_is_possible(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("mounted") is None:
        return
    reason = why_no_mount()
    if reason is not None:
        pytest.fail(reason, pytrace=False)
