"""PROV-JSON, read back by the `prov` package."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from prov import model as prov

from pfs.lineage.render.graph import utc
from pfs.lineage.render.prov import prov_json
from tests.lineage.answers import JOBS, PROCESSES, SHOWN_ODD_PATH, VERSIONS, answer, edges, p, raw_answer, v


def prov_document(text: str) -> Any:
    return prov.ProvDocument.deserialize(content=text, format="json")


def pairs(document: Any, kind: Any) -> set[tuple[str, ...]]:
    """Both ends of all records of a kind."""
    return {
        tuple(str(value) for _, value in record.formal_attributes[:2])
        for record in document.get_records(kind)
    }


def test_prov_holds_exactly_the_edges_of_the_answer() -> None:
    document = prov_document(prov_json(answer()))
    assert pairs(document, prov.ProvGeneration) == edges("generated", "version", "process")
    assert pairs(document, prov.ProvUsage) == edges("used", "process", "version")
    assert pairs(document, prov.ProvCommunication) == edges("informed", "process", "by")
    assert pairs(document, prov.ProvDerivation) == edges("revised", "version", "of")
    entities = {str(record.identifier) for record in document.get_records(prov.ProvEntity)}
    assert entities == {"pfs:answer", *(each["id"] for each in VERSIONS)}
    activities = {str(record.identifier) for record in document.get_records(prov.ProvActivity)}
    assert activities == {each["id"] for each in [*PROCESSES, *JOBS]}


def test_prov_survives_other_forms_of_prov() -> None:
    """What can be written as PROV-N and as JSON again has no attribute that PROV can't type."""
    document = prov_document(prov_json(answer()))
    assert prov_document(document.serialize(format="json")) == document
    text = document.get_provn()
    assert f"wasGeneratedBy(v:{4:016x}, p:{4:016x}, -" in text
    assert len(document.unified().get_records()) == len(document.get_records())


def test_prov_says_who_when_and_how_sure() -> None:
    document = prov_document(prov_json(answer()))
    [train] = document.get_record(p(4))
    assert train.get_startTime() == datetime.fromisoformat(utc(PROCESSES[3]["start_ns"]))
    assert train.get_endTime() == datetime.fromisoformat(utc(PROCESSES[3]["end_ns"]))
    [argv] = train.get_attribute("pfs:argv")
    assert json.loads(argv) == PROCESSES[3]["argv"]
    [tail] = document.get_record(p(5))
    assert tail.get_endTime() is None
    [whole] = document.get_record("pfs:answer")
    assert str(whole.label) == "1 inferred edge"
    levels = {
        str(r.formal_attributes[1][1]): r.get_attribute("pfs:level")
        for r in document.get_records(prov.ProvUsage)
    }
    assert levels[v(7)] == {"argument"}
    plans = {
        str(dict(r.formal_attributes)[prov.PROV_ATTR_PLAN])
        for r in document.get_records(prov.ProvAssociation)
    }
    assert plans == {v(9), "None"}
    starters = {
        tuple(str(end) for _, end in r.formal_attributes) for r in document.get_records(prov.ProvStart)
    }
    assert {(ends[0], ends[2]) for ends in starters} == {(p(4), p(3))}
    agents = {str(record.identifier) for record in document.get_records(prov.ProvAgent)}
    assert agents == {"user:alice@node7", "user:65534@node7", "user:alice@node%208"}


def test_prov_of_a_raw_version_is_one_entity() -> None:
    document = prov_document(prov_json(raw_answer()))
    [raw] = document.get_record(v(1))
    assert raw.get_attribute("pfs:imported") == {VERSIONS[0]["imported"]}
    assert len(document.get_records()) == 2


def test_names_that_are_no_utf8_come_out_as_valid_text() -> None:
    [odd] = prov_document(prov_json(answer()).encode().decode()).get_record(v(8))
    assert odd.get_attribute("pfs:path") == {SHOWN_ODD_PATH}
