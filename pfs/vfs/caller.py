"""Who makes a request of the kernel's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, as the kernel says it."""

    uid: int
    gid: int
    pid: int
    umask: int = 0
