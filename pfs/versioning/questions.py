"""Questions about lineage: each takes JSON arguments and gives a JSON result, in a thread, from the index.

As with other reading operations, what is asked about is frozen first: a checkpoint stores what was recorded
of a working tree.  Who may see whose command lines is in the names (pfs.lineage.answers.nodes).
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import to_builtins

from pfs.errors import NotFound, UsageError
from pfs.lineage.answers import questions
from pfs.lineage.answers.answer import to_json
from pfs.lineage.answers.ask import ask
from pfs.lineage.answers.why import why as find_causes
from pfs.lineage.facts import NOTHING, Level, Source, Version, raw_version_id
from pfs.namespace.when import parse_when
from pfs.objects.entry import Entry, FileType
from pfs.versioning import keeping
from pfs.versioning.lineage_names import StoredNames
from pfs.versioning.operations import CAT_BYTES_MAX, Args, Context, Json
from pfs.versioning.read import OpenPlace, read_entry


@dataclass(frozen=True)
class Asked:
    """What questions look at: a store, its lineage, and who asks."""

    context: Context
    source: Source
    names: StoredNames


def lineage(asked: Asked, args: Args) -> Json:
    """{place, direction, depth, level, full} → an answer (pfs.lineage/1)."""
    place = asked.context.open(args["place"])
    root = version_at(asked, place)
    return to_json(
        ask(
            asked.source if isinstance(root, int) else _WithRaw(asked.source, root),
            asked.names,
            root if isinstance(root, int) else root.id,
            direction=args.get("direction", "up"),
            depth=args.get("depth"),
            level=Level[args["level"].upper()] if args.get("level") else Level.UNOBSERVED,
            full=bool(args.get("full")),
            revision=str(place.spelling.revision or ""),
        )
    )


def who(asked: Asked, args: Args) -> Json:
    """{place} → all that happened to a name (pfs.lineage.answers.replies.WhoReply)."""
    place = asked.context.open(args["place"])
    return to_builtins(questions.who(asked.source, asked.names, place.resolution.repo.repo_id, place.path))


def blame(asked: Asked, args: Args) -> Json:
    """{place} → the last writer of a file, or of each entry of a directory (replies.BlameReply)."""
    place = asked.context.open(args["place"])
    is_directory = place.files.entry(place.path).type == FileType.DIRECTORY
    below = place.path + b"/" if place.path else b""
    listed = [
        _listed(asked, place.files.resolved(entry), below + entry.name if is_directory else place.path)
        for entry in place.files.listing(place.path)
    ]
    repo_id = place.resolution.repo.repo_id
    return to_builtins(questions.blame(asked.source, asked.names, repo_id, place.path, listed))


def _listed(asked: Asked, entry: Entry, path: bytes) -> questions.Listed:
    number = asked.source.origin(*entry.origin) if entry.origin is not None else NOTHING
    version = asked.source.version(number) if number != NOTHING else None
    word = "file" if entry.type == FileType.REGULAR else FileType(entry.type).name.lower()
    return questions.Listed(path, word, version)


def ps(asked: Asked, args: Args) -> Json:
    """{command, user, since, limit} → recorded processes (pfs.lineage.answers.replies.PsReply)."""
    since = args.get("since")
    return to_builtins(
        questions.ps(
            asked.source,
            asked.names,
            command=args.get("command"),
            user=args.get("user"),
            since_ns=max(0, parse_when(since).time_ns(asked.context.clock())) if since else 0,
            limit=int(args.get("limit") or questions.PS_LIMIT),
        )
    )


def process(asked: Asked, args: Args) -> Json:
    """{process} → all that is known of one process (pfs.lineage.answers.replies.ProcessReply)."""
    number = questions.parse_activity(args["process"])
    return to_builtins(questions.process(asked.source, asked.names, number))


def why(asked: Asked, args: Args) -> Json:
    """{old, new} → what made the difference (pfs.lineage.answers.replies.WhyReply)."""
    source: Source = asked.source
    versions = []
    for place in (asked.context.open(args["old"]), asked.context.open(args["new"])):
        root = version_at(asked, place)
        if isinstance(root, Version):
            source = _WithRaw(source, root)
        versions.append(root if isinstance(root, int) else root.id)
    return to_builtins(find_causes(source, asked.names, *versions))


def content(asked: Asked, args: Args) -> Json:
    """{content, offset, length} → {size, data}: bytes of a version by its content id (64 hex digits).

    NotFound where no recorded version has it; MissingObject where its bytes are kept no more.
    """
    try:
        wanted = bytes.fromhex(args["content"])
    except ValueError:
        raise UsageError(f"{args['content']}: not a content id", hint="it has 64 hex digits") from None
    found = [asked.source.version(version) for version in asked.source.versions_with(wanted)]
    known = next((version for version in found if version is not None and version.is_known), None)
    if known is None:
        raise NotFound(f"{args['content']}: no recorded version has this content")
    entry = Entry(b"", 0, int(FileType.REGULAR), size=known.size, content=wanted, detail=known.height)
    offset, length = args.get("offset") or 0, args.get("length")
    end = known.size if length is None else min(known.size, offset + length)
    pieces: list[bytes] = []
    if end - offset > CAT_BYTES_MAX:
        raise UsageError("that is too much for one answer", hint=f"ask for at most {CAT_BYTES_MAX} bytes")
    pieces.extend(read_entry(asked.context.readers, entry, offset, end))
    return {"size": known.size, "data": b64encode(b"".join(pieces)).decode()}


def kept(asked: Asked, args: Args) -> Json:
    """{place} → why the bytes of each version of a file stay, and until when (pfs.versioning.keeping)."""
    place = asked.context.open(args["place"])
    now_ns = asked.context.clock()
    return list(keeping.kept(asked.source, asked.names, place.resolution.repo, place.path, now_ns))


def version_at(asked: Asked, place: OpenPlace) -> int | Version:
    """The version at a place; of a path that is no more, its last one.  NotFound.

    A file that nobody recorded was seen making is a version all the same.
    """
    entry = place.files.find(place.path)
    repo_id = place.resolution.repo.repo_id
    if entry is None:
        known = asked.source.versions_at(repo_id, place.path)
        if not known:
            raise NotFound(
                f"{os.fsdecode(place.path)}: there never was such a file in {place.resolution.repo.name}"
            )
        return known[-1]
    entry = place.files.resolved(entry)
    if entry.type != FileType.REGULAR:
        raise UsageError(
            f"{os.fsdecode(place.path)}: not a regular file", hint="'pfs blame DIR' takes directories"
        )
    if entry.origin is not None:
        found = asked.source.origin(*entry.origin)
        if found != NOTHING:
            return found
    number = raw_version_id(repo_id, entry.file_id.to_bytes(8, "little"), entry.content)
    if asked.source.version(number) is not None:
        return number
    branch = place.resolution.branch
    return Version(
        id=number,
        repo=repo_id,
        branch=branch.branch_id if branch is not None else 0,
        file_id=entry.file_id,
        path=place.path,
        content=entry.content,
        height=entry.detail,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
    )


class _WithRaw:
    """A source that also knows one version which nobody was seen making or using."""

    def __init__(self, source: Source, raw: Version) -> None:
        self._source = source
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def version(self, version: int) -> Version | None:
        """A version."""
        return self._raw if version == self._raw.id else self._source.version(version)


QUESTIONS: dict[str, Callable[[Asked, Args], Json]] = {
    "lineage": lineage,
    "who": who,
    "blame": blame,
    "ps": ps,
    "process": process,
    "why": why,
    "content": content,
    "kept": kept,
}
