"""Paths inside a mount, wherever a command takes `REPO[@REV][:PATH]`.

An argument is a path if it holds a `/` before any `:`, is `.` or `..`, or while the working directory
lies in a repo: if it names something there, or is a plain word that names nothing (a file that is no
more), and no repo either; all else is a place by name. A symlink in a repo is
itself the thing that is meant: only what leads to it is followed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pfs.control.mounts import Mount, mount_above
from pfs.errors import UsageError


@dataclass(frozen=True)
class PlaceInMount:
    """A path below a mount point: the name in the root of the mount, and what follows it."""

    mount: Mount
    name: str
    path: str

    @property
    def repo(self) -> str:
        """The repo's name: that of the name without its revision."""
        return self.name.partition("@")[0]

    @property
    def text(self) -> str:
        """The place as `REPO[@REV][:PATH]`."""
        return f"{self.name}:{self.path}" if self.path else self.name


def place_in_mount(text: str, mounts: Sequence[Mount], store: Path | None = None) -> PlaceInMount | None:
    """The place that a path in a mount means; None where the argument is no such path.

    store: the one where a word may mean a file that is no more.
    UsageError for a path outside every mount, or for the root of one.
    """
    if not mounts and not _looks_like_path(text):
        return None
    path = _resolved(text)
    mount = mount_above(path, mounts)
    if not _looks_like_path(text) and (
        mount is None
        or not (os.path.lexists(path) or (store == mount.store and _may_be_gone(text, path, mount)))
    ):
        return None
    if mount is None:
        if text in (".", ".."):
            return None
        raise UsageError(
            f"{text}: not in a mount of pfs", hint="write REPO[@REV][:PATH] or a path in a mount"
        )
    inside = path.relative_to(mount.mount_point).parts
    if not inside:
        if text == ".":
            return None
        raise UsageError(f"{text} is the root of the mount", hint="name a repo in it")
    return PlaceInMount(mount, inside[0], "/".join(inside[1:]))


def _looks_like_path(text: str) -> bool:
    return text in (".", "..") or "/" in text.partition(":")[0]


def _may_be_gone(text: str, path: Path, mount: Mount) -> bool:
    """Whether a word can only mean a file of the working directory that is no more."""
    is_word = not any(sign in text for sign in ":@")
    return is_word and path.parent != mount.mount_point and not os.path.lexists(mount.mount_point / text)


def _resolved(text: str) -> Path:
    """Absolute, what leads to the last component resolved, that one not."""
    head, tail = os.path.split(os.path.join(os.getcwd(), text))
    if tail in ("", ".", ".."):
        return Path(os.path.realpath(os.path.join(head, tail)))
    return Path(os.path.realpath(head), tail)
