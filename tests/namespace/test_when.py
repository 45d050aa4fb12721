from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.errors import NotFound
from pfs.namespace.when import Ago, Instant, When, parse_when

NOW_NS = 1_767_225_600 * 10**9 + 5  # 2026-01-01T00:00:00Z and 5 ns
HOUR = 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31", 1769817600),
        ("2026-01-31T10:00", 1769853600),
        ("2026-01-31T10:00:07", 1769853607),
        ("2026-01-31T10:00Z", 1769853600),
        ("2026-01-31T10:00+02:00", 1769853600 - 2 * HOUR),
        ("2026-01-31T10:00:07-05:30", 1769853607 + 5 * HOUR + 1800),
        ("20260131T100000Z", 1769853600),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("0001-01-01", -62135596800),
    ],
)
def test_dates_are_utc_unless_they_say_otherwise(text: str, seconds: int) -> None:
    assert parse_when(text) == Instant(seconds)
    assert parse_when(text).time_ns(NOW_NS) == seconds * 10**9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10.min.ago", 600),
        ("2.h.ago", 2 * HOUR),
        ("3.d.ago", 72 * HOUR),
        ("yesterday", 24 * HOUR),
        ("0.d.ago", 0),
    ],
)
def test_ago_counts_from_now_to_the_nanosecond(text: str, seconds: int) -> None:
    assert parse_when(text).time_ns(NOW_NS) == NOW_NS - seconds * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2026-02-30",
        "2026-13-01",
        "2026-1-31",
        "2026-01-31T24:00",
        "2026-01-31T10",
        "2026-01-31 10:00",
        "2026-01-31T10:00:60",
        "2026-01-31T10:00+24:00",
        "2026-01-31T10:00+02:60",
        "2026-01-31Z",
        "20260131T100000",
        "20260131",
        "0000-01-01",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:00-14:00",
        "5.weeks.ago",
        "5.m.ago",
        "-5.h.ago",
        "h.ago",
        "1.5.h.ago",
        "٣.h.ago",
        "2026-01-31\n",
        "1" * 19 + ".h.ago",
    ],
)
def test_anything_else_is_not_a_date_and_says_what_is(text: str) -> None:
    with pytest.raises(NotFound, match="is not a date") as caught:
        parse_when(text)
    assert "yesterday" in str(caught.value.hint)


WHENS: st.SearchStrategy[When] = st.one_of(
    st.builds(Instant, st.integers(-62135596800, 253402300799)),
    st.builds(Ago, st.integers(0, 10**18 - 1), st.sampled_from(["min", "h", "d"])),
)


@given(WHENS)
def test_the_canonical_text_parses_to_the_same(when: When) -> None:
    assert parse_when(str(when)) == when
