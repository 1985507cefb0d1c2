"""`/console`: the balance, what becomes of it, and the newest entries."""

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response
from msgspec import Struct

from gateway.console.charts import bar_chart
from gateway.console.key_names import KeyNames, read_key_names
from gateway.console.page_request import AccountPage
from gateway.console.rendering import redirect
from gateway.console.site import BASE
from gateway.console.usage_view import UsageView, days_left, question, read_usage, used
from gateway.core.entries import EntryLine, EntryQuery
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.core.usage import UsageSums
from gateway.store.account_overviews import AccountSummary, NamedAccount, summarize_account
from gateway.store.database import Database
from gateway.store.entry_reader import EntryReader

router = APIRouter()

_DAYS = 30
_NEWEST = 5


class Overview(Struct, frozen=True):
    """All that the page shows."""

    summary: AccountSummary
    usage: UsageView
    entries: list[EntryLine]
    key_names: KeyNames


@router.get("/")
async def leave_slash_out() -> Response:
    """`/console/`, as many type it."""
    return redirect(BASE)


@router.get("")
async def show_overview(page: AccountPage) -> Response:
    found = await page.ask(_read, page.account)
    view, today = found.usage, f"{datetime.now(UTC):%Y-%m-%d}"
    sums = next((row.sums for row in view.by_day if row.name == today), UsageSums())
    return page.render(
        "overview.html",
        summary=found.summary,
        today={"credits": used(sums), "requests": sums.requests},
        days_left=days_left(view, found.summary.balance),
        total=used(view.total),
        complete_until=view.complete_until,
        chart=bar_chart(view.days, view.series),
        is_unused=not view.by_day,
        entries=found.entries,
        key_names=found.key_names,
        may_make_keys=page.may("keys"),
    )


def _read(database: Database, installation: str, account: NamedAccount) -> Overview:
    reader = EntryReader(account.id, EntryQuery(FIRST_MOMENT, LAST_MOMENT, limit=_NEWEST))
    return Overview(
        summarize_account(database, account.id),
        read_usage(database, account.id, question(_DAYS, None), {}),
        reader.advance(database) or [],
        read_key_names(database, installation, account.shown),
    )
