"""What can be done with history: commits and checkpoints are made here, read, listed and compared.

Reading needs no daemon and runs in threads.  Live working trees are pfs.overlay's, names pfs.repo's.
"""
