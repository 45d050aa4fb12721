"""What activities learn from each other: pipes, forks, children, files that several write at once.

Every such flow is an entry "told by A up to watermark k" in the inputs of who was told: entries of A below k
were there before, so no circle closes, even between two that talk both ways.  Of a circle of pipes only what
is new is passed on: an entry that says no more than what the sink itself had told is an *echo*.
"""

from __future__ import annotations

from pfs.lineage.facts import Flag, Level
from pfs.lineage.live.state import Actor, Link
from pfs.lineage.live.tables import Tables
from pfs.lineage.recording.looked import look_through


def connect(tables: Tables, source: Actor, sink: Actor, flags: int, level: int) -> None:
    """From now on a sink may be told by a source."""
    if source is sink or source.id in sink.links or sink.ended is not None:
        return
    link = Link(source, sink, flags, level)
    if flags & Flag.PIPE and not source.feeds:
        source.feeds = True
        tables.notes.actor(source)
    if source.ended is not None:
        pull(tables, link)
        return
    sink.links[source.id] = link
    sink.hears = True
    source.sinks[sink.id] = link
    tables.notes.link(link)


def refresh(tables: Tables, sink: Actor) -> None:
    """Take in what all sources have learned up to now, their own sources' news before.

    Mapped pages, too: nobody is told when they are read.  Raises OSError (of freeze).
    """
    visited = {sink.id}
    path = [(sink, iter(list(sink.links.values())))]
    while path:
        actor, links = path[-1]
        link = next(links, None)
        if link is not None:
            if link.source.hears and link.source.id not in visited:
                visited.add(link.source.id)
                path.append((link.source, iter(list(link.source.links.values()))))
            continue
        path.pop()
        for grip in list(actor.mapped):
            if grip.seen != grip.file.stamp or grip.reader is not actor:
                look_through(tables, grip, actor, Flag.MMAP)
        for link in actor.links.values():
            if len(link.source.inputs) > link.checked:
                pull(tables, link)


def pull(tables: Tables, link: Link) -> None:
    """One source tells one sink what is new."""
    source, sink = link.source, link.sink
    count = len(source.inputs)
    is_first = link.checked < 0
    if is_first or not sink.tells or _has_news(tables, source, link.checked, count, sink, set()):
        tables.hear(sink, source, count, link.level, link.flags)
    link.checked = count
    source.covered = max(source.covered, count)


def part(tables: Tables, actor: Actor) -> None:
    """An activity has ended: it tells those that listen the last time, and hears nothing more."""
    for link in actor.sinks.values():
        if len(actor.inputs) > link.checked:
            pull(tables, link)
        del link.sink.links[actor.id]
        link.sink.hears = bool(link.sink.links or link.sink.mapped)
    for link in actor.links.values():
        del link.source.sinks[actor.id]
    actor.sinks, actor.links = {}, {}


def tell_parent(tables: Tables, child: Actor) -> None:
    """A child that has exited read here, wrote nothing here and fed no pipe: it has told its parent."""
    if child.place is not None or not child.known or child.feeds:
        return
    parent = parent_process(child)
    if parent is not None and parent.ended is None and not parent.activity.interactive:
        tables.hear(parent, child, len(child.inputs), Level.INFERRED, Flag.CHILD)


def parent_process(child: Actor) -> Actor | None:
    """What the process that forked this one is now."""
    pid = child.activity.key.pid
    parent = child.parent
    while parent is not None and parent.activity.key.pid == pid:
        parent = parent.parent
    while parent is not None and parent.successor is not None:
        parent = parent.successor
    return parent


def _has_news(
    tables: Tables, source: Actor, first: int, end: int, sink: Actor, visited: set[tuple[int, int]]
) -> bool:
    """Whether among these inputs of a source is one that did not come from the sink."""
    for position in range(first, end):
        one = source.inputs[position]
        if not one.informed:
            return True
        if one.source == sink.id or (source.id, position) in visited:
            continue
        visited.add((source.id, position))
        teller, before = tables.actors.get(one.source), source.before.get(position, -1)
        if teller is None or before < 0 or _has_news(tables, teller, before, one.watermark, sink, visited):
            return True
    return False
