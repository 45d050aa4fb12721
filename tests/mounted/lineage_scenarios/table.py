"""All scenarios, by name, in the order in which they are shown."""

from __future__ import annotations

from tests.mounted.lineage_scenarios import builds, copies, programs, sharing, shell
from tests.mounted.lineage_scenarios.scenario import SCENARIOS

__all__ = ["SCENARIOS"]

MODULES = (shell, programs, builds, copies, sharing)
