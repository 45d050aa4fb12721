"""Answers as PROV-JSON (https://www.w3.org/submissions/prov-json/).

Format.  A version is an entity, a process or job an activity, a user an agent (`user:NAME@HOST`).  Ids stay
as they are in the answer, under the prefixes `v`, `p` and `j`.
  generated → wasGeneratedBy    used → used    informed → wasInformedBy
  revised → wasDerivedFrom, a prov:Revision    parent → wasStartedBy
  user → wasAssociatedWith, with the program's version as its prov:plan
Nothing is derived that the answer does not say: what an output came from is what its process used.
`pfs:argv` is a JSON list in a string, since several values of one PROV attribute have no order.  The entity
`pfs:answer` says how complete the whole is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pfs.lineage.answers.answer import ProcessNode, VersionNode
from pfs.lineage.render.graph import Graph, command, escape, place, read, to_json, utc

PREFIXES: Final = {"pfs": "urn:pfs:", **{name: f"urn:pfs:{name}:" for name in ("v", "p", "j", "user")}}

Records = dict[str, dict[str, Any]]


def prov_json(answer: Mapping[str, Any]) -> str:
    """An answer (`pfs.lineage/1`) as a PROV-JSON document.  Raises UsageError where it is none."""
    graph = read(answer)
    document: dict[str, object] = {
        "prefix": PREFIXES,
        "entity": {
            "pfs:answer": _answer(graph),
            **{version.id: _entity(version) for version in graph.versions.values()},
        },
        "activity": {
            **{process.id: _activity(graph, process) for process in graph.processes.values()},
            **_jobs(graph),
        },
        "agent": {_user(process): _agent(process) for process in graph.processes.values()},
        "wasGeneratedBy": _relation(graph.generated, "prov:activity", "prov:entity", "g"),
        "used": _relation(graph.used, "prov:activity", "prov:entity", "u"),
        "wasInformedBy": _relation(graph.informed, "prov:informed", "prov:informant", "i"),
        "wasDerivedFrom": _revisions(graph),
        "wasAssociatedWith": _associations(graph),
        "wasStartedBy": _starts(graph),
    }
    return to_json({key: value for key, value in document.items() if value})


def _type(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}


def _time(time_ns: int) -> dict[str, str]:
    return {"$": utc(time_ns), "type": "xsd:dateTime"}


def _given(**attributes: object) -> dict[str, object]:
    """Attributes of our own that have a value."""
    return {f"pfs:{name}": value for name, value in attributes.items() if value is not None}


def _answer(graph: Graph) -> dict[str, object]:
    coverage, query = graph.answer.coverage, graph.answer.query
    return {
        "prov:type": _type("pfs:Answer"),
        "prov:label": coverage.headline,
        **_given(
            root=_type(graph.root.id),
            direction=query.direction,
            depth=query.depth,
            inferredEdges=coverage.inferred_edges,
            unlikelyEdges=coverage.unlikely_edges,
            ambientEdges=coverage.ambient_edges,
            unobservedChannel=coverage.unobserved_channels or None,
        ),
    }


def _entity(version: VersionNode) -> dict[str, object]:
    return {
        "prov:type": _type("pfs:FileVersion"),
        "prov:label": place(version),
        **_given(
            repo=version.repo,
            path=version.path,
            content=version.content,
            size=version.size,
            modified=_time(version.mtime_ns),
            commit=version.commit,
            readable=version.readable,
            imported=version.imported,
        ),
    }


def _activity(graph: Graph, process: ProcessNode) -> dict[str, object]:
    times = {"prov:startTime": utc(process.start_ns)}
    if process.end_ns is not None:
        times["prov:endTime"] = utc(process.end_ns)
    job = graph.job(process)
    return {
        "prov:type": _type("pfs:Process"),
        "prov:label": command(process),
        **times,
        **_given(
            argv=to_json(process.argv, indent=None),
            exe=process.exe,
            cwd=process.cwd,
            pid=process.pid,
            host=process.host,
            exit=process.exit,
            coverage=process.coverage,
            reason=process.reason,
            job=_type(job.id) if job else None,
        ),
    }


def _jobs(graph: Graph) -> Records:
    records: Records = {}
    for job in graph.jobs.values():
        members = [graph.processes[process] for process in job.processes if process in graph.processes]
        ends = [process.end_ns for process in members if process.end_ns is not None]
        record: dict[str, Any] = {"prov:type": _type("pfs:Job"), "prov:label": job.command}
        if members:
            record["prov:startTime"] = utc(min(process.start_ns for process in members))
        if members and len(ends) == len(members):
            record["prov:endTime"] = utc(max(ends))
        records[job.id] = record
    return records


def _user(process: ProcessNode) -> str:
    return f"user:{escape(process.user or str(process.uid), safe='')}@{escape(process.host, safe='')}"


def _agent(process: ProcessNode) -> dict[str, object]:
    return {"prov:label": process.user or str(process.uid), **_given(uid=process.uid, host=process.host)}


def _relation(links: Mapping[str, list[tuple[str, str]]], one: str, other: str, letter: str) -> Records:
    edges = [(here, there, level) for here, ends in links.items() for there, level in ends]
    return {
        f"_:{letter}{number}": {one: here, other: there, "pfs:level": level}
        for number, (here, there, level) in enumerate(edges)
    }


def _revisions(graph: Graph) -> Records:
    edges = [(version, of) for version, ends in graph.revised.items() for of, _ in ends]
    return {
        f"_:d{number}": {
            "prov:generatedEntity": version,
            "prov:usedEntity": of,
            "prov:type": _type("prov:Revision"),
        }
        for number, (version, of) in enumerate(edges)
    }


def _associations(graph: Graph) -> Records:
    records: Records = {}
    for number, process in enumerate(graph.processes.values()):
        record = {"prov:activity": process.id, "prov:agent": _user(process)}
        if process.exe_version in graph.versions:
            record["prov:plan"] = process.exe_version
        records[f"_:a{number}"] = record
    return records


def _starts(graph: Graph) -> Records:
    started = [
        (process, parent)
        for process in graph.processes.values()
        if (parent := graph.parent(process)) is not None
    ]
    return {
        f"_:s{number}": {"prov:activity": process.id, "prov:starter": parent.id}
        for number, (process, parent) in enumerate(started)
    }
