"""Making a branch's changes durable: working files first, then marks, then the journal.

A file's fsync makes every earlier record of the journal durable, also those of
files whose bytes are not.  So a MARK record says of each synced file up to which
record it is; after a reboot, replay trusts nothing else about its bytes.  A file
renamed over another is synced before any sync of the journal (`pending`
includes it), or a power cut would leave the name with nothing behind it.
Three steps, because only the middle one may block: plan on the loop, run in a
thread, finish on the loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pfs.disk import Disk
from pfs.overlay.content import layers
from pfs.overlay.journal import Op
from pfs.overlay.node import Node
from pfs.overlay.worktree import WorkingTree

SYNCFS_FILES_MIN = 64  # from so many files on, one sync of the file system is cheaper


@dataclass(slots=True)
class FileSync:
    """Working files to be made durable, and what may be said of them afterwards."""

    sequence: int
    nodes: list[Node] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    paths: list[list[Path]] = field(default_factory=list)
    directory: Path | None = None
    failed: list[int] = field(default_factory=list)


def pending(tree: WorkingTree, node: Node | None, *, everything: bool = False) -> list[Node]:
    """The files that a sync of `node` (of all, with `everything`) has to bring to the disk first."""
    wanted = dict(tree.unsynced) if everything else dict(tree.installed)
    if node is not None and node.file_id in tree.unsynced:
        wanted[node.file_id] = node
    return list(wanted.values())


def plan(tree: WorkingTree, nodes: list[Node]) -> FileSync:
    """Take the files out of the unsynced set; a write that comes meanwhile puts its file back."""
    todo = FileSync(tree.journal.sequence)
    for node in nodes:
        tree.unsynced.pop(node.file_id, None)
        tree.installed.pop(node.file_id, None)
        if node.state is None:
            continue
        stack = [layer for layer in layers(node.state.content) if layer.done is None]
        todo.nodes.append(node)
        todo.sizes.append(node.state.content.size)
        todo.paths.append([tree.working.path(layer) for layer in stack])
    if tree.working.created:
        todo.directory = tree.working.directory
        tree.working.created = False
    return todo


def run(disk: Disk, todo: FileSync) -> None:
    """Sync each file, or the whole file system where they are many.  In a thread; failures are noted."""
    if len(todo.nodes) >= SYNCFS_FILES_MIN and todo.directory is not None:
        fd = disk.open_read(todo.directory)
        try:
            disk.syncfs(fd)
        except OSError:
            todo.failed = list(range(len(todo.nodes)))
        finally:
            disk.close(fd)
        return
    for number, paths in enumerate(todo.paths):
        for path in paths:
            try:
                fd = disk.open_read(path)
            except FileNotFoundError:
                continue  # its bytes are in chunks by now
            try:
                disk.fdatasync(fd)
            except OSError:
                todo.failed.append(number)
            finally:
                disk.close(fd)
    if todo.directory is not None:
        disk.sync_directory(todo.directory)


def finish(tree: WorkingTree, todo: FileSync) -> None:
    """Mark what is durable now; a file whose sync failed answers EIO until it is rewritten."""
    for number in todo.failed:
        tree.failed.add(todo.nodes[number].file_id)
    for number, node in enumerate(todo.nodes):
        if number not in todo.failed:
            tree.journal.append(Op.MARK, node.file_id, todo.sizes[number], todo.sequence)
