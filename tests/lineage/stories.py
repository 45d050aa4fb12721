"""Stories that several tests tell, and who asks about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pfs.lineage.answers.nodes import Place
from pfs.lineage.facts import Level, Relation, Version
from tests.lineage.sources import Story

RAW_COMMIT = "9c01d2aa" + "0" * 56


@dataclass(frozen=True)
class FixedNames:
    """One repo; versions are what branch `main` has, but for those listed by path."""

    uid: int = 1000
    is_owner: bool = False
    places: Mapping[bytes, Place] = field(default_factory=dict)

    def repo(self, number: int) -> str:
        return f"proj{number}" if number > 1 else "proj"

    def place(self, version: Version) -> Place:
        return self.places.get(version.path) or Place(self.repo(version.repo), "main", None, is_current=True)


RAW_PLACE = Place("proj", "main", RAW_COMMIT, is_current=False, author="bob")
ALICE = FixedNames(places={b"raw.csv": RAW_PLACE})
MALLORY = FixedNames(uid=1666, places={b"raw.csv": RAW_PLACE})
OWNER = FixedNames(uid=1, is_owner=True)


class Trained(Story):
    """The example of the specification: an import, a pipeline, an edited script, a model."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = self.process("-bash", interactive=True, sid=100, group=100, exe=b"/usr/bin/bash")
        self.raw_csv = self.raw("raw.csv", b"raw", imported="s3://bucket/raw.csv (version 3L4k…, etag …)")
        shared = {"parent": self.shell, "sid": 100}
        self.sort = self.process(
            "sort", "-u", "raw.csv", pid=4410, group=4410, pipes=((1, 7, True),), **shared
        )
        self.cut = self.process(
            "cut",
            "-f1-9",
            group=4410,
            pipes=((0, 7, False),),
            files=((1, b"/home/alice/pfs/proj/data/clean.csv", True),),
            **shared,
        )
        self.read(self.sort, self.raw_csv)
        self.informs(self.sort, self.cut)
        self.clean = self.write(self.cut, "data/clean.csv", b"clean")
        self.ends(self.sort, after=0)
        self.ends(self.cut, after=0)
        self.vim = self.process("vim", "train.py", interactive=True, **shared)
        self.script = self.write(self.vim, "train.py", b"script", focus=(), rest=Level.AMBIENT)
        self.python = self.process(
            "python",
            "train.py",
            "--lr",
            "0.1",
            pid=4461,
            group=4461,
            environment=((b"SEED", b"1"),),
            **shared,
        )
        self.read(self.python, self.script)
        self.read(self.python, self.clean)
        self.model = self.write(self.python, "model.pkl", b"model")
        self.ends(self.python, after=38)
        self.read(self.python, self.raw("later.csv", b"later"))


def chain_of_edits(story: Story, editor: int, path: str, count: int) -> int:
    """A file edited so many times; the last version."""
    version = 0
    for number in range(count):
        version = story.write(
            editor,
            path,
            b"edit %d" % number,
            previous=version,
            relation=Relation.IN_PLACE if version else Relation.CREATED,
            focus=(),
            rest=Level.AMBIENT,
        )
    return version
