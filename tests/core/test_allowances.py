"""Periods of allowances: which are due, and when the next one is. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.allowances import PERIODS_MAX, due_periods, next_post, period_at
from gateway.core.spec import CreditAllowanceSpec, Every

NOON = datetime(2026, 10, 15, 12, tzinfo=UTC)


def spec(every: str = "month", **fields: Any) -> CreditAllowanceSpec:
    given = {"account": "alice", "credits": 10, "every": every, **fields}
    return msgspec.convert(given, CreditAllowanceSpec)


def names(wanted: CreditAllowanceSpec, since: datetime, now: datetime = NOON) -> list[str]:
    return [period.name for period in due_periods(wanted, since, now)]


@given(
    st.sampled_from(["day", "week", "month"]),
    st.datetimes(datetime(1970, 1, 5), datetime(9990, 1, 1), timezones=st.just(UTC)),
)
def test_periods_follow_each_other_without_a_gap(every: Every, moment: datetime) -> None:
    period = period_at(every, moment)
    assert period.begin <= moment < period.end
    following = period_at(every, period.end)
    assert following.begin == period.end
    assert following.name > period.name
    assert period_at(every, period.end - timedelta(microseconds=1)) == period


def test_weeks_are_those_of_iso_8601_and_begin_on_monday() -> None:
    week = period_at("week", datetime(2027, 1, 1, tzinfo=UTC))
    assert (week.name, week.begin.weekday()) == ("2026-W53", 0)


def test_missed_periods_are_made_up_for_in_order_the_last_twelve_at_most() -> None:
    lasting = spec("day", expires="never")
    assert names(lasting, NOON - timedelta(days=2)) == ["2026-10-13", "2026-10-14", "2026-10-15"]
    found = names(lasting, NOON - timedelta(days=300))
    assert len(found) == PERIODS_MAX
    assert (found[0], found[-1]) == ("2026-10-04", "2026-10-15")


def test_credits_that_have_expired_with_their_period_are_not_posted() -> None:
    assert names(spec("day"), NOON - timedelta(days=5)) == ["2026-10-15"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"suspended": True}, []),
        ({"startsAt": "2026-10-15T12:00:01Z"}, []),
        ({"startsAt": "2026-10-15T12:00:00Z"}, ["2026-10"]),
        ({"startsAt": "2026-09-20T00:00:00Z"}, ["2026-09", "2026-10"]),
        ({"endsAt": "2026-10-01T00:00:00Z"}, ["2026-08", "2026-09"]),
        ({"endsAt": "2026-10-01T00:00:01Z"}, ["2026-08", "2026-09", "2026-10"]),
    ],
)
def test_starts_and_ends(fields: dict[str, Any], expected: list[str]) -> None:
    assert names(spec(expires="never", **fields), datetime(2026, 8, 1, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "2026-11-01T00:00:00Z"),
        ({"every": "week"}, "2026-10-19T00:00:00Z"),
        ({"startsAt": "2026-12-24T18:00:00Z"}, "2026-12-24T18:00:00Z"),
        ({"endsAt": "2026-11-01T00:00:00Z"}, None),
        ({"suspended": True}, None),
    ],
)
def test_the_next_time(fields: dict[str, Any], expected: str | None) -> None:
    found = next_post(spec(**{"every": "month", **fields}), NOON)
    assert found == (expected and datetime.fromisoformat(expected))
