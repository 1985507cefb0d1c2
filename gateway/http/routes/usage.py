"""`/api/v1/usage`: what an account has used, from sums that are kept beside the ledger."""

from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, Request, Response

from gateway.core.errors import InvalidRequest
from gateway.core.statement import PeriodError
from gateway.core.tags import TAG
from gateway.core.usage import QueryError, UsageLine, UsageQuery, read_query
from gateway.http.routes.access import Services
from gateway.http.routes.asked_account import ACCOUNT, AskedAccount
from gateway.http.routes.csv_stream import csv_stream
from gateway.http.routes.parameters import PRIVATE, read_format, read_parameters, take_tags
from gateway.http.usage_formats import usage_csv, usage_csv_head, usage_json
from gateway.store.usage_reader import GROUPS_MAX, TOO_MANY_GROUPS, UsageReader, advance

router = APIRouter()

_FILTERS = ("from", "to", "group_by", "timezone", "key", "model", "route", TAG)


@router.get("/usage")
async def show_usage(request: Request, account: AskedAccount, services: Services) -> Response:
    """Requests, credits and tokens of a period, in groups."""
    given = read_parameters(request, (*_FILTERS, ACCOUNT, "format"))
    form = read_format(request, given)
    query = _read_query(given)
    reader = UsageReader(account.id, query)

    async def read_next() -> list[UsageLine] | None:
        # Each slice has its turn among the reads of all accounts.
        try:
            return await services.reads.read(account.holder, advance, reader)
        except QueryError as error:
            raise InvalidRequest(str(error), param=error.parameter) from None

    lines = await read_next()
    if form == "csv":
        while lines == []:  # what cannot be answered is seen before the answer has begun
            lines = await read_next()
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


def _read_query(given: dict[str, str]) -> UsageQuery:
    tags = take_tags(given)
    try:
        return read_query(
            datetime.now(UTC),
            begin=given.get("from"),
            end=given.get("to"),
            group_by=given.get("group_by"),
            zone=given.get("timezone"),
            key=given.get("key"),
            model=given.get("model"),
            route=given.get("route"),
            tags=tags,
        )
    except PeriodError as error:
        raise InvalidRequest(str(error), param=error.parameter) from None
