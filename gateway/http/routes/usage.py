"""`/api/v1/usage`: what an account has used, from sums that are kept beside the ledger."""

from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, Request, Response

from gateway.core.errors import InvalidRequest
from gateway.core.focus import CreditPrice, check_focus, focus_groups, read_credit_price
from gateway.core.statement import PeriodError
from gateway.core.tags import TAG
from gateway.core.usage import QueryError, UsageLine, UsageQuery, read_query
from gateway.http.focus_format import focus_csv, focus_head
from gateway.http.routes.access import Services
from gateway.http.routes.asked_account import ACCOUNT, AskedAccount
from gateway.http.routes.csv_stream import csv_stream
from gateway.http.routes.parameters import PRIVATE, read_format, read_parameters, take_tags
from gateway.http.usage_formats import usage_csv, usage_csv_head, usage_json
from gateway.store.usage_reader import GROUPS_MAX, TOO_MANY_GROUPS, UsageReader, advance

router = APIRouter()

_FILTERS = ("from", "to", "group_by", "timezone", "key", "model", "route", TAG)
_FOCUS = "focus"
_OF_FOCUS = ("currency", "credit_price")


@router.get("/usage")
async def show_usage(request: Request, account: AskedAccount, services: Services) -> Response:
    """Requests, credits and tokens of a period, in groups."""
    given = read_parameters(request, (*_FILTERS, *_OF_FOCUS, ACCOUNT, "format"))
    form = read_format(request, given, _FOCUS)
    is_focus = form == _FOCUS
    query = _read_query(given, is_focus=is_focus)
    price = _read_price(given) if is_focus else None
    reader = UsageReader(account.id, query)

    async def read_next() -> list[UsageLine] | None:
        # Each slice has its turn among the reads of all accounts.
        try:
            return await services.reads.read(account.holder, advance, reader)
        except QueryError as error:
            raise InvalidRequest(str(error), param=error.parameter) from None

    lines = await read_next()
    if form != "json":
        while lines == []:  # what cannot be answered is seen before the answer has begun
            lines = await read_next()
        if price is not None:
            write = partial(focus_csv, account.shown, query, price)
            return csv_stream(focus_head(), lines, read_next, write)
        return csv_stream(usage_csv_head(query), lines, read_next, partial(usage_csv, query))
    found: list[UsageLine] = []
    # Nobody reads on for one who left.
    while lines is not None and not await request.is_disconnected():
        found += lines
        if len(found) > GROUPS_MAX:
            raise InvalidRequest(TOO_MANY_GROUPS, param="group_by")
        lines = await read_next()
    body = usage_json(account.shown, query, reader.complete_until, reader.total, found)
    return Response(body, headers=PRIVATE, media_type="application/json")


def _read_query(given: dict[str, str], *, is_focus: bool) -> UsageQuery:
    tags, group_by = take_tags(given), given.get("group_by")
    for name in () if is_focus else _OF_FOCUS:
        if name in given:
            raise InvalidRequest(f"{name} is for format={_FOCUS}", param=name)
    try:
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
    except PeriodError as error:
        raise InvalidRequest(str(error), param=error.parameter) from None
    return query


def _read_price(given: dict[str, str]) -> CreditPrice:
    try:
        return read_credit_price(given.get("currency"), given.get("credit_price"))
    except QueryError as error:
        raise InvalidRequest(str(error), param=error.parameter) from None
