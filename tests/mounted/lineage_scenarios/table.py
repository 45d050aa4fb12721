"""All scenarios, by name, in the order in which they are shown."""

from __future__ import annotations

from tests.mounted.lineage_scenarios import builds, copies, programs, sharing, shell
from tests.mounted.lineage_scenarios.scenario import KNOWN

SCENARIOS = {
    name: scenario
    for module in (shell, programs, builds, copies, sharing)
    for name, scenario in KNOWN.items()
    if type(scenario).__module__ == module.__name__
}
