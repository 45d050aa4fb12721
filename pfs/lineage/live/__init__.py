"""What is live: in memory, and in a journal that survives the daemon."""
