"""`/console/keys/{id}`: one key, and everything that can be done to it."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import Console, PersonSignedIn, SignedIn
from gateway.console.charts import bar_chart
from gateway.console.key_form import KeyForm, form_of, read_changes
from gateway.console.key_names import name_of
from gateway.console.language import marked
from gateway.console.pages.keys import days_until, find_key, require, reveal
from gateway.console.rendering import problem_of, redirect
from gateway.console.session import Session
from gateway.console.usage_view import question, read_usage
from gateway.console.viewed import Viewed, ViewedAccount, render_page
from gateway.core.errors import FaregateError
from gateway.core.key_policy import OVERLAPS, key_policy_of
from gateway.core.keys import generate_key
from gateway.store.change_log import read_suspension
from gateway.store.key_list import ShownKey
from gateway.store.lost_roles import LOST_ROLE
from gateway.store.personal_keys import (
    KeySettings,
    change_key,
    revoke_personal_key,
    rotate_key,
)

router = APIRouter()

#: the reason of a conflict where the page was sent twice
_ROTATED = "already_rotated"
_OTHER_NAME = marked("This is not its name.")


@router.get("/keys/{key_id}")
async def show_key(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount, key_id: str
) -> Response:
    key = await find_key(session, console, viewed, key_id)
    return await _show(request, session, console, viewed, key)


@router.post("/keys/{key_id}")
async def save_key(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount, key_id: str
) -> Response:
    require(session, "keys", viewed)
    key = await find_key(session, console, viewed, key_id)
    models = [model.id for model in console.catalog.models]
    form = read_changes(await request.form(), models, key)
    if form.errors:
        return await _show(request, session, console, viewed, key, form=form, status=422)
    problem = await _change(session, console, key, form.settings)
    if problem is not None:
        return await _refuse(request, session, console, viewed, key, problem)
    return redirect(viewed.at(f"/keys/{key_id}", done="key-changed"))


@router.post("/keys/{key_id}/rotate")
async def rotate(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount, key_id: str
) -> Response:
    """Rotate the key and show the new secret, once."""
    require(session, "keys", viewed)
    key = await find_key(session, console, viewed, key_id)
    given = await request.form()
    overlap = next((each for each in OVERLAPS if str(each) == given.get("overlap")), OVERLAPS[-1])
    secret = generate_key()
    try:
        await console.run(
            rotate_key,
            console.installation,
            key_id,
            console.credential_of(secret),
            overlap,
            viewed.key_policy(session, console),
            session.principal.actor,
            prefix=str(given.get("prefix", "")),
        )
    except FaregateError as error:
        if (error.details or {}).get("reason") == _ROTATED:
            return redirect(viewed.at(f"/keys/{key_id}", done="key-rotated-before"))
        return await _refuse(request, session, console, viewed, key, error)
    key = await find_key(session, console, viewed, key_id)
    return reveal(request, session, console, viewed, key, secret, is_rotation=True)


@router.post("/keys/{key_id}/suspend")
async def suspend(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount, key_id: str
) -> Response:
    return await _suspend(request, session, console, viewed, key_id, suspended=True)


@router.post("/keys/{key_id}/resume")
async def resume(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount, key_id: str
) -> Response:
    return await _suspend(request, session, console, viewed, key_id, suspended=False)


@router.post("/keys/{key_id}/revoke")
async def revoke(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount, key_id: str
) -> Response:
    require(session, "stop", viewed)
    key = await find_key(session, console, viewed, key_id)
    typed = str((await request.form()).get("name", "")).strip()
    if typed != name_of(key):
        return await _show(
            request, session, console, viewed, key, status=422, revoke_error=_OTHER_NAME
        )
    try:
        actor = session.principal.actor
        await console.run(revoke_personal_key, console.installation, key_id, actor)
    except FaregateError as error:
        return await _refuse(request, session, console, viewed, key, error)
    return redirect(viewed.at(f"/keys/{key_id}", done="key-revoked"))


async def _suspend(
    request: Request,
    session: Session,
    console: Console,
    viewed: Viewed,
    key_id: str,
    *,
    suspended: bool,
) -> Response:
    require(session, "stop", viewed)
    key = await find_key(session, console, viewed, key_id)
    problem = await _change(session, console, key, KeySettings(suspended=suspended))
    if problem is not None:
        return await _refuse(request, session, console, viewed, key, problem)
    done = "key-suspended" if suspended else "key-resumed"
    return redirect(viewed.at(f"/keys/{key_id}", done=done))


async def _change(
    session: Session, console: Console, key: ShownKey, settings: KeySettings
) -> FaregateError | None:
    """Change settings of a key; the refusal, if there is one."""
    try:
        await console.run(
            change_key,
            console.installation,
            key.key_id,
            settings,
            key_policy_of(console.spec, session.principal, key.account),
            session.principal.actor,
        )
    except FaregateError as error:
        return error
    return None


async def _refuse(
    request: Request,
    session: Session,
    console: Console,
    viewed: Viewed,
    key: ShownKey,
    error: FaregateError,
) -> Response:
    shown: dict[str, Any] = {"status": error.status, "problem": problem_of(request, error)}
    return await _show(request, session, console, viewed, key, **shown)


async def _show(
    request: Request,
    session: Session,
    console: Console,
    viewed: Viewed,
    key: ShownKey,
    *,
    form: KeyForm | None = None,
    status: int = 200,
    problem: str = "",
    revoke_error: str = "",
) -> Response:
    query = question(30, None, key=key.key_id)
    usage = await console.run(read_usage, viewed.account.id, query, {})
    suspension = None
    if key.status == "suspended":
        suspension = await console.run(read_suspension, viewed.account.id, key.name)
    may = session.principal.may
    account = viewed.account.shown
    return render_page(
        request,
        "key.html",
        session,
        viewed,
        status=status,
        key=key,
        form=form or form_of(key),
        usage=usage,
        suspension=suspension,
        is_lost=suspension is not None and suspension["actor"] == LOST_ROLE.name,
        chart=bar_chart(usage.days, usage.series),
        days_until=days_until,
        model_ids=sorted({model.id for model in console.catalog.models} | set(key.models)),
        may_change=may("keys", account) and key.origin == "person" and not session.is_key,
        may_stop=may("stop", account) and not session.is_key,
        is_standalone=console.settings.is_standalone,
        problem=problem,
        revoke_error=revoke_error,
    )
