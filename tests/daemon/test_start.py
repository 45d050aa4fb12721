"""What a daemon loads before it can mount."""

from __future__ import annotations

import subprocess
import sys

from pfs.daemon import control
from pfs.versioning.questions import QUESTIONS

SHOW = "import sys, pfs.daemon.__main__; print(*(name for name in sys.modules if 'pfs.lineage' in name))"


def test_a_daemon_that_records_nothing_loads_no_recorder() -> None:
    loaded = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) <= {"pfs.lineage", "pfs.lineage.facts"}


def test_every_question_has_an_operation() -> None:
    assert set(control._QUESTIONS) == set(QUESTIONS)
