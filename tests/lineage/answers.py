"""An answer of `pfs lineage --json` in the contract's form, with everything in it that an export can meet.

`raw.csv` was imported; `sort | cut` made `clean.csv` of it; `python train.py` made `model.pkl` of that, of a
database that it had edited itself, of an older `train.py` whose bytes are gone and of a file outside; a
filter that goes on running and one that failed stand beside them.
"""

from __future__ import annotations

from typing import Any

SECOND_NS = 1_000_000_000
START_NS = 1_767_348_672_123_456_789  # 2026-01-02 10:11:12.123456 UTC


def v(number: int) -> str:
    return f"v:{number:016x}"


def p(number: int) -> str:
    return f"p:{number:016x}"


def j(number: int) -> str:
    return f"j:{number:016x}"


def version(number: int, path: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": v(number),
        "repo": "proj",
        "path": path,
        "content": f"{number:064x}",
        "size": 100 + number,
        "mtime_ns": START_NS + number * SECOND_NS,
        "commit": None,
        "readable": True,
        "imported": None,
        **fields,
    }


def process(number: int, argv: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "id": p(number),
        "argv": argv,
        "exe": f"/usr/bin/{argv[0]}",
        "exe_version": None,
        "cwd": "/home/alice/pfs/proj",
        "user": "alice",
        "uid": 1000,
        "host": "node7",
        "pid": 4400 + number,
        "parent": p(0),  # an interactive shell, which no answer describes
        "job": None,
        "start_ns": START_NS + number * SECOND_NS,
        "end_ns": START_NS + number * SECOND_NS + SECOND_NS // 2,
        "exit": 0,
        "coverage": "complete",
        "reason": None,
        **fields,
    }


NOW_NS = START_NS + 3600 * SECOND_NS
ODD_PATH = "läufe/naïve \udcff\nname #1.dat"  # not all of it is UTF-8

SHOWN_ODD_PATH = ODD_PATH.replace("\udcff", "\\xff")

VERSIONS = [
    version(1, "raw.csv", commit="9c01d2aa" * 8, imported="s3://bucket/raw.csv (version 3L4k…)"),
    version(2, "data/clean.csv"),
    version(3, "train.py", readable=False),
    version(4, "model.pkl"),
    version(5, "state.db"),
    version(6, "state.db"),
    version(7, "/data/prices.csv", repo=""),
    version(8, ODD_PATH, content="", size=0),
    version(9, "bin/python", size=6_000_000),
]
PROCESSES = [
    process(1, ["sort", "-u", "raw.csv"], job=j(1)),
    process(2, ["cut", "-f1-9"], job=j(1)),
    process(3, ["sh", "train.sh"], job=j(2), end_ns=START_NS + 9 * SECOND_NS, exit=None),
    process(
        4,
        ["python", "train.py", "--lr", "0.1", "--note", "two words", "‹redacted 1f2e›"],
        job=j(2),
        parent=p(3),
        exe_version=v(9),
        coverage="partial",
        reason="the environment could not be read",
    ),
    process(5, ["tail", "-f", "raw.csv"], end_ns=None, exit=None, user="", uid=65534, pid=1),
    process(6, ["false"], exit=1, host="node 8"),
]
JOBS = [
    {"id": j(1), "command": "sort -u raw.csv | cut -f1-9 > data/clean.csv", "processes": [p(1), p(2)]},
    {"id": j(2), "command": "sh train.sh", "processes": [p(3), p(4)]},
]
EDGES = [
    {"kind": "used", "process": p(1), "version": v(1), "level": "observed"},
    {"kind": "informed", "process": p(2), "by": p(1), "level": "observed"},
    {"kind": "generated", "version": v(2), "process": p(2), "level": "observed"},
    {"kind": "used", "process": p(4), "version": v(3), "level": "observed"},
    {"kind": "used", "process": p(4), "version": v(2), "level": "observed"},
    {"kind": "used", "process": p(4), "version": v(7), "level": "argument"},
    {"kind": "used", "process": p(4), "version": v(9), "level": "observed"},
    {"kind": "generated", "version": v(6), "process": p(4), "level": "observed"},
    {"kind": "revised", "version": v(6), "of": v(5)},
    {"kind": "generated", "version": v(4), "process": p(4), "level": "observed"},
    {"kind": "used", "process": p(5), "version": v(1), "level": "observed"},
    {"kind": "generated", "version": v(8), "process": p(5), "level": "observed"},
    {"kind": "informed", "process": p(4), "by": p(6), "level": "inferred"},
    {"kind": "used", "process": p(6), "version": v(8), "level": "observed"},
]


def answer(**fields: Any) -> dict[str, Any]:
    return {
        "schema": "pfs.lineage/1",
        "query": {"repo": "proj", "path": "model.pkl", "revision": "main", "direction": "up", "depth": None},
        "root": v(4),
        "versions": VERSIONS,
        "processes": PROCESSES,
        "jobs": JOBS,
        "edges": EDGES,
        "coverage": {
            "headline": "1 inferred edge",
            "inferred_edges": 1,
            "unlikely_edges": 0,
            "ambient_edges": 2,
            "unobserved_channels": ["socket of pid 4404"],
        },
        **fields,
    }


def edges(kind: str, *ends: str) -> set[tuple[str, ...]]:
    """The edges of a kind as tuples of these ends."""
    return {tuple(str(edge[end]) for end in ends) for edge in EDGES if edge["kind"] == kind}


def content(version_id: str) -> list[bytes] | None:
    """Made-up bytes of a version, in two parts; those of `train.py` are gone."""
    return None if version_id == v(3) else [version_id.encode(), b" and its bytes"]


def raw_answer() -> dict[str, Any]:
    """A version that nobody is known to have made."""
    coverage = {
        "headline": "complete inside pfs",
        "inferred_edges": 0,
        "unlikely_edges": 0,
        "ambient_edges": 0,
    }
    return answer(
        root=v(1),
        versions=VERSIONS[:1],
        processes=[],
        jobs=[],
        edges=[],
        coverage={**coverage, "unobserved_channels": []},
    )
