"""What one run of `pfs` works on: the store, its daemon if there is one, and the place that is meant.

A store is `--store`, else that of the mount a path argument lies in, else $PFS_STORE, else that of
the mount the working directory is in, else the one in the user's data directory. While a daemon holds the
store it is asked; without one, reading commands open the store themselves and others say so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from pfs.cli.place import PlaceInMount, place_in_mount
from pfs.control.client import ControlClient
from pfs.control.mounts import Mount, mount_above, read_mounts
from pfs.control.wire import Json
from pfs.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """One run of `pfs`. Owned by the one command that runs."""

    store_option: Path | None = None
    as_json: bool = False
    mount: Mount | None = field(default=None, init=False)

    @cached_property
    def mounts(self) -> list[Mount]:
        """The pfs mounts of this machine that we see."""
        return read_mounts()

    @property
    def store(self) -> Path:
        """The store's directory, absolute; it may not exist yet."""
        if self.store_option is not None:
            return Path(os.path.abspath(self.store_option))
        if self.mount is not None:
            return self.mount.store
        if chosen := os.environ.get("PFS_STORE"):
            return Path(os.path.abspath(chosen))
        above = mount_above(Path(os.path.realpath(os.getcwd())), self.mounts) if self.mounts else None
        return default_store() if above is None else above.store

    @property
    def client(self) -> ControlClient:
        """For asking the daemon of the store."""
        return ControlClient(self.store)

    def place(self, text: str | None, *, missing: str = "say which repo: REPO[@REV][:PATH]") -> str:
        """An argument as `REPO[@REV][:PATH]`, whether it was that, a path in a mount, or `@REV[:PATH]`.

        None and `@…` mean the repo of the working directory. UsageError(`missing`) where that is none.
        """
        if text is None or text.startswith("@"):
            here = self._here()
            if here is None:
                raise UsageError(missing, hint="or do it inside a mounted repo")
            return f"{here.repo}{text}" if text is not None else here.text
        found = place_in_mount(text, self.mounts, self.store)
        return text if found is None else self._enter(found).text

    def call(self, op: str, args: Mapping[str, Json], progress: Callable[[Json], None] | None = None) -> Json:
        """The daemon's answer. NoDaemon where none holds the store."""
        return self.client.call(op, args, progress=progress)

    def read(self, op: str, args: Mapping[str, Json]) -> Json:
        """The answer of a reading operation: the daemon's, or read from the store where there is none."""
        if self.client.daemon_pid() is not None:
            return self.call(op, args)
        from pfs.versioning.operations import read_offline  # lmdb and all: only where no daemon is

        return read_offline(self.store, op, args, time.time_ns)

    def _here(self) -> PlaceInMount | None:
        found = place_in_mount(".", self.mounts)
        return None if found is None else self._enter(found)

    def _enter(self, found: PlaceInMount) -> PlaceInMount:
        """Note that the store is that of a mount; UsageError for a place in another store."""
        if self.store_option is not None and not _same_directory(self.store, found.mount.store):
            raise UsageError(
                f"{found.text} is in a mount of {found.mount.store}, not of {self.store}",
                hint="leave --store out",
            )
        if self.mount is not None and self.mount.store != found.mount.store:
            raise UsageError(f"{found.text} and what stands before it are in two stores")
        self.mount = found.mount
        return found


def _same_directory(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def default_store() -> Path:
    """The store in the user's data directory."""
    from platformdirs import user_data_path  # slow to import

    return user_data_path("pfs", appauthor=False) / "store"


def takes_json(function: F) -> F:
    """The option that every command has."""

    def keep(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        ctx.ensure_object(Invocation).as_json = value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=keep, help="One JSON document instead of text."
    )
    return option(function)
