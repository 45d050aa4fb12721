"""The lineage segments that commits hold, and an index that lacks some of them.

A crash between a commit and its indexing, or an index that was damaged, leaves segments that questions do
not find.  What commits name is the truth; what those segments build on is followed, for a checkpoint that
named it may have expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pfs.lineage.group import Group
from pfs.lineage.index.database import Index
from pfs.lineage.segment import decode, segments_below
from pfs.objects.ids import Kind
from pfs.repo.repositories import Repositories
from pfs.store.store import Store


def named_segments(repositories: Repositories) -> list[bytes]:
    """The segments that any commit of any repo names, in the order of the commits' times."""
    found: list[tuple[int, tuple[bytes, ...]]] = []
    for repo in repositories.list():
        for commit_id in repo.commits.all_ids():
            commit = repo.commits.read(commit_id)
            if commit.lineage:
                found.append((commit.time_ns, commit.lineage))
    found.sort()
    return list(dict.fromkeys(segment for _, lineage in found for segment in lineage))


def mend_index(index: Index, repositories: Repositories, store: Store) -> int:
    """Add the segments that an index lacks; how many.  In a thread.  CorruptObject, NoSpace."""
    missing = index.missing(named_segments(repositories))
    added = list(_with_those_below(missing, index, store))
    index.add_many((segment, group) for segment, group in added)
    return len(added)


def _with_those_below(segments: Iterable[bytes], index: Index, store: Store) -> Iterator[tuple[bytes, Group]]:
    """Segments after all that they build on, each once."""
    done: set[bytes] = set()
    for segment in segments:
        stack = [segment]
        while stack:
            at = stack[-1]
            if at in done:
                stack.pop()
                continue
            payload = store.get(Kind.LINEAGE, at)
            below = [one for one in segments_below(payload) if one not in done]
            lacking = index.missing(below)
            if lacking:
                stack.extend(lacking)
                continue
            done.add(at)
            stack.pop()
            yield at, decode(payload)
