"""Paths in a mount are places; all else is a place by name. Ordinary directories stand for mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfs.cli.invocation import Invocation
from pfs.cli.place import place_in_mount
from pfs.control.mounts import Mount
from pfs.errors import UsageError


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mount:
    """MNT/proj/d/file, a symlink in the tree, and MNT/proj@~1, a symlink to MNT/proj@abcd."""
    point = tmp_path / "mnt"
    for name in ("proj/d", "proj@abcd"):
        (point / name).mkdir(parents=True)
    (point / "proj/d/file").touch()
    (point / "proj/d/link").symlink_to("file")
    (point / "proj@~1").symlink_to("proj@abcd")
    monkeypatch.chdir(point / "proj/d")
    monkeypatch.delenv("PFS_STORE", raising=False)
    return Mount(point, Path("/the/store"))


def text_of(argument: str, mount: Mount) -> str | None:
    found = place_in_mount(argument, [mount], mount.store)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("{mnt}/proj", "proj"),
        ("{mnt}/proj/", "proj"),
        ("{mnt}/proj/d/file", "proj:d/file"),
        ("{mnt}/proj/d/link", "proj:d/link"),
        ("{mnt}/proj/gone", "proj:gone"),
        ("{mnt}/proj@~1", "proj@~1"),
        ("{mnt}/proj@~1/x", "proj@abcd:x"),
        (".", "proj:d"),
        ("..", "proj"),
        ("./file", "proj:d/file"),
        ("file", "proj:d/file"),
        ("gone", "proj:d/gone"),
        ("gone:x", None),
        ("gone@v1", None),
        ("proj", None),
        ("proj:a/b", None),
        ("proj@{2026-01-31T10:00}:x", None),
    ],
)
def test_paths_and_names(mount: Mount, argument: str, expected: str | None) -> None:
    assert text_of(argument.replace("{mnt}", str(mount.mount_point)), mount) == expected


def test_root_of_the_mount_is_no_place(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="root of the mount"):
        text_of(str(mount.mount_point), mount)
    monkeypatch.chdir(mount.mount_point)
    assert text_of(".", mount) is None


def test_path_outside_is_refused(mount: Mount, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not in a mount"):
        text_of(str(tmp_path / "elsewhere"), mount)


@pytest.fixture
def invocation(mount: Mount) -> Invocation:
    made = Invocation()
    made.__dict__["mounts"] = [mount]
    return made


def test_nothing_means_the_repo_here(invocation: Invocation) -> None:
    assert invocation.place(None) == "proj:d"
    assert invocation.place("@v1:x") == "proj@v1:x"
    assert invocation.store == Path("/the/store")


def test_working_directory_in_a_mount_chooses_the_store(invocation: Invocation, mount: Mount) -> None:
    assert invocation.store == mount.store
    (mount.mount_point / "other").mkdir()
    assert invocation.place("other") == "other"


def test_a_word_is_no_lost_file_of_another_store(
    mount: Mount, invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invocation.place("other") == "proj:d/other"
    elsewhere = Invocation(store_option=Path("/another"))
    elsewhere.__dict__["mounts"] = [mount]
    assert elsewhere.place("other") == "other"
    monkeypatch.setenv("PFS_STORE", "/another")
    chosen = Invocation()
    chosen.__dict__["mounts"] = [mount]
    assert chosen.place("other") == "other"


def test_environment_beats_the_working_directory_but_not_a_path(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PFS_STORE", "/another")
    assert invocation.store == Path("/another")
    invocation.place("./file")
    assert invocation.store == Path("/the/store")


def test_store_option_and_a_path_of_another_store_contradict(mount: Mount) -> None:
    made = Invocation(store_option=Path("/another"))
    made.__dict__["mounts"] = [mount]
    with pytest.raises(UsageError, match="not of /another"):
        made.place("./file")


def test_outside_of_mounts_a_repo_must_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = Invocation()
    made.__dict__["mounts"] = []
    monkeypatch.chdir(tmp_path)
    for argument in (None, "@v1"):
        with pytest.raises(UsageError, match="say which repo"):
            made.place(argument)
