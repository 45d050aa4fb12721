"""What lineage has to show, at full size, timings included: `scripts/accept lineage [OPTION...]`.

Each scenario of real programs runs 20 times while the processors are busy, and five times more with the
daemon killed in the middle; then what capture costs, and what PostgreSQL leaves behind. A line says what was
measured, what is demanded, and whether that holds; the exit code is 1 if anything does not. `--scale small`
runs the same with small numbers and judges no clock.
"""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve()
TOPICS = ("scenarios", "overhead", "postgres", "figures")


def main(arguments: list[str]) -> int:
    """Run the checks that were asked for."""
    sys.path.insert(0, str(SCRIPT.parents[2]))
    from scripts.acceptance.mount_checks.report import command_line

    topics = [f"scripts.acceptance.lineage_checks.{topic}" for topic in TOPICS]
    return command_line(SCRIPT, (__doc__ or "").partition("\n")[0], topics, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
