"""What one look into /proc found, secrets and all: it stays in memory and is never written or logged."""

from __future__ import annotations

import msgspec


class RawDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One process as /proc shows it at one moment; the fields are those of `_native.proc_read`."""

    tgid: int
    ppid: int = 0
    uid: int = 0
    gid: int = 0
    start_ticks: int = 0  # field 22 of stat
    start_stack: int = 0  # field 28 of stat: another one after each exec
    sid: int = 0  # of the terminal session, as in setsid(2)
    group: int = 0  # process group
    tty_nr: int = 0  # 0: no controlling terminal
    comm: bytes = b""
    cmdline: bytes = b""  # arguments, each ended by NUL; may be cut at its end
    exe: bytes = b""
    cwd: bytes = b""
    environ: bytes = b""  # NAME=value, each ended by NUL; may be cut at its end
    cgroup: bytes = b""  # the text of /proc/PID/cgroup
    pid_namespace: int = 0  # inode number of the namespace
    # (descriptor, what its link says, open(2) flags): flags of 0-2 and of pipes only, else 0
    fds: tuple[tuple[int, bytes, int], ...] = ()
    failed: tuple[str, ...] = ()  # names of the parts that could not be read
    # (path, size, mtime_ns, open as standard input) of files beyond the mount that it was given
    named: tuple[tuple[bytes, int, int, bool], ...] = ()

    @property
    def has_closed_input(self) -> bool:
        """Whether its standard input is closed: maybe read to its end, as `head` and `cut` leave it."""
        return "fds" not in self.failed and all(number != 0 for number, _, _ in self.fds)

    @property
    def is_over(self) -> bool:
        """Whether it was about to end: its memory is gone (no program), or its descriptors."""
        return not self.exe or (not self.fds and "fds" not in self.failed)
