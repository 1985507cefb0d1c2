"""`/console/keys`: the keys of an account, one of them, and the making of a new one."""

import re
from datetime import UTC, datetime, timedelta
from math import ceil

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

from gateway.console.client_setups import env_lines
from gateway.console.formats import lifetime
from gateway.console.key_form import KeyForm, empty_form, lifetimes, read_new_key
from gateway.console.page_request import (
    AccountPage,
    PageRequest,
    PersonAccountPage,
    PersonPage,
)
from gateway.console.pages.setup import client_setups
from gateway.console.rendering import redirect
from gateway.core.errors import FaregateError, StateConflict
from gateway.core.key_policy import UNUSED_DAYS
from gateway.core.keys import generate_key, generate_key_id, has_checksum, key_id_of
from gateway.core.principal import AccountSet
from gateway.store.key_list import KeyFilter, ShownKey, list_shown_keys, show_key
from gateway.store.personal_keys import NewKey, issue_key

router = APIRouter()

_PAGE = 50
#: the reason of a conflict where a form was sent twice
_MADE = "already_created"
_ATTEMPT = re.compile(r"key_[0-9a-f]{24}")


@router.get("/keys")
async def list_keys(page: AccountPage) -> Response:
    given, after = page.query, page.query.get("after")
    shows_revoked, shows_unused = bool(given.get("revoked")), bool(given.get("unused"))
    found = await page.ask(
        list_shown_keys,
        AccountSet.of(page.account.shown),
        KeyFilter(unused_days=UNUSED_DAYS if shows_unused else None),
        _PAGE,
        after,
    )
    keys = [key for key in found.keys if shows_revoked or key.status != "revoked"]
    shown = {"revoked": "1" if shows_revoked else "", "unused": "1" if shows_unused else ""}
    last = found.keys[-1].key_id if found.has_more else None
    return page.render(
        "keys.html",
        keys=keys,
        days_until=days_until,
        shows_revoked=shows_revoked,
        shows_unused=shows_unused,
        unused_days=UNUSED_DAYS,
        is_unused=is_unused,
        is_standalone=page.console.settings.is_standalone,
        **page.pages("/keys", after, last, **shown),
        may_make_keys=page.may("keys"),
    )


@router.get("/keys/new")
async def new_key(page: PersonAccountPage) -> Response:
    page.require("keys")
    return _show_form(page, empty_form(generate_key_id(), page.key_policy))


@router.post("/keys")
async def make_key(page: PersonAccountPage) -> Response:
    """Make the key and show it: the one answer to a form that is a page, since no other may."""
    page.require("keys")
    policy = page.key_policy
    models = [model.id for model in page.console.catalog.models]
    form = read_new_key(await page.request.form(), models, policy)
    if form.errors:
        return _show_form(page, form, status=422)
    attempt = form.values["attempt"]
    secret = generate_key()
    namespace, _, account = page.account.shown.partition("/")
    if not _ATTEMPT.fullmatch(attempt):
        attempt = generate_key_id()
    # By the person, too: a form must not take the id that somebody else's request will have.
    wanted = NewKey(
        key_id=key_id_of(page.principal.identity, attempt),
        namespace=namespace,
        account=account,
        settings=form.settings,
        person_id=page.session.found.person_id,
    )
    credential = page.console.credential_of(secret)
    try:
        await page.ask(issue_key, wanted, credential, policy, page.actor)
    except FaregateError as error:
        if isinstance(error, StateConflict) and (error.details or {}).get("reason") == _MADE:
            return redirect(page.viewed.at(f"/keys/{wanted.key_id}", done="key-made-before"))
        return _show_form(page, form, **page.problem(error))
    return reveal(page, await find_key(page, wanted.key_id), secret)


@router.post("/keys/env")
async def download_env(page: PersonPage) -> Response:
    """The variables of a key that the page before has shown; it is in no URL, and not kept."""
    secret = str((await page.request.form()).get("secret", ""))
    if not has_checksum(secret):
        raise HTTPException(400)
    text = "".join(f"{line}\n" for line in env_lines(secret, page.console.client_url))
    return PlainTextResponse(
        text, headers={"content-disposition": 'attachment; filename="faregate.env"'}
    )


def reveal(page: PageRequest, key: ShownKey, secret: str, *, is_rotation: bool = False) -> Response:
    """The page that shows a secret, once."""
    models = page.console.catalog.chat_models
    model = next((each for each in models if each.id in key.models), models[0])
    return page.render(
        "key_reveal.html",
        key=key,
        secret=secret,
        is_rotation=is_rotation,
        model=model,
        setups=list(client_setups().render(page.console.client_url, secret, model)),
    )


async def find_key(page: PageRequest, key_id: str) -> ShownKey:
    """A key of the account. Raises `NotFound`."""
    return await page.ask(show_key, AccountSet.of(page.account.shown), key_id)


def days_until(moment: datetime) -> int:
    """Days until a moment, begun ones counted."""
    return ceil((moment - datetime.now(UTC)).total_seconds() / 86400)


def is_unused(key: ShownKey) -> bool:
    """True for a key that could be used, and was not for a long time."""
    last = key.last_used_at or key.created_at
    return key.status == "active" and last < datetime.now(UTC) - timedelta(days=UNUSED_DAYS)


def _show_form(
    page: PageRequest, form: KeyForm, *, status: int = 200, problem: str = ""
) -> Response:
    return page.render(
        "key_new.html",
        status=status,
        form=form,
        problem=problem,
        model_ids=[model.id for model in page.console.catalog.models],
        expiry_choices=[(days, lifetime(days, page.words)) for days in lifetimes(page.key_policy)],
    )
