"""The C files of the closure on their own: nothing for the sanitizers to find, whatever the blocks hold."""

from __future__ import annotations

import random
import shutil
import subprocess
from array import array
from pathlib import Path

import pytest

from pfs.disk import Disk
from pfs.lineage.index.database import open_index
from pfs.lineage.index.graph import FORWARD, INVERSE, NODES, Graph, block_key
from tests.lineage.lives import long_life

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "native" / name for name in ("closure.c", "closure_up.c", "closure_down.c")]
DRIVER = Path(__file__).with_name("closure_driver.c")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ROUNDS = 20_000


def blocks_of(graph: Graph) -> array[int]:
    """All blocks, as the driver reads them."""
    words = array("I")
    for number, kind in enumerate((NODES, FORWARD, INVERSE)):
        block = 0
        while data := graph.get(block_key(kind, block)):
            words.extend((number, block, len(data) // 4))
            words.frombytes(data)
            block += 1
    return words


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    assert compiler is not None, "the tests compile C: install gcc (scripts/setup does)"
    program = tmp_path_factory.mktemp("driver") / "driver"
    files: list[str | Path] = [f"-I{ROOT / 'native'}", *SOURCES, DRIVER, "-o", program]
    subprocess.run([compiler, *STRICT, *SANITIZERS, *files], check=True)
    return program


@pytest.mark.parametrize(("slices", "seed"), [(4, 1), (10, 2), (14, 12)])
def test_no_blocks_lead_astray(driver: Path, tmp_path: Path, slices: int, seed: int) -> None:
    index, _ = open_index(Disk(), tmp_path / "lineage.lmdb")
    story, _, outputs = long_life(index, slices, random.Random(seed))
    roots = [outputs[-1], outputs[0], *list(story.source.versions_by_id)[:5]]
    with index.graph() as graph:
        numbers = [graph.find(b"v", root) for root in roots]
        facts = array("I", [len(numbers), *numbers]) + blocks_of(graph)
    index.close()
    file = tmp_path / "blocks"
    file.write_bytes(facts.tobytes())
    done = subprocess.run(
        [driver, file, str(ROUNDS)], capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    # Most changes hit what does no harm to the walk, or is not met.
    assert ROUNDS // 4 < int(done.stdout) < ROUNDS
