"""A daemon that can't store how a file `bad…` was made.

Run as `python -m tests.mounted.defective_daemon`.
"""

from __future__ import annotations

import sys
from typing import Any

from pfs.daemon.__main__ import main
from pfs.lineage.group import Group
from pfs.versioning import sealer


def arm() -> None:
    """Let segments with such a file be refused as those with impossible facts are."""
    encode = sealer.encode

    def refuse(group: Group, **options: Any) -> Any:
        if any(version.path.rpartition(b"/")[2].startswith(b"bad") for version in group.versions):
            raise ValueError("planted")
        return encode(group, **options)

    sealer.encode = refuse


if __name__ == "__main__":
    arm()
    sys.exit(main(sys.argv[1:]))
