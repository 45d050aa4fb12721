"""Process Run Crates, checked by roc-validator and read back by rocrate."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from rocrate.rocrate import ROCrate
from rocrate.vocabs import RO_CRATE
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate
from rocrate_validator.utils.http import HttpRequester

from pfs.errors import UsageError
from pfs.lineage.render.ro_crate import CONTEXT, METADATA_NAME, crate_paths, metadata, write
from tests.lineage.answers import NOW_NS, PROCESSES, VERSIONS, answer, content, p, raw_answer, v, version

# The validator's own use of rdflib.
pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def crate_issues(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the validator finds in a crate.  It gets the context that rocrate ships: there is no network."""
    cache = tmp_path_factory.mktemp("cache") / "http"

    def find(directory: Path, severity: Severity) -> set[str]:
        settings = ValidationSettings(
            rocrate_uri=str(directory),
            profile_identifier="process-run-crate",
            requirement_severity=severity,
            offline=True,
            cache_path=cache,
        )
        response = requests.Response()
        response.status_code = 200
        response.url = CONTEXT
        response.headers["Content-Type"] = "application/ld+json"
        body = io.BytesIO(json.dumps(RO_CRATE).encode())
        response.raw = urllib3.HTTPResponse(
            body, response.headers, 200, preload_content=False, request_url=CONTEXT
        )
        response.request = requests.Request("GET", CONTEXT).prepare()
        HttpRequester().session.cache.save_response(response)
        return {issue.message or "" for issue in validate(settings).get_issues(severity)}

    return find


def make_crate(directory: Path, document: dict[str, Any]) -> dict[str, Any]:
    write(document, directory, NOW_NS, content)
    crate: dict[str, Any] = json.loads((directory / METADATA_NAME).read_text())
    return {entity["@id"]: entity for entity in crate["@graph"]}


LINK = "The Root Data Entity SHOULD have a link to a Contextual Entity representing"
# What is recommended and can't be known: a program's home page and version, who owns and who publishes.
UNMET = {
    "The Application SHOULD have a url",
    "The SoftwareApplication SHOULD have a version or softwareVersion",
    "The SoftwareApplication id SHOULD be an absolute URI",  # ours is a urn:, the validator wants http
    "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
    f"{LINK} the schema_org:license type",
    f"{LINK} the `author` of the RO-Crate",
}


@pytest.mark.parametrize("document", [answer(), raw_answer()], ids=["all", "raw"])
def test_the_validator_finds_a_process_run_crate(
    tmp_path: Path, crate_issues: Any, document: dict[str, Any]
) -> None:
    make_crate(tmp_path, document)
    assert crate_issues(tmp_path, Severity.REQUIRED) == set()
    assert crate_issues(tmp_path, Severity.RECOMMENDED) <= UNMET


def test_the_validator_finds_what_is_wrong(tmp_path: Path, crate_issues: Any) -> None:
    make_crate(tmp_path, answer())
    path = tmp_path / METADATA_NAME
    text = path.read_text()
    path.write_text(text.replace('"instrument"', '"tool"'))
    assert crate_issues(tmp_path, Severity.REQUIRED)
    path.write_text(text)
    (tmp_path / "proj/model.pkl").unlink()
    assert crate_issues(tmp_path, Severity.REQUIRED)


def test_rocrate_reads_the_actions_and_their_files(tmp_path: Path) -> None:
    make_crate(tmp_path, answer())
    crate = ROCrate(tmp_path)
    assert crate.root_dataset["name"] == "Lineage of proj/model.pkl"
    train = crate.dereference(f"#{p(4)}")
    assert {file.id for file in train["object"]} == {
        "proj/data/clean.csv",
        f"#{v(3)}",
        ".outside/data/prices.csv",
        "proj/bin/python",
        crate.dereference(f"#{p(6)}")["object"].id,
        f".versions/{v(5).replace(':', '-')}/proj/state.db",
    }
    assert {file.id for file in train["result"]} == {"proj/model.pkl", "proj/state.db"}
    assert train["instrument"]["name"] == "python"
    assert train["instrument"]["softwareVersion"] == VERSIONS[8]["content"]
    assert train["agent"]["name"] == "alice"
    assert "prices.csv (argument)" in train["description"]
    assert "the environment could not be read" in train["description"]
    cut = crate.dereference(f"#{p(2)}")
    assert cut["object"].id == "proj/raw.csv"
    failed = crate.dereference(f"#{p(6)}")
    assert (failed.type, failed["error"]) == ("ActivateAction", "exit status 1")
    assert {action.id for action in crate.root_dataset["mentions"]} == {
        f"#{each['id']}" for each in PROCESSES
    }
    for file in crate.root_dataset["hasPart"]:
        assert file.id.startswith("#") or (tmp_path / file.id).exists() or "%" in file.id


def test_a_crate_holds_the_bytes_that_are_left(tmp_path: Path) -> None:
    entities = make_crate(tmp_path, answer())
    for version_id, name in crate_paths(answer()).items():
        assert (tmp_path / name).read_bytes() == b"".join(content(version_id) or ())
    assert entities[f"#{v(3)}"]["description"] == "Its bytes are no longer kept."
    assert v(3) not in crate_paths(answer())
    with pytest.raises(FileExistsError):
        write(answer(), tmp_path, NOW_NS, content)


def test_metadata_alone_describes_files_that_are_elsewhere() -> None:
    graph = json.loads(metadata(answer(), NOW_NS))["@graph"]
    files = [entity for entity in graph if entity["@type"] == "File"]
    assert {file["@id"] for file in files} == {f"#{each['id']}" for each in VERSIONS}


def test_no_file_is_written_outside_of_a_crate(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside"):
        write(answer(versions=[*VERSIONS, version(10, "../../evil")]), tmp_path, NOW_NS, content)
    assert not (tmp_path.parent / "evil").exists()
