"""The rules of lineage: what requests make known, and what commits take of it."""
