"""Files beyond the mount: what the kernel tells of them, and what of that is told."""
