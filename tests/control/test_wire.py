"""Errors and lines survive the trip over the socket."""

from __future__ import annotations

import errno
import os

import pytest

from pfs import errors
from pfs.control import wire
from pfs.errors import PfsError

EXAMPLES = [
    errors.UsageError("bad name"),
    errors.NotFound("proj@mian: no such branch", hint="did you mean main?"),
    errors.UnsupportedFormat("/store", "9", "1", "2.0"),
    errors.CorruptObject(b"\x01" * 32, "00000001.pack"),
    errors.MissingObject(b"\x01" * 32),
    errors.NoDaemon("nobody there"),
    wire.InternalError("a defect"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.kind)
def test_error_keeps_class_message_hint_and_code(error: PfsError) -> None:
    document = wire.decode_line(wire.encode_line(wire.error_document(error)))
    copy = wire.error_from_document(document)
    assert type(copy) is type(error)
    assert (str(copy), copy.hint, copy.exit_code) == (str(error), error.hint, error.exit_code)


def test_subclass_of_the_same_kind_comes_back_as_its_base() -> None:
    class Refined(errors.NotFound):
        @property
        def hint(self) -> str:  # type: ignore[override]
            return "made late"

    copy = wire.error_from_document(wire.error_document(Refined("gone")))
    assert (type(copy), copy.hint) == (errors.NotFound, "made late")


def test_error_of_a_kind_not_known_here_keeps_its_exit_code() -> None:
    copy = wire.error_from_document({"kind": "quota", "message": "full", "hint": None, "exit_code": 9})
    assert (copy.kind, copy.exit_code, str(copy)) == ("quota", 9, "full")
    assert PfsError.exit_code == 1


@pytest.mark.parametrize("line", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_line_that_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(wire.ProtocolError):
        wire.decode_line(line)


def test_any_file_name_survives() -> None:
    name = bytes(range(1, 256))
    line = wire.encode_line({"name": os.fsdecode(name)})
    assert line.count(b"\n") == 1
    assert os.fsencode(wire.decode_line(line)["name"]) == name


@pytest.mark.parametrize(
    ("number", "cls"),
    [
        (errno.ENOSPC, errors.NoSpace),
        (errno.EROFS, errors.ReadOnly),
        (errno.EACCES, errors.Denied),
        (errno.ENOENT, errors.NotFound),
        (errno.EIO, PfsError),
    ],
)
def test_system_errors_keep_their_meaning(number: int, cls: type[PfsError]) -> None:
    error = wire.as_pfs_error(OSError(number, os.strerror(number), "/some/file"))
    assert type(error) is cls
    assert error.message == f"/some/file: {os.strerror(number)}"


def test_unexpected_exception_is_internal() -> None:
    assert isinstance(wire.as_pfs_error(ZeroDivisionError("x")), wire.InternalError)


def test_group_of_one_is_its_one_error() -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [errors.Busy("held")])])
    assert isinstance(wire.as_pfs_error(group), errors.Busy)
