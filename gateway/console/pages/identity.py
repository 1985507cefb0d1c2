"""The way to the identity provider and back, and its word that somebody has signed out there."""

import logging
import time
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from gateway.console.access import (
    RECENT,
    Console,
    PerhapsSignedIn,
    Vouching,
    checked_origin,
    safe_next,
)
from gateway.console.cookies import forget_cookie, set_cookie
from gateway.console.identity import attempt as attempts
from gateway.console.identity.fetch import IssuerUnavailable
from gateway.console.identity.relying_party import RelyingParty
from gateway.console.identity.tokens import TokenRefused
from gateway.console.rendering import render
from gateway.console.services import ConsoleServices
from gateway.console.sign_ins import Arrival, arrive, moment_of, origin_of, refuse
from gateway.console.site import Site
from gateway.store.sign_outs import end_sessions_by_issuer

_log = logging.getLogger(__name__)

router = APIRouter()
_STATE_CHARACTERS_MAX = 128
_CODE_CHARACTERS_MAX = 4096


async def issuer_there(parties: Vouching) -> RelyingParty:
    """The identity provider. Raises `HTTPException` where there is none."""
    if parties.issuer is None:
        raise HTTPException(404)
    return parties.issuer


Issuing = Annotated[RelyingParty, Depends(issuer_there)]
_FROM_BROWSERS = [Depends(checked_origin)]


@router.get("/sign-in/start", dependencies=_FROM_BROWSERS)
async def start(request: Request, console: Console, issuer: Issuing, next: str = "") -> Response:
    return await _to_issuer(request, console.site, issuer, attempts.begin(safe_next(next)))


@router.get("/sign-in/again", dependencies=_FROM_BROWSERS)
async def start_again(
    request: Request, console: Console, issuer: Issuing, next: str = ""
) -> Response:
    """The same for somebody who has been signed in for long."""
    attempt = attempts.begin(safe_next(next), int(RECENT.total_seconds()))
    return await _to_issuer(request, console.site, issuer, attempt)


@router.get("/callback", dependencies=_FROM_BROWSERS)
async def come_back(
    request: Request,
    console: Console,
    parties: Vouching,
    issuer: Issuing,
    old: PerhapsSignedIn,
    state: str = "",
    code: str = "",
    error: str = "",
    iss: str | None = None,
) -> Response:
    attempt = _attempt(request, console.site, state)
    if attempt is None:
        origin = origin_of(request, "identity provider")
        await refuse(request, origin, "the answer belongs to no attempt of this browser")
        return render(request, "try_again.html", status=400)
    peer, now = request.client.host if request.client else "", time.monotonic()
    if parties.answers.wait_seconds(peer, now):
        raise HTTPException(429, headers={"retry-after": "60"})
    parties.answers.add(peer, now)
    step_up = attempt.max_age is not None
    try:
        if error or not 0 < len(code) <= _CODE_CHARACTERS_MAX:
            raise TokenRefused("the identity provider has refused, or sent no code")
        person = await issuer.finish(attempt, code, iss)
    except TokenRefused as refusal:
        origin = origin_of(request, "identity provider", step_up=step_up)
        await refuse(request, origin, str(refusal))
        response: Response = render(request, "try_again.html", status=403)
    except IssuerUnavailable as failure:
        response = _unavailable(request, failure)
    else:
        arrival = Arrival(
            issuer.issuer.url,
            person.claims,
            person.groups or [],
            attempt.next_path,
            person.id_token,
            moment_of(person.claims.get("auth_time")),
            step_up=step_up,
        )
        response = await arrive(request, console, old, arrival)
    forget_cookie(response, console.site, attempt.purpose)
    return response


@router.post("/backchannel-logout")
async def sign_out_behind(
    request: Request, console: Console, issuer: Issuing, logout_token: Annotated[str, Form()] = ""
) -> Response:
    """The identity provider itself calls this: 200 once sessions are ended, 400 for anything else.

    Source: OpenID Connect Back-Channel Logout 1.0, 2.8.
    """
    headers = {"cache-control": "no-store"}
    origin = origin_of(request, "logout token")
    try:
        claims = await issuer.read_logout(logout_token)
    except TokenRefused as refusal:
        await refuse(request, origin, str(refusal))
        return Response(status_code=400, headers=headers)
    except IssuerUnavailable as failure:
        _log.warning("the identity provider's keys cannot be had: %s", failure)
        return Response(status_code=503, headers=headers)
    ended = await console.run(
        end_sessions_by_issuer,
        console.installation,
        issuer.issuer.url,
        claims.get("sub"),
        claims.get("sid"),
        sha256(f"{issuer.issuer.url} {claims['jti']}".encode()).digest(),
    )
    if ended is None:
        await refuse(request, origin, "it was used before")
        return Response(status_code=400, headers=headers)
    _log.info("the identity provider has ended %d sessions of the console", ended)
    return Response(status_code=200, headers=headers)


async def _to_issuer(
    request: Request, site: Site, issuer: RelyingParty, attempt: attempts.Attempt
) -> Response:
    try:
        url = await issuer.authorization_url(attempt)
    except IssuerUnavailable as failure:
        return _unavailable(request, failure)
    response = RedirectResponse(url, 303)
    set_cookie(response, site, attempt.value(), attempt.purpose, attempts.LASTS_SECONDS)
    prefix = site.cookie_name("signin-")
    others = [name for name in request.cookies if name.startswith(prefix)]
    for name in others[: max(0, len(others) + 1 - attempts.ATTEMPTS_MAX)]:
        response.delete_cookie(name, path="/", secure=site.is_secure, httponly=True)
    return response


def _attempt(request: Request, site: Site, state: str) -> attempts.Attempt | None:
    if not state or len(state) > _STATE_CHARACTERS_MAX:
        return None
    value = request.cookies.get(site.cookie_name(attempts.purpose_of(state)), "")
    return attempts.read(value, state)


def _unavailable(request: Request, failure: IssuerUnavailable) -> Response:
    _log.warning("the identity provider does not answer: %s", failure)
    return render(request, "issuer_away.html", status=503)


async def page_of_sign_out(
    console: ConsoleServices, issuer: RelyingParty | None, id_token: bytes | None
) -> str | None:
    """The identity provider's page that ends the session there, too, where that can be had."""
    if issuer is None or id_token is None:
        return None
    plain = console.unseal(id_token)
    if plain is None:
        return None
    try:
        return await issuer.end_session_url(plain, f"{console.site.url}/signed-out")
    except IssuerUnavailable:
        return None
