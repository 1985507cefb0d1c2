"""`/console/usage`: what an account has used, by key, model or route, and by day."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.access import Console, SignedIn
from gateway.console.charts import bar_chart, largest
from gateway.console.downloads import csv_file
from gateway.console.key_names import read_key_names
from gateway.console.language import marked
from gateway.console.rendering import words
from gateway.console.usage_view import By, question, read_usage
from gateway.console.viewed import ViewedAccount, render_page
from gateway.core.statement import PeriodError
from gateway.core.tags import is_name
from gateway.core.usage import UsageQuery
from gateway.http.usage_formats import usage_csv, usage_csv_head
from gateway.store.usage_reader import UsageReader, advance

router = APIRouter()

_PERIODS = (7, 30, 90, 365)
#: a tag that is named stands for itself
_GROUPS: tuple[By, ...] = ("key", "model", "route")
_NAME_CHARACTERS_MAX = 512
_OTHERS = marked("All others")


@router.get("/usage")
async def show_usage(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    by, days, query = _asked(request)
    account = viewed.account
    names = await console.run(read_key_names, console.installation, account.shown)
    try:
        view = await console.run(read_usage, account.id, query, names)
    except PeriodError as error:
        raise HTTPException(404) from error
    models = sorted({model.id for model in console.catalog.models} | {query.model or ""} - {""})
    return render_page(
        request,
        "usage.html",
        session,
        viewed,
        by=by,
        days=days,
        filters={"key": query.key, "model": query.model, "tag": query.tag},
        keys=list(names.items()),
        models=[(model, model) for model in models],
        chart=bar_chart(view.days, largest(view.series, words(request)(_OTHERS))),
        lines=view.groups,
        groups=view.groups,
        days_lines=view.by_day,
        total=view.total,
        complete_until=view.complete_until,
    )


@router.get("/usage.csv")
async def download_usage(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    _, _, query = _asked(request)
    reader = UsageReader(viewed.account.id, query)
    name = f"usage-{viewed.account.shown}"
    head = usage_csv_head(query)
    return await csv_file(
        name, console, head, advance, reader, lambda lines: usage_csv(query, lines)
    )


def _asked(request: Request) -> tuple[By, int, UsageQuery]:
    """The question of a request; odd values count as the usual ones."""
    given = request.query_params
    by: By = next((each for each in _GROUPS if each == given.get("by")), "key")
    tag = given.get("tag", "").strip()
    if is_name(tag):
        by = "tag"
    days = next((each for each in _PERIODS if str(each) == given.get("days")), 30)
    key, model = (
        (given.get(name) or "")[:_NAME_CHARACTERS_MAX] or None for name in ("key", "model")
    )
    return by, days, question(days, by, key=key, model=model, tag=tag)
