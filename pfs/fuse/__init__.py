"""The adapter to the kernel, by pyfuse3.  Nothing is decided here."""
