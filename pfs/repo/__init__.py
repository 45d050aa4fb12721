"""A store plus its few mutable names: repos, branches, tags and their reflogs.

`Repositories` is the door; it hands out `Repo`, one per name.  Reads are answered from memory or by single
LMDB gets, so the FUSE loop may call them; changes block (each is one `commit_refs`) and belong in threads.
What a revision text means is left to pfs.namespace, who may change a name to pfs.access.
"""
