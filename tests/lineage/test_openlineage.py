"""OpenLineage events, checked by its published schemas and against its client's classes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from pfs.lineage.render.openlineage import job_name, openlineage, run_id
from tests.lineage.answers import VERSIONS, answer, j, p, raw_answer

SCHEMAS = Path(__file__).parent / "openlineage"
SPEC = "https://openlineage.io/spec"


@pytest.fixture(scope="module")
def check_schema() -> Any:
    """Check a document against one of OpenLineage's schemas."""
    registry: Any = referencing.Registry()
    for path in SCHEMAS.glob("*.json"):
        resource = referencing.Resource.from_contents(json.loads(path.read_text()))
        registry = resource @ registry

    def check(document: Any, reference: str) -> None:
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        schema = {"$ref": reference}
        jsonschema.Draft202012Validator(schema, registry=registry, format_checker=checker).validate(document)

    return check


def events(text: str) -> list[dict[str, Any]]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def facets(event: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    yield from event["run"]["facets"].items()
    yield from event["job"]["facets"].items()
    for dataset in [*event.get("inputs", ()), *event.get("outputs", ())]:
        yield from dataset["facets"].items()


@pytest.mark.parametrize("document", [answer(), raw_answer()], ids=["all", "raw"])
def test_events_and_facets_follow_the_published_schemas(check_schema: Any, document: dict[str, Any]) -> None:
    text = openlineage(document)
    for event in events(text) if text else ():
        check_schema(event, event["schemaURL"])
        check_schema(event, f"{SPEC}/2-0-2/OpenLineage.json")
        for _, facet in facets(event):
            check_schema(facet, facet["_schemaURL"])


def test_the_schemas_find_what_is_wrong(check_schema: Any) -> None:
    event = next(event for event in events(openlineage(answer())) if event.get("outputs"))
    lineage = event["outputs"][0]["facets"]["lineage"]
    for bad, reference in [
        ({**event, "eventType": "DONE"}, event["schemaURL"]),
        ({**event, "run": {"runId": "4461"}}, event["schemaURL"]),
        ({**lineage, "inputs": [{"type": "DATASET", "name": "no namespace"}]}, lineage["_schemaURL"]),
    ]:
        with pytest.raises(jsonschema.ValidationError):
            check_schema(bad, reference)


FACET_CLASSES: dict[str, Any] = {
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def as_classes(event: dict[str, Any]) -> Any:
    """An event made of the client's own classes, which take no field that they do not know."""

    def facet(name: str, fields: dict[str, Any]) -> Any:
        given = {key: value for key, value in fields.items() if not key.startswith("_")}
        if name == "parent":
            parent = facet_v2.parent_run
            if "root" in given:
                root = given["root"]
                given["root"] = parent.Root(parent.RootRun(**root["run"]), parent.RootJob(**root["job"]))
            return parent.ParentRunFacet(
                **{**given, "run": parent.Run(**given["run"]), "job": parent.Job(**given["job"])},
                producer=fields["_producer"],
            )
        if name == "lineage":
            lineage = facet_v2.lineage
            classes = {"DATASET": lineage.LineageDatasetInput, "JOB": lineage.LineageJobInput}
            sources = []
            for source in given["inputs"]:
                changes = [lineage.LineageTransformation(**each) for each in source["transformations"]]
                sources.append(classes[source["type"]](**{**source, "transformations": changes}))
            return lineage.LineageDatasetFacet(inputs=sources, producer=fields["_producer"])
        if name in FACET_CLASSES:
            return FACET_CLASSES[name](**given, producer=fields["_producer"])
        return fields

    def named(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "facets": {name: facet(name, each) for name, each in fields["facets"].items()}}

    return event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(**named(event["run"])),
        job=event_v2.Job(**named(event["job"])),
        inputs=[event_v2.InputDataset(**named(each)) for each in event.get("inputs", ())],
        outputs=[event_v2.OutputDataset(**named(each)) for each in event.get("outputs", ())],
    )


def without_versions_of_schemas(value: Any) -> Any:
    """The client writes empty parts that we leave out, and its own versions of the facets' schemas."""
    if isinstance(value, dict):
        kept = {key: without_versions_of_schemas(item) for key, item in value.items() if key != "_schemaURL"}
        return {key: item for key, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [without_versions_of_schemas(item) for item in value]
    return value


def test_the_client_would_write_the_same_events() -> None:
    for event in events(openlineage(answer())):
        theirs = Serde.to_dict(as_classes(event))
        assert without_versions_of_schemas(theirs) == without_versions_of_schemas(event)


def test_each_run_starts_once_and_ends_once_in_order() -> None:
    found = events(openlineage(answer()))
    assert [event["eventTime"] for event in found] == sorted(event["eventTime"] for event in found)
    kinds: dict[str, list[str]] = {}
    for event in found:
        kinds.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert kinds == {
        **{run_id(p(number)): ["START", "COMPLETE"] for number in (1, 2, 3, 4)},
        run_id(p(5)): ["START", "RUNNING"],
        run_id(p(6)): ["START", "FAIL"],
        run_id(j(1)): ["START", "COMPLETE"],
        run_id(j(2)): ["START", "COMPLETE"],
    }


def test_runs_name_parents_inputs_and_what_came_through_a_pipe() -> None:
    last = {event["run"]["runId"]: event for event in events(openlineage(answer()))}
    cut, train = last[run_id(p(2))], last[run_id(p(4))]
    assert cut["run"]["facets"]["parent"]["run"]["runId"] == run_id(j(1))
    assert train["run"]["facets"]["parent"]["run"]["runId"] == run_id(p(3))
    assert train["run"]["facets"]["parent"]["root"]["run"]["runId"] == run_id(j(2))
    assert "parent" not in last[run_id(p(5))]["run"]["facets"]
    assert [each["name"] for each in train["inputs"]] == [
        "proj/train.py",
        "proj/data/clean.csv",
        "/data/prices.csv",
        "proj/bin/python",
    ]
    assert {each["namespace"] for each in train["inputs"]} == {"pfs", "file"}
    database, pickle = train["outputs"]
    assert (database["name"], pickle["name"]) == ("proj/state.db", "proj/model.pkl")
    assert pickle["facets"]["version"]["datasetVersion"] == VERSIONS[3]["content"]
    assert pickle["facets"]["pfs_coverage"]["headline"] == "1 inferred edge"
    sources = database["facets"]["lineage"]["inputs"]
    assert [source["name"] for source in sources if source["type"] == "DATASET"][-1] == "proj/state.db"
    assert [source["runId"] for source in sources if source["type"] == "JOB"] == [run_id(p(6))]
    piped = cut["outputs"][0]["facets"]["lineage"]["inputs"]
    assert [(source["type"], source["runId"]) for source in piped] == [("JOB", run_id(p(1)))]


def test_long_commands_stay_different_jobs() -> None:
    one, other = ("x" * 5000 + end for end in "ab")
    assert job_name("make -j4") == "make -j4"
    assert job_name(one) != job_name(other)
    assert len(job_name(one)) < 600
