"""The daemon: one process a store, which builds every object and owns the nursery."""
