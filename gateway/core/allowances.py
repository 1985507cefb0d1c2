"""Allowances: credits that come again each day, week or month, pure.

    first seen, or resumed          now
         ├──────┼──────┼──────┼──────┤──▶   periods of UTC; weeks begin on Monday
         each period once, in order, the last twelve at most

Owns which periods are due. An allowance never pays for time before it was first seen.
"""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from gateway.core.spec import CreditAllowanceSpec, Every

#: periods that are made up for after an outage
PERIODS_MAX = 12
_MOMENT = timedelta(microseconds=1)


class AllowancePeriod(Struct, frozen=True):
    """One day, week or month of UTC; `name` is a part of a grant's identity."""

    name: str
    begin: datetime
    end: datetime


def period_at(every: Every, moment: datetime) -> AllowancePeriod:
    """The period that a moment belongs to.

    >>> period_at("week", datetime(2027, 1, 3, 23, tzinfo=UTC)).name
    '2026-W53'
    """
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "day":
        return AllowancePeriod(f"{day:%Y-%m-%d}", day, day + timedelta(days=1))
    if every == "week":
        year, week, weekday = day.isocalendar()
        begin = day - timedelta(days=weekday - 1)
        return AllowancePeriod(f"{year:04d}-W{week:02d}", begin, begin + timedelta(days=7))
    begin = day.replace(day=1)
    end = (begin + timedelta(days=31)).replace(day=1)
    return AllowancePeriod(f"{begin:%Y-%m}", begin, end)


def due_periods(spec: CreditAllowanceSpec, since: datetime, now: datetime) -> list[AllowancePeriod]:
    """The periods from `since` on whose credits should be in the accounts by now, the oldest
    first. Credits that have expired already are not among them."""
    starts = since if spec.starts_at is None else max(since, spec.starts_at)
    if spec.suspended or starts > now:
        return []
    last = now if spec.ends_at is None else min(now, spec.ends_at - _MOMENT)
    periods = []
    for _ in range(PERIODS_MAX):
        period = period_at(spec.every, last)
        if period.end <= starts or (spec.expires == "period" and period.end <= now):
            break
        periods.append(period)
        last = period.begin - _MOMENT
    return periods[::-1]


def next_post(spec: CreditAllowanceSpec, now: datetime) -> datetime | None:
    """When credits will be posted next; None where none will be."""
    if spec.suspended:
        return None
    starts_later = spec.starts_at is not None and spec.starts_at > now
    moment = spec.starts_at if starts_later else period_at(spec.every, now).end
    is_over = spec.ends_at is not None and moment is not None and moment >= spec.ends_at
    return None if is_over else moment
