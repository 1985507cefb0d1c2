"""Usage: what accounts have used in a period, by time, account, key, model, route and tag.

Owns the reading of a question about it, and the shape of its answer. A day is one of the zone that
is asked for; sums are kept by whole hours, so a zone differs from UTC by whole hours.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.core.statement import TO_BEFORE_FROM, Period, PeriodError, with_plus
from gateway.core.tags import TAG, VALUE_COUNTED_MAX, is_name

Group = Literal["day", "hour", "namespace", "account", "key", "model", "route", "tag"]
GROUPS: tuple[Group, ...] = get_args(Group)
#: sums of hours are kept so long, those of days of UTC for good
HOURS_KEPT = 62 * 24
#: the longest period that is answered at once, and without one
DAYS_MAX = 400
_DAYS = 30
HOUR_SECONDS = 3600

#: a day before the last moment that there is: it is one in any zone
_LAST = LAST_MOMENT - timedelta(days=2)
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):00")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9_+-]{1,31}){0,2}")
#: the zone of the machine that answers, by its names in the database of zones
_MACHINES = ("localtime", "posixrules", "Factory")
_GROUPS_CHARACTERS_MAX = 200
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class QueryError(PeriodError):
    """A question about credits cannot be answered; `parameter` is the one that is wrong."""


class UsageQuery(Struct, frozen=True):
    """A question: the period, how its sums are grouped, and what they are of.

    `offsets` holds from which hour of UTC on a zone is how many hours ahead of it. `by_hours` means
    that sums of days of UTC cannot answer it. Grouped by account, it is about all accounts below
    one that is asked for, too. `tag` is the name of the tag that groups the sums;
    or, with `tag_value`, of the tag that the requests have.
    """

    period: Period
    zone: str
    offsets: tuple[tuple[int, int], ...]
    group_by: tuple[Group, ...]
    by_hours: bool
    key: str | None = None
    model: str | None = None
    route: str | None = None
    tag: str | None = None
    tag_value: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names by which the sums are grouped, as the question has them."""
        return tuple(f"{TAG}{self.tag}" if name == "tag" else name for name in self.group_by)


class UsageSums(Struct):
    """Sums over some requests."""

    requests: int = 0
    failed: int = 0
    charged: int = 0
    refunded: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def add(self, numbers: Sequence[int]) -> None:
        for name, number in zip(self.__struct_fields__, numbers, strict=True):
            setattr(self, name, getattr(self, name) + int(number))


class UsageLine(Struct, frozen=True):
    """One group and its sums; what is not grouped by is None.

    `tag` is the value of the tag by which they are grouped, None for requests without it.
    """

    time: str | None
    namespace: str | None
    account: str | None
    key: str | None
    key_id: str | None
    model: str | None
    route: str | None
    tag: str | None
    sums: UsageSums


def read_query(
    now: datetime,
    *,
    begin: str | None = None,
    end: str | None = None,
    group_by: str | None = None,
    zone: str | None = None,
    key: str | None = None,
    model: str | None = None,
    route: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> UsageQuery:
    """A question as somebody has asked it; without a period, about 30 days with today.

    `tags` are those that the requests have: one at most, as each is counted apart from the others.

    Raises `PeriodError`.
    """
    zone = with_plus(zone or "UTC")
    where = _read_zone(zone)
    tomorrow = now.astimezone(where).date() + timedelta(days=1)
    until = _read_moment(end, where, "to") if end else _midnight(tomorrow.isoformat(), where)
    if begin:
        since = _read_moment(begin, where, "from")
    else:
        first = until.astimezone(where).date() - timedelta(days=_DAYS)
        since = max(FIRST_MOMENT, _midnight(first.isoformat(), where))
    groups, tag = _read_groups("day" if group_by is None else group_by)
    tag, tag_value = _read_tag(tag, tags or {})
    if since >= until:
        raise PeriodError(TO_BEFORE_FROM, "to")
    if until - since > timedelta(days=DAYS_MAX, hours=1):
        raise PeriodError(f"from and to may be {DAYS_MAX} days apart at most", "to")
    offsets = _read_offsets(since, until, where)
    by_hours = (
        "hour" in groups
        or offsets != ((hour_of(since), 0),)
        or any(hour_of(moment) % 24 for moment in (since, until))
    )
    kept = datetime.fromtimestamp((hour_of(now) - HOURS_KEPT) * HOUR_SECONDS, UTC)
    if by_hours and since < kept:
        raise PeriodError(
            "hours, and days of other zones than UTC, are kept for 62 days: from must not be before"
            f" {kept:%Y-%m-%dT%H:00:00Z}, or ask for whole days of UTC",
            "from",
        )
    return UsageQuery(
        Period(since, until),
        zone,
        offsets,
        groups,
        by_hours,
        key or None,
        model,
        route,
        tag,
        tag_value,
    )


def hour_of(moment: datetime) -> int:
    """The hour, counted from 1970 in UTC."""
    return int(moment.timestamp()) // HOUR_SECONDS


def label_of(query: UsageQuery, number: int) -> str:
    """The day, or the hour with its offset, that a number stands for; numbers are of the zone."""
    if "day" in query.group_by:
        return f"{FIRST_MOMENT + timedelta(days=number):%Y-%m-%d}"
    ahead = next(ahead for since, ahead in reversed(query.offsets) if since <= number)
    moment = FIRST_MOMENT + timedelta(hours=number + ahead)
    sign = "-" if ahead < 0 else "+"
    return f"{moment:%Y-%m-%dT%H:00:00}" + (f"{sign}{abs(ahead):02}:00" if ahead else "Z")


def _read_groups(text: str) -> tuple[tuple[Group, ...], str | None]:
    """The groups in their order, and the name of the tag among them."""
    names = text.split(",") if len(text) <= _GROUPS_CHARACTERS_MAX else [TAG]
    wanted = {name.strip() for name in names if name.strip()}
    tags = {name.removeprefix(TAG) for name in wanted if name.startswith(TAG)}
    wanted = {"tag" if name.startswith(TAG) else name for name in wanted}
    is_known = wanted <= {*GROUPS} and ("tag" in wanted) == (len(tags) == 1)
    if not is_known or not all(map(is_name, tags)) or {"day", "hour"} <= wanted:
        raise PeriodError(
            "group_by must be a list of day or hour, and namespace, account, key, model, route and"
            " tag:NAME, such as day,model; of one tag at most",
            "group_by",
        )
    return tuple(name for name in GROUPS if name in wanted), next(iter(tags), None)


def _read_tag(group: str | None, tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The name of the one tag that counts, and the value that requests must have of it."""
    for name, value in tags.items():
        if len(tags) > 1 or group not in (None, name):
            raise QueryError("usage is counted by one tag at a time: name one", f"{TAG}{name}")
        return name, value[:VALUE_COUNTED_MAX]
    return group, None


def _read_zone(name: str) -> tzinfo:
    if name in ("UTC", "Z"):
        return UTC
    if offset := _OFFSET.fullmatch(name):
        hours = int(offset[2])
        return timezone(timedelta(hours=-hours if offset[1] == "-" else hours))
    if _ZONE.fullmatch(name) and name not in _MACHINES:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise PeriodError(
        "timezone must be UTC, whole hours such as +09:00, or a name such as Europe/Berlin",
        "timezone",
    )


def _read_moment(text: str, where: tzinfo, parameter: str) -> datetime:
    try:
        is_date = _DATE.fullmatch(text)
        moment = _midnight(text, where) if is_date else datetime.fromisoformat(with_plus(text))
        if moment.tzinfo is not None and FIRST_MOMENT <= moment <= _LAST:
            moment = moment.astimezone(UTC)
            if moment == moment.replace(minute=0, second=0, microsecond=0):
                return moment
    except (ValueError, OverflowError):
        pass
    raise PeriodError(
        f"{parameter} must be a date, such as 2026-10-01, or a whole hour with its zone, such as"
        " 2026-10-01T09:00:00Z",
        parameter,
    )


def _midnight(date: str, where: tzinfo) -> datetime:
    return datetime.fromisoformat(date).replace(tzinfo=where).astimezone(UTC)


def _read_offsets(since: datetime, until: datetime, where: tzinfo) -> tuple[tuple[int, int], ...]:
    """From which hours on a zone is how many hours ahead of UTC. Raises `PeriodError`."""
    if where is UTC:
        return ((hour_of(since), 0),)
    offsets: list[tuple[int, int]] = []
    for hour in range(hour_of(since), hour_of(until)):
        moment = datetime.fromtimestamp(hour * HOUR_SECONDS, where)
        ahead = int((moment.utcoffset() or timedelta()).total_seconds())
        if ahead % HOUR_SECONDS:
            raise PeriodError(
                "the timezone must differ from UTC by whole hours, as usage is kept by the hour",
                "timezone",
            )
        if not offsets or offsets[-1][1] != ahead // HOUR_SECONDS:
            offsets.append((hour, ahead // HOUR_SECONDS))
    return tuple(offsets)
