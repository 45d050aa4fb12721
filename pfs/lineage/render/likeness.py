"""When two things in an answer are like each other: the same work on other files.

Words of a command line count by their kind (an option, a number, a file with this ending), names of programs
and scripts count whole; files count by their directory and ending; and what is below must be alike, too.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Final

from pfs.lineage.answers.answer import Answer
from pfs.lineage.answers.command import is_interpreter
from pfs.lineage.render.links import Child, Item, Links, UnitKey

_WORD: Final = re.compile(r"\$'(?:\\.|[^'\\])*'|'[^']*'(?:\\''[^']*')*|\S+")
_ENDING: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}(?:\.(?:gz|xz|zst|bz2|zip))?$")
_DIGITS: Final = re.compile(r"\d+")
_WORDS_MAX: Final = 64  # of a command line; what comes later no longer tells


def shape_of_path(path: str) -> str:
    """A file by its directory and ending, whatever numbers are in them: `runs/#/*.csv`."""
    directory, _, name = path.rpartition("/")
    ending = _ENDING.search(name)
    return _DIGITS.sub("#", f"{directory}/*{ending[0] if ending else ''}")


def shape_of_command(command: str) -> tuple[str, ...]:
    """A command line by the kinds of its words; the program and, of an interpreter, the script whole."""
    words = _WORD.findall(command)[:_WORDS_MAX]
    shape: list[str] = []
    is_whole = True
    for word in words:
        if is_whole and not (shape and word.startswith("-")):
            shape.append(word)
            is_whole = len(shape) == 1 and is_interpreter(word)
        elif word in ("|", ";", "{", "};"):
            shape.append(word)
            is_whole = True
        else:
            shape.append(_shape_of_word(word))
    return tuple(shape)


def _shape_of_word(word: str) -> str:
    if word.startswith("-"):
        return word.partition("=")[0]
    if word.startswith("/") or "/" in word or _ENDING.search(word.rstrip("'")):
        return shape_of_path(word.strip("'"))
    return _DIGITS.sub("#", word)


class Likeness:
    """Compares items by a number that like ones share."""

    def __init__(self, answer: Answer, links: Links) -> None:
        self._links = links
        self._versions = {node.id: node for node in answer.versions}
        commands = [(job.id, job.command) for job in answer.jobs]
        commands += [(process.id, process.command) for process in answer.processes]
        self._commands = dict(commands)
        self._shapes: dict[str, tuple[str, ...]] = {}
        self._numbers: dict[Item, int] = {}
        self._begun: set[Item] = set()
        self._known: dict[Hashable, int] = {}

    def of(self, item: Item) -> int:
        """The number that this shares with all that is like it, what is below included."""
        waiting = [item]
        while waiting:
            current = waiting[-1]
            below = [] if current in self._numbers else self._links.children(current)
            missing = [child.item for child in below if child.item not in self._numbers]
            if current not in self._numbers and missing and current not in self._begun:
                self._begun.add(current)
                waiting += missing
                continue
            waiting.pop()
            if current not in self._numbers:
                self._numbers[current] = self._number(current, below)
        return self._numbers[item]

    def of_round(self, unit: UnitKey) -> int:
        """The same for one round of a loop, whatever was before it."""
        others = [child for child in self._links.children(unit) if child.via != "before"]
        for child in others:
            self.of(child.item)
        return self._number(unit, others)

    def _number(self, item: Item, below: list[Child]) -> int:
        # 0: what is being numbered right now, further up in a circle.
        kinds = frozenset((child.via, child.level, self._numbers.get(child.item, 0)) for child in below)
        return self._known.setdefault((self._own(item), kinds), len(self._known) + 1)

    def _own(self, item: Item) -> Hashable:
        if isinstance(item, UnitKey):
            if item.unit not in self._shapes:
                self._shapes[item.unit] = shape_of_command(self._commands.get(item.unit, ""))
            return self._shapes[item.unit]
        node = self._versions[item]
        return (node.repo, shape_of_path(node.path), node.imported is None, node.readable)
