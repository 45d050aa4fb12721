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
from pfs.lineage.image import Image
from pfs.lineage.interactive import manner
from pfs.lineage.raw_description import RawDescription as RawDescription
from pfs.lineage.secrets import Redactor

STANDARD_ERROR: Final = 2
OUTPUTS: Final = (1, 2)  # sockets there are a journal's, and nothing comes back
