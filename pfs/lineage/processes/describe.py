"""From what the kernel says of a process to an `Activity` that may be stored.

`activity` makes the description that is written from the raw one that never is: secrets replaced, long
texts capped, redirections and pipes named.  A part that could not be read leaves its field empty and its
name in `Activity.reason`.  Leaves to others: reading /proc (processes) and what the process did.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from pfs.lineage.facts import Activity, activity_id
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.interactive import manner
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.redaction.secrets import Redactor

STANDARD_ERROR: Final = 2
CMDLINE_LENGTH_MAX: Final = 128 * 1024  # bytes that `_native.proc_read` reads
TITLE_NULS: Final = 8  # so many empty arguments nobody gives
TERMINALS: Final = (b"/dev/pts/", b"/dev/tty", b"/dev/console")
OUTPUTS: Final = (1, 2)  # sockets there are a journal's, and nothing comes back


def activity(
    image: Image,
    parent: int,
    host: str,
    user_of: Callable[[int], str],
    redactor: Redactor,
) -> tuple[Activity, bool]:
    """What may be stored of a process image; and whether what it reads is recorded (indexers: not)."""
    raw = image.description
    key = image.key
    if raw is None:
        uid = max(0, image.uid)
        made = Activity(
            id=activity_id(key),
            key=key,
            parent=parent,
            uid=uid,
            user=user_of(uid),
            host=host,
            started_ns=image.started_ns,
            reason=image.reason or "not described",
        )
        return made, True
    words = arguments(raw.cmdline)
    found = manner(raw.exe, words, terminal=_reads_terminal(raw))
    made = Activity(
        id=activity_id(key),
        key=key,
        parent=parent,
        argv=redactor.argv(words),
        exe=raw.exe.removesuffix(b" (deleted)"),
        cwd=raw.cwd.removesuffix(b" (deleted)"),
        environment=redactor.environment(raw.environ),
        uid=raw.uid,
        user=user_of(raw.uid),
        host=host,
        cgroup=_cgroup(raw.cgroup),
        pid_namespace=raw.pid_namespace,
        sid=raw.sid,
        group=raw.group,
        terminal=raw.tty_nr != 0,
        pipes=_pipes(raw, image.parent),
        files=tuple(
            (fd, b"socket:" if is_socket else target, flags & os.O_ACCMODE != os.O_RDONLY)
            for fd, target, flags in raw.fds
            if (is_socket := target.startswith(b"socket:") and fd not in OUTPUTS)
            or (fd <= STANDARD_ERROR and target.startswith(b"/") and not target.startswith(b"/dev/"))
        ),
        started_ns=image.started_ns,
        interactive=found.interactive,
        reason=image.reason or _reason(raw),
    )
    return made, found.pins


def arguments(cmdline: bytes) -> list[bytes]:
    """The arguments of a command line.

    Of one that was cut the last goes: half a secret does not look like one.  A program that writes its title
    over its arguments leaves nothing but NULs behind it.
    """
    words = cmdline.split(b"\0")
    last = words.pop()
    if last and len(cmdline) >= CMDLINE_LENGTH_MAX:
        words.append("‹cut›".encode())
    elif last:
        words.append(last)
    if words and not any(words[-TITLE_NULS:]) and len(words) > TITLE_NULS:
        while words and not words[-1]:
            words.pop()
    return words


def _reads_terminal(raw: RawDescription) -> bool:
    """Whether standard input is a terminal; where that is not known, whether there is one at all."""
    if not raw.fds:
        return raw.tty_nr != 0
    return any(fd == 0 and target.startswith(TERMINALS) for fd, target, _ in raw.fds)


def _pipes(raw: RawDescription, parent: Image | None) -> tuple[tuple[int, int, bool], ...]:
    """The pipes that data may come through or go to.

    Not those that a process holds both ends of (make's jobserver), nor what make gives its jobs as standard
    input: a pipe that nobody writes to.
    """
    ends = [
        (fd, int(target[6:-1]), flags & os.O_ACCMODE != os.O_RDONLY)
        for fd, target, flags in raw.fds
        if target.startswith(b"pipe:[")
    ]
    read = {inode for _, inode, may_write in ends if not may_write}
    both = {inode for _, inode, may_write in ends if may_write and inode in read}
    above = parent.description if parent is not None else None
    made = above is not None and above.exe.rpartition(b"/")[2] in (b"make", b"gmake")
    return tuple(end for end in ends if end[1] not in both and not (made and end[0] == 0))


def _reason(raw: RawDescription) -> str:
    return f"could not read {', '.join(raw.failed)}" if raw.failed else ""


def _cgroup(text: bytes) -> bytes:
    """The path in the unified hierarchy; else the first one there is."""
    lines = text.split(b"\n")
    unified = next((line for line in lines if line.startswith(b"0::")), lines[0])
    return unified.rpartition(b":")[2]
