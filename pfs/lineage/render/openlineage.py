"""Answers as OpenLineage run events (https://openlineage.io/spec/2-0-2), one JSON document a line.

Format.  A process is a run, and so is the job that it belongs to: its events name that as parent and root.
Each run has a START and, where its end is known, a COMPLETE or FAIL event; one that goes on has a RUNNING
event.  Versions are datasets: namespace `pfs`, name `repo/path`, the content id in the `version` facet;
outside files are in namespace `file`.  What each output came from is said twice: as the run's inputs, and in
the `lineage` facet of the output, which names the runs that came in through pipes, too.  What OpenLineage has
no word for is in facets named `pfs_…`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pfs.lineage.answers.answer import JobNode, ProcessNode, VersionNode
from pfs.lineage.render.graph import Graph, command, place, read, to_json, utc, valid_text

PRODUCER: Final = "urn:pfs"
NAMESPACE: Final = "pfs"
OUTSIDE_NAMESPACE: Final = "file"
NAME_CHARACTERS_MAX: Final = 512  # of a job: argv may be 128 KiB long, and names are keys
_RUNS: Final = uuid.UUID("5ba6a2b7-3dcb-5b1e-8c9b-3f0f8f0f9d11")  # namespace of the run ids
_SPEC: Final = "https://openlineage.io/spec"
_CORE: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs"

Facet = dict[str, Any]


def openlineage(answer: Mapping[str, Any]) -> str:
    """An answer (`pfs.lineage/1`) as run events, in the order of their times; each line ends with a newline.

    Raises UsageError where it is no such answer.
    """
    graph = read(answer)
    events = [event for process in graph.processes.values() for event in _process_events(graph, process)]
    for job in graph.jobs.values():
        events.extend(_job_events(graph, job))
    events.sort(key=lambda timed: timed[0])
    return "".join(to_json(event, indent=None) + "\n" for _, event in events)


def run_id(id_in_answer: str) -> str:
    """The run of a process or job: the same in every export."""
    return str(uuid.uuid5(_RUNS, id_in_answer))


def job_name(command: str) -> str:
    """A command line as the name of a job; a very long one is cut, and stays unique by a hash."""
    if len(command) <= NAME_CHARACTERS_MAX:
        return command
    return f"{command[:NAME_CHARACTERS_MAX]}… {uuid.uuid5(_RUNS, valid_text(command)).hex[:8]}"


Timed = tuple[int, dict[str, Any]]


def _process_events(graph: Graph, process: ProcessNode) -> Iterator[Timed]:
    generated = [graph.versions[version] for version, _ in graph.generated.get(process.id, ())]
    inputs = [(graph.versions[version], level) for version, level in graph.used.get(process.id, ())]
    facets = {**_parent(graph, process), "pfs_process": _process_facet(process)}
    run = {"runId": run_id(process.id), "facets": facets}
    job = _job(command(process), "COMMAND")
    yield process.start_ns, _event("START", process.start_ns, run, job)
    if process.end_ns is None:
        kind, time_ns = "RUNNING", max([process.start_ns, *(version.mtime_ns for version in generated)])
    else:
        kind, time_ns = "FAIL" if process.exit else "COMPLETE", max(process.start_ns, process.end_ns)
    yield (
        time_ns,
        {
            **_event(kind, time_ns, run, job),
            "inputs": [_dataset(graph, version, level) for version, level in inputs],
            "outputs": [_output(graph, process, version) for version in generated],
        },
    )


def _job_events(graph: Graph, job: JobNode) -> Iterator[Timed]:
    """The run that is the parent of a job's processes; it has no datasets of its own."""
    members = [graph.processes[process] for process in job.processes if process in graph.processes]
    if not members:
        return
    run = {"runId": run_id(job.id), "facets": {}}
    named = _job(job.command, "JOB")
    start_ns = min(process.start_ns for process in members)
    yield start_ns, _event("START", start_ns, run, named)
    ends = [process.end_ns for process in members if process.end_ns is not None]
    if len(ends) == len(members):
        last = max(members, key=lambda process: (process.end_ns or 0, process.start_ns))
        time_ns = max(start_ns, *ends)
        yield time_ns, _event("FAIL" if last.exit else "COMPLETE", time_ns, run, named)


def _event(kind: str, time_ns: int, run: Facet, job: Facet) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": utc(time_ns),
        "producer": PRODUCER,
        "schemaURL": f"{_CORE}/RunEvent",
        "run": run,
        "job": job,
    }


def _job(command: str, job_type: str) -> Facet:
    facet = _facet(
        "facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
        processingType="BATCH",
        integration="PFS",
        jobType=job_type,
    )
    return {"namespace": NAMESPACE, "name": job_name(command), "facets": {"jobType": facet}}


def _facet(schema: str, **fields: object) -> Facet:
    given = {name: value for name, value in fields.items() if value is not None}
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/{schema}", **given}


def _own_facet(kind: str, **fields: object) -> Facet:
    return _facet(f"2-0-2/OpenLineage.json#/$defs/{kind}", **fields)


def _parent(graph: Graph, process: ProcessNode) -> dict[str, Facet]:
    """The process that started it, if that is of the same job, else the job; the job is the root."""
    job, parent = graph.job(process), graph.parent(process)
    names = {"run": {"runId": run_id(job.id)}, "job": _name(job.command)} if job else None
    if parent is not None and (job is None or parent.job == job.id):
        facet: Facet = {"run": {"runId": run_id(parent.id)}, "job": _name(command(parent))}
    elif names is not None:
        facet = dict(names)
    else:
        return {}
    if names is not None:
        facet["root"] = names
    return {"parent": _facet("facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet", **facet)}


def _name(command: str) -> dict[str, str]:
    return {"namespace": NAMESPACE, "name": job_name(command)}


def _process_facet(process: ProcessNode) -> Facet:
    return _own_facet(
        "RunFacet",
        id=process.id,
        argv=process.argv,
        exe=process.exe,
        exeVersion=process.exe_version,
        cwd=process.cwd,
        user=process.user,
        uid=process.uid,
        host=process.host,
        pid=process.pid,
        exit=process.exit,
        coverage=process.coverage,
        reason=process.reason,
    )


def _place(version: VersionNode) -> dict[str, str]:
    return {"namespace": NAMESPACE if version.repo else OUTSIDE_NAMESPACE, "name": place(version)}


def _dataset(graph: Graph, version: VersionNode, level: str | None = None) -> dict[str, Any]:
    facets = {
        "version": _facet(
            "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
            datasetVersion=version.content or version.id,
        ),
        "pfs_version": _own_facet(
            "DatasetFacet",
            id=version.id,
            size=version.size,
            modified=utc(version.mtime_ns),
            commit=version.commit,
            readable=version.readable,
            imported=version.imported,
            level=level,
        ),
    }
    if version.id == graph.answer.root:
        coverage = graph.answer.coverage
        facets["pfs_coverage"] = _own_facet(
            "DatasetFacet",
            headline=coverage.headline,
            inferredEdges=coverage.inferred_edges,
            unlikelyEdges=coverage.unlikely_edges,
            ambientEdges=coverage.ambient_edges,
            unobservedChannels=coverage.unobserved_channels,
        )
    return {**_place(version), "facets": facets}


def _output(graph: Graph, process: ProcessNode, version: VersionNode) -> dict[str, Any]:
    dataset = _dataset(graph, version)
    sources: list[dict[str, Any]] = [
        {**_place(graph.versions[used]), "type": "DATASET", "transformations": _level(level)}
        for used, level in graph.used.get(process.id, ())
    ]
    sources += [
        {**_place(graph.versions[of]), "type": "DATASET", "transformations": _level("revised")}
        for of, _ in graph.revised.get(version.id, ())
    ]
    sources += [
        {
            **_name(command(graph.processes[by])),
            "type": "JOB",
            "runId": run_id(by),
            "transformations": _level(level),
        }
        for by, level in graph.informed.get(process.id, ())
    ]
    dataset["facets"]["lineage"] = _facet(
        "facets/1-0-0/LineageFacet.json#/$defs/LineageDatasetFacet", inputs=sources
    )
    return dataset


def _level(level: str) -> list[dict[str, str]]:
    """How sure an edge is.  What the process did with the bytes is not known; DIRECT: they came in."""
    return [{"type": "DIRECT", "description": level}]
