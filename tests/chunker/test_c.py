"""The C files on their own: no warning, no Python in the kernels, nothing for the sanitizers to find."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
KERNELS = [NATIVE / "chunker.c", NATIVE / "chunker_avx2.c"]
DRIVER = Path(__file__).with_name("driver.c")
STRICT = ["-std=gnu11", "-O3", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
PORTABLE = ["-DPFS_PORTABLE"]


def compiler() -> str:
    found = shutil.which("cc")
    assert found is not None, "the tests compile C: install gcc (scripts/setup does)"
    return found


def compile_c(*arguments: str | Path) -> None:
    done = subprocess.run([compiler(), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_driver(directory: Path, *flags: str) -> str:
    program = directory / "driver"
    compile_c(*STRICT, *flags, f"-I{NATIVE}", *KERNELS, DRIVER, "-o", program)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("flags", [[], PORTABLE], ids=["here", "elsewhere"])
@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.name)
def test_kernels_compile_without_a_warning(source: Path, flags: list[str], tmp_path: Path) -> None:
    compile_c(*STRICT, *flags, "-c", source, "-o", tmp_path / "object.o")


def test_binding_compiles_without_a_warning(tmp_path: Path) -> None:
    include = sysconfig.get_paths()["include"]
    defines = ["-DPy_LIMITED_API=0x030B0000", "-D_GNU_SOURCE=1"]
    compile_c(
        *STRICT,
        *defines,
        "-fPIC",
        f"-isystem{include}",
        "-c",
        NATIVE / "module.c",
        "-o",
        tmp_path / "module.o",
    )


def test_kernels_know_no_python() -> None:
    for path in [*KERNELS, NATIVE / "chunker.h"]:
        assert "Python.h" not in path.read_text()


def test_every_build_gives_the_same_cut_points_and_sanitizers_find_nothing(tmp_path: Path) -> None:
    sanitized = run_driver(tmp_path, *SANITIZERS)
    assert sanitized == run_driver(tmp_path) == run_driver(tmp_path, *PORTABLE)
