"""The rebuildable index of all segments, and walks over it."""
