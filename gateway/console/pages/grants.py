"""`/console/grants`: the grants of all accounts that somebody may see; posting one, voiding one."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Struct, field
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from gateway.console.access import NOT_ALLOWED, Console, RecentlySignedIn, SignedIn
from gateway.console.granting import (
    CREDITS_MAX,
    REFERENCE_CHARACTERS_MAX,
    grant_of,
    post_grant,
    void_grant,
)
from gateway.console.language import marked
from gateway.console.last_day import read_last_day
from gateway.console.pages.accounts import wide_reach
from gateway.console.rendering import problem_of, redirect
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.console.viewed import NO_ACCOUNT, render_page
from gateway.core.digits import whole_number
from gateway.core.errors import FaregateError
from gateway.core.principal import is_account
from gateway.core.spec import CreditGrant
from gateway.store.grant_lots import GrantLot, find_lot, list_lots

router = APIRouter()

_FIELDS = ("account", "credits", "reference", "expires_at", "reason")
_NO_ACCOUNT = marked("This must be like team-a/alice, in a namespace where you may grant.")
_NO_CREDITS = marked("This must be a whole number from 1 on.")
_NO_REFERENCE = marked("Give it a reference, such as an order’s number.")
_IS_OFF = marked(
    "Here credits are granted by CreditGrant objects only. With the setting console.grants,"
    " treasurers grant them in the console, too."
)


class GrantForm(Struct):
    """The fields as they were typed, and what is wrong with some."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)


@router.get("/grants")
async def show_grants(request: Request, session: SignedIn, console: Console) -> Response:
    reach, after = wide_reach(session), whole_number(request.query_params.get("after", ""))
    grants, has_more = await console.run(list_lots, console.installation, reach, after=after)
    return render_page(
        request,
        "grants.html",
        session,
        None,
        grants=grants,
        newest=NO_ACCOUNT.at("/grants") if after else None,
        older=NO_ACCOUNT.at("/grants", after=grants[-1].id) if has_more else None,
        may_grant=may_grant(session),
        is_off=is_off(session),
    )


@router.get("/grants/new")
async def new_grant(request: Request, session: RecentlySignedIn, console: Console) -> Response:
    _require_grant(session)
    values = dict.fromkeys(_FIELDS, "")
    values["account"] = request.query_params.get("account", "")[:128]
    return _show_form(request, session, GrantForm(values))


@router.post("/grants")
async def post(request: Request, session: RecentlySignedIn, console: Console) -> Response:
    _require_grant(session)
    form, grant = _read(await request.form(), session)
    if grant is None:
        return _show_form(request, session, form, status=422)
    actor, accounts_max = session.principal.actor, console.spec.keys.accounts_per_namespace
    try:
        is_new = await console.run(post_grant, console.installation, grant, accounts_max, actor)
    except FaregateError as error:
        problem = problem_of(request, error)
        return _show_form(request, session, form, status=error.status, problem=problem)
    done = "granted" if is_new else "granted-before"
    return redirect(f"{BASE}/accounts/{form.values['account']}?done={done}")


@router.get("/grants/{grant_id}/void")
async def ask_to_void(
    request: Request, session: RecentlySignedIn, console: Console, grant_id: str
) -> Response:
    return _show_void(request, session, await _find(session, console, grant_id))


@router.post("/grants/{grant_id}/void")
async def void(
    request: Request, session: RecentlySignedIn, console: Console, grant_id: str
) -> Response:
    lot = await _find(session, console, grant_id)
    try:
        await console.run(void_grant, console.installation, lot, session.principal.actor)
    except FaregateError as error:
        shown: dict[str, Any] = {"status": error.status, "problem": problem_of(request, error)}
        return _show_void(request, session, lot, **shown)
    return redirect(f"{BASE}/accounts/{lot.account}?done=voided")


def may_grant(session: Session) -> bool:
    """True for a person who may grant credits in some namespace."""
    return bool(session.principal.reach("grant").namespaces) and not session.is_key


def is_off(session: Session) -> str:
    """The sentence for a treasurer where nobody grants in the console, else none."""
    roles = {each.role for each in session.principal.bindings}
    return _IS_OFF if "treasurer" in roles and "grant" in session.withheld else ""


def _require_grant(session: Session) -> None:
    if not may_grant(session):
        raise HTTPException(403, is_off(session) or NOT_ALLOWED)


async def _find(session: Session, console: Console, grant_id: str) -> GrantLot:
    """A grant that this person may void. Raises `HTTPException`."""
    _require_grant(session)
    reach, row_id = session.principal.reach("grant"), whole_number(grant_id) or 0
    lot = await console.run(find_lot, console.installation, reach, row_id)
    if lot is None or not lot.is_made_here:
        raise HTTPException(404)
    return lot


def _read(given: FormData, session: Session) -> tuple[GrantForm, CreditGrant | None]:
    """The form, and the grant that it means where nothing is wrong with it."""
    form = GrantForm({name: str(given.get(name, "")).strip()[:256] for name in _FIELDS})
    values, errors = form.values, form.errors
    shown, reference = values["account"], values["reference"]
    if not is_account(shown) or not session.principal.may("grant", shown):
        errors["account"] = _NO_ACCOUNT
    credits = whole_number(values["credits"].replace(",", "").replace(" ", "")) or 0
    if not 1 <= credits <= CREDITS_MAX:
        errors["credits"] = _NO_CREDITS
    if not 1 <= len(reference) <= REFERENCE_CHARACTERS_MAX or not reference.isprintable():
        errors["reference"] = _NO_REFERENCE
    expires_at = read_last_day(values, errors)
    if errors:
        return form, None
    reason = values["reason"]
    return form, grant_of(shown, credits, reference, reason=reason, expires_at=expires_at)


def _show_form(
    request: Request, session: Session, form: GrantForm, *, status: int = 200, problem: str = ""
) -> Response:
    return render_page(
        request,
        "grant_new.html",
        session,
        None,
        status=status,
        form=form,
        problem=problem,
    )


def _show_void(
    request: Request,
    session: Session,
    grant: GrantLot,
    *,
    status: int = 200,
    problem: str = "",
) -> Response:
    return render_page(
        request,
        "grant_void.html",
        session,
        None,
        status=status,
        grant=grant,
        problem=problem,
    )
