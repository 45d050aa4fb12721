"""Dates in revisions: what stands between `@{` and `}`.

    WHEN := 2026-01-31 | 2026-01-31T10:00[:SS][Z|+hh:mm|-hh:mm] | 20260131T100000Z
          | N.min.ago | N.h.ago | N.d.ago | yesterday

Without an offset a date is UTC; a bare date is 00:00; `yesterday` is 24 hours before now.  The time now
comes in as an argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pfs.errors import NotFound

NS_PER_SECOND: Final = 10**9
_UNIT_SECONDS: Final = {"min": 60, "h": 3600, "d": 86400}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?(?:Z|([+-])(\d\d):(\d\d))?)?", re.ASCII
)
_COMPACT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_AGO: Final = re.compile(r"(\d{1,18})\.(min|h|d)\.ago", re.ASCII)
_HINT: Final = (
    "write 2026-01-31, 2026-01-31T10:00Z, 20260131T100000Z, 10.min.ago, 2.h.ago, 3.d.ago or yesterday"
)


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time, in whole seconds since 1970."""

    seconds: int

    def time_ns(self, _now_ns: int) -> int:
        """The time that is meant, in ns since 1970."""
        return self.seconds * NS_PER_SECOND

    def __str__(self) -> str:
        moment = _EPOCH + timedelta(seconds=self.seconds)
        return moment.replace(tzinfo=None).isoformat() + "Z"


@dataclass(frozen=True, slots=True)
class Ago:
    """A time before now: a count of `min`, `h` or `d` (24 hours)."""

    count: int
    unit: str

    def time_ns(self, now_ns: int) -> int:
        """The time that is meant, in ns since 1970; it may be before that."""
        return now_ns - self.count * _UNIT_SECONDS[self.unit] * NS_PER_SECOND

    def __str__(self) -> str:
        return f"{self.count}.{self.unit}.ago"


When = Instant | Ago


def parse_when(text: str) -> When:
    """A date as it stands between the braces.  NotFound, saying why, for anything else."""
    if text == "yesterday":
        return Ago(1, "d")
    if (match := _AGO.fullmatch(text)) is not None:
        return Ago(int(match[1]), match[2])
    if (match := _COMPACT.fullmatch(text)) is not None:
        return _instant(text, match.groups(), 0)
    if (match := _DATE.fullmatch(text)) is not None:
        return _instant(text, match.groups()[:6], _offset_seconds(text, match[7], match[8], match[9]))
    raise NotFound(f"{text!r} is not a date", hint=_HINT)


def _instant(text: str, parts: tuple[str | None, ...], offset_seconds: int) -> Instant:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - timedelta(
            seconds=offset_seconds
        )
    except (ValueError, OverflowError) as error:
        raise NotFound(f"{text!r} is not a date: {error}", hint=_HINT) from error
    return Instant((moment - _EPOCH) // timedelta(seconds=1))


def _offset_seconds(text: str, sign: str | None, hours: str | None, minutes: str | None) -> int:
    if sign is None or hours is None or minutes is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        raise NotFound(f"{text!r} is not a date: its offset from UTC is out of range", hint=_HINT)
    seconds = int(hours) * 3600 + int(minutes) * 60
    return seconds if sign == "+" else -seconds
