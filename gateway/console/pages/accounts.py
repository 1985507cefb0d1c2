"""`/console/accounts`: all accounts that somebody may see, and one of them."""

from fastapi import APIRouter
from fastapi.responses import Response
from msgspec.structs import replace
from starlette.exceptions import HTTPException

from gateway.console.charts import bar_chart
from gateway.console.key_names import read_key_names
from gateway.console.page_request import Page
from gateway.console.usage_view import question, read_usage, used
from gateway.console.viewed import Viewed
from gateway.core.entries import EntryQuery
from gateway.core.principal import AccountSet
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.store.account_overviews import find_viewed, list_accounts, summarize_account
from gateway.store.entry_reader import EntryReader
from gateway.store.grant_lots import list_lots
from gateway.store.people_list import list_people

router = APIRouter()

_NEWEST = 10
_CHARACTERS_MAX = 128


@router.get("/accounts")
async def show_accounts(page: Page) -> Response:
    reach, given = page.wide_reach(), page.query
    search = given.get("search", "").strip()[:_CHARACTERS_MAX]
    low, after = "1" if given.get("low") else "", given.get("after")
    lines, has_more = await page.ask(
        list_accounts, reach, search=search, is_low=bool(low), after=after
    )
    last = lines[-1].shown if has_more else None
    return page.render(
        "accounts.html",
        accounts=lines,
        search=search,
        low=low,
        **page.pages("/accounts", after, last, search=search, low=low),
        may_grant=bool(page.principal.reach("grant").namespaces),
    )


@router.get("/accounts/{namespace}/{name}")
async def show_account(page: Page, namespace: str, name: str) -> Response:
    shown = f"{namespace}/{name}"
    if len(shown) > _CHARACTERS_MAX:
        raise HTTPException(404)
    found = await page.ask(find_viewed, page.wide_reach(), shown)
    if found is None:
        raise HTTPException(404)
    page = replace(page, viewed=Viewed(found, is_named=True))
    only = AccountSet.of(shown)
    usage = await page.run(read_usage, found.id, question(30, None), {})
    accounts, _ = await page.ask(list_accounts, only)
    grants, _ = await page.ask(list_lots, only)
    people, _ = await page.ask(list_people, only, idle=page.console.spec.sessions.idle)
    newest = EntryReader(found.id, EntryQuery(FIRST_MOMENT, LAST_MOMENT, limit=_NEWEST))
    return page.render(
        "account.html",
        summary=await page.run(summarize_account, found.id),
        total=used(usage.total),
        complete_until=usage.complete_until,
        chart=bar_chart(usage.days, usage.series),
        keys=accounts[0].keys,
        grants=grants,
        people=people,
        entries=await page.run(newest.advance) or [],
        key_names=await page.ask(read_key_names, shown),
        may_grant=page.may("grant"),
    )
