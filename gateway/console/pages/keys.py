"""`/console/keys`: the keys of an account, one of them, and the making of a new one."""

import re
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

from gateway.console.access import NOT_ALLOWED, Console, PersonSignedIn, SignedIn
from gateway.console.client_setups import env_lines
from gateway.console.formats import lifetime
from gateway.console.key_form import (
    KeyForm,
    empty_form,
    lifetimes,
    read_new_key,
)
from gateway.console.pages.setup import client_setups
from gateway.console.rendering import problem_of, redirect, words
from gateway.console.session import Session
from gateway.console.viewed import Viewed, ViewedAccount, render_page
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
async def list_keys(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    given = request.query_params
    after = given.get("after")
    shows_revoked, shows_unused = bool(given.get("revoked")), bool(given.get("unused"))
    found = await console.run(
        list_shown_keys,
        console.installation,
        AccountSet.of(viewed.account.shown),
        KeyFilter(unused_days=UNUSED_DAYS if shows_unused else None),
        _PAGE,
        after,
    )
    keys = [key for key in found.keys if shows_revoked or key.status != "revoked"]
    shown = {"revoked": "1" if shows_revoked else "", "unused": "1" if shows_unused else ""}
    last = found.keys[-1].key_id if found.keys else ""
    return render_page(
        request,
        "keys.html",
        session,
        viewed,
        keys=keys,
        days_until=days_until,
        shows_revoked=shows_revoked,
        shows_unused=shows_unused,
        unused_days=UNUSED_DAYS,
        is_unused=is_unused,
        is_standalone=console.settings.is_standalone,
        newest=viewed.at("/keys", **shown) if after else None,
        older=viewed.at("/keys", after=last, **shown) if found.has_more else None,
        may_make_keys=session.principal.may("keys", viewed.account.shown),
    )


@router.get("/keys/new")
async def new_key(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    require(session, "keys", viewed)
    form = empty_form(generate_key_id(), viewed.key_policy(session, console))
    return _show_form(request, session, console, viewed, form)


@router.post("/keys")
async def make_key(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount
) -> Response:
    """Make the key and show it: the one answer to a form that is a page, since no other may."""
    require(session, "keys", viewed)
    models = [model.id for model in console.catalog.models]
    policy = viewed.key_policy(session, console)
    form = read_new_key(await request.form(), models, policy)
    if form.errors:
        return _show_form(request, session, console, viewed, form, status=422)
    attempt = form.values["attempt"]
    secret = generate_key()
    namespace, _, account = viewed.account.shown.partition("/")
    if not _ATTEMPT.fullmatch(attempt):
        attempt = generate_key_id()
    # By the person, too: a form must not take the id that somebody else's request will have.
    wanted = NewKey(
        key_id=key_id_of(session.principal.identity, attempt),
        namespace=namespace,
        account=account,
        settings=form.settings,
        person_id=session.found.person_id,
    )
    try:
        await console.run(
            issue_key,
            console.installation,
            wanted,
            console.credential_of(secret),
            policy,
            session.principal.actor,
        )
    except FaregateError as error:
        if isinstance(error, StateConflict) and (error.details or {}).get("reason") == _MADE:
            return redirect(viewed.at(f"/keys/{wanted.key_id}", done="key-made-before"))
        problem = problem_of(request, error)
        return _show_form(
            request, session, console, viewed, form, status=error.status, problem=problem
        )
    key = await find_key(session, console, viewed, wanted.key_id)
    return reveal(request, session, console, viewed, key, secret)


@router.post("/keys/env")
async def download_env(request: Request, session: PersonSignedIn, console: Console) -> Response:
    """The variables of a key that the page before has shown; it is in no URL, and not kept."""
    secret = str((await request.form()).get("secret", ""))
    if not has_checksum(secret):
        raise HTTPException(400)
    text = "".join(f"{line}\n" for line in env_lines(secret, console.client_url))
    return PlainTextResponse(
        text, headers={"content-disposition": 'attachment; filename="faregate.env"'}
    )


def reveal(
    request: Request,
    session: Session,
    console: Console,
    viewed: Viewed,
    key: ShownKey,
    secret: str,
    *,
    is_rotation: bool = False,
) -> Response:
    """The page that shows a secret, once."""
    models = console.catalog.chat_models
    model = next((each for each in models if each.id in key.models), models[0])
    return render_page(
        request,
        "key_reveal.html",
        session,
        viewed,
        key=key,
        secret=secret,
        is_rotation=is_rotation,
        model=model,
        setups=list(client_setups().render(console.client_url, secret, model)),
    )


async def find_key(session: Session, console: Console, viewed: Viewed, key_id: str) -> ShownKey:
    """A key of the account. Raises `NotFound`."""
    reach = AccountSet.of(viewed.account.shown)
    return await console.run(show_key, console.installation, reach, key_id)


def require(session: Session, right: Any, viewed: Viewed) -> None:
    """Raise `HTTPException` where a session has not this right for the account."""
    if not session.principal.may(right, viewed.account.shown):
        raise HTTPException(403, NOT_ALLOWED)


def days_until(moment: datetime) -> int:
    """Days until a moment, begun ones counted."""
    return ceil((moment - datetime.now(UTC)).total_seconds() / 86400)


def is_unused(key: ShownKey) -> bool:
    """True for a key that could be used, and was not for a long time."""
    last = key.last_used_at or key.created_at
    return key.status == "active" and last < datetime.now(UTC) - timedelta(days=UNUSED_DAYS)


def _show_form(
    request: Request,
    session: Session,
    console: Console,
    viewed: Viewed,
    form: KeyForm,
    *,
    status: int = 200,
    problem: str = "",
) -> Response:
    gettext = words(request)
    return render_page(
        request,
        "key_new.html",
        session,
        viewed,
        status=status,
        form=form,
        problem=problem,
        model_ids=[model.id for model in console.catalog.models],
        expiry_choices=[
            (days, lifetime(days, gettext))
            for days in lifetimes(viewed.key_policy(session, console))
        ],
    )
