"""Questions about lineage, and what is answered."""
