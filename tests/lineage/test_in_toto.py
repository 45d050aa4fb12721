"""in-toto links, taken and verified by in-toto itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from in_toto.exceptions import RuleVerificationError
from in_toto.models.layout import Inspection, Layout, Step
from in_toto.models.metadata import Metablock, Metadata
from in_toto.verifylib import in_toto_verify
from securesystemslib.signer import CryptoSigner

from pfs.lineage.render.in_toto import Link, in_toto_links
from tests.lineage.answers import (
    EDGES,
    JOBS,
    PROCESSES,
    SHOWN_ODD_PATH,
    VERSIONS,
    answer,
    content,
    p,
    process,
    v,
)

# in-toto's own use of pathspec.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")


def sha256(version_id: str) -> str:
    return hashlib.sha256(b"".join(content(version_id) or ())).hexdigest()


def signed(link: Link) -> Any:
    return json.loads(link.text)["signed"]


def test_in_toto_takes_each_link() -> None:
    links = in_toto_links(answer(), content)
    assert [link.file_name for link in links] == [
        f"sort-j-{1:016x}.link",
        f"sh-j-{2:016x}.link",
        f"tail-p-{5:016x}.link",
    ]
    for link in links:
        metadata_object = Metadata.from_dict(json.loads(link.text))
        metadata_object.validate()
        assert metadata_object.get_payload().type_ == "link"


def test_links_have_what_went_in_and_out_by_sha256() -> None:
    sort, train, tail = map(signed, in_toto_links(answer(), content))
    assert sort["command"] == ["sort", "-u", "raw.csv", "|", "cut", "-f1-9", ">", "data/clean.csv"]
    assert sort["materials"] == {"proj/raw.csv": {"sha256": sha256(v(1))}}
    assert sort["products"] == {"proj/data/clean.csv": {"sha256": sha256(v(2))}}
    assert sort["byproducts"] == {"return-value": 0}
    assert train["materials"] == {
        "proj/data/clean.csv": {"sha256": sha256(v(2))},
        "/data/prices.csv": {"sha256": sha256(v(7))},
        "proj/bin/python": {"sha256": sha256(v(9))},
        f"proj/{SHOWN_ODD_PATH}": {"sha256": sha256(v(8))},
        "proj/state.db": {"sha256": sha256(v(5))},
    }
    assert train["products"] == {
        "proj/state.db": {"sha256": sha256(v(6))},
        "proj/model.pkl": {"sha256": sha256(v(4))},
    }
    assert train["byproducts"]["not-readable"] == ["proj/train.py"]
    assert train["byproducts"]["not-observed"]["/data/prices.csv"] == "argument"
    assert train["environment"]["content-ids"]["products"] == {
        "proj/state.db": VERSIONS[5]["content"],
        "proj/model.pkl": VERSIONS[3]["content"],
    }
    assert "return-value" not in tail["byproducts"]


def test_each_version_is_read_once() -> None:
    asked: list[str] = []

    def read_version(version_id: str) -> list[bytes] | None:
        asked.append(version_id)
        return content(version_id)

    in_toto_links(answer(), read_version)
    assert len(asked) == len(set(asked))
    assert v(3) not in asked


def verify_chain(directory: Path, links: list[Link], product: bytes) -> None:
    """Sign links, lay down the final product, and let in-toto decide whether the chain of hashes holds."""
    signer = CryptoSigner.generate_ed25519()
    key = signer.public_key.to_dict() | {"keyid": signer.public_key.keyid}
    layout = Layout(expires="2999-01-01T00:00:00Z", keys={signer.public_key.keyid: key})
    first, second = (signed(link) for link in links)
    for step, rules in (
        (first, [["ALLOW", "proj/raw.csv"], ["DISALLOW", "*"]]),
        (
            second,
            [["MATCH", "proj/data/clean.csv", "WITH", "PRODUCTS", "FROM", first["name"]], ["DISALLOW", "*"]],
        ),
    ):
        layout.steps.append(
            Step(
                name=step["name"],
                pubkeys=[signer.public_key.keyid],
                threshold=1,
                expected_materials=rules,
                expected_command=step["command"],
            )
        )
    match = ["MATCH", "model.pkl", "WITH", "PRODUCTS", "IN", "proj", "FROM", second["name"]]
    layout.inspect.append(Inspection(name="look", run=["true"], expected_materials=[match]))
    for link in links:
        block = Metablock.from_dict(json.loads(link.text))
        block.create_signature(signer)
        name = link.file_name.removesuffix(".link")
        block.dump(str(directory / f"{name}.{signer.public_key.keyid:.8}.link"))
    (directory / "model.pkl").write_bytes(product)
    root = Metablock(signed=layout)
    root.create_signature(signer)
    in_toto_verify(root, {signer.public_key.keyid: key}, link_dir_path=str(directory))


def test_in_toto_verifies_a_chain_of_our_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    steps = answer(
        versions=[VERSIONS[0], VERSIONS[1], VERSIONS[3]],
        processes=[PROCESSES[0], PROCESSES[1], process(4, ["python", "-m", "train"])],
        jobs=JOBS[:1],
        edges=[
            *EDGES[:3],
            {"kind": "used", "process": p(4), "version": v(2), "level": "observed"},
            {"kind": "generated", "version": v(4), "process": p(4), "level": "observed"},
        ],
    )
    links = in_toto_links(steps, content)
    verify_chain(tmp_path, links, b"".join(content(v(4)) or ()))
    other = in_toto_links(steps, lambda version_id: [version_id.upper().encode()])
    with pytest.raises(RuleVerificationError, match=r"clean\.csv"):
        verify_chain(tmp_path, [links[0], other[1]], b"".join(content(v(4)) or ()))
