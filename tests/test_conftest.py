"""The loud failure of mounted tests says what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import why_no_mount


def test_missing_device_says_what_to_do(tmp_path: Path) -> None:
    assert "modprobe fuse" in (why_no_mount(tmp_path / "fuse") or "")


def test_missing_program_says_what_to_do(tmp_path: Path) -> None:
    device = tmp_path / "fuse"
    device.touch()
    assert "scripts/setup" in (why_no_mount(device, "no-such-fusermount") or "")


def test_usable_device_gives_no_reason(tmp_path: Path) -> None:
    device = tmp_path / "fuse"
    device.touch()
    assert why_no_mount(device, "sh") is None
