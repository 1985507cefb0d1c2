"""`/console/ledger`: the entries of an account, which sum to its balance; and its statement."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from gateway.console.downloads import csv_file
from gateway.console.key_names import read_key_names
from gateway.console.page_request import AccountPage, PageRequest
from gateway.core.entries import EntryLine, EntryQuery, read_entry_query
from gateway.core.statement import PeriodError, read_period
from gateway.http.entry_formats import entries_csv, entries_csv_head
from gateway.http.statement_page import POLICY
from gateway.http.statement_page import page as statement_page
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader
from gateway.store.statement_reader import StatementReader

router = APIRouter()

_LIMIT = "50"
#: of growing size, together some 14,000 entries
_SLICES_MAX = 4
_FILTERS = ("kind", "key", "model", "from", "to", "request_id")
_CHARACTERS_MAX = 512


@router.get("/ledger")
async def show_ledger(page: AccountPage) -> Response:
    given, after, problem = _given(page), page.query.get("after"), ""
    names = await page.ask(read_key_names, page.account.shown)
    reader: EntryReader | None = None
    entries: list[EntryLine] = []
    try:
        reader = EntryReader(page.account.id, _query(given, after))
        entries = await page.run(_read_page, reader)
    except PeriodError as error:
        known = error.sentence
        problem = known.translated(page.words) if known else str(error)
    models = {model.id for model in page.console.catalog.models} | {given.get("model", "")} - {""}
    has_more = reader is not None and reader.has_more and not problem
    last = reader.last_id if reader is not None and has_more else None
    return page.render(
        "ledger.html",
        given=given,
        problem=problem,
        entries=entries,
        key_names=names,
        keys=list(names.items()),
        models=[(model, model) for model in sorted(models - {""})],
        **page.pages("/ledger", after, last, **given),
    )


@router.get("/ledger.csv")
async def download_ledger(page: AccountPage) -> Response:
    try:
        query = _query(_given(page), None)
    except PeriodError as error:
        raise HTTPException(404) from error
    reader = EntryReader(page.account.id, query, is_whole=True)
    name = f"entries-{page.account.shown}"
    return await csv_file(name, page, entries_csv_head(), reader.advance, entries_csv)


@router.get("/statement")
async def show_statement(page: AccountPage) -> Response:
    """The statement of a month, made for paper: without the menu, and with a policy of its own."""
    try:
        period = read_period(page.query.get("month"), None, None, datetime.now(UTC))
    except PeriodError as error:
        raise HTTPException(404) from error
    reader = StatementReader(page.account.id, page.account.shown, period)
    statement = None
    # Each slice has its turn among the reads of all pages; nobody reads on for one who left.
    while statement is None and not await page.request.is_disconnected():
        statement = await page.run(reader.advance)
    if statement is None:
        return Response(status_code=499)
    policy = f"{POLICY}; frame-ancestors 'none'"
    return HTMLResponse(statement_page(statement), headers={"content-security-policy": policy})


def _read_page(database: Database, reader: EntryReader) -> list[EntryLine]:
    """The entries that some slices hold: where few match, the page ends before it is full."""
    entries: list[EntryLine] = []
    for _ in range(_SLICES_MAX):
        lines = reader.advance(database)
        if lines is None:
            break
        entries += lines
    return entries


def _given(page: PageRequest) -> dict[str, str]:
    """The filters of a request that are not empty."""
    given = ((name, page.query.get(name, "").strip()) for name in _FILTERS)
    return {name: value[:_CHARACTERS_MAX] for name, value in given if value}


def _query(given: dict[str, str], after: str | None) -> EntryQuery:
    """The question. Raises `PeriodError`."""
    named: dict[str, Any] = {"begin": given.get("from"), "end": given.get("to")}
    named |= {name: given.get(name) for name in ("kind", "key", "model", "request_id")}
    return read_entry_query(**named, after=after, limit=_LIMIT)
