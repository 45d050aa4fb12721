"""What `pfs mount` and `pfs umount` refuse, and the process that stands for a daemon."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from pfs.cli import daemon_process
from pfs.cli.checks import CHECKS, Facts, Level, check_all, check_can_mount, gather
from pfs.cli.daemon_process import ProcessWatch, daemon_command, start_detached
from pfs.cli.login_unit import enable, unit_text
from pfs.errors import Busy, Denied, NotFound, PfsError
from tests.cli.conftest import Run, Serve


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "mnt"
    path.mkdir()
    return path


def test_bad_mount_points(pfs: Run, store: Path, empty: Path, tmp_path: Path) -> None:
    (empty / "file").touch()
    inside = store / "inside"
    inside.mkdir()
    for path, code, says in (
        (tmp_path / "missing", 3, f"mkdir {tmp_path}/missing"),
        (empty / "file", 2, "not a directory"),
        (empty, 5, "is not empty"),
        (inside, 2, "lie in one another"),
        (tmp_path, 2, "lie in one another"),
        (Path("/proc"), 5, "something else is mounted"),
    ):
        outcome = pfs("mount", str(path))
        assert (outcome.code, outcome.out) == (code, ""), path
        assert says in outcome.err
        assert outcome.err.count("\n") == 1


def test_store_that_is_mounted_elsewhere_is_busy(pfs: Run, daemon: Serve, empty: Path) -> None:
    daemon({"status": {"state": "serving", "mount_point": "/somewhere"}})
    outcome = pfs("mount", str(empty))
    assert outcome.code == 5
    assert f"is mounted at /somewhere already (pid {os.getpid()})" in outcome.err


def test_store_that_is_mounted_here_is_fine(pfs: Run, daemon: Serve, empty: Path) -> None:
    daemon({"status": {"state": "serving", "mount_point": str(empty)}})
    assert pfs("mount", str(empty), "--json").document["pid"] == os.getpid()


def test_umount_of_what_is_not_mounted(pfs: Run, empty: Path) -> None:
    assert pfs("umount", str(empty)).code == 3
    assert pfs("umount").code == 7


REPORTS = {
    "ready": ('{"ok": true, "pid": 7}', None),
    "refused": ('{"ok": false, "error": {"kind": "busy", "message": "held", "exit_code": 5}}', Busy),
    "silent": ("", PfsError),
}


@pytest.mark.parametrize("name", REPORTS)
def test_daemon_reports_on_its_pipe(name: str, store: Path) -> None:
    line, error = REPORTS[name]
    script = f"import os, sys; os.write(int(sys.argv[-1]), {(line + chr(10) if line else '').encode()!r})"
    command = [sys.executable, "-c", script]
    if error is None:
        assert start_detached(command) == {"ok": True, "pid": 7}
        return
    with pytest.raises(error) as caught:
        start_detached(command)
    if not line:
        assert str(daemon_process.log_path()) in (caught.value.hint or "")


def test_daemon_is_detached_and_logs(store: Path) -> None:
    script = (
        "import os, sys; print('started', flush=True);"
        'os.write(int(sys.argv[-1]), b\'{"ok": true, "pid": %d, "sid": %d, "cwd": 1}\\n\''
        " % (os.getpid(), os.getsid(0)))"
    )
    report = start_detached([sys.executable, "-c", script])
    assert report["pid"] == report["sid"]
    with ProcessWatch(report["pid"]) as watch:
        assert watch.wait_ended(30)
    assert daemon_process.log_path().read_text() == "started\n"


def test_log_begins_anew_when_large(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_process, "LOG_BYTES_MAX", 3)
    for _ in range(2):
        os.close(daemon_process._open_log())
        daemon_process.log_path().write_text("long")
    os.close(daemon_process._open_log())
    assert daemon_process.log_path().read_text() == ""
    assert daemon_process.log_path().with_suffix(".log.1").read_text() == "long"


def test_watch_of_a_process_that_lives_and_one_that_is_gone() -> None:
    with ProcessWatch(os.getpid()) as watch:
        assert not watch.wait_ended(0)
    with ProcessWatch(4_194_303) as watch:
        assert watch.wait_ended(0)


def test_daemon_command() -> None:
    command = daemon_command(Path("/s"), Path("/m"), ["--read-only"])
    assert command[1:] == ["-m", "pfs.daemon", "--store", "/s", "--mount", "/m", "--read-only"]


def test_login_unit_is_written_and_enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for _ in range(2):
        unit = enable(Path("/s/100%"), Path('/home/a b/"pfs"'), ["--read-only"])
    assert unit == tmp_path / "systemd/user/pfs-home-a-b-pfs.service"
    wanted = tmp_path / "systemd/user/default.target.wants" / unit.name
    assert wanted.resolve() == unit
    text = unit.read_text()
    assert '"--store" "/s/100%%" "mount" "/home/a b/\\"pfs\\"" "--foreground" "--read-only"' in text
    assert text == unit_text(Path("/s/100%"), Path('/home/a b/"pfs"'), ["--read-only"])


GOOD = Facts(
    uid=1000,
    device_errno=None,
    fusermount="/usr/bin/fusermount3",
    fusermount_is_setuid=True,
    fuse_conf="# comment\nuser_allow_other\n",
    open_files_hard=1 << 20,
    kernel="6.1.0-13-amd64",
    store=Path("/home/a/store"),
    store_exists=True,
    store_writable=True,
    free_bytes=1 << 40,
    mount_points=("/home/a/pfs",),
)
BAD: list[tuple[dict[str, object], Level, str]] = [
    ({"device_errno": 2}, Level.ERROR, "is missing"),
    ({"device_errno": 13}, Level.ERROR, "may not be opened"),
    ({"fusermount": None}, Level.ERROR, "is not installed"),
    ({"fusermount": None, "uid": 0}, Level.WARNING, "is not installed"),
    ({"fusermount_is_setuid": False}, Level.ERROR, "not setuid root"),
    ({"fuse_conf": "#user_allow_other"}, Level.WARNING, "can't be used"),
    ({"open_files_hard": 1024}, Level.WARNING, "1024"),
    ({"kernel": "4.19.0"}, Level.WARNING, "older"),
    ({"store_writable": False}, Level.ERROR, "not writable"),
    ({"free_bytes": 1 << 20}, Level.WARNING, "1 MiB free"),
    ({"store": Path("/home/a/pfs/repo/store")}, Level.ERROR, "lies in a mount"),
]


def test_good_machine_has_only_good_findings() -> None:
    assert len(check_all(GOOD)) == len(CHECKS)
    assert {finding.level for finding in check_all(GOOD)} == {Level.OK}


@pytest.mark.parametrize(("change", "level", "says"), BAD, ids=str)
def test_each_bad_fact_gives_one_finding_with_a_hint(
    change: dict[str, object], level: Level, says: str
) -> None:
    facts = dataclasses.replace(GOOD, **change)  # type: ignore[arg-type]
    found = [finding for check in CHECKS if (finding := check(facts)).level is not Level.OK]
    assert [finding.level for finding in found] == [level]
    assert says in found[0].message
    assert found[0].hint


def test_facts_of_this_machine(tmp_path: Path) -> None:
    facts = gather(tmp_path / "not" / "yet")
    assert not facts.store_exists
    assert facts.store_writable
    assert facts.free_bytes > 0


def test_mounting_is_refused_without_the_device(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is missing"):
        check_can_mount(tmp_path / "fuse")
    (tmp_path / "fuse").touch()
    check_can_mount(tmp_path / "fuse")
    if os.geteuid() != 0:
        (tmp_path / "fuse").chmod(0)
        with pytest.raises(Denied):
            check_can_mount(tmp_path / "fuse")
