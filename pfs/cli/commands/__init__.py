"""One command of the command line per module; each has a `command` that `pfs.cli.group` loads."""
