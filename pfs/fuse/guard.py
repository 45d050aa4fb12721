"""One failed request never ends the mount.

pyfuse3 ends the main loop for any exception but FUSEError, and for a reply of
the wrong type.  `guarded` turns the first into an errno and the second into EIO.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pyfuse3
import structlog

from pfs.errors import PfsError

_log = structlog.get_logger("fuse")

P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[P, Coroutine[Any, Any, R]]


def guarded(reply: type) -> Callable[[Handler[P, R]], Handler[P, R]]:
    """Let a handler end in a reply of this type or in FUSEError, whatever happens in it."""

    def decorate(handler: Handler[P, R]) -> Handler[P, R]:
        @functools.wraps(handler)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                result = await handler(*args, **kwargs)
            except pyfuse3.FUSEError:
                raise
            except OSError as error:
                raise pyfuse3.FUSEError(error.errno or errno.EIO) from None
            except PfsError as error:
                if error.exit_code == 6:
                    _log.error("damaged", request=handler.__name__, error=str(error))
                raise pyfuse3.FUSEError(error.errno) from None
            except Exception:
                _log.exception("request failed", request=handler.__name__)
                raise pyfuse3.FUSEError(errno.EIO) from None
            if not isinstance(result, reply):
                _log.error("wrong reply", request=handler.__name__, type=type(result).__name__)
                raise pyfuse3.FUSEError(errno.EIO)
            return result

        return wrapper

    return decorate
