"""Files beyond the mount that command lines name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pfs.lineage.outside.mount_table import Mounts, MountTable
from pfs.lineage.outside.rules import OutsideRules, is_hidden
from pfs.lineage.outside.words import NAMED_MAX, WORDS_MAX, DescribeFiles, Named, file_names
from pfs.lineage.processes.raw_description import RawDescription


class Fake(Mounts):
    """Mounts as a test says; looks at everything else are real."""

    def __init__(self, untouchable: Sequence[Path] = ()) -> None:
        self.untouchable = frozenset(map(os.fsencode, untouchable))

    def table(self) -> MountTable:
        return MountTable({}, self.untouchable)


def describe(
    words: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path = Path("/"),
    exe: Path = Path("/usr/bin/tool"),
    fds: Sequence[tuple[int, bytes, int]] = (),
    untouchable: Sequence[Path] = (),
    devices: Sequence[int] = (),
    all_told: bool = False,
) -> list[Named]:
    """What a process was given."""
    found: dict[str, Any] = {
        "tgid": 1,
        "cmdline": b"".join(os.fsencode(word) + b"\0" for word in ["tool", *words]),
        "cwd": os.fsencode(cwd),
        "exe": os.fsencode(exe),
        "fds": list(fds),
    }
    reader = DescribeFiles(lambda pid: found, Fake(untouchable), lambda path: path.endswith(b".so"))
    reader.told_devices, reader.all_told = devices, all_told
    read = reader(1)
    assert read is not None
    assert msgspec.convert(read, RawDescription).named == tuple(map(tuple, read["named"]))
    return list(read["named"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "x.csv"
    made.write_text("some")
    return made


def named(path: Path, *, is_open: bool = False) -> Named:
    state = path.stat()
    return Named(os.fsencode(path), state.st_size, state.st_mtime_ns, is_open)


@pytest.mark.parametrize(
    "form", ["{}", "--data={}", "if={}", "@{}", "-f{}", "-f={}"], ids=lambda form: form.format("FILE")
)
def test_words_of_any_form(data: Path, form: str) -> None:
    assert describe(["-v", form.format(data), "nothing"]) == [named(data)]


def test_names_are_relative_to_the_directory_of_the_process(data: Path) -> None:
    assert describe(["x.csv"], cwd=data.parent) == [named(data)]
    assert describe(["../x.csv", "./../x.csv"], cwd=data.parent / "none") == [named(data)]


def test_what_is_no_file_and_what_is_left_out(data: Path, tmp_path: Path) -> None:
    library, program = tmp_path / "a.so", tmp_path / "program"
    for path in (library, program):
        path.write_text("x")
    os.mkfifo(tmp_path / "fifo")
    words = [
        str(tmp_path),
        str(library),
        f"{tmp_path}/fifo",
        str(program),
        f"{data}/below",
        "",
        "=",
        "-",
        "--",
    ]
    assert describe(words, exe=program) == []


def test_links_are_followed_to_the_real_path(data: Path, tmp_path: Path) -> None:
    (tmp_path / "directory").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to("directory/x.csv")
    (tmp_path / "circle").symlink_to("circle")
    assert describe([tmp_path / "link", tmp_path / "circle"]) == [named(data)]


def test_nothing_is_looked_at_below_an_untouchable_mount(data: Path, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "file").write_text("x")
    (tmp_path / "link").symlink_to("mount/file")
    words = [f"{mount}/file", f"{tmp_path}/link", f"{mount}/../x.csv"]
    assert len(describe(words)) == 2
    assert describe(words, untouchable=[mount]) == []
    # `..` out of the mount is known without a look at it
    assert describe(["../x.csv", "file"], cwd=mount, untouchable=[mount]) == [named(data)]


def test_standard_input_is_open(data: Path) -> None:
    path = os.fsencode(data)
    assert describe([data], fds=[(0, path, os.O_RDONLY)]) == [named(data, is_open=True)]
    assert describe([], fds=[(0, path, os.O_WRONLY)]) == []
    assert describe([], fds=[(1, path, os.O_WRONLY), (3, path, os.O_RDONLY)]) == []
    assert describe([], fds=[(0, b"pipe:[5]", os.O_RDONLY), (0, b"/dev/null", os.O_RDONLY)]) == []


def test_words_say_nothing_new_where_opens_are_told(data: Path) -> None:
    device = data.stat().st_dev
    assert describe([data], devices=[device]) == []
    fds = [(0, os.fsencode(data), os.O_RDONLY)]
    assert describe([], fds=fds, devices=[device]) == [named(data, is_open=True)]


def test_there_is_a_limit(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(WORDS_MAX + 10)]
    for path in paths:
        path.touch()
    assert len(describe(paths)) == NAMED_MAX
    assert describe(["no such file"] * WORDS_MAX + list(map(str, paths))) == []


def test_a_process_that_is_gone_has_no_files() -> None:
    assert DescribeFiles(lambda pid: None, Fake(), lambda path: False)(1) is None


def test_names_in_a_word() -> None:
    def names(word: bytes) -> Iterator[bytes]:
        return file_names(word)

    assert list(names(b"a=b")) == [b"a=b", b"b"]
    assert list(names(b"--flag=a")) == [b"a"]
    assert list(names(b"--flag")) == []
    assert list(names(b"-I/usr/include")) == [b"/usr/include"]
    assert list(names(b"x" * 5000)) == []


# rules


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/etc/passwd",
        "/home/u/venv/lib/python3.12/site-packages/numpy/__init__.py",
        "/opt/conda/lib/python3.11/os.py",
        "/home/u/venv/pyvenv.cfg",
        "/opt/tool/plugins/thing.so",
        "/opt/tool/plugins/libthing.so.1.2.3",
        "/home/u/.config/tool/settings",
        "/home/u/R/x86_64-pc-linux-gnu-library/4.3/dplyr/R/dplyr.rdb",
        "/home/u/project/.git/objects/aa/bb",
        "/home/u/project/node_modules/left-pad/index.js",
        "/home/u/.cache/matplotlib/fontlist.json",
        "/opt/tool/share/locale/de/LC_MESSAGES/tool.mo",
        "/dev/shm/sem.queue",
        "/tmp/hsperfdata_u/123",
    ],
)
def test_what_belongs_to_the_system_is_left_out(path: str) -> None:
    assert OutsideRules().leave_out(path.encode())


@pytest.mark.parametrize(
    "path",
    [
        "/data/x.csv",
        "/tmp/ccXYZ.s",
        "/usrdata/x",
        "/home/u/train.py",
        "/home/u/project/helpers/__pycache__/load.cpython-312.pyc",
        "/home/u/.cache/huggingface/hub/models--bert/blobs/0a1b",
        "/home/u/data/.git/annex/objects/aa/bb/key",
        "/home/u/.dvc/cache/files/md5/aa/bb",
        "/dev/shm/array",
        "/mnt/disk/lib/python/notes.txt",
        "/srv/sound.solo",
        "/opt/app/data/table.parquet",
    ],
)
def test_what_belongs_to_people_stays_in(path: str) -> None:
    assert not OutsideRules().leave_out(path.encode())


def test_rules_can_be_set() -> None:
    rules = OutsideRules(prefixes=[b"/sys"], kept=[b"/sys/kept"], within=[b"vendor"], named=[rb".*\.lock"])
    assert rules.leave_out(b"/sys/x")
    assert not rules.leave_out(b"/sys/kept/x")
    assert rules.leave_out(b"/a/vendor/x")
    assert rules.leave_out(b"/a/x.lock")
    assert not rules.leave_out(b"/usr/lib/x.so")
    ours = rules.and_also(b"/sys/kept/store", b"/mnt")
    assert ours.leave_out(b"/sys/kept/store/x")
    assert ours.leave_out(b"/mnt/x")
    assert not ours.leave_out(b"/sys/kept/x")


def test_a_store_in_memory_is_left_out() -> None:
    rules = OutsideRules().and_also(b"/dev/shm/store")
    assert rules.leave_out(b"/dev/shm/store/packs/1")
    assert not rules.leave_out(b"/dev/shm/other")


def test_hidden_names() -> None:
    assert is_hidden(b"/home/u/.bashrc")
    assert not is_hidden(b"/home/u/.cache/x")


def test_words_are_not_looked_at_where_all_openings_are_told(data: Path) -> None:
    standard_input = (0, os.fsencode(data), os.O_RDONLY)
    found = describe([data], fds=[standard_input], all_told=True)
    assert [(named.path, named.is_open) for named in found] == [(os.fsencode(data), True)]
    assert describe([data], all_told=True) == []
