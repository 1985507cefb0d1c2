"""`/console/accounts`: all accounts that somebody may see, and one of them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.access import Console, SignedIn
from gateway.console.charts import bar_chart
from gateway.console.key_names import read_key_names
from gateway.console.session import Session
from gateway.console.usage_view import question, read_usage, used
from gateway.console.viewed import NO_ACCOUNT, Viewed, render_page, sees_namespaces
from gateway.core.entries import EntryLine, EntryQuery
from gateway.core.principal import AccountSet
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.store.account_overviews import (
    find_viewed,
    list_accounts,
    summarize_account,
)
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader
from gateway.store.grant_lots import list_lots
from gateway.store.people_list import list_people

router = APIRouter()

_NEWEST = 10
_CHARACTERS_MAX = 128


@router.get("/accounts")
async def show_accounts(request: Request, session: SignedIn, console: Console) -> Response:
    reach = wide_reach(session)
    given = request.query_params
    search = given.get("search", "").strip()[:_CHARACTERS_MAX]
    low, after = "1" if given.get("low") else "", given.get("after")
    lines, has_more = await console.run(
        list_accounts,
        console.installation,
        reach,
        search=search,
        is_low=bool(low),
        after=after,
    )
    return render_page(
        request,
        "accounts.html",
        session,
        None,
        accounts=lines,
        search=search,
        low=low,
        newest=NO_ACCOUNT.at("/accounts", search=search, low=low) if after else None,
        older=NO_ACCOUNT.at("/accounts", search=search, low=low, after=lines[-1].shown)
        if has_more
        else None,
        may_grant=bool(session.principal.reach("grant").namespaces),
    )


@router.get("/accounts/{namespace}/{name}")
async def show_account(
    request: Request, session: SignedIn, console: Console, namespace: str, name: str
) -> Response:
    shown = f"{namespace}/{name}"
    if len(shown) > _CHARACTERS_MAX:
        raise HTTPException(404)
    found = await console.run(find_viewed, console.installation, wide_reach(session), shown)
    if found is None:
        raise HTTPException(404)
    only = AccountSet.of(shown)
    run = console.run
    usage = await run(read_usage, found.id, question(30, None), {})
    accounts, _ = await run(list_accounts, console.installation, only)
    grants, _ = await run(list_lots, console.installation, only)
    newest = EntryReader(found.id, EntryQuery(FIRST_MOMENT, LAST_MOMENT, limit=_NEWEST))
    return render_page(
        request,
        "account.html",
        session,
        Viewed(found, is_named=True),
        summary=await run(summarize_account, found.id),
        total=used(usage.total),
        complete_until=usage.complete_until,
        chart=bar_chart(usage.days, usage.series),
        keys=accounts[0].keys,
        grants=grants,
        people=(
            await run(list_people, console.installation, only, idle=console.spec.sessions.idle)
        )[0],
        entries=await run(_read_entries, newest),
        key_names=await run(read_key_names, console.installation, shown),
        may_grant=session.principal.may("grant", shown),
    )


def wide_reach(session: Session) -> AccountSet:
    """The accounts that somebody may read. Raises `HTTPException` for members."""
    if not sees_namespaces(session.principal):
        raise HTTPException(404)
    return session.principal.reach("read")


def _read_entries(database: Database, reader: EntryReader) -> list[EntryLine]:
    return reader.advance(database) or []
