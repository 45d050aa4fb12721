"""The house rules that no off-the-shelf tool holds, as tests.

Each rule is a row: what it forbids, what to do instead, where it does not apply, and a bad
example on which it must speak up. To allow one more place, add it to the row with its reason.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sysconfig
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ANYWHERE_ELSE = ("pfs/",)

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
DOCSTRING_LINES_MAX = 10
FORMAT_DOCSTRING_LINES_MAX = 80
# Lowered when a silenced warning goes, never raised without a reason in the commit.
SILENCED_MAX = 30

WORDS_NOT_USED = {"snapshot", "blob", "archive", "session", "utils", "helpers", "common", "manager"}
NAMES_NOT_FOR_MODULES_AND_CLASSES = {"data", "info", "block"}


@dataclass(frozen=True)
class Source:
    """One Python file: its path below the root, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def imported(self) -> dict[str, str]:
        """Local name → the dotted name it stands for."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    def mentions(self) -> Iterator[tuple[int, str]]:
        """(line, dotted name) of everything imported that is used, called or passed on."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute):
                dotted = self._dotted(node)
                if dotted is not None:
                    yield node.lineno, dotted

    def _dotted(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return self.imported.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None

    def docstrings(self) -> set[int]:
        """Identities of the constants that are docstrings."""
        owners = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        return {
            id(node.body[0].value)
            for node in ast.walk(self.tree)
            if isinstance(node, owners) and node.body and isinstance(node.body[0], ast.Expr)
        }


@dataclass(frozen=True)
class Forbidden:
    """Names that one place may use: (names, what to use instead, where they are allowed, bad example)."""

    names: str
    instead: str
    allowed: Sequence[str]
    bad: str
    within: Sequence[str] = field(default=ANYWHERE_ELSE)

    def findings(self, source: Source) -> Iterator[str]:
        if not source.path.startswith(tuple(self.within)) or source.path.startswith(tuple(self.allowed)):
            return
        forbidden = self.names.split()
        for line, dotted in source.mentions():
            if any(
                dotted == name or (name.endswith(".*") and dotted.startswith(name[:-1])) for name in forbidden
            ):
                yield f"{source.path}:{line}: {dotted}: {self.instead}"


FORBIDDEN = [
    Forbidden(
        "os.fsync os.fdatasync os.sync os.pwrite os.pwritev os.ftruncate os.truncate os.posix_fallocate",
        "use pfs.disk.Disk, the one seam for syncs and for faults",
        ["pfs/disk.py"],
        "import os\nrun(os.fsync, fd)",
    ),
    Forbidden(
        "os.rename os.replace os.unlink os.remove os.rmdir os.link shutil.rmtree shutil.move",
        "use pfs.disk.Disk, so that tests see the order of operations",
        [
            "pfs/disk.py",
            "pfs/control/server.py",  # its own socket, no file of the store
        ],
        "from os import replace\nreplace(a, b)",
    ),
    Forbidden(
        "os.write os.writev",
        "use pfs.disk.Disk.append, which loops over short writes",
        ["pfs/disk.py", "pfs/daemon/", "pfs/cli/"],  # pipes, no files of the store
        "import os as system\nsystem.write(fd, b'')",
    ),
    Forbidden(
        "time.time time.time_ns datetime.datetime.now datetime.datetime.utcnow datetime.date.today",
        "take a clock as an argument",
        ["pfs/cli/", "pfs/daemon/"],
        "from datetime import datetime\nnow = datetime.now()",
    ),
    Forbidden(
        "random.* os.urandom secrets.* uuid.uuid1 uuid.uuid4",
        "take randomness as an argument",
        ["pfs/cli/", "pfs/daemon/"],
        "import random\nrandom.random()",
    ),
    Forbidden(
        "os.environ os.environb os.getenv os.putenv",
        "take the setting as an argument",
        ["pfs/cli/", "pfs/daemon/"],
        "import os\nos.environ['HOME']",
    ),
    Forbidden(
        "subprocess.* os.system os.popen",
        "start programs from cli or daemon only",
        ["pfs/cli/", "pfs/daemon/"],
        "import subprocess\nsubprocess.run([])",
    ),
    Forbidden(
        "os.fork pty.fork", "never fork: LMDB and threads do not survive it", [], "import os\nos.fork()"
    ),
    Forbidden(
        "time.sleep",
        "wait for a condition",
        [],
        "import time\ntime.sleep(1)",
        within=["pfs/", "tests/", "scripts/"],
    ),
    Forbidden(
        "unittest.mock unittest.mock.*",
        "write a fake and test it",
        [],
        "from unittest import mock\nmock.Mock()",
        within=["pfs/", "tests/"],
    ),
    Forbidden("lmdb.*", "LMDB stands behind pfs.store", ["pfs/store/"], "import lmdb\nlmdb.open('x')"),
    Forbidden("blake3.*", "use pfs.objects.ids", ["pfs/objects/"], "import blake3\nblake3.blake3()"),
    Forbidden(
        "zstandard.*",
        "compression stands behind pfs.store",
        ["pfs/store/"],
        "import zstandard as z\nz.compress(b'')",
    ),
    Forbidden("pyfuse3.*", "FUSE stands behind pfs.fuse", ["pfs/fuse/"], "import pyfuse3\npyfuse3.main()"),
]


def proc_paths(source: Source) -> Iterator[str]:
    """`/proc/PID` can deadlock the daemon: one reader, in threads. `/proc/self` is harmless."""
    if not source.path.startswith("pfs/") or source.path.startswith(("pfs/daemon/", "pfs/lineage/reader")):
        return
    docstrings = source.docstrings()
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str | bytes)
            and id(node) not in docstrings
        ):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if text == "/proc" or (
                text.startswith("/proc/") and not text.startswith(("/proc/self/", "/proc/sys/"))
            ):
                yield f"{source.path}:{node.lineno}: {text!r}: only the daemon and the reader look there"


def module_docstring(source: Source) -> Iterator[str]:
    if not source.path.startswith("pfs/"):
        return
    text = ast.get_docstring(source.tree)
    if not text:
        yield f"{source.path}:1: no module docstring: what for, what it promises, what it leaves to others"
        return
    lines = len([line for line in text.splitlines() if line.strip()])
    is_format = re.search(r"\b(format|record|layout|grammar|protocol)\b", text, re.IGNORECASE) is not None
    limit = FORMAT_DOCSTRING_LINES_MAX if is_format else DOCSTRING_LINES_MAX
    if lines > limit:
        yield f"{source.path}:1: module docstring of {lines} lines (limit {limit})"


def long_file(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{source.path}: {lines} lines (limit {FILE_LINES_MAX}): is it still one thing?"


def long_function(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{source.path}:{node.lineno}: {node.name}: {lines} lines (limit {FUNCTION_LINES_MAX})"


def unfinished(source: Source) -> Iterator[str]:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    for number, line in enumerate(source.text.splitlines(), 1):
        if source.path != "tests/test_house.py" and marks.search(line):
            yield f"{source.path}:{number}: {line.strip()}: finish it or leave it out"


def words(source: Source) -> Iterator[str]:
    """Words that mean something else here, in the names that pfs itself gives."""
    if not source.path.startswith("pfs/"):
        return
    public = set(re.split(r"[/.]", source.path))
    for line, name in defined_names(source.tree):
        parts = {part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
        used = parts & WORDS_NOT_USED
        if name[:1].isupper() and not name.isupper():
            used |= parts & NAMES_NOT_FOR_MODULES_AND_CLASSES
        if used:
            yield f"{source.path}:{line}: {name}: the word {used.pop()} is not used here"
    for name in public & (WORDS_NOT_USED | NAMES_NOT_FOR_MODULES_AND_CLASSES):
        yield f"{source.path}: a module named {name} says nothing"


def defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from [(node.lineno, node.attr)] if ast.unparse(node.value) == "self" else []


# Each rule with a bad example that it must find: (rule, path of the example, its text).
RULES: list[tuple[Callable[[Source], Iterator[str]], str, str]] = [
    *((row.findings, f"{row.within[0]}vfs/bad.py", row.bad) for row in FORBIDDEN),
    (proc_paths, "pfs/vfs/bad.py", "open(f'/proc/{pid}/stat')"),
    (module_docstring, "pfs/bad.py", "import os"),
    (module_docstring, "pfs/bad.py", '"""' + "words\n" * 11 + '"""'),
    (long_file, "pfs/bad.py", "\n" * 501),
    (long_function, "pfs/bad.py", "def f():\n" + "    g()\n" * 70),
    (unfinished, "pfs/bad.py", "x = 1  # TODO: more"),
    (words, "pfs/bad.py", "def take_snapshot(): ..."),
    (words, "pfs/bad.py", "class PageInfo: ..."),
    (words, "pfs/utils.py", ""),
]


def sources(*folders: str) -> list[Source]:
    return [
        Source(str(path.relative_to(ROOT)), path.read_text())
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


@pytest.fixture(scope="module")
def everything() -> list[Source]:
    return sources("pfs", "tests", "scripts")


def unique_rules() -> list[Callable[[Source], Iterator[str]]]:
    return list(dict.fromkeys(rule for rule, _, _ in RULES))


@pytest.mark.parametrize("rule", unique_rules(), ids=lambda rule: getattr(rule, "__name__", "rule"))
def test_rule_is_kept(rule: Callable[[Source], Iterator[str]], everything: list[Source]) -> None:
    found = [finding for source in everything for finding in rule(source)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(("rule", "path", "text"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_rule_finds_its_bad_example(rule: Callable[[Source], Iterator[str]], path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


@pytest.mark.parametrize("row", FORBIDDEN, ids=lambda row: row.names.split()[0])
def test_forbidden_name_is_free_where_it_is_allowed(row: Forbidden) -> None:
    for place in row.allowed:
        path = place if place.endswith(".py") else f"{place}good.py"
        assert not list(row.findings(Source(path, row.bad)))


def silenced(all_sources: list[Source]) -> list[str]:
    mark = re.compile(r"#\s*(type: ignore|noqa)")
    return [
        f"{source.path}:{number}"
        for source in all_sources
        for number, line in enumerate(source.text.splitlines(), 1)
        if mark.search(line)
    ]


def test_silenced_warnings_only_get_fewer(everything: list[Source]) -> None:
    found = silenced([source for source in everything if source.path != "tests/test_house.py"])
    assert len(found) <= SILENCED_MAX, "\n".join(found)
    assert silenced([Source("pfs/bad.py", "x = 1  # " + "noqa")])


# Modules that are started or loaded by name, not imported.
ENTRY_POINTS = re.compile(r"pfs\.cli\.commands(\.\w+)?|.*\.__main__|pfs|pfs\._native")


def dead_modules(all_sources: list[Source]) -> set[str]:
    modules = {module_name(source.path): source for source in all_sources}
    alive: set[str] = set()
    for name, source in modules.items():
        for imported in source_imports(source):
            # `import a.b` runs a, too; and `from a import b` may name the module a.b.
            alive.update(part for part in prefixes(imported) if part != name)
    scripts = re.findall(r'"(pfs[\w.]*):', (ROOT / "pyproject.toml").read_text())
    return {
        name
        for name in modules
        if name not in alive and name not in scripts and not ENTRY_POINTS.fullmatch(name)
    }


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def prefixes(dotted: str) -> list[str]:
    parts = dotted.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def source_imports(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_is_dead() -> None:
    assert not dead_modules(sources("pfs"))
    alive_and_dead = [
        Source("pfs/a.py", "from pfs import b"),
        Source("pfs/b.py", ""),
        Source("pfs/cli/commands/c.py", "import pfs.a"),
        Source("pfs/dead.py", ""),
    ]
    assert dead_modules(alive_and_dead) == {"pfs.dead"}


STRICT = [
    "-std=c11",
    "-fsyntax-only",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-I",
    str(ROOT / "native"),
]


def compile_strictly(path: Path) -> str:
    # Python's own headers are not ours to mend: -isystem keeps their warnings out.
    headers = ["-isystem", sysconfig.get_path("include"), "-DPy_LIMITED_API=0x030B0000"]
    return subprocess.run(
        ["gcc", *STRICT, *headers, str(path)], capture_output=True, text=True, check=False
    ).stderr


def test_c_sources_compile_without_a_warning(tmp_path: Path) -> None:
    files = sorted((ROOT / "native").glob("*.c"))
    assert files
    assert not (found := "".join(compile_strictly(path) for path in files)), found
    bad = tmp_path / "bad.c"
    bad.write_text("int f(long x) { return x; }")
    assert "conversion" in compile_strictly(bad)


def stale_names(readme: str, commands: set[str]) -> set[str]:
    """Commands and files that a document names in code and that do not exist."""
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", readme, re.DOTALL))
    named = set(re.findall(r"(?:^|[`\s/(;&|])pfs ([a-z][a-z-]+)\b(?![./])", code, re.MULTILINE))
    paths = re.findall(r"(?<![\w/.~$-])(?:\./)?((?:scripts|pfs|tests|native|\.ci)/[\w./-]*\w)", code)
    return {f"pfs {name}" for name in named - commands} | {
        path for path in paths if not (ROOT / path).exists()
    }


def test_readme_names_only_what_exists() -> None:
    from pfs.cli import COMMANDS

    assert not stale_names((ROOT / "README.md").read_text(), {*COMMANDS, "help"})
    assert stale_names("`pfs fly` and `scripts/nothing`, ./scripts/setup", {"log"}) == {
        "pfs fly",
        "scripts/nothing",
    }


def test_version_and_entry_point_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "pfs-fs"
    assert project["scripts"] == {"pfs": "pfs.cli:main"}


def tracked_text() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 1 << 20:
            yield name, path.read_text(errors="replace")


def test_no_path_of_one_machine_is_tracked() -> None:
    machine = re.compile(r"(?<![\w.])/(work|farm)/(?!\))")
    found = [name for name, text in tracked_text() if name != "tests/test_house.py" and machine.search(text)]
    assert not found
