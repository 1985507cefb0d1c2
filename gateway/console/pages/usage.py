"""`/console/usage`: what an account has used, by key, model or route, and by day."""

from functools import partial

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.charts import bar_chart, largest
from gateway.console.downloads import csv_file
from gateway.console.key_names import read_key_names
from gateway.console.language import marked
from gateway.console.page_request import AccountPage, PageRequest
from gateway.console.usage_view import By, question, read_usage
from gateway.core.statement import PeriodError
from gateway.core.tags import is_name
from gateway.core.usage import UsageQuery
from gateway.http.usage_formats import usage_csv, usage_csv_head
from gateway.store.usage_reader import UsageReader

router = APIRouter()

_PERIODS = (7, 30, 90, 365)
#: a tag that is named stands for itself
_GROUPS: tuple[By, ...] = ("key", "model", "route")
_NAME_CHARACTERS_MAX = 512
_OTHERS = marked("All others")


@router.get("/usage")
async def show_usage(page: AccountPage) -> Response:
    by, days, query = _asked(page)
    names = await page.ask(read_key_names, page.account.shown)
    try:
        view = await page.run(read_usage, page.account.id, query, names)
    except PeriodError as error:
        raise HTTPException(404) from error
    known = {model.id for model in page.console.catalog.models}
    models = sorted(known | {query.model or ""} - {""})
    return page.render(
        "usage.html",
        by=by,
        days=days,
        filters={"key": query.key, "model": query.model, "tag": query.tag},
        keys=list(names.items()),
        models=[(model, model) for model in models],
        chart=bar_chart(view.days, largest(view.series, page.words(_OTHERS))),
        groups=view.groups,
        days_lines=view.by_day,
        total=view.total,
        complete_until=view.complete_until,
    )


@router.get("/usage.csv")
async def download_usage(page: AccountPage) -> Response:
    _, _, query = _asked(page)
    reader = UsageReader(page.account.id, query)
    name = f"usage-{page.account.shown}"
    head = usage_csv_head(query)
    return await csv_file(name, page, head, reader.advance, partial(usage_csv, query))


def _asked(page: PageRequest) -> tuple[By, int, UsageQuery]:
    """The question of a request; odd values count as the usual ones."""
    given = page.query
    by: By = next((each for each in _GROUPS if each == given.get("by")), "key")
    tag = given.get("tag", "").strip()
    if is_name(tag):
        by = "tag"
    days = next((each for each in _PERIODS if str(each) == given.get("days")), 30)
    key, model = (
        (given.get(name) or "")[:_NAME_CHARACTERS_MAX] or None for name in ("key", "model")
    )
    return by, days, question(days, by, key=key, model=model, tag=tag)
