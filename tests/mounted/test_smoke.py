"""The shortest way through everything: mount, write, commit, change, look back, unmount, mount again."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounted.mounting import Mount


def test_a_file_is_kept_committed_and_shown_as_it_was(mount: Mount, repo: Path) -> None:
    (repo / "file").write_text("first")
    head = mount.commit(repo)
    (repo / "file").write_text("second")
    assert (mount.path / f"repo@{head[:8]}/file").read_text() == "first"
    assert (mount.path / "repo@~0/file").read_text() == "first"
    assert (repo / "file").read_text() == "second"
    mount.commit(repo)
    assert (mount.path / "repo@~1/file").read_text() == "first"
    mount.remount()
    assert (repo / "file").read_text() == "second"
    assert (mount.path / "repo@~1/file").read_text() == "first"
    assert os.listdir(mount.path) == ["repo"]


def test_uncommitted_changes_live_through_a_remount(mount: Mount, repo: Path) -> None:
    (repo / "file").write_text("never committed")
    mount.remount()
    assert (repo / "file").read_text() == "never committed"


def test_uncommitted_changes_live_through_a_kill(mount: Mount, repo: Path) -> None:
    (repo / "file").write_text("never committed")
    mount.kill_only()
    with pytest.raises(OSError, match="not connected") as caught:
        os.listdir(repo)
    assert caught.value.errno == errno.ENOTCONN
    mount.clear()
    mount.start()
    assert (repo / "file").read_text() == "never committed"


def test_a_term_signal_ends_the_daemon_well(mount: Mount, repo: Path) -> None:
    (repo / "file").write_text("kept")
    os.kill(mount.pid, signal.SIGTERM)
    mount.wait_ended()
    assert not mount.is_mounted()
    mount.start()
    assert (repo / "file").read_text() == "kept"


def test_the_fixture_fails_a_test_whose_daemon_logs_a_defect(make_mount: Callable[[], Mount]) -> None:
    mount = make_mount()
    mount.base.joinpath("daemon.log").write_text("level='error' event='request failed' request='read'\n")
    with pytest.raises(AssertionError, match="defects"):
        mount.check_log()
    mount.check_log()


def test_a_daemon_that_lives_too_long_is_killed_by_its_alarm(make_mount: Callable[[], Mount]) -> None:
    mount = make_mount()
    mount.life_seconds = 3
    mount.start()
    assert mount.wait_killed() == -signal.SIGALRM
    with pytest.raises(OSError, match="not connected"):
        os.listdir(mount.path)
    mount.kill9()
    assert not mount.is_mounted()
