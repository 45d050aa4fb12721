"""The checks of `scripts/accept mount`, by topic."""
