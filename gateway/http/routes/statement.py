"""`/api/v1/statement`: the statement of an account."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway.core.statement import read_period
from gateway.http.routes.access import Services
from gateway.http.routes.asked_account import ACCOUNT, AskedAccount
from gateway.http.routes.parameters import PRIVATE, read_parameters
from gateway.http.statement_formats import CONTENT_TYPES, FORMATS, Format
from gateway.http.statement_page import POLICY
from gateway.store.statement_reader import StatementReader
from gateway.store.tree_statement import TreeStatementReader

router = APIRouter()

_PARAMETERS = ("month", "from", "to", ACCOUNT, "format", "below")
_HEADERS = {**PRIVATE, "content-security-policy": f"{POLICY}; frame-ancestors 'none'"}


@router.get("/statement")
async def show_statement(
    request: Request,
    account: AskedAccount,
    services: Services,
    month: str | None = None,
    begin: Annotated[str | None, Query(alias="from")] = None,
    end: Annotated[str | None, Query(alias="to")] = None,
    form: Annotated[Format, Query(alias="format")] = "json",
    below: bool = False,
) -> Response:
    """Opening balance, everything between, and closing balance, of a month or of any period."""
    read_parameters(request, _PARAMETERS)
    period = read_period(month, begin, end, datetime.now(UTC))
    kind = TreeStatementReader if below else StatementReader
    reader = kind(account.id, account.shown, period)
    statement = None
    # Each slice has its turn among the reads of all accounts; nobody reads on for one who left.
    while statement is None and not await request.is_disconnected():
        statement = await services.reads.read(account.holder, reader.advance)
    body = b"" if statement is None else FORMATS[form](statement)
    return Response(body, headers=_HEADERS, media_type=CONTENT_TYPES[form])
