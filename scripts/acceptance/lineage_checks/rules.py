"""What the rules of retention say of versions, in one line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from scripts.acceptance.mount_checks.report import PFS
from tests.mounted.mounting import Mount, run


def kept(mount: Mount, places: Iterable[str]) -> str:
    """Versions of some files (`repo:path`) by why they stay: how many, and the bytes of them all."""
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for place in places:
        done = run(PFS, "--store", mount.store, "debug", "kept", place, "--json")
        for version in json.loads(done.stdout):
            count[version["reason"]] += 1
            size[version["reason"]] += version["size"]
    return ", ".join(f"{number:,} {reason} ({size[reason]:,} bytes)" for reason, number in count.items())
