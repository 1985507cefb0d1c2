"""`/console/ledger`: the entries of an account, which sum to its balance; and its statement."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from gateway.console.access import Console, SignedIn
from gateway.console.downloads import csv_file
from gateway.console.key_names import read_key_names
from gateway.console.rendering import words
from gateway.console.viewed import ViewedAccount, render_page
from gateway.core.entries import EntryLine, EntryQuery, read_entry_query
from gateway.core.statement import PeriodError, read_period
from gateway.http.entry_formats import entries_csv, entries_csv_head
from gateway.http.statement_page import POLICY, page
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader, advance
from gateway.store.statement_reader import StatementReader
from gateway.store.statement_reader import advance as advance_statement

router = APIRouter()

_LIMIT = "50"
#: of growing size, together some 14,000 entries
_SLICES_MAX = 4
_FILTERS = ("kind", "key", "model", "from", "to", "request_id")
_CHARACTERS_MAX = 512


@router.get("/ledger")
async def show_ledger(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    given = _given(request)
    after = request.query_params.get("after")
    account, problem = viewed.account, ""
    names = await console.run(read_key_names, console.installation, account.shown)
    reader: EntryReader | None = None
    entries: list[EntryLine] = []
    try:
        reader = EntryReader(account.id, _query(given, after))
        entries = await console.run(_read_page, reader)
    except PeriodError as error:
        known = error.sentence
        problem = known.translated(words(request)) if known else str(error)
    models = {model.id for model in console.catalog.models} | {given.get("model", "")} - {""}
    older = None
    if reader is not None and reader.has_more and not problem:
        older = viewed.at("/ledger", **given, after=reader.last_id)
    return render_page(
        request,
        "ledger.html",
        session,
        viewed,
        given=given,
        problem=problem,
        entries=entries,
        key_names=names,
        keys=list(names.items()),
        models=[(model, model) for model in sorted(models - {""})],
        newest=viewed.at("/ledger", **given) if after else None,
        older=older,
    )


@router.get("/ledger.csv")
async def download_ledger(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    try:
        query = _query(_given(request), None)
    except PeriodError as error:
        raise HTTPException(404) from error
    reader = EntryReader(viewed.account.id, query, is_whole=True)
    name = f"entries-{viewed.account.shown}"
    return await csv_file(name, console, entries_csv_head(), advance, reader, entries_csv)


@router.get("/statement")
async def show_statement(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    """The statement of a month, made for paper: without the menu, and with a policy of its own."""
    try:
        period = read_period(request.query_params.get("month"), None, None, datetime.now(UTC))
    except PeriodError as error:
        raise HTTPException(404) from error
    reader = StatementReader(viewed.account.id, viewed.account.shown, period)
    statement = None
    # Each slice has its turn among the reads of all pages; nobody reads on for one who left.
    while statement is None and not await request.is_disconnected():
        statement = await console.run(advance_statement, reader)
    if statement is None:
        return Response(status_code=499)
    policy = f"{POLICY}; frame-ancestors 'none'"
    return HTMLResponse(page(statement), headers={"content-security-policy": policy})


def _read_page(database: Database, reader: EntryReader) -> list[EntryLine]:
    """The entries that some slices hold: where few match, the page ends before it is full."""
    entries: list[EntryLine] = []
    for _ in range(_SLICES_MAX):
        lines = reader.advance(database)
        if lines is None:
            break
        entries += lines
    return entries


def _given(request: Request) -> dict[str, str]:
    """The filters of a request that are not empty."""
    given = ((name, request.query_params.get(name, "").strip()) for name in _FILTERS)
    return {name: value[:_CHARACTERS_MAX] for name, value in given if value}


def _query(given: dict[str, str], after: str | None) -> EntryQuery:
    """The question. Raises `PeriodError`."""
    named: dict[str, Any] = {"begin": given.get("from"), "end": given.get("to")}
    named |= {name: given.get(name) for name in ("kind", "key", "model", "request_id")}
    return read_entry_query(**named, after=after, limit=_LIMIT)
