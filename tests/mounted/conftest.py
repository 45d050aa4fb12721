"""Mounts for tests: each is checked when its test ends, and a failing test shows the daemon's log."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mounted.mounting import Mount

LOG_LINES_SHOWN = 60

_MOUNTS = pytest.StashKey[list[Mount]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield
    if report.failed:
        for mount in item.stash.get(_MOUNTS, []):
            lines = mount.log().splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append(("daemon log", "\n".join(lines)))
    return report


@pytest.fixture
def make_mount(request: pytest.FixtureRequest) -> Iterator[Callable[[], Mount]]:
    """Make mounts that are not started yet; all users may enter the directory they are in."""
    mounts: list[Mount] = []
    request.node.stash[_MOUNTS] = mounts

    def make() -> Mount:
        base = Path(tempfile.mkdtemp(prefix="pfs-test-"))
        base.chmod(0o755)
        mounts.append(Mount(base))
        return mounts[-1]

    yield make
    failures: list[BaseException] = []
    for mount in mounts:
        try:
            mount.close()
        except BaseException as error:
            failures.append(error)
        if not mount.is_mounted():
            shutil.rmtree(mount.base)
    if failures:
        raise failures[0]


@pytest.fixture
def mount(make_mount: Callable[[], Mount]) -> Mount:
    """A new store, mounted."""
    made = make_mount()
    made.start()
    return made


@pytest.fixture
def repo(mount: Mount) -> Path:
    """The working tree of a new repo."""
    return mount.repo()


@pytest.fixture
def as_root() -> None:
    """For what only root can try: other users, ownership."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to act as another user")
