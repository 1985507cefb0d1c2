"""`/console/grants`: the grants of all accounts that somebody may see; posting one, voiding one."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from gateway.console.access import NOT_ALLOWED
from gateway.console.form import Form, read_fields
from gateway.console.granting import (
    CREDITS_MAX,
    REFERENCE_CHARACTERS_MAX,
    grant_of,
    post_grant,
    void_grant,
)
from gateway.console.language import marked
from gateway.console.page_request import Page, PageRequest, RecentPage
from gateway.console.rendering import redirect
from gateway.console.session import Session
from gateway.console.site import BASE
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


@router.get("/grants")
async def show_grants(page: Page) -> Response:
    after = whole_number(page.query.get("after", ""))
    grants, has_more = await page.ask(list_lots, page.wide_reach(), after=after)
    return page.render(
        "grants.html",
        grants=grants,
        **page.pages("/grants", after, grants[-1].id if has_more else None),
        may_grant=may_grant(page.session),
        is_off=is_off(page.session),
    )


@router.get("/grants/new")
async def new_grant(page: RecentPage) -> Response:
    _require_grant(page.session)
    values = dict.fromkeys(_FIELDS, "")
    values["account"] = page.query.get("account", "")[:128]
    return _show_form(page, Form(values))


@router.post("/grants")
async def post(page: RecentPage) -> Response:
    _require_grant(page.session)
    form, grant = _read(await page.request.form(), page)
    if grant is None:
        return _show_form(page, form, status=422)
    accounts_max = page.console.spec.keys.accounts_per_namespace
    try:
        is_new = await page.ask(post_grant, grant, accounts_max, page.actor)
    except FaregateError as error:
        return _show_form(page, form, **page.problem(error))
    done = "granted" if is_new else "granted-before"
    return redirect(f"{BASE}/accounts/{form.values['account']}?done={done}")


@router.get("/grants/{grant_id}/void")
async def ask_to_void(page: RecentPage, grant_id: str) -> Response:
    return _show_void(page, await _find(page, grant_id))


@router.post("/grants/{grant_id}/void")
async def void(page: RecentPage, grant_id: str) -> Response:
    lot = await _find(page, grant_id)
    try:
        await page.ask(void_grant, lot, page.actor)
    except FaregateError as error:
        return _show_void(page, lot, **page.problem(error))
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


async def _find(page: PageRequest, grant_id: str) -> GrantLot:
    """A grant that this person may void. Raises `HTTPException`."""
    _require_grant(page.session)
    reach, row_id = page.principal.reach("grant"), whole_number(grant_id) or 0
    lot = await page.ask(find_lot, reach, row_id)
    if lot is None or not lot.is_made_here:
        raise HTTPException(404)
    return lot


def _read(given: FormData, page: PageRequest) -> tuple[Form, CreditGrant | None]:
    """The form, and the grant that it means where nothing is wrong with it."""
    form = Form(read_fields(given, _FIELDS, 256))
    values, errors = form.values, form.errors
    shown, reference = values["account"], values["reference"]
    if not is_account(shown) or not page.principal.may("grant", shown):
        errors["account"] = _NO_ACCOUNT
    credits = form.number("credits") or 0
    if not 1 <= credits <= CREDITS_MAX:
        errors["credits"] = _NO_CREDITS
    if not 1 <= len(reference) <= REFERENCE_CHARACTERS_MAX or not reference.isprintable():
        errors["reference"] = _NO_REFERENCE
    expires_at = form.last_day()
    if errors:
        return form, None
    reason = values["reason"]
    return form, grant_of(shown, credits, reference, reason=reason, expires_at=expires_at)


def _show_form(page: PageRequest, form: Form, *, status: int = 200, problem: str = "") -> Response:
    return page.render("grant_new.html", status=status, form=form, problem=problem)


def _show_void(
    page: PageRequest, grant: GrantLot, *, status: int = 200, problem: str = ""
) -> Response:
    return page.render("grant_void.html", status=status, grant=grant, problem=problem)
