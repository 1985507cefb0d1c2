"""`/console/people/…`: give an account to a person, and take it from the person again."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.form import Form, read_fields
from gateway.console.language import marked
from gateway.console.page_request import PageRequest, RecentPage
from gateway.console.pages.people import (
    binding_reach,
    find_person_in_reach,
    issuers,
    may_bind,
)
from gateway.console.rendering import redirect
from gateway.console.site import BASE
from gateway.store.account_overviews import find_viewed
from gateway.store.bindings import bind_person, find_person, unbind_person
from gateway.store.people import OwnAccount
from gateway.store.people_list import PersonLine

router = APIRouter()

_FIELDS = ("issuer", "subject", "account")
_CHARACTERS_MAX = 2048
_NO_PERSON = marked("Nobody has come with this subject. They sign in once, and read it there.")
_ONESELF = marked("Nobody gives an account to themselves; somebody else has to.")
_NO_ACCOUNT = marked("This must be an account that is there, in a namespace of yours.")


@router.get("/people/bind")
async def new_binding(page: RecentPage) -> Response:
    _require_binding(page)
    values = {name: page.query.get(name, "")[:_CHARACTERS_MAX] for name in _FIELDS}
    return _show_form(page, Form(values))


@router.post("/people/bind")
async def bind(page: RecentPage) -> Response:
    _require_binding(page)
    form = Form(read_fields(await page.request.form(), _FIELDS, _CHARACTERS_MAX))
    values = form.values
    person_id = None
    if values["issuer"] in issuers(page.console):
        person_id = await page.ask(find_person, values["issuer"], values["subject"])
    if person_id is None:
        form.errors["subject"] = _NO_PERSON
    elif person_id == page.session.found.person_id:
        form.errors["subject"] = _ONESELF
    account = await _find_account(page, values["account"])
    if account is None:
        form.errors["account"] = _NO_ACCOUNT
    if person_id is None or account is None or form.errors:
        return _show_form(page, form, status=422)
    await page.ask(bind_person, person_id, account, page.actor)
    return redirect(f"{BASE}/people?done=bound")


@router.get("/people/{person}/unbind/{namespace}/{name}")
async def ask_to_unbind(page: RecentPage, person: str, namespace: str, name: str) -> Response:
    line, account = await _find_binding(page, person, f"{namespace}/{name}")
    return page.render("unbind.html", person=line, account_name=account.shown)


@router.post("/people/{person}/unbind/{namespace}/{name}")
async def unbind(page: RecentPage, person: str, namespace: str, name: str) -> Response:
    line, account = await _find_binding(page, person, f"{namespace}/{name}")
    await page.ask(unbind_person, line.id, account, page.actor)
    return redirect(f"{BASE}/people?done=unbound")


def _require_binding(page: PageRequest) -> None:
    if not may_bind(page):
        raise HTTPException(404)


async def _find_account(page: PageRequest, shown: str) -> OwnAccount | None:
    """An account that this person may give."""
    if not shown:
        return None
    found = await page.ask(find_viewed, binding_reach(page), shown)
    if found is None:
        return None
    namespace, _, name = found.shown.partition("/")
    return OwnAccount(found.id, namespace, name)


async def _find_binding(
    page: PageRequest, person: str, shown: str
) -> tuple[PersonLine, OwnAccount]:
    """A person, and an account that was given to it. Raises `HTTPException`."""
    _require_binding(page)
    line = await find_person_in_reach(page, binding_reach(page), person)
    account = await _find_account(page, shown)
    if line is None or account is None or shown not in line.given:
        raise HTTPException(404)
    return line, account


def _show_form(page: PageRequest, form: Form, *, status: int = 200) -> Response:
    choices = [(each, each) for each in issuers(page.console)]
    return page.render("bind.html", status=status, form=form, issuers=choices)
