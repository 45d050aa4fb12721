"""The format of a lineage segment (LINEAGE object): a group of facts, column by column.

The payload is the canonical msgpack of `Stored`: nested arrays, in the order of the fields below, the
number of the format first.  It is not compressed: the store does that (one zstd frame a record), and an id
must not depend on the version of a library.  Columns are made as pfs.lineage.segment.columns says.
"delta": to the one before in the column, the first to 0; "signed": zigzag; "optional": 0 for none, else 1 +
signed delta to the last that was there.  Times are ns since 1970.  What is named by a number:

- a *word* (any byte string, or text in UTF-8): its place in `words`
- a *slice*: its place; an activity that has none here: its place in `strangers`
- a *version*: 0 for none, else 1 + 3 x place + 0 (used), 1 (row) or 2 (in `bare`: neither, which is so only
  where nothing depends on it: what was replaced, what a change of a name speaks of)
- a *segment*: 0 for none, else 1 + its place in `elsewhere`

Tables hold each value once, in the order of first use.

Ids are 64-bit hashes, so they are made again where they can be: an activity's from its key, a version's
from the first of its writers and how many that one began before, a raw version's from its place and
content.  Only what does not follow from these is stored.

An input is a symbol of sequences (step 3 x Q, fixed 2 x Q): code x Q + quality, where quality is the place of
(level, flags) in `levels` and `flags`, Q how many of them there are, and code

    0              the next used version that no input named yet
    1              the row after the highest that an input named yet
    2 + 3 x n + 0  used version n
    2 + 3 x n + 1  row n
    2 + 3 x n + 2  the activity whose slice is n (signed) slices before the own one

Used versions are numbered in this order; those that no input names follow: what rows replaced, then
programs of `specs`, then versions of `changes`.  Failed look-ups and listings of directories will be
further codes, in another format.  Times of inputs are kept in ms, rounded down: their order tells what came
first.

A used version is kept as far as it says which bytes these were; how they were made is at its origin.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pfs.lineage.segment.columns import Naturals, Sequences, Wide, Words
from pfs.objects.codec import Decoder, Id, NotNegative
from pfs.objects.ids import ID_BYTES, Kind

FORMAT: Final = 1
STORE_BYTES: Final = 16
BOOT_BYTES: Final = 16
CONTENT_BYTES: Final = ID_BYTES
INPUT_TIME_NS: Final = 1_000_000

# How a version's id is stored; FROM_WRITER + signed difference of its ordinal to the one that is next.
EXPLICIT: Final = 0
FROM_CONTENT: Final = 1
FROM_WRITER: Final = 2

# A segment is cut before it is larger than this; one fact and all that it names may make it larger.
SEGMENT_BYTES: Final = 1 << 20
# What the rest limits is what a few bytes could unfold to.
PAYLOAD_BYTES_MAX: Final = 16 << 20
FACTS_MAX: Final = 1 << 18  # inputs, slices, versions and changes: about 100 bytes each in memory
ITEMS_MAX: Final = 1 << 22  # words of command lines, pairs of environments and the like: 8 bytes each
WORDS_BYTES_MAX: Final = 64 << 20


class Part(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A part of the format: its fields are its columns, in this order."""


class Environments(Part):
    """Distinct environments: sequences of (name, value) pairs."""

    names: Naturals  # of each distinct pair: word
    values: Naturals
    lengths: Naturals  # pairs of each environment
    pairs: Sequences  # numbered


class Specs(Part):
    """How programs were started: distinct combinations."""

    boot: Naturals  # place in `boots`
    exe: Naturals  # word
    exe_version: Naturals  # optional version
    cwd: Naturals  # word
    environment: Naturals
    uid: list[int]
    user: Naturals  # word
    host: Naturals  # word
    cgroup: Naturals  # word
    pid_namespace: list[int]
    sid: list[int]  # of the session
    bits: Naturals  # 1 terminal, 2 interactive
    reason: Naturals  # word


class Ends(Part):
    """Distinct (descriptor, what it leads to, may be written), and which of them each slice has."""

    descriptor: list[int]
    target: list[int]  # pipes: inode, delta; files: word
    writable: Naturals  # 0 or 1
    lengths: Naturals
    ends: Sequences  # numbered


class Slices(Part):
    """Activities and the pieces of their lists of inputs."""

    spec: Naturals
    argv_lengths: Naturals
    argv: Sequences  # numbered; the table of words begins with these
    pid: list[int]  # delta
    ticks: list[int]  # delta, less that of `started` in units of 10 ms
    execs: list[int]
    parent: Naturals  # 0 none, odd: 1 + 2 × signed slices before the own one, even: 2 + 2 × stranger
    group: list[int]  # delta
    started: Wide  # delta
    ending: Naturals  # 0 not known, 1 exit status not known, 2 + signed exit status
    ended: Wide  # after `started`, where there is an ending
    first: Naturals
    before: Naturals  # segment
    ids_of: Naturals  # slices whose id does not follow from their key: delta
    ids: bytes
    pipes: Ends
    files: Ends


class Inputs(Part):
    """The inputs of all slices, one after the other."""

    lengths: Naturals
    levels: list[int]  # of each quality
    flags: list[int]
    symbols: Sequences
    watermarks: Naturals  # of informed ones: how much less than all inputs of the informing slice
    time: list[int]  # ms; delta, the first of a slice to its start


class Shapes(Part):
    """Distinct combinations of what is alike for many versions."""

    repo: list[int]
    branch: list[int]
    relation: list[int]
    height: list[int]
    known: Naturals  # 0 or 1
    rest: list[int]
    imported: Naturals  # word


class Versions(Part):
    """Used versions, then rows."""

    used: Annotated[int, NotNegative]  # how many
    shapes: Shapes
    shape: Naturals
    rule: Naturals  # how the id is stored
    ids: bytes  # of those whose rule is EXPLICIT
    file_id: list[int]  # delta
    path: list[int]  # word, delta
    contents: bytes  # distinct content ids
    content: Naturals  # 0 none, 1 the next of `contents`, 2 + how many before that one
    size: Wide
    time: Wide  # delta, the first of the rows to 0
    mtime: Wide  # used: delta; rows: to `time`
    origin: Naturals  # of used ones: segment
    origin_row: list[int]  # of those with an origin: delta


class Rows(Part):
    """How rows were made."""

    previous: Naturals  # optional version
    writer_counts: Naturals
    writer: list[int]  # slice, delta
    watermark: Naturals  # how much less than all inputs of the slice
    flags: list[int]
    focus_of: Naturals  # rows with a focus: delta
    focus_lengths: Naturals
    focus: list[int]  # delta


class Changes(Part):
    """What happened to names."""

    time: Wide  # delta
    activity: Naturals  # as `parent`, but after the slice of the change before
    kind: list[int]
    repos: list[int]  # distinct (repo, branch)
    branches: list[int]
    place: Naturals  # which of these
    path: list[int]  # word, delta
    to_path: Naturals  # optional word, none where empty
    file_id: list[int]  # delta
    version: Naturals  # optional version


class Stored(Part):
    """A segment."""

    format: int
    store: Annotated[bytes, msgspec.Meta(min_length=STORE_BYTES, max_length=STORE_BYTES)]
    elsewhere: tuple[Annotated[bytes, Id], ...]  # segments that this one builds on, or only comes after
    words: Words
    environments: Environments
    boots: bytes
    specs: Specs
    slices: Slices
    inputs: Inputs
    versions: Versions
    rows: Rows
    changes: Changes
    bare: bytes  # version ids
    strangers: bytes  # activity ids

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"lineage segment format {self.format} is not known to this pfs")


class Head(msgspec.Struct, array_like=True, gc=False):
    """The first fields of `Stored`; the rest is not looked at."""

    format: int
    store: Annotated[bytes, msgspec.Meta(min_length=STORE_BYTES, max_length=STORE_BYTES)]
    elsewhere: tuple[Annotated[bytes, Id], ...]


STORED: Final = Decoder(Stored, Kind.LINEAGE)
HEAD: Final = Decoder(Head, Kind.LINEAGE)
