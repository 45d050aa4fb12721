"""The daemon's log: one line an event on stderr, which is the journal, a file or a terminal."""

from __future__ import annotations

import importlib
import logging
import sys
from types import ModuleType
from typing import cast


def configure() -> None:
    """Send structlog and the standard logging of libraries to stderr, with UTC times."""
    import structlog  # already there, by `_import_structlog`

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


def _import_structlog() -> None:
    """Import it without rich, with which it draws tracebacks: a log has none of it, and a mount would wait.

    Who imports this module first, before anything else imports structlog, has 0.1 s less to wait for.
    """
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = cast(ModuleType, None)  # importing it fails
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


_import_structlog()
