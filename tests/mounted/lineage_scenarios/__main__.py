"""One half of one scenario, in a process of its own: `… prepare|act NAME TREE DIRECTORY OUTSIDE`.

With `list` it names the scenarios; with `plain NAME…` it runs them in ordinary directories, which shows that
the programs do what the table says without a mount.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.mounted.lineage_scenarios.scenario import At
from tests.mounted.lineage_scenarios.table import SCENARIOS


def plain(names: list[str]) -> int:
    """Run scenarios in ordinary directories; how many outputs are not there, or are what they were."""
    wrong = 0
    for name in names or list(SCENARIOS):
        with tempfile.TemporaryDirectory(prefix="scenario-") as base:
            at = At(Path(base, "repo"), name, Path(base, "outside"))
            at.here.mkdir(parents=True)
            at.outside.mkdir()
            SCENARIOS[name].prepare(at)
            places = [
                (at.branch if made.branch else at.here) / made.path for made in SCENARIOS[name].expect(at)
            ]
            before = [content(place) for place in places]
            SCENARIOS[name].act(at)
            same = [
                str(place) for place, old in zip(places, before, strict=True) if content(place) in (old, b"")
            ]
            sys.stdout.write(f"{name}: {len(places)} outputs, not made: {same or 'none'}\n")
            wrong += len(same)
    return wrong


def content(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none."""
    return path.read_bytes() if path.is_file() else None


def main(words: list[str]) -> int:
    """Do what the words say."""
    match words:
        case ["list"]:
            for name, scenario in SCENARIOS.items():
                sys.stdout.write(f"{name:26} {(scenario.__doc__ or '').splitlines()[0]}\n")
        case ["plain", *names]:
            return min(plain(names), 1)
        case ["prepare" | "act" as half, name, tree, directory, outside]:
            at = At(Path(tree), directory, Path(outside))
            getattr(SCENARIOS[name], half)(at)
        case _:
            raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
