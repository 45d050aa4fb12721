"""Answers as in-toto links (https://github.com/in-toto/specification, section 4.4): one link a step.

Format.  A step is a job, or a process that has none.  `materials` are what it learned from and did not make
itself, `products` what it made; both name versions by `repo/path` (the newest takes the name, others get
`#v:…` behind it).  The digest is SHA-256, computed here from the bytes, since in-toto's set knows no content
id of ours; those are in `environment`.  A version whose bytes are gone can't be a material: it is named in
`byproducts` under `not-readable`.  Links are not signed: who vouches for them does that.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pfs.lineage.answers.answer import ProcessNode, VersionNode
from pfs.lineage.render.graph import (
    LEVELS,
    Graph,
    ReadVersion,
    command,
    place,
    program,
    read,
    to_json,
    valid_text,
)

_NAME_CHARACTERS_MAX: Final = 64


class Link(NamedTuple):
    """One step: the file name that in-toto's tools expect before signing, and the document."""

    file_name: str
    text: str


class _Step(NamedTuple):
    id: str
    command: list[str]
    processes: list[ProcessNode]


def in_toto_links(answer: Mapping[str, Any], read_version: ReadVersion) -> list[Link]:
    """An answer (`pfs.lineage/1`) as links, in the order in which the steps began.

    read_version: the port to the bytes.  Raises UsageError where it is no such answer, and what the port
    raises.
    """
    graph = read(answer)
    digests = _Digests(read_version)
    links = []
    for step in _steps(graph):
        made = [version for process in step.processes for version, _ in graph.generated.get(process.id, ())]
        if not made:
            continue
        name = _step_name(step)
        signed = _link(graph, digests, step, name, made)
        links.append(Link(f"{name}.link", to_json({"signatures": [], "signed": signed})))
    return links


class _Digests:
    """SHA-256 of versions, each read once."""

    def __init__(self, read_version: ReadVersion) -> None:
        self._read_version = read_version
        self._known: dict[str, str | None] = {}

    def of(self, version: VersionNode) -> str | None:
        """64 hex digits; None where the bytes are gone."""
        if version.id not in self._known:
            self._known[version.id] = self._compute(version)
        return self._known[version.id]

    def _compute(self, version: VersionNode) -> str | None:
        parts = self._read_version(version.id) if version.readable else None
        if parts is None:
            return None
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        return digest.hexdigest()


def _steps(graph: Graph) -> list[_Step]:
    steps: dict[str, _Step] = {}
    for process in sorted(graph.processes.values(), key=lambda process: process.start_ns):
        job = graph.job(process)
        if job is None or len(job.processes) == 1:
            steps[process.id] = _Step(process.id, process.argv or [command(process)], [process])
        elif job.id in steps:
            steps[job.id].processes.append(process)
        else:
            steps[job.id] = _Step(job.id, _words(job.command), [process])
    return list(steps.values())


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a command line that no shell would take
        return [command]


def _step_name(step: _Step) -> str:
    """A word that is a file name, and the id, which makes it unique."""
    letters = [
        letter if letter.isascii() and letter.isalnum() else "-" for letter in program(step.processes[0])
    ]
    return f"{''.join(letters)[:_NAME_CHARACTERS_MAX]}-{step.id.replace(':', '-')}"


def _link(graph: Graph, digests: _Digests, step: _Step, name: str, made: list[str]) -> dict[str, object]:
    inputs: dict[str, str] = {}
    for process in step.processes:
        inputs.update(graph.inputs(process.id))
    for version in made:
        inputs.update((of, LEVELS[0]) for of, _ in graph.revised.get(version, ()))
    materials = [graph.versions[version] for version in inputs if version not in made]
    products = [graph.versions[version] for version in dict.fromkeys(made)]
    named = {**_named(materials), **_named(products)}
    gone = sorted(named[version.id] for version in materials + products if digests.of(version) is None)
    last = step.processes[-1]
    weak = {
        named[version]: level for version, level in inputs.items() if version in named and level != LEVELS[0]
    }
    return {
        "_type": "link",
        "name": name,
        "command": [valid_text(word) for word in step.command],
        "materials": _artifacts(digests, named, materials),
        "products": _artifacts(digests, named, products),
        "byproducts": {
            **({} if last.exit is None else {"return-value": last.exit}),
            **({"not-readable": gone} if gone else {}),
            **({"not-observed": weak} if weak else {}),
        },
        "environment": {
            "workdir": last.cwd,
            "user": last.user,
            "host": last.host,
            "coverage": graph.answer.coverage.headline,
            "content-ids": {
                "materials": {named[version.id]: version.content for version in materials},
                "products": {named[version.id]: version.content for version in products},
            },
        },
    }


def _named(versions: list[VersionNode]) -> dict[str, str]:
    """Version id → its name among these."""
    named: dict[str, str] = {}
    taken: set[str] = set()
    for version in sorted(versions, key=lambda version: -version.mtime_ns):
        name = place(version) if place(version) not in taken else f"{place(version)}#{version.id}"
        taken.add(name)
        named[version.id] = name
    return named


def _artifacts(
    digests: _Digests, named: Mapping[str, str], versions: list[VersionNode]
) -> dict[str, dict[str, str]]:
    found = ((named[version.id], digests.of(version)) for version in versions)
    return {name: {"sha256": digest} for name, digest in found if digest is not None}
