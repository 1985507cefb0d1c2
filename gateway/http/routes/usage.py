"""`/api/v1/usage`: what the key's account has used, from sums that are kept beside the ledger."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from gateway.core.errors import InvalidRequest
from gateway.core.statement import PeriodError
from gateway.core.usage import QueryError, UsageLine, UsageQuery, read_query
from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.http.routes.parameters import PRIVATE, read_format, read_parameters
from gateway.http.spreadsheet import CSV_TYPE
from gateway.http.usage_formats import usage_csv, usage_csv_head, usage_json
from gateway.pipeline.key_cache import CachedKey
from gateway.store.usage_reader import GROUPS_MAX, TOO_MANY_GROUPS, UsageReader, advance

router = APIRouter()

_PARAMETERS = ("from", "to", "group_by", "timezone", "key", "model", "route", "format")


@router.get("/usage")
async def show_usage(request: Request, key: AuthenticatedKey, services: Services) -> Response:
    """Requests, credits and tokens of a period, in groups."""
    given = read_parameters(request, _PARAMETERS)
    form = read_format(request, given)
    query = _read_query(given)
    reader = UsageReader(key.live.account_id, query)

    lines = await _read(services, key, reader)
    if form == "csv":
        while lines == []:  # what cannot be answered is seen before the answer has begun
            lines = await _read(services, key, reader)

        async def parts() -> AsyncIterator[bytes]:
            some = lines
            yield usage_csv_head(query)
            while some is not None:
                yield usage_csv(query, some)
                some = await _read(services, key, reader)

        return StreamingResponse(parts(), headers=PRIVATE, media_type=CSV_TYPE)
    found: list[UsageLine] = []
    # Nobody reads on for one who left.
    while lines is not None and not await request.is_disconnected():
        found += lines
        if len(found) > GROUPS_MAX:
            raise InvalidRequest(TOO_MANY_GROUPS, param="group_by")
        lines = await _read(services, key, reader)
    body = usage_json(key.live.account, query, reader.complete_until, reader.total, found)
    return Response(body, headers=PRIVATE, media_type="application/json")


def _read_query(given: dict[str, str]) -> UsageQuery:
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
        )
    except PeriodError as error:
        raise InvalidRequest(str(error), param=error.parameter) from None


async def _read(services: Services, key: CachedKey, reader: UsageReader) -> list[UsageLine] | None:
    """The next slice, when it is the account's turn."""
    try:
        return await services.reads.read(key.caller.holder, advance, reader)
    except QueryError as error:
        raise InvalidRequest(str(error), param=error.parameter) from None
