"""The one mount of this process: make it, answer it, end it.

pyfuse3 keeps its state in module globals, so there is one mount a process.
"""

from __future__ import annotations

from pathlib import Path

import pyfuse3

from pfs.errors import Busy
from pfs.fuse import request_pid
from pfs.fuse.operations import Operations
from pfs.vfs.filesystem import Filesystem

TASKS_MAX = 2000  # requests waiting for a disk must not hold others


def mount(filesystem: Filesystem, mount_point: Path, options: set[str]) -> None:
    """Mount; requests wait until `answer`.  Raises Busy where the kernel or fusermount3 refuses."""
    operations = Operations(filesystem)
    if filesystem.capture is not None:
        filesystem.capture.knows_callers = request_pid.install(operations)
    try:
        pyfuse3.init(operations, str(mount_point), options)
    except RuntimeError as error:
        raise Busy(
            f"{mount_point} can't be mounted: {error}", hint="'pfs doctor' says what is missing"
        ) from None


async def answer() -> None:
    """Answer the kernel until the mount is gone or `end` is called."""
    await pyfuse3.main(max_tasks=TASKS_MAX)


def end() -> None:
    """Let `answer` return; on the event loop."""
    pyfuse3.terminate()


def close() -> None:
    """Unmount, if that has not happened yet, and free what it held."""
    pyfuse3.close(unmount=True)
