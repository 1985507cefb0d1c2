"""A statement: an account's credits in a period, from its opening balance to its closing balance.

    opening + grants + charges + refunds + expiries + voids = closing

Owns its parts and the reading of a period. Signs are the ledger's: what is taken is below zero.
"""

import re
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from gateway.core.errors import Repairable
from gateway.core.sentences import Sentence
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT

#: `carry` has the sum of the entries that a closing moved out, and is part of an opening balance
EntryKind = Literal["grant", "charge", "refund", "expiry", "void", "carry"]
#: the kinds of entries, in the order in which a statement shows them
KINDS: tuple[EntryKind, ...] = ("grant", "charge", "refund", "expiry", "void")

#: of two moments in the wrong order
TO_BEFORE_FROM = Sentence("to must be later than from", {})
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_BLANK = re.compile(r" (?=\d\d:\d\d\Z)")


class PeriodError(Repairable, ValueError):
    """No period can be read; `parameter` is the one that is wrong."""

    def __init__(self, message: str | Sentence, parameter: str) -> None:
        super().__init__(str(message))
        self.sentence = message if isinstance(message, Sentence) else None
        self.parameter = parameter


class Period(Struct, frozen=True):
    """From a moment to before another, in UTC."""

    begin: datetime
    end: datetime


class GrantLine(Struct, frozen=True):
    """One entry of a grant: its posting, its expiry or its void."""

    entry_id: int
    kind: EntryKind
    at: datetime
    credits: int
    grant: str
    reference: str | None
    reason: str
    expires_at: datetime | None


class RequestLine(Struct, frozen=True):
    """The charges, or the refunds, of one key and model.

    Without a key and a model it stands for those beyond the most that a statement shows apart.
    """

    key: str | None
    key_id: str | None
    model: str | None
    requests: int
    credits: int


class BelowLine(Struct, frozen=True):
    """The charges and the refunds of one account below another."""

    account: str
    charges: int
    refunds: int

    @property
    def credits(self) -> int:
        return self.charges + self.refunds


class Below(Struct, frozen=True):
    """The accounts below one that were charged or refunded, in the tree as it is now.

    All that was booked before `complete_until` is counted.
    """

    complete_until: datetime | None
    lines: list[BelowLine]

    @property
    def total(self) -> BelowLine:
        charges = sum(line.charges for line in self.lines)
        return BelowLine("", charges, sum(line.refunds for line in self.lines))


class Statement(Struct, frozen=True):
    """All of an account in a period; `is_closed` means that it reads the same for good.

    `unlisted` counts the entries of grants beyond those that are listed, by kind; their credits are
    in `totals`. Nothing of `below` is in the account's balances, and none of it is closed.
    """

    account: str
    period: Period
    is_closed: bool
    opening: int
    closing: int
    totals: dict[EntryKind, int]
    grants: list[GrantLine]
    unlisted: dict[EntryKind, int]
    charges: list[RequestLine]
    refunds: list[RequestLine]
    below: Below | None = None


def read_period(month: str | None, begin: str | None, end: str | None, now: datetime) -> Period:
    """The period of a month, such as `2026-10`, or of two dates or moments; else the month of now.

    Raises `PeriodError`.
    """
    if begin is None and end is None:
        month = month or f"{now.astimezone(UTC):%Y-%m}"
    if month is not None:
        if begin is not None or end is not None:
            raise PeriodError("give a month, or from and to, not both", "month")
        if not _MONTH.fullmatch(month) or not "1970" <= month[:4] < "9999":
            raise PeriodError("month must be like 2026-10", "month")
        year, number = int(month[:4]), int(month[5:])
        after = (year, number + 1) if number < 12 else (year + 1, 1)
        return Period(datetime(year, number, 1, tzinfo=UTC), datetime(*after, 1, tzinfo=UTC))
    if begin is None or end is None:
        raise PeriodError("from and to belong together", "from" if begin is None else "to")
    period = Period(read_moment(begin, "from"), read_moment(end, "to"))
    if period.begin >= period.end:
        raise PeriodError(TO_BEFORE_FROM, "to")
    return period


def stamp(moment: datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def with_plus(text: str) -> str:
    """A zone, or a moment with one; in a URL that nobody has encoded, its plus is a blank."""
    return _BLANK.sub("+", text)


def read_moment(text: str, parameter: str) -> datetime:
    """A moment, or the begin of a date of UTC. Raises `PeriodError`."""
    try:
        moment = datetime.fromisoformat(with_plus(text))
        if len(text) == len("2026-10-01") and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None and FIRST_MOMENT <= moment <= LAST_MOMENT:
            return moment.astimezone(UTC)
    except ValueError:
        pass
    sentence = Sentence(
        "{parameter} must be a date of UTC or a moment with a zone, such as 2026-10-01 or"
        " 2026-10-01T00:00:00Z",
        {"parameter": parameter},
    )
    raise PeriodError(sentence, parameter)
