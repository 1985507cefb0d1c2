"""`/api/v1/usage`: what accounts have used, from sums that are kept beside the ledger."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.core.focus import check_focus, focus_groups, read_credit_price
from gateway.core.keys import MANAGE
from gateway.core.principal import AccountSet
from gateway.core.shares import Holder
from gateway.core.tags import TAG
from gateway.core.usage import UsageLine, UsageQuery, read_query
from gateway.http.focus_format import focus_csv, focus_head
from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.http.routes.asked_account import ACCOUNT, asked_account
from gateway.http.routes.parameters import PRIVATE, read_format, read_parameters, take_tags
from gateway.http.routes.principals import principal_of_key
from gateway.http.routes.text_stream import text_stream
from gateway.http.usage_formats import usage_csv, usage_csv_head, usage_json
from gateway.store.usage_accounts import AccountsInReach
from gateway.store.usage_reader import GROUPS_MAX, TOO_MANY_GROUPS, UsageReader

router = APIRouter()

_FILTERS = ("from", "to", "group_by", "timezone", "key", "model", "route", TAG)
_FOCUS = "focus"
_OF_FOCUS = ("currency", "credit_price")
#: for an answer that has not begun
SECONDS_MAX = 60.0
TOO_LONG = (
    f"this takes longer than {SECONDS_MAX:.0f} s: ask for less time, for one account, or by account"
    " and as CSV"
)


class _Asked(Struct, frozen=True):
    """The accounts that are asked about, for the store and as shown; `holder` asks."""

    whose: int | AccountsInReach
    shown: str | AccountSet
    holder: Holder


async def _asked(request: Request, key: AuthenticatedKey, services: Services) -> _Asked:
    """The account that is asked for; without one the key's own, or for a key that manages all of
    its namespaces. Raises `InvalidRequest` and `NotFound`."""
    if key.live.scope == MANAGE and ACCOUNT not in request.query_params:
        reach = principal_of_key(key, services.console).reach("read")
        return _Asked(AccountsInReach(services.installation, reach), reach, key.caller.holder)
    account = await asked_account(request, key, services)
    return _Asked(account.id, account.shown, account.holder)


@router.get("/usage")
async def show_usage(
    request: Request, asked: Annotated[_Asked, Depends(_asked)], services: Services
) -> Response:
    """Requests, credits and tokens of a period, in groups."""
    given = read_parameters(request, (*_FILTERS, *_OF_FOCUS, ACCOUNT, "format"))
    form = read_format(request, given, _FOCUS)
    is_focus = form == _FOCUS
    query = _read_query(given, is_focus=is_focus)
    price = None
    if is_focus:
        price = read_credit_price(given.get("currency"), given.get("credit_price"))
    reader = UsageReader(asked.whose, query)
    until = time.monotonic() + SECONDS_MAX

    async def read_next() -> list[UsageLine] | None:
        # Each slice has its turn among the reads of all accounts.
        return await services.reads.read(asked.holder, reader.advance)

    lines = await read_next()
    if form != "json":
        while lines == []:  # what cannot be answered is seen before the answer has begun
            lines = await read_soon(read_next, request, until)
        if price is not None:
            write = partial(focus_csv, asked.shown, query, price)
            return text_stream(focus_head(), lines, read_next, write)
        return text_stream(usage_csv_head(query), lines, read_next, partial(usage_csv, query))
    found: list[UsageLine] = []
    while lines is not None:
        found += lines
        if len(found) > GROUPS_MAX:
            raise InvalidRequest(TOO_MANY_GROUPS, param="group_by")
        lines = await read_soon(read_next, request, until)
    body = usage_json(asked.shown, query, reader.complete_until, reader.total, found)
    return Response(body, headers=PRIVATE, media_type="application/json")


async def read_soon(
    read_next: Callable[[], Awaitable[list[UsageLine] | None]], request: Request, until: float
) -> list[UsageLine] | None:
    """The next slice of an answer that has not begun, if it is still time (`time.monotonic`).

    Raises `InvalidRequest`.
    """
    # Nobody reads on for one who left.
    if time.monotonic() > until or await request.is_disconnected():
        raise InvalidRequest(TOO_LONG, param="to")
    return await read_next()


def _read_query(given: dict[str, str], *, is_focus: bool) -> UsageQuery:
    tags, group_by = take_tags(given), given.get("group_by")
    for name in () if is_focus else _OF_FOCUS:
        if name in given:
            raise InvalidRequest(f"{name} is for format={_FOCUS}", param=name)
    query = read_query(
        datetime.now(UTC),
        begin=given.get("from"),
        end=given.get("to"),
        group_by=focus_groups(group_by) if is_focus else group_by,
        zone=given.get("timezone"),
        key=given.get("key"),
        model=given.get("model"),
        route=given.get("route"),
        tags=tags,
    )
    if is_focus:
        check_focus(query)
    return query
