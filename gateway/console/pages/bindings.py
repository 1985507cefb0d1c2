"""`/console/people/…`: give an account to a person, and take it from the person again."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Struct, field
from starlette.exceptions import HTTPException

from gateway.console.access import Console, RecentlySignedIn
from gateway.console.language import marked
from gateway.console.pages.people import (
    binding_reach,
    find_person_in_reach,
    issuers,
    may_bind,
)
from gateway.console.rendering import redirect
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.console.viewed import render_page
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


class BindingForm(Struct):
    """The fields as they were typed, and what is wrong with some."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)


@router.get("/people/bind")
async def new_binding(request: Request, session: RecentlySignedIn, console: Console) -> Response:
    _require_binding(session, console)
    given = request.query_params
    values = {name: given.get(name, "")[:_CHARACTERS_MAX] for name in _FIELDS}
    return _show_form(request, session, console, BindingForm(values))


@router.post("/people/bind")
async def bind(request: Request, session: RecentlySignedIn, console: Console) -> Response:
    _require_binding(session, console)
    given = await request.form()
    values = {name: str(given.get(name, "")).strip()[:_CHARACTERS_MAX] for name in _FIELDS}
    form = BindingForm(values)
    person_id = None
    if values["issuer"] in issuers(console):
        person_id = await console.run(
            find_person, console.installation, values["issuer"], values["subject"]
        )
    if person_id is None:
        form.errors["subject"] = _NO_PERSON
    elif person_id == session.found.person_id:
        form.errors["subject"] = _ONESELF
    account = await _find_account(session, console, values["account"])
    if account is None:
        form.errors["account"] = _NO_ACCOUNT
    if person_id is None or account is None or form.errors:
        return _show_form(request, session, console, form, status=422)
    actor = session.principal.actor
    await console.run(bind_person, console.installation, person_id, account, actor)
    return redirect(f"{BASE}/people?done=bound")


@router.get("/people/{person}/unbind/{namespace}/{name}")
async def ask_to_unbind(
    request: Request,
    session: RecentlySignedIn,
    console: Console,
    person: str,
    namespace: str,
    name: str,
) -> Response:
    line, account = await _find_binding(session, console, person, f"{namespace}/{name}")
    return render_page(
        request, "unbind.html", session, None, person=line, account_name=account.shown
    )


@router.post("/people/{person}/unbind/{namespace}/{name}")
async def unbind(
    session: RecentlySignedIn, console: Console, person: str, namespace: str, name: str
) -> Response:
    line, account = await _find_binding(session, console, person, f"{namespace}/{name}")
    actor = session.principal.actor
    await console.run(unbind_person, console.installation, line.id, account, actor)
    return redirect(f"{BASE}/people?done=unbound")


def _require_binding(session: Session, console: ConsoleServices) -> None:
    if not may_bind(session, console):
        raise HTTPException(404)


async def _find_account(
    session: Session, console: ConsoleServices, shown: str
) -> OwnAccount | None:
    """An account that this person may give."""
    if not shown:
        return None
    found = await console.run(find_viewed, console.installation, binding_reach(session), shown)
    if found is None:
        return None
    namespace, _, name = found.shown.partition("/")
    return OwnAccount(found.id, namespace, name)


async def _find_binding(
    session: Session, console: ConsoleServices, person: str, shown: str
) -> tuple[PersonLine, OwnAccount]:
    """A person, and an account that was given to it. Raises `HTTPException`."""
    _require_binding(session, console)
    line = await find_person_in_reach(console, binding_reach(session), person)
    account = await _find_account(session, console, shown)
    if line is None or account is None or shown not in line.given:
        raise HTTPException(404)
    return line, account


def _show_form(
    request: Request,
    session: Session,
    console: ConsoleServices,
    form: BindingForm,
    *,
    status: int = 200,
) -> Response:
    shown: dict[str, Any] = {"form": form, "issuers": [(each, each) for each in issuers(console)]}
    return render_page(request, "bind.html", session, None, status=status, **shown)
