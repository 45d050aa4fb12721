"""Which thread a READ or WRITE comes from: libfuse knows, pyfuse3 does not pass it on.

`current` is right from the moment a read or write handler is called until it first waits: pyfuse3 makes the
handler's coroutine and steps into it at once, in one task, with nothing in between; so read it first.
It is 0 where the kernel does not say (write-back, stores through mmap) and without `install`.
Depends on the layout of a class inside pyfuse3: only versions that were looked at, compared by length and
argument names, and tried out at the first GETATTR.  There is one pyfuse3 a process, so this is module state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pyfuse3

from pfs import _native

LAYOUTS: Final = ("3.4.", "3.5.")  # of pyfuse3, whose class _Container was looked at
_ARGUMENTS: Final = {
    "fuse_read_async": ("c",),
    "fuse_write_async": ("c", "pbuf"),
    "fuse_write_buf_async": ("c", "buf"),
    "fuse_getattr_async": ("c",),
}

Coroutine = Awaitable[None]

current: int = 0
verified: bool | None = None  # what the first GETATTR said; None: not asked yet

_pyfuse3: Any = pyfuse3  # with what its type stub leaves out
_originals: dict[str, Callable[..., Coroutine]] = {}


def install(operations: pyfuse3.Operations | None = None) -> bool:
    """Have `current` set from now on; before or after pyfuse3.init.  False: `current` stays 0.

    With `operations` the first GETATTR, whose pid pyfuse3 does tell, is compared; where it differs everything
    is put back.
    """
    global verified
    if _originals:
        return True
    if not _is_known():
        return False
    _originals.update({name: getattr(_pyfuse3, name) for name in _ARGUMENTS})
    verified = None
    _pyfuse3.fuse_read_async = _reading(_originals["fuse_read_async"])
    _pyfuse3.fuse_write_async = _writing(_originals["fuse_write_async"])
    _pyfuse3.fuse_write_buf_async = _writing(_originals["fuse_write_buf_async"])
    if operations is not None:
        _try_out(operations)
    return True


def uninstall() -> None:
    """Put pyfuse3 back as it was."""
    global current
    for name, original in _originals.items():
        setattr(_pyfuse3, name, original)
    _originals.clear()
    current = 0


def _is_known() -> bool:
    """Whether this pyfuse3 has the layout that native/request.c knows."""
    if not pyfuse3.__version__.startswith(LAYOUTS):
        return False
    try:
        if _native.request_pid(_pyfuse3._Container()) != 0:  # an empty one
            return False
        return all(_arguments(getattr(_pyfuse3, name)) == names for name, names in _ARGUMENTS.items())
    except (AttributeError, TypeError, RuntimeError):
        return False


def _arguments(function: Any) -> tuple[str, ...]:
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount])


# Plain functions: pyfuse3 awaits what they return, the original's coroutine.


def _reading(original: Callable[[object], Coroutine]) -> Callable[[object], Coroutine]:
    request_pid = _native.request_pid

    def read(container: object) -> Coroutine:
        global current
        current = request_pid(container)
        return original(container)

    return read


def _writing(original: Callable[[object, bytes], Coroutine]) -> Callable[[object, bytes], Coroutine]:
    request_pid = _native.request_pid

    def write(container: object, data: bytes) -> Coroutine:
        global current
        current = request_pid(container)
        return original(container, data)

    return write


def _try_out(operations: Any) -> None:
    """Compare at the first GETATTR, then leave GETATTR alone."""
    answer = operations.getattr

    async def compare(inode: int, ctx: pyfuse3.RequestContext) -> Any:
        global verified
        told = current
        del operations.getattr
        if "fuse_getattr_async" in _originals:
            _pyfuse3.fuse_getattr_async = _originals["fuse_getattr_async"]
            verified = told == ctx.pid
            if not verified:
                uninstall()
        return await answer(inode, ctx)

    operations.getattr = compare
    _pyfuse3.fuse_getattr_async = _reading(_originals["fuse_getattr_async"])
