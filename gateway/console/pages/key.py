"""`/console/keys/{id}`: one key, and everything that can be done to it."""

from fastapi import APIRouter
from fastapi.responses import Response

from gateway.console.charts import bar_chart
from gateway.console.key_form import KeyForm, form_of, read_changes
from gateway.console.key_names import name_of
from gateway.console.language import marked
from gateway.console.page_request import AccountPage, PageRequest, PersonAccountPage
from gateway.console.pages.keys import days_until, find_key, reveal
from gateway.console.rendering import redirect
from gateway.console.usage_view import question, read_usage
from gateway.core.errors import FaregateError
from gateway.core.key_policy import OVERLAPS
from gateway.core.keys import generate_key
from gateway.store.change_log import read_suspension
from gateway.store.key_list import ShownKey
from gateway.store.personal_keys import KeySettings, change_key, revoke_personal_key, rotate_key
from gateway.store.suspending import LOST_ROLE

router = APIRouter()

#: the reason of a conflict where the page was sent twice
_ROTATED = "already_rotated"
_OTHER_NAME = marked("This is not its name.")


@router.get("/keys/{key_id}")
async def show_key(page: AccountPage, key_id: str) -> Response:
    return await _show(page, await find_key(page, key_id))


@router.post("/keys/{key_id}")
async def save_key(page: PersonAccountPage, key_id: str) -> Response:
    page.require("keys")
    key = await find_key(page, key_id)
    models = [model.id for model in page.console.catalog.models]
    form = read_changes(await page.request.form(), models, key)
    if form.errors:
        return await _show(page, key, form=form, status=422)
    return await _change(page, key, form.settings, "key-changed")


@router.post("/keys/{key_id}/rotate")
async def rotate(page: PersonAccountPage, key_id: str) -> Response:
    """Rotate the key and show the new secret, once."""
    page.require("keys")
    key = await find_key(page, key_id)
    given = await page.request.form()
    overlap = next((each for each in OVERLAPS if str(each) == given.get("overlap")), OVERLAPS[-1])
    secret = generate_key()
    try:
        await page.ask(
            rotate_key,
            key_id,
            page.console.credential_of(secret),
            overlap,
            page.key_policy,
            page.actor,
            prefix=str(given.get("prefix", "")),
        )
    except FaregateError as error:
        if (error.details or {}).get("reason") == _ROTATED:
            return _done(page, key_id, "key-rotated-before")
        return await _show(page, key, **page.problem(error))
    return reveal(page, await find_key(page, key_id), secret, is_rotation=True)


@router.post("/keys/{key_id}/suspend")
async def suspend(page: PersonAccountPage, key_id: str) -> Response:
    page.require("stop")
    key = await find_key(page, key_id)
    return await _change(page, key, KeySettings(suspended=True), "key-suspended")


@router.post("/keys/{key_id}/resume")
async def resume(page: PersonAccountPage, key_id: str) -> Response:
    page.require("stop")
    key = await find_key(page, key_id)
    return await _change(page, key, KeySettings(suspended=False), "key-resumed")


@router.post("/keys/{key_id}/revoke")
async def revoke(page: PersonAccountPage, key_id: str) -> Response:
    page.require("stop")
    key = await find_key(page, key_id)
    typed = str((await page.request.form()).get("name", "")).strip()
    if typed != name_of(key):
        return await _show(page, key, status=422, revoke_error=_OTHER_NAME)
    try:
        await page.ask(revoke_personal_key, key_id, page.actor)
    except FaregateError as error:
        return await _show(page, key, **page.problem(error))
    return _done(page, key_id, "key-revoked")


async def _change(page: PageRequest, key: ShownKey, settings: KeySettings, done: str) -> Response:
    """Change settings of a key, and show it, or why that was refused."""
    try:
        await page.ask(change_key, key.key_id, settings, page.key_policy, page.actor)
    except FaregateError as error:
        return await _show(page, key, **page.problem(error))
    return _done(page, key.key_id, done)


def _done(page: PageRequest, key_id: str, done: str) -> Response:
    return redirect(page.viewed.at(f"/keys/{key_id}", done=done))


async def _show(
    page: PageRequest,
    key: ShownKey,
    *,
    form: KeyForm | None = None,
    status: int = 200,
    problem: str = "",
    revoke_error: str = "",
) -> Response:
    query, account_id = question(30, None, key=key.key_id), page.account.id
    usage = await page.run(read_usage, account_id, query, {})
    suspension = None
    if key.status == "suspended":
        suspension = await page.run(read_suspension, account_id, key.name)
    is_person = not page.session.is_key
    return page.render(
        "key.html",
        status=status,
        key=key,
        form=form or form_of(key),
        usage=usage,
        suspension=suspension,
        is_lost=suspension is not None and suspension["actor"] == LOST_ROLE.name,
        chart=bar_chart(usage.days, usage.series),
        days_until=days_until,
        model_ids=sorted({model.id for model in page.console.catalog.models} | set(key.models)),
        may_change=page.may("keys") and key.origin == "person" and is_person,
        may_stop=page.may("stop") and is_person,
        is_standalone=page.console.settings.is_standalone,
        problem=problem,
        revoke_error=revoke_error,
    )
