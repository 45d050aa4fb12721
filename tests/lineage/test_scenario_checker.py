"""The checker of real-program scenarios finds what is missing, extra or wrong in made-up answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lineage.answers import answer, p, process, v, version
from tests.mounted.lineage_scenarios.checker import HEAD, Row, check_one, matches, table
from tests.mounted.lineage_scenarios.scenario import At, Made, made

AT = At(Path("/mnt/repo"), "tee-0", Path("/tmp/outside"))
PREPARE = ["python", "-m", "scenarios", "prepare", "tee"]


def file(number: int, path: str, **fields: Any) -> dict[str, Any]:
    return version(number, f"tee-0/{path}", **fields)


def used(who: int, what: int, level: str = "observed") -> dict[str, Any]:
    return {"kind": "used", "process": p(who), "version": v(what), "level": level}


def generated(what: int, who: int, **fields: Any) -> dict[str, Any]:
    return {"kind": "generated", "version": v(what), "process": p(who), "level": "observed", **fields}


def informed(who: int, by: int, level: str = "observed") -> dict[str, Any]:
    return {"kind": "informed", "process": p(who), "by": p(by), "level": level}


def revised(what: int, of: int) -> dict[str, Any]:
    return {"kind": "revised", "version": v(what), "of": v(of)}


# `sort in.txt | cut > out.txt`, in.txt laid down by the preparation.
PIPE = answer(
    root=v(2),
    versions=[file(1, "in.txt"), file(2, "out.txt"), version(3, "/tmp/x", repo=""), file(4, "other.txt")],
    processes=[process(1, ["sort", "in.txt"]), process(2, ["cut", "-f1"]), process(9, PREPARE)],
    jobs=[],
    edges=[used(1, 1), informed(2, 1), generated(2, 2), generated(1, 9)],
)


def judge(expected: Made, document: dict[str, Any] = PIPE, *more: dict[str, Any]) -> Row:
    return check_one(AT, expected, {**document, "edges": [*document["edges"], *more]})


def test_what_is_as_expected_holds() -> None:
    row = judge(made("out.txt", {"in.txt": PREPARE}, ["cut", "-f1"]))
    assert row.holds
    assert (row.expected, row.found, row.argv_expected, row.argv_exact, row.weaker) == (1, 1, 1, 1, 0)


@pytest.mark.parametrize(
    ("expected", "more", "finds"),
    [
        (made("out.txt", {"in.txt", "bad.txt"}, ["cut", "-f1"]), [], "missing: bad.txt"),
        (made("out.txt", {"in.txt", "bad*"}, ["cut", "-f1"]), [], "missing: bad*"),
        (made("out.txt", {"in.txt"}, ["cut", "-f1"]), [used(1, 4)], "extra: other.txt"),
        (made("out.txt", {"in.txt"}, ["cut", "-f1"]), [revised(2, 4)], "extra: other.txt"),
        (made("out.txt", {"in.txt"}, ["cut", "-f2"]), [], "no writer is ['cut', '-f2']"),
        (made("out.txt", {"in.txt"}, ["cut", "-f1"]), [generated(2, 1)], "['sort', 'in.txt'] is a writer"),
        (made("out.txt", {"in.txt"}), [], "['cut', '-f1'] is a writer"),
        (made("out.txt", {"in.txt": ["sort"]}, ["cut", "-f1"]), [], "not by ['sort']"),
        (made("out.txt", {"in.txt"}, ["cut", "-f1"], states={"in.txt": 2}), [], "1 versions of in.txt"),
        (made("out.txt", {"in.txt"}, ["cut", "-f1"], flag="mmap"), [], "not flagged mmap"),
        (made("out.txt", {"in.txt"}, ["cut", "-f1"], outside=["/tmp/y"]), [used(1, 3)], "missing: /tmp/y"),
    ],
)
def test_what_is_wrong_is_found(expected: Made, more: list[dict[str, Any]], finds: str) -> None:
    row = judge(expected, PIPE, *more)
    assert not row.holds
    assert any(finds in finding for finding in row.findings), row.findings


def test_what_may_be_there_is_not_extra() -> None:
    assert judge(made("out.txt", {"in.txt"}, ["cut", "-f1"], may=["oth*"]), PIPE, used(1, 4)).holds


def test_a_gap_is_allowed_only_where_the_answer_says_so() -> None:
    expected = made("out.txt", {"in.txt", "bad.txt"}, ["cut", "-f1"], gap=True)
    complete = {"headline": "complete inside pfs", "unobserved_channels": []}
    assert not judge(expected, {**PIPE, "coverage": complete}).holds
    for coverage in (
        {"headline": "1 unobserved channel (socket)", "unobserved_channels": []},
        {"headline": "complete inside pfs", "unobserved_channels": ["socket of pid 7"]},
    ):
        row = judge(expected, {**PIPE, "coverage": coverage})
        assert row.holds
        assert (row.found, row.flagged) == (1, ("bad.txt",))


def test_what_passed_through_files_outside_counts() -> None:
    """The compiler reads, writes outside; the assembler takes it from there."""
    edges = [generated(2, 2), used(2, 3), generated(3, 1), used(1, 1)]
    row = judge(made("out.txt", {"in.txt"}, ["cut", "-f1"], outside=["/tmp/x"]), {**PIPE, "edges": edges})
    assert row.holds
    assert row.found == 2


def test_a_chain_ends_where_the_preparation_began_it() -> None:
    """Two processes append to a log; both wrote it, and what both had read went in."""
    document = answer(
        root=v(3),
        versions=[file(number, "log") for number in (1, 2, 3)] + [file(4, "a"), file(5, "b")],
        processes=[process(1, ["one"]), process(2, ["two"]), process(9, PREPARE)],
        jobs=[],
        edges=[
            generated(1, 9),
            *(generated(2, 1), revised(2, 1), used(1, 4)),
            *(generated(3, 2), revised(3, 2), used(2, 5)),
        ],
    )
    assert judge(
        made("log", {"log", "a", "b"}, ["one"], ["two"], states={"log": 2}, chain=True), document
    ).holds
    assert judge(made("log", {"log", "b"}, ["two"], states={"log": 1}), document).holds


def test_weaker_edges_are_counted() -> None:
    edges = [used(1, 1, "argument"), informed(2, 1, "inferred"), generated(2, 2)]
    row = judge(made("out.txt", {"in.txt"}, ["cut", "-f1"]), {**PIPE, "edges": edges})
    assert (row.holds, row.weaker) == (True, 2)


@pytest.mark.parametrize(
    ("argv", "pattern", "is_so"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a", "b", "c"], ["a", "b"], False),
        (["a", "b", "c"], ["a", "..."], True),
        (["/usr/bin/as", "x"], ["*as", "x"], True),
        (["b*"], ["b*"], True),
        (["[ab]"], ["[ab]"], True),
        (["a"], ["[ab]"], False),
        ([], ["a", "..."], False),
    ],
)
def test_command_lines_match_word_by_word(argv: list[str], pattern: list[str], is_so: bool) -> None:
    assert matches(argv, pattern) is is_so


def test_the_table_has_a_line_for_each_row() -> None:
    lines = table([judge(made("out.txt", {"in.txt"}, ["cut", "-f1"]))] * 2).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")] == HEAD
    assert [cell.strip() for cell in lines[1].split("|")] == ["out.txt", "1", "1", "0", "0", "1/1", ""]
    assert len(lines) == 3
