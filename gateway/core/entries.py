"""Entries of an account as they are shown, and a question for some of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Raw, Struct

from gateway.core.digits import whole_number
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.core.statement import KINDS, TO_BEFORE_FROM, EntryKind, PeriodError, read_moment
from gateway.core.usage import QueryError

LIMIT_MAX = 1000
_LIMIT = 100
_ID_MAX = 10**18


class EntryQuery(Struct, frozen=True):
    """A question for entries, newest first: of a period, of some kinds, one key, model, route,
    request or some tags, older than the entry `after`; `limit` of them."""

    begin: datetime
    end: datetime
    kinds: tuple[EntryKind, ...] = KINDS
    key: str | None = None
    model: str | None = None
    route: str | None = None
    request_id: str | None = None
    tags: Mapping[str, str] | None = None
    after: int | None = None
    limit: int = _LIMIT


class EntryTokens(Struct, frozen=True):
    """The tokens of a request that has ended, as its upstream counted them."""

    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int


class EntryGrant(Struct, frozen=True):
    """The grant of an entry that was no request's."""

    name: str
    reference: str | None
    reason: str


class EntryKey(Struct, frozen=True):
    """The API key of a request."""

    name: str
    key_id: str


class EntryLine(Struct, frozen=True):
    """One entry. A refund has key, model, route, tags and the rest of its charge.

    `price` holds the parts of a price by tokens, and `tags` the request's tags, as JSON.
    `balance_after` is None while the account's usage is counted for the first time.
    """

    id: int
    kind: EntryKind
    credits: int
    balance_after: int | None
    created_at: str | None
    request_id: str | None
    key: EntryKey | None
    model: str | None
    route: str | None
    idempotency_key: str | None
    retry_count: int | None
    tokens: EntryTokens | None
    price: Raw | None
    grant: EntryGrant | None
    tags: Raw | None


def read_entry_query(
    *,
    begin: str | None = None,
    end: str | None = None,
    kind: str | None = None,
    key: str | None = None,
    model: str | None = None,
    route: str | None = None,
    request_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    after: str | None = None,
    limit: str | None = None,
) -> EntryQuery:
    """A question as somebody has asked it. Raises `PeriodError`."""
    query = EntryQuery(
        begin=read_moment(begin, "from") if begin else FIRST_MOMENT,
        end=read_moment(end, "to") if end else LAST_MOMENT,
        kinds=KINDS if kind is None else _read_kinds(kind.split(",")),
        key=key or None,
        model=model,
        route=route,
        request_id=request_id,
        tags=tags or None,
        after=None if after is None else _read_number(after, "after", _ID_MAX),
        limit=_LIMIT if limit is None else _read_number(limit, "limit", LIMIT_MAX),
    )
    if query.begin >= query.end:
        raise PeriodError(TO_BEFORE_FROM, "to")
    return query


def _read_kinds(names: Sequence[str]) -> tuple[EntryKind, ...]:
    if not set(names) <= set(KINDS):
        raise QueryError(f"kind must be some of {', '.join(KINDS)}", "kind")
    return tuple(kind for kind in KINDS if kind in names)


def _read_number(text: str, parameter: str, most: int) -> int:
    number = whole_number(text)
    if number is None or not 1 <= number <= most:
        raise QueryError(f"{parameter} must be a whole number from 1 to {most}", parameter)
    return number
