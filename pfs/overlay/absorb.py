"""Making a committed generation the base of its working tree, a slice at a time.

The commit is durable before this begins.  Order: the root, the directories top
down (each finds its parent's new tree), then all states, whose layers give way
to chunks; then the journal goes, and what is left of the generations in memory.
Between two slices others use the tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from pfs.overlay.freeze import Frozen
from pfs.overlay.node import Generation
from pfs.overlay.worktree import WorkingTree

SLICE = 256  # states made clean before others get the loop: well under a millisecond


def absorb(
    tree: WorkingTree, sealed: list[Generation], frozen: Frozen, slice_size: int = SLICE
) -> Iterator[None]:
    """Let `tree` stand on what its `sealed` generations became; yields after each slice.

    The caller removes the working files of `frozen.layers` afterwards, which may block.
    """
    tree.absorb_root(frozen.root, frozen.links)
    done = 0
    for file_id, root in frozen.directories:
        tree.absorb_directory(file_id, root, sealed[-1].number)
        done += 1
        if done % slice_size == 0:
            yield
    for generation in sealed:
        for file_id, state in generation.dirty.items():
            tree.absorb_state(file_id, state, frozen.origins.get(file_id))
            done += 1
            if done % slice_size == 0:
                yield
    for layer in frozen.layers:
        tree.working.forget(layer)
        done += 1
        if done % slice_size == 0:
            yield
    tree.absorbed(sealed)
    # Nobody looks at these any more; let go as one, 100,000 states hold everybody up for 50 ms.
    for generation in sealed:
        for left in (generation.dirty, generation.located):
            while left:
                left.popitem()
                done += 1
                if done % slice_size == 0:
                    yield
