"""Objects at rest, and the few refs that change: packs and two small LMDB environments.

Layout of a store's directory (formats are in the modules named):

    format         what makes the directory a store (layout)
    lock           flock of the one process that may write; names it (layout)
    reserve        disk held back, so that commits work when it is full (reserve)
    clean          the last stop was a proper one (layout)
    packs/         every object and every change of refs, append-only: the only truth at rest (record)
    objects.lmdb/  object id → place in a pack; rebuilt from the packs when lost (object_index)
    refs.lmdb/     the refs; its transaction is the only commit point; rebuilt likewise (refs)

Order of writes, and what a crash between each two leaves (recovery removes it at the next open):

1. `put`: the record is in memory only.  Crash: it is gone; nobody was promised anything.
2. The buffer is written to the open pack.  Kill: whole records stay and count as stored; what was written
   last may be torn: cut off.  Power cut: any part of what no sync covered may be zeros, missing or torn,
   in any order: the records that are whole stay, the rest is cut off or, between two whole ones, made void.
   After a kill all of it is written and synced once more, as the page cache may hold what the disk does not.
3. A new pack file: its name is durable with the next sync of the directory.  Crash before: no file, or one
   without a whole record: removed.
4. fdatasync of the packs, then of their directory: `sync` returns.  From here everything is kept.
5. The REFS record is durable (with 4) but refs.lmdb does not know it.  Crash: it does not count, and stays
   as an orphan for gc; its sequence number is not used again.  It counts only if refs.lmdb is ever rebuilt.
6. One transaction in refs.lmdb: `commit_refs` returns.  The commit point; LMDB keeps all of it or nothing.
7. A pack is sealed: 4 for that pack, then one transaction in objects.lmdb with its entries and its row.
   Crash before it: the pack is read from where its row ends, and indexed by the next open.
8. Stop: 4, 7 for the open pack too, then `clean`.  Crash before `clean`: nothing is lost, more is checked.

New LMDB environments and small files are built aside and renamed (environment.build, disk.write_durably).
"""
