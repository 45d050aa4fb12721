"""Immutable objects: their ids, their bytes, and the trees they form; pure, no I/O.

Promises: the same content has the same bytes and so the same id on every machine; whoever holds an
id can check everything below it. Objects are read through an `ObjectReader` and written through an
`ObjectWriter`; where they rest is the store's business.
"""
