"""Answers as a Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5): `ro-crate-metadata.json`.

Format.  A process is a CreateAction (an ActivateAction where it made nothing), its program a
SoftwareApplication, its user a Person.  A version is a File: under its own path where its bytes are laid
beside the metadata, else under `#v:…`, described but not there.  `object` is all that an action learned from:
what it read, the version before in an edit, and what came through pipes, which a crate has no word for.
Edges that are less than observed are named in the action's description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pfs.errors import UsageError
from pfs.lineage.answers.answer import ProcessNode, VersionNode
from pfs.lineage.render.graph import (
    LEVELS,
    Graph,
    ReadVersion,
    command,
    escape,
    place,
    program,
    read,
    to_json,
    utc,
    valid_text,
)

METADATA_NAME: Final = "ro-crate-metadata.json"
PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
CONTEXT: Final = "https://w3id.org/ro/crate/1.1/context"
SPECIFICATION: Final = "https://w3id.org/ro/crate/1.1"
NO_LICENSE: Final = "No license is stated. Who made this crate may know."

_TYPES: Final = MimeTypes()  # without those of the machine at hand

Entity = dict[str, Any]


def metadata(answer: Mapping[str, Any], now_ns: int, *, beside: Mapping[str, str] | None = None) -> str:
    """An answer (`pfs.lineage/1`) as the text of `ro-crate-metadata.json`.

    now_ns: when the crate is made.  beside: version id → path below the crate of those whose bytes are there.
    Raises UsageError where it is no such answer.
    """
    graph = read(answer)
    paths = dict(beside or {})
    actions = [_action(graph, paths, process) for process in graph.processes.values()]
    files = [_file(paths, version) for version in graph.versions.values()]
    people = {person["@id"]: person for person in map(_person, graph.processes.values())}
    tools = {tool["@id"]: tool for tool in (_tool(graph, process) for process in graph.processes.values())}
    entities: list[Entity] = [
        {
            "@id": METADATA_NAME,
            "@type": "CreativeWork",
            "conformsTo": {"@id": SPECIFICATION},
            "about": {"@id": "./"},
        },
        _dataset(graph, now_ns, files, actions),
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        *files,
        *actions,
        *tools.values(),
        *people.values(),
    ]
    return to_json({"@context": CONTEXT, "@graph": entities})


def crate_paths(answer: Mapping[str, Any]) -> dict[str, str]:
    """Where the bytes of each readable version would lie in a crate.

    The newest at a path takes that path, older ones `.versions/ID/` before it; outside files `.outside/`.
    Names that are no UTF-8 are changed, since an IRI can't say them.
    """
    graph = read(answer)
    readable = [version for version in graph.versions.values() if version.readable]
    paths: dict[str, str] = {}
    taken: set[str] = set()
    for version in sorted(readable, key=lambda version: (version.id != graph.root.id, -version.mtime_ns)):
        name = valid_text(place(version) if version.repo else f".outside{place(version)}")
        if name in taken:
            name = f".versions/{version.id.replace(':', '-')}/{name}"
        taken.add(name)
        paths[version.id] = name
    return paths


def write(answer: Mapping[str, Any], directory: Path, now_ns: int, read_version: ReadVersion) -> None:
    """Make a crate in a directory that exists: the metadata, and the bytes that `read_version` gives.

    Files that are there are not overwritten.  Raises UsageError, OSError.
    """
    beside = {}
    for version, name in crate_paths(answer).items():
        parts = read_version(version)
        if parts is None:
            continue
        if ".." in PurePosixPath(name).parts:
            raise UsageError(f"the answer names {name}, which would lie outside of the crate")
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.writelines(parts)
        beside[version] = name
    with (directory / METADATA_NAME).open("x", encoding="utf-8") as file:
        file.write(metadata(answer, now_ns, beside=beside))


def _time(time_ns: int) -> str:
    """In the one form of ISO 8601 that the profile's shapes take: milliseconds, and an offset in digits."""
    return utc(time_ns).removesuffix("Z")[:-3] + "+00:00"


def _references(ids: Iterable[str]) -> Any:
    """One reference, or a list of them."""
    found = [{"@id": each} for each in dict.fromkeys(ids)]
    return found[0] if len(found) == 1 else found


def _dataset(graph: Graph, now_ns: int, files: list[Entity], actions: list[Entity]) -> Entity:
    headline = graph.answer.coverage.headline
    where = f"{place(graph.root)} ({graph.answer.query.revision or graph.root.id})"
    direction = "what was made from" if graph.answer.query.direction == "down" else "how it was made:"
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Lineage of {place(graph.root)}",
        "description": f"As pfs recorded it: {direction} {where}. Coverage: {headline}.",
        "datePublished": _time(now_ns),
        "license": NO_LICENSE,
        "conformsTo": {"@id": PROFILE},
        "hasPart": _references(file["@id"] for file in files),
    }
    if actions:
        root["mentions"] = _references(action["@id"] for action in actions)
    return root


def _file_id(paths: Mapping[str, str], version: str) -> str:
    return escape(paths[version]) if version in paths else f"#{version}"


def _file(paths: Mapping[str, str], version: VersionNode) -> Entity:
    entity: Entity = {
        "@id": _file_id(paths, version.id),
        "@type": "File",
        "name": place(version),
        "encodingFormat": _TYPES.guess_type(version.path)[0] or "application/octet-stream",
        "contentSize": str(version.size),
        "dateModified": _time(version.mtime_ns),
        "identifier": [version.id, f"pfs:{version.content}"] if version.content else version.id,
    }
    if paths.get(version.id) != place(version):
        entity["alternateName"] = version.path
    notes = []
    if version.commit:
        entity["version"] = version.commit
    if version.imported:
        notes.append(f"Imported from {version.imported}.")
    if not version.readable:
        notes.append("Its bytes are no longer kept.")
    if notes:
        entity["description"] = " ".join(notes)
    return entity


def _action(graph: Graph, paths: Mapping[str, str], process: ProcessNode) -> Entity:
    results = [version for version, _ in graph.generated.get(process.id, ())]
    inputs = graph.inputs(process.id)
    for version in results:
        inputs.update((of, LEVELS[0]) for of, _ in graph.revised.get(version, ()) if of not in inputs)
    action: Entity = {
        "@id": f"#{process.id}",
        "@type": "CreateAction" if results else "ActivateAction",
        "name": command(process),
        "description": _description(graph, process, inputs),
        "startTime": _time(process.start_ns),
        "instrument": {"@id": _tool_id(graph, process)},
        "agent": {"@id": _person_id(process)},
    }
    if process.end_ns is not None:
        action["endTime"] = _time(process.end_ns)
    elif results:
        # "when the last of the entities in `result` has been created", as the profile says
        action["endTime"] = _time(max(graph.versions[version].mtime_ns for version in results))
    if inputs:
        action["object"] = _references(_file_id(paths, version) for version in inputs)
    if results:
        action["result"] = _references(_file_id(paths, version) for version in results)
    if process.exit is not None:
        status = "FailedActionStatus" if process.exit else "CompletedActionStatus"
        action["actionStatus"] = f"http://schema.org/{status}"
        if process.exit:
            action["error"] = f"exit status {process.exit}"
    return action


def _description(graph: Graph, process: ProcessNode, inputs: Mapping[str, str]) -> str:
    job = graph.job(process)
    parts = [f"In {process.cwd} on {process.host}, process {process.pid}"]
    if job is not None and job.command != command(process):
        parts.append(f"part of: {job.command}")
    weak = [f"{place(graph.versions[v])} ({level})" for v, level in inputs.items() if level != LEVELS[0]]
    if weak:
        parts.append(f"not observed but concluded: {', '.join(weak)}")
    if process.coverage != "complete":
        parts.append(f"partly seen: {process.reason or 'reason unknown'}")
    return "; ".join(parts)


def _tool_id(graph: Graph, process: ProcessNode) -> str:
    version = process.exe_version
    if version in graph.versions:
        return f"urn:pfs:tool:{version}"
    return f"urn:pfs:tool:{escape(process.exe or program(process))}"


def _tool(graph: Graph, process: ProcessNode) -> Entity:
    version = graph.versions.get(process.exe_version or "")
    tool: Entity = {"@id": _tool_id(graph, process), "@type": "SoftwareApplication", "name": program(process)}
    if version is not None:
        tool["softwareVersion"] = version.content or version.id
        tool["description"] = place(version)
    elif process.exe:
        tool["description"] = process.exe
    return tool


def _person_id(process: ProcessNode) -> str:
    return f"#user:{escape(process.user or str(process.uid))}@{escape(process.host)}"


def _person(process: ProcessNode) -> Entity:
    return {
        "@id": _person_id(process),
        "@type": "Person",
        "name": process.user or f"uid {process.uid}",
        "identifier": f"uid {process.uid} at {process.host}",
    }
