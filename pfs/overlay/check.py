"""What has to hold in a working tree at any moment, as sentences that fsck checks.

Every changed inode is under each of its names, and nowhere else; a directory
has as many entries, and as many subdirectories, as its listing shows; every
layer that shows anything has its working file; the journal reads back to its
last record.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pfs.errors import PfsError
from pfs.objects.entry import FileType
from pfs.overlay.content import Layer, layers
from pfs.overlay.journal import read_segment, segments
from pfs.overlay.node import Node, State
from pfs.overlay.worktree import WorkingTree


def check_journal(tree: WorkingTree) -> Iterator[str]:
    """What is wrong with the journal's files.  For the event loop: nothing may be appended meanwhile."""
    journal = tree.journal
    last = 0
    for generation in segments(tree.disk, journal.directory):
        try:
            segment = read_segment(tree.disk, journal.directory, tree.branch_id, generation)
        except (PfsError, OSError) as error:
            yield f"journal {generation:x}: {error}"
            continue
        if segment is not None:
            last = segment.records[-1][0] if segment.records else segment.first - 1
    if not journal.replaying and last < journal.sequence and tree.generation.dirty:
        yield f"journal: reads back to record {last} of {journal.sequence}"


def check_node(tree: WorkingTree, node: Node) -> Iterator[str]:
    """What is wrong with one inode.  For the event loop."""
    state = node.state
    if state is None or node.tree is not tree:
        return
    where = f"inode {node.file_id} ({os.fsdecode(node.name) or '/'})"
    if state.type == FileType.DIRECTORY:
        if not state.removed:
            yield from (f"{where}: {what}" for what in _check_directory(tree, node, state))
        return
    for parent_id, name in state.links:
        parent = tree.nodes.get(parent_id)
        if parent is None:
            continue  # the kernel knows another of its names
        found = tree.lookup(parent, name)
        if found is not node:
            yield f"{where}: its name {os.fsdecode(name)} in inode {parent_id} leads elsewhere"
    for layer in layers(state.content):
        problem = _check_layer(tree, layer)
        if problem:
            yield f"{where}: {problem}"


def _check_directory(tree: WorkingTree, node: Node, state: State) -> Iterator[str]:
    entries = subdirectories = 0
    for listed in tree.listing(node).names(0):
        found = tree.listed(node, listed)
        if found is None:
            yield f"{os.fsdecode(listed.name)} is listed but not there"
            continue
        entries += 1
        subdirectories += found[1].type == FileType.DIRECTORY
    if (entries, subdirectories) != (state.entries, state.subdirectories):
        yield (
            f"has {entries} entries and {subdirectories} subdirectories, "
            f"says {state.entries} and {state.subdirectories}"
        )


def _check_layer(tree: WorkingTree, layer: Layer) -> str:
    try:
        size = tree.disk.stat(tree.working.path(layer)).st_size
    except FileNotFoundError:
        return (
            "" if layer.done is not None or layer.size == 0 else f"layer {layer.number} has no working file"
        )
    if layer.low > layer.size:
        return f"layer {layer.number} shows {layer.low} bytes from below but is {layer.size} long"
    if size < layer.size and layer.done is None:
        return f"layer {layer.number} is {layer.size} bytes long, its working file {size}"
    return ""
