"""The C files that read and hear of processes: no warning, no Python, nothing for the sanitizers to find."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
KERNELS = [NATIVE / "proc.c", NATIVE / "connector.c", NATIVE / "request.c"]
DRIVER = Path(__file__).with_name("processes_driver.c")
STRICT = ["-std=gnu11", "-O3", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SECONDS = 60


def compile_c(*arguments: str | Path) -> None:
    compiler = shutil.which("cc")
    assert compiler is not None, "the tests compile C: install gcc (scripts/setup does)"
    done = subprocess.run([compiler, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.name)
def test_kernels_compile_without_a_warning_and_know_no_python(source: Path, tmp_path: Path) -> None:
    compile_c(*STRICT, "-c", source, "-o", tmp_path / "object.o")
    for path in (source, source.with_suffix(".h")):
        assert "Python.h" not in path.read_text()


def test_binding_compiles_without_a_warning(tmp_path: Path) -> None:
    headers = [f"-isystem{sysconfig.get_paths()['include']}", "-DPy_LIMITED_API=0x030B0000"]
    compile_c(*STRICT, "-fPIC", *headers, "-c", NATIVE / "bind_processes.c", "-o", tmp_path / "object.o")


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    program = tmp_path / "driver"
    compile_c(*STRICT, *SANITIZERS, f"-I{NATIVE}", *KERNELS[:2], DRIVER, "-o", program)
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["read 1", "heard 1", "parsed 1", ""]
