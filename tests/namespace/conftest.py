"""The same repo to work on as in tests/repo."""

from __future__ import annotations

from tests.repo.conftest import workshop

__all__ = ["workshop"]
