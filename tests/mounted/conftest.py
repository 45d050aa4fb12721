"""Mounts for tests: each is checked when its test ends, and a failing test shows the daemon's log."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mounted.lineage_scenarios.checker import table
from tests.mounted.lineage_scenarios.stage import ROWS
from tests.mounted.mounting import Mount

LOG_LINES_SHOWN = 60

_MOUNTS = pytest.StashKey[list[Mount]]()

Make = Callable[[], Mount]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield
    if report.failed:
        for node in item.listchain():
            for mount in node.stash.get(_MOUNTS, []):
                lines = mount.log().splitlines()[-LOG_LINES_SHOWN:]
                report.sections.append(("daemon log", "\n".join(lines)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of lineage scenarios, where some ran."""
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.section("lineage of real programs")
        terminalreporter.write_line(table(rows))


@contextmanager
def mounts_of(node: pytest.Item | pytest.Collector) -> Iterator[Make]:
    """Make mounts that are not started yet; all users may enter the directory they are in."""
    mounts: list[Mount] = []
    node.stash[_MOUNTS] = mounts

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
def make_mount(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make mounts for one test."""
    with mounts_of(request.node) as make:
        yield make


@pytest.fixture
def mount(make_mount: Make) -> Mount:
    """A new store, mounted."""
    made = make_mount()
    made.start()
    return made


@pytest.fixture
def repo(mount: Mount) -> Path:
    """The working tree of a new repo in a new store."""
    return mount.repo()


@pytest.fixture(scope="module")
def shared_mount(request: pytest.FixtureRequest) -> Iterator[Mount]:
    """One mount for the tests of a module that leave the daemon alone."""
    with mounts_of(request.node) as make:
        made = make()
        made.start()
        yield made


@pytest.fixture
def tree(shared_mount: Mount) -> Path:
    """The working tree of a new repo in the module's store."""
    assert shared_mount.is_running, "a test before this one has ended the daemon"
    return shared_mount.repo(f"repo{len(os.listdir(shared_mount.path))}")


@pytest.fixture
def as_root() -> None:
    """For what only root can try: other users, ownership."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to act as another user")
