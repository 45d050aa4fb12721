"""CPython's own tests of the file system, on a mount and beside it on the local disk: they have to agree.

Known differences would stand in DIFFERENCES, each with its reason and a line among the limits in the
README; there are none.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.mounted.mounting import Mount, output, run, start

MODULES = ["os", "shutil", "tempfile", "mmap", "fcntl", "posix", "zipfile", "tarfile"]
SECONDS = 220  # below the life of the daemon

# These repeat the tests of others with another compression or filter; `scripts/accept mount` runs them all.
IGNORED = ["*Bz2*", "*bz2*", "*LZMA*", "*lzma*", "*Lzma*"]
IGNORED += [f"*NoneInfoExtractTests_{name}*" for name in ("Tar", "Data", "FullyTrusted")]

DIFFERENCES: dict[str, str] = {}


def command(module: str, temporary: Path, report: Path) -> list[str]:
    words = ["-m", "test", "--tempdir", str(temporary), "--junit-xml", str(report)]
    ignored = [word for pattern in IGNORED for word in ("--ignore", pattern)]
    return [sys.executable, *words, *ignored, f"test_{module}"]


def outcomes(report: Path) -> dict[str, str]:
    """Name of each case → "success", "skipped", "failure" or "error"."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"skipped", "failure", "error"}
        found[str(case.get("name"))] = kinds.pop() if kinds else "success"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_what_passes_on_the_local_disk_passes_here(
    mount: Mount, repo: Path, tmp_path: Path, module: str
) -> None:
    if importlib.util.find_spec(f"test.test_{module}") is None:
        pytest.fail("this Python comes without its tests; Debian has them in libpython3-testsuite")
    here, there = mount.base / "mount.xml", mount.base / "local.xml"
    local = start(
        *command(module, tmp_path, there), stdout=-1, stderr=-2, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    done = run(*command(module, repo, here), check=False, seconds=SECONDS, environment={"TMPDIR": str(repo)})
    said = local.communicate(timeout=SECONDS)[0].decode(errors="replace")
    assert here.exists(), output(done)
    assert there.exists(), said
    expected, found = outcomes(there), outcomes(here)
    assert len(expected) > 5
    differences = {
        name: f"{expected.get(name)} on the local disk, {found.get(name)} here"
        for name in expected.keys() | found.keys()
        if expected.get(name) != found.get(name) and name not in DIFFERENCES
    }
    assert not differences, output(done)
    mount.commit(repo)
