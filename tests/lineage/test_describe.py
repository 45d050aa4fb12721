"""What is stored of a process, out of what one look into /proc found."""

from __future__ import annotations

import os

import msgspec
import pytest

from pfs.lineage.facts import Activity, ActivityKey, activity_id
from pfs.lineage.processes.describe import CMDLINE_LENGTH_MAX, activity, arguments
from pfs.lineage.processes.image import Image
from pfs.lineage.processes.raw_description import RawDescription
from pfs.lineage.redaction.secrets import Redactor

KEY = ActivityKey(bytes(16), 4461, 77, 2)
REDACTOR = Redactor(b"k" * 32)
PYTHON = RawDescription(
    tgid=4461,
    ppid=4400,
    uid=1000,
    gid=1000,
    sid=4400,
    group=4461,
    tty_nr=34816,
    comm=b"python3",
    cmdline=b"python3\0train.py\0--token\0hunter2zZ\0",
    exe=b"/usr/bin/python3.11",
    cwd=b"/home/a/pfs/proj",
    environ=b"SEED=7\0HOME=/home/a\0API_TOKEN=hunter2zZ\0LC_ALL=C",
    cgroup=b"0::/user.slice/user-1000.slice\n",
    pid_namespace=4026531836,
    fds=(
        (0, b"/dev/pts/3", os.O_RDWR),
        (1, b"/home/a/pfs/proj/out.txt", os.O_WRONLY | os.O_CREAT),
        (2, b"pipe:[8123]", os.O_WRONLY),
        (5, b"/home/a/pfs/proj/data.csv", 0),
        (6, b"pipe:[9000]", os.O_RDONLY),
    ),
)


def described(
    raw: RawDescription | None, parent: Image | None = None, **facts: object
) -> tuple[Activity, bool]:
    image = Image(4461, parent=parent, started_ns=123)
    image.adopted_key = KEY
    image.description = raw
    for name, fact in facts.items():
        setattr(image, name, fact)
    return activity(image, 99, "node7", {1000: "alice", 0: "root"}.get, REDACTOR)


def changed(**facts: object) -> Activity:
    return described(msgspec.structs.replace(PYTHON, **facts))[0]


def test_everything_that_is_stored() -> None:
    made, pins = described(PYTHON)
    assert pins
    assert made == Activity(
        id=activity_id(KEY),
        key=KEY,
        parent=99,
        argv=(b"python3", b"train.py", b"--token", REDACTOR.mark(b"hunter2zZ")),
        exe=b"/usr/bin/python3.11",
        cwd=b"/home/a/pfs/proj",
        environment=((b"HOME", b"/home/a"), (b"SEED", b"7")),
        uid=1000,
        user="alice",
        host="node7",
        cgroup=b"/user.slice/user-1000.slice",
        pid_namespace=4026531836,
        sid=4400,
        group=4461,
        terminal=True,
        pipes=((2, 8123, True), (6, 9000, False)),
        files=((1, b"/home/a/pfs/proj/out.txt", True),),
        started_ns=123,
        interactive=False,
        reason="",
    )


def test_no_secret_is_anywhere_in_it() -> None:
    assert b"hunter2" not in msgspec.msgpack.encode(described(PYTHON)[0])


def test_what_was_not_described_says_so() -> None:
    made, pins = described(None, uid=0)
    assert (made.reason, made.uid, made.user, made.argv, made.id) == (
        "not described",
        0,
        "root",
        (),
        activity_id(KEY),
    )
    assert pins
    assert (
        described(None, uid=0, reason="outside of our pid namespace")[0].reason
        == "outside of our pid namespace"
    )


def test_parts_that_could_not_be_read_are_named() -> None:
    made = changed(exe=b"", environ=b"", failed=("exe", "environ"))
    assert made.reason == "could not read exe, environ"
    assert made.argv[:2] == (b"python3", b"train.py")
    assert described(PYTHON, reason="late")[0].reason == "late"


def test_deleted_program_and_directory_keep_their_names() -> None:
    made = changed(exe=b"/opt/run (deleted)", cwd=b"/tmp/x (deleted)")
    assert (made.exe, made.cwd) == (b"/opt/run", b"/tmp/x")


@pytest.mark.parametrize(
    ("cmdline", "expected"),
    [
        (b"a\0b\0", [b"a", b"b"]),
        (b"a\0\0", [b"a", b""]),
        (b"a\0\0\0\0", [b"a", b"", b"", b""]),
        (b"", []),
        (b"nginx: worker process", [b"nginx: worker process"]),
        (b"sshd: alice" + b"\0" * 200, [b"sshd: alice"]),
        (b"\0" * 200, []),
    ],
)
def test_arguments(cmdline: bytes, expected: list[bytes]) -> None:
    assert arguments(cmdline) == expected


def test_last_argument_of_a_cut_command_line_goes() -> None:
    whole = b"a\0" + b"x" * (CMDLINE_LENGTH_MAX - 10) + b"\0hunter2"
    assert len(whole) == CMDLINE_LENGTH_MAX
    assert arguments(whole)[2:] == ["‹cut›".encode()]
    assert arguments(whole[1:])[2:] == [b"hunter2"]
    assert arguments(whole[:-1] + b"\0")[2:] == [b"hunter"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"0::/user.slice/a.scope\n", b"/user.slice/a.scope"),
        (b"12:cpu:/docker/9f86\n1:name=systemd:/docker/9f86\n0::/\n", b"/"),
        (b"12:cpu:/docker/9f86\n1:name=systemd:/docker/9f86\n", b"/docker/9f86"),
        (b"", b""),
    ],
)
def test_cgroup(text: bytes, expected: bytes) -> None:
    assert changed(cgroup=text).cgroup == expected


def test_terminals_and_devices_are_no_redirections_and_sockets_read_from_are() -> None:
    made = changed(
        fds=(
            (0, b"socket:[77]", os.O_RDWR),
            (1, b"/dev/null", os.O_WRONLY),
            (2, b"socket:[78]", os.O_RDWR),
            (7, b"socket:[79]", os.O_RDWR),
            (9, b"anon_inode:[eventfd]", os.O_RDWR),
        )
    )
    assert made.files == ((0, b"socket:", True), (7, b"socket:", True))
    assert made.pipes == ()


def test_pipe_with_both_ends_here_tells_nobody_anything() -> None:
    made = changed(
        fds=((0, b"pipe:[1]", os.O_RDONLY), (3, b"pipe:[2]", os.O_RDONLY), (4, b"pipe:[2]", os.O_WRONLY))
    )
    assert made.pipes == ((0, 1, False),)


def test_standard_input_of_a_job_of_make_is_no_pipe() -> None:
    make = Image(4400)
    make.adopted_key = KEY
    make.description = msgspec.structs.replace(PYTHON, exe=b"/usr/bin/make")
    fds = ((0, b"pipe:[1]", os.O_RDONLY), (1, b"pipe:[2]", os.O_WRONLY))
    assert described(msgspec.structs.replace(PYTHON, fds=fds), parent=make)[0].pipes == ((1, 2, True),)


def test_shell_is_interactive_where_it_reads_a_terminal() -> None:
    bash = {"exe": b"/usr/bin/bash", "cmdline": b"bash\0"}
    assert changed(**bash).interactive
    # `generate | bash` at a terminal: the commands come from elsewhere.
    assert not changed(**bash, fds=((0, b"pipe:[1]", os.O_RDONLY),)).interactive
    assert not changed(**bash, fds=((1, b"/dev/pts/3", os.O_RDWR),)).interactive
    # Where the descriptors could not be read, that there is a terminal must do.
    assert changed(**bash, fds=(), failed=("fds",)).interactive
    assert not changed(**bash, fds=(), failed=("fds",), tty_nr=0).interactive


def test_what_an_indexer_reads_is_not_kept() -> None:
    raw = msgspec.structs.replace(PYTHON, exe=b"/usr/sbin/updatedb.plocate", cmdline=b"updatedb\0")
    assert described(raw)[1] is False
