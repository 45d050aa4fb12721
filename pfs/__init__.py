"""pfs: a mounted filesystem that keeps versions and knows where every file came from.

Imports go down; state is synchronous; only the edges speak a protocol.

cli                                  a person at a terminal (never imports trio, lmdb or anything slow)
daemon                               one process per store; builds every object, owns the nursery
fuse | control                       adapters: kernel requests, unix socket. Nothing is decided here
vfs | versioning | maintenance       what can be done
overlay | namespace | access         live state of a branch; what a name means; who may
repo                                 a store plus its few mutable names (refs, reflog, config)
store                                objects at rest: packs and an LMDB index
chunker | disk                       bytes to chunks; bytes to durable files (the one seam for faults)
objects                              chunk, file, tree, commit; immutable; no I/O
errors                               one small hierarchy; each error knows its errno
"""
