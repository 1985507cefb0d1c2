"""`/console/sign-in`: the ways in that there are, and the one by an API key.

A key signs in to read its account and to revoke itself. It can make no other key, or a leaked one
would have successors.
"""

import time
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.access import Console, PerhapsSignedIn, Vouching, had_session, safe_next
from gateway.console.identity.fetch import IssuerUnavailable
from gateway.console.identity.tokens import TokenRefused, read_groups
from gateway.console.rendering import redirect, render
from gateway.console.sign_ins import (
    Arrival,
    arrive,
    log_try,
    origin_of,
    refuse,
    refuse_too_many,
    signed_in_response,
)
from gateway.core.keys import BROUGHT_CHARACTERS_MAX
from gateway.store.sign_ins import begin_by_key

router = APIRouter()


@router.get("/sign-in")
async def show_sign_in(
    request: Request,
    console: Console,
    parties: Vouching,
    session: PerhapsSignedIn,
    next: str = "",
) -> Response:
    if session is not None:
        return redirect(safe_next(next))
    if parties.proxy is not None:
        try:
            claims = await parties.proxy.claims(request.headers)
        except (TokenRefused, IssuerUnavailable) as error:
            await refuse(request, origin_of(request, "proxy"), f"the proxy's token: {error}")
            claims = None
        if claims is not None:
            settings = parties.proxy.settings
            groups = read_groups(claims, settings.groups_claim) or []
            arrival = Arrival(settings.issuer, claims, groups, next, way="proxy")
            return await arrive(request, console, None, arrival)
    is_over = had_session(request, console)
    return _page(request, console, next_path=next, is_over=is_over)


@router.post("/sign-in/key")
async def sign_in_by_key(
    request: Request,
    console: Console,
    parties: Vouching,
    old: PerhapsSignedIn,
    key: Annotated[str, Form()] = "",
) -> Response:
    if not console.spec.key_sign_in:
        raise HTTPException(404)
    peer, now = request.client.host if request.client else "", time.monotonic()
    wait_seconds = parties.key_tries.wait_seconds(peer, now)
    origin = origin_of(request, "API key")
    if wait_seconds:
        await refuse(request, origin, "too many tries")
        raise HTTPException(429, headers={"retry-after": f"{wait_seconds:.0f}"})
    begun = None
    plaintext = key.strip()
    if 0 < len(plaintext) <= BROUGHT_CHARACTERS_MAX:
        hashed = console.hash_of_key(plaintext)
        await refuse_too_many(request, origin, hashed.hex())
        begun = await console.run(
            begin_by_key,
            console.installation,
            [hashed],
            origin.network,
            console.spec.sessions,
        )
    if begun is None:
        parties.key_tries.add(peer, now)
        await refuse(request, origin, "no such API key")
        return _page(request, console, is_refused=True)
    log_try("signed in", origin.way)
    return await signed_in_response(console, old, begun, "")


def _page(
    request: Request,
    console: Console,
    *,
    next_path: str = "",
    is_refused: bool = False,
    is_over: bool = False,
) -> Response:
    return render(
        request,
        "sign_in.html",
        status=403 if is_refused else 200,
        is_refused=is_refused,
        is_over=is_over,
        has_issuer=console.spec.oidc is not None,
        has_links=console.spec.oidc is None and console.spec.proxy is None,
        has_keys=console.spec.key_sign_in,
        next_path=safe_next(next_path),
    )
