"""How other processes talk to the daemon of a store.

`client` asks over the store's unix socket and is synchronous, `server` answers on trio, `wire` is
what both write on it; `mounts` reads where stores are mounted. The command line imports all but
`server`, so nothing here may be slow to import.
"""
