"""A daemon that the kernel tells nothing of files beyond the mount, as it does who is not root.

Run as `python -m tests.mounted.deaf_daemon`.
"""

from __future__ import annotations

import sys

from pfs.daemon import lineage
from pfs.daemon.__main__ import main


def deaf(*_: object) -> None:
    """In place of the listener."""


if __name__ == "__main__":
    vars(lineage)["_listener"] = deaf
    sys.exit(main(sys.argv[1:]))
