"""The checks of `scripts/accept lineage`, by topic."""
