"""`user.pfs.{lineage,process,argv,inputs}`: how an inode's version was made, one line for each thing.

`lineage` is the version, `process` who wrote it, `argv` their command lines as a shell takes them, `inputs`
what they had read or been told before their last write to it.  There is none where nobody saw it being made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from pfs.lineage.answers.command import program_shown, quote
from pfs.lineage.facts import NOTHING, Source, Version, spell_activity, spell_version
from pfs.overlay.node import Node
from pfs.overlay.tree import Tree
from pfs.overlay.worktree import WorkingTree

INPUTS_MAX: Final = 1_000  # of one writer


class LineageXattrs:
    """Answers them from what is live and what is stored.  On the event loop."""

    def __init__(
        self, source: Source, newest: Callable[[Node], int], may_see: Callable[[int, int], bool]
    ) -> None:
        """newest: the version that a file of a working tree shows.  may_see: (user who asks, user of it)."""
        self._source = source
        self._newest = newest
        self._may_see = may_see
        self._answers: Mapping[bytes, Callable[[Version, int], Iterator[bytes]]] = {
            b"lineage": lambda version, _: iter([spell_version(version.id).encode()]),
            b"process": self._process,
            b"argv": self._argv,
            b"inputs": self._inputs,
        }

    def get(self, node: Node, name: bytes, uid: int) -> bytes | None:
        """The value for a user who asks; None where there is none."""
        answer = self._answers.get(name)
        version = None if answer is None else self._version(node)
        if answer is None or version is None:
            return None
        return b"\n".join(answer(version, uid))

    def _version(self, node: Node) -> Version | None:
        tree = node.tree
        assert isinstance(tree, Tree)
        if isinstance(tree, WorkingTree):
            number = self._newest(node)
        else:
            origin = tree.entry(node).origin
            number = NOTHING if origin is None else self._source.origin(*origin)
        version = self._source.version(number) if number != NOTHING else None
        return version if version is not None and version.writers else None

    def _process(self, version: Version, _uid: int) -> Iterator[bytes]:
        for writer in version.writers:
            yield spell_activity(writer.activity).encode()

    def _argv(self, version: Version, uid: int) -> Iterator[bytes]:
        for writer in version.writers:
            activity = self._source.activity(writer.activity)
            if activity is None:
                continue
            shown = " ".join(map(quote, activity.argv)) if self._may_see(uid, activity.uid) else ""
            yield (shown or program_shown(activity)).encode("utf-8", "surrogateescape")

    def _inputs(self, version: Version, _uid: int) -> Iterator[bytes]:
        for writer in version.writers:
            count = min(writer.watermark, INPUTS_MAX)
            for item in islice(self._source.inputs(writer.activity), count):
                spell = spell_activity if item.informed else spell_version
                yield spell(item.source).encode()
