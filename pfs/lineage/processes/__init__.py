"""Who acts: the process behind a thread id, what it was before each exec, and its description."""
