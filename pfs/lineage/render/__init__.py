"""Answers for people (text, dot, svg) and for other programs (PROV, OpenLineage, RO-Crate, in-toto)."""
