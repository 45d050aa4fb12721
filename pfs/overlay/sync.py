"""Making a branch's changes durable: working files first, then marks, then the journal.

A file's fsync makes every earlier record of the journal durable, also those of
files whose bytes are not.  So a MARK record says of each synced file up to which
record it is; after a reboot, replay trusts nothing else about its bytes.  A file
renamed over another is synced before any sync of the journal (`pending`
includes it until it is marked), or a power cut would leave the name with nothing
behind it; LOST says that no mark will come: its sync failed, or its names are gone.
Three steps, because only the middle one may block: plan on the loop, run in a
thread, finish on the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    number: int
    sequence: int
    created: int
    nodes: list[Node] = field(default_factory=list)
    released: list[Node] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    mtimes_ns: list[int] = field(default_factory=list)
    paths: list[list[Path]] = field(default_factory=list)
    directory: Path | None = None
    failed: set[int] = field(default_factory=set)
    error: OSError | None = None  # why nothing may be said
    names_lost: bool = False


def pending(tree: WorkingTree, node: Node | None, *, everything: bool = False) -> list[Node]:
    """The files that a sync of `node` (of all, with `everything`) has to bring to the disk first.

    Those whose sync is under way for somebody else are among them: it has to be waited for.
    """
    wanted = {node: None for node, _ in tree.installed.values()}
    if everything:
        wanted |= dict.fromkeys(tree.unsynced.values()) | dict.fromkeys(tree.syncing)
    elif node is not None and (node.file_id in tree.unsynced or node in tree.syncing):
        wanted[node] = None
    return list(wanted)


def plan(tree: WorkingTree, nodes: list[Node]) -> FileSync:
    """Take the files out of the unsynced set; a write that comes meanwhile puts its file back."""
    tree.syncs += 1
    todo = FileSync(tree.syncs, tree.journal.sequence, tree.working.created)
    for node in nodes:
        if node.state is None:  # it has lost its names since, or is committed
            tree.unsynced.pop(node.file_id, None)
            if node.file_id in tree.installed:
                todo.released.append(node)
            continue
        todo.nodes.append(node)
        todo.sizes.append(node.state.content.size)
        todo.mtimes_ns.append(tree.mtime_ns(node.state))
        todo.paths.append([tree.working.path(layer) for layer in layers(node.state.content)])
    for node in todo.nodes:
        tree.unsynced.pop(node.file_id, None)
        tree.syncing[node] = tree.syncing.get(node, 0) + 1
    if tree.working.named < todo.created:
        todo.directory = tree.working.directory
    return todo


def run(disk: Disk, *planned: FileSync) -> None:
    """Sync each file, or the whole file system where they are many.  In a thread; raises nothing."""
    directory = next((todo.directory for todo in planned if todo.directory is not None), None)
    if directory is not None and sum(len(todo.nodes) for todo in planned) >= SYNCFS_FILES_MIN:
        _sync_file_system(disk, planned, directory)
        return
    for todo in planned:
        try:
            for number, paths in enumerate(todo.paths):
                for path in paths:
                    _sync_file(disk, todo, number, path)
        except OSError as error:
            todo.error = error
        else:
            _sync_names(disk, todo)


def _sync_file_system(disk: Disk, planned: Sequence[FileSync], directory: Path) -> None:
    try:
        fd = disk.open_read(directory)
    except OSError as error:
        for todo in planned:
            todo.error = error
        return
    try:
        disk.syncfs(fd)
    except OSError:
        for todo in planned:
            todo.failed.update(range(len(todo.nodes)))
    finally:
        disk.close(fd)


def _sync_file(disk: Disk, todo: FileSync, number: int, path: Path) -> None:
    try:
        fd = disk.open_read(path)
    except FileNotFoundError:
        return  # its bytes are in a durable commit by now, or nobody wants them any more
    try:
        disk.fdatasync(fd)
    except OSError:
        todo.failed.add(number)
    finally:
        disk.close(fd)


def _sync_names(disk: Disk, todo: FileSync) -> None:
    if todo.directory is not None:
        try:
            disk.sync_directory(todo.directory)
        except OSError as error:
            todo.error, todo.names_lost = error, True


def finish(tree: WorkingTree, todo: FileSync) -> None:
    """Mark what is durable now; a file whose sync failed answers EIO until it is rewritten.

    Raises OSError where nothing could be synced or said; then the files stay unsynced.
    """
    try:
        if todo.names_lost:
            tree.broken = f"the names of its working files can't be made durable: {todo.error}"
        if todo.error is not None:
            raise todo.error
        for number, node in enumerate(todo.nodes):
            _mark(tree, todo, number, node)
        for node in todo.released:
            tree.journal.append(Op.LOST, node.file_id)
            tree.installed.pop(node.file_id, None)
    except OSError:
        for node in todo.nodes:
            if node.state is not None:
                tree.unsynced.setdefault(node.file_id, node)
        raise
    finally:
        for node in todo.nodes:
            tree.syncing[node] -= 1
            if not tree.syncing[node]:
                del tree.syncing[node]
                tree.sync_marked.pop(node, None)
    if todo.directory is not None:
        tree.working.named = max(tree.working.named, todo.created)


def _mark(tree: WorkingTree, todo: FileSync, number: int, node: Node) -> None:
    if number in todo.failed:
        tree.failed.add(node.file_id)
        tree.journal.append(Op.LOST, node.file_id)
    elif tree.sync_marked.get(node, 0) < todo.number:  # a mark from before must not follow a younger one
        tree.sync_marked[node] = todo.number
        tree.journal.append(Op.MARK, node.file_id, todo.sizes[number], todo.sequence, todo.mtimes_ns[number])
    installed = tree.installed.get(node.file_id)
    if installed is not None and installed[1] <= todo.sequence:
        del tree.installed[node.file_id]
