"""`python -m pfs.cli` is `pfs`, where the script of that name may not be on PATH."""

from __future__ import annotations

import sys

from pfs.cli import main

sys.exit(main())
