"""`/api/v1/entries`: the entries of an account, newest first."""

from fastapi import APIRouter, Request, Response

from gateway.core.entries import EntryLine, EntryQuery, read_entry_query
from gateway.core.tags import TAG
from gateway.http.entry_formats import entries_csv, entries_csv_head, entries_json
from gateway.http.routes.access import Services
from gateway.http.routes.asked_account import ACCOUNT, AskedAccount
from gateway.http.routes.parameters import PRIVATE, read_format, read_parameters, take_tags
from gateway.http.routes.text_stream import text_stream
from gateway.store.entry_reader import EntryReader

router = APIRouter()

_FILTERS = ("from", "to", "kind", "key", "model", "route", "request_id", TAG)
_PAGES = ("limit", "after")


@router.get("/entries")
async def list_entries(request: Request, account: AskedAccount, services: Services) -> Response:
    """A page of entries as JSON, or all of them as CSV."""
    given = read_parameters(request, (*_FILTERS, *_PAGES, ACCOUNT, "format"))
    given.pop(ACCOUNT, None)
    form = read_format(request, given)
    is_whole = form == "csv" and "limit" not in given
    reader = EntryReader(account.id, _read_query(given), is_whole=is_whole)

    async def read_next() -> list[EntryLine] | None:
        # Each slice has its turn among the reads of all accounts.
        return await services.reads.read(account.holder, reader.advance)

    lines = await read_next()
    if form == "csv":
        return text_stream(entries_csv_head(), lines, read_next, entries_csv)
    found: list[EntryLine] = []
    # Nobody reads on for one who left.
    while lines is not None and not await request.is_disconnected():
        found += lines
        lines = await read_next()
    last_id = reader.last_id if reader.has_more else None
    body = entries_json(account.shown, found, has_more=reader.has_more, last_id=last_id)
    return Response(body, headers=PRIVATE, media_type="application/json")


def _read_query(given: dict[str, str]) -> EntryQuery:
    names = {"from": "begin", "to": "end"}
    tags = take_tags(given)
    return read_entry_query(tags=tags, **{names.get(name, name): given[name] for name in given})
