"""What was read of a process at one moment, and whether it is still the same process, and the same image.

A process is told by its id and start time.  That it has gone on to another image by exec shows in the place
of its stack, another one each time; where that is hidden from us, or address randomisation is off, in its
program and arguments, if at all.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.processes.tasks import Process


class Timed(RawDescription, frozen=True, kw_only=True):
    """A description and when it was read, by the monotonic clock."""

    threads: int = 1
    began_ns: int = 0
    ended_ns: int = 0


class Look(NamedTuple):
    """What `proc_stat` said, and when it was asked, by the monotonic clock."""

    tgid: int
    ppid: int
    start_ticks: int
    start_stack: int
    began_ns: int


def timed(description: RawDescription, now_ns: int) -> Timed:
    """The same, read just now where it does not say when."""
    if isinstance(description, Timed):
        return description
    return Timed(**msgspec.structs.asdict(description), began_ns=now_ns, ended_ns=now_ns)


def is_same(process: Process, found: Timed, *, is_sure: bool) -> bool:
    """Whether it was this process that was read, not an earlier or later one with its id.

    is_sure: had there been a later one, it would have been heard of.
    """
    if process.forked_ns > found.ended_ns:
        return False
    if process.start_ticks:
        return process.start_ticks == found.start_ticks
    was_over = 0 < process.ended_ns < found.began_ns
    is_over = not found.start_stack and not found.cmdline  # a zombie
    return is_sure or is_over or not was_over


def agrees(process: Process, look: Look) -> bool:
    """Whether a process is surely still what it was when it was described."""
    if look.tgid != process.pid:
        return False
    description = process.image.description
    if description is None:
        return process.image.is_own
    return process.start_ticks == look.start_ticks and description.start_stack == look.start_stack != 0


def went_on(image: Image, found: Timed) -> bool:
    """Whether an exec, not heard of, lies between what is known of an image and what was read."""
    known = image.description
    if known is not None:
        if known.start_stack and found.start_stack:
            return known.start_stack != found.start_stack
        return (known.exe, known.cmdline) != (found.exe, found.cmdline)
    source = image.forked_from
    if source is None or source.description is None or image.is_adopted:
        return False
    return 0 != source.description.start_stack != found.start_stack != 0
