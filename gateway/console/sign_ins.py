"""Signing a browser in: a new session in place of its old one; each try is logged, and an event.

Both name people by issuer and subject, and never hold a credential.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from msgspec.structs import replace
from starlette.exceptions import HTTPException

from gateway.console.access import parties_of, safe_next
from gateway.console.client_address import network_of
from gateway.console.cookies import forget_cookie, set_cookie
from gateway.console.identity.sign_up import sign_in_of
from gateway.console.rendering import redirect, render
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.core.actor import Actor
from gateway.core.principal import AccountSet
from gateway.core.spec import CreditGrant, CreditGrantSpec, Metadata
from gateway.core.spec_fields import FIRST_MOMENT, LAST_MOMENT
from gateway.store.database import Database
from gateway.store.grants import apply_grant
from gateway.store.people import Identity, NamespaceRole
from gateway.store.session_log import Origin, Way
from gateway.store.sign_ins import Begun, begin_session, find_session
from gateway.store.sign_outs import end_session
from gateway.store.suspending import suspend_lost_keys

_log = logging.getLogger(__name__)

_REFERENCE_CHARACTERS_MAX = 256


@dataclass(frozen=True)
class Arrival:
    """A person for whom an issuer has vouched."""

    issuer: str
    claims: Mapping[str, Any]
    groups: list[str]
    next_path: str
    id_token: str | None = None
    authenticated_at: datetime | None = None
    way: Way = "identity provider"
    step_up: bool = False


def origin_of(request: Request, way: Way, *, step_up: bool = False) -> Origin:
    """The way and the network from which a request comes."""
    address = request.client.host if request.client else ""
    return Origin(way, network_of(address), step_up)


async def refuse(
    request: Request, origin: Origin, reason: str, who: Identity | None = None
) -> None:
    """Log that a sign-in was refused, and have it among the events."""
    log_try("refused" if who is None else "not admitted", origin.way, who, reason)
    parties = await parties_of(request)
    subject = "" if who is None else who.shown
    await parties.refusals.add(reason, origin, subject, time.monotonic())


async def refuse_too_many(
    request: Request, origin: Origin, counted: str, who: Identity | None = None
) -> None:
    """Count a sign-in of a person, or of a key by its hash, which is never written.

    Raises `HTTPException` where there were too many in this minute.
    """
    sign_ins, now = (await parties_of(request)).sign_ins, time.monotonic()
    if wait_seconds := sign_ins.wait_seconds(counted, now):
        await refuse(request, origin, "too many sign-ins of one person or key", who)
        raise HTTPException(429, headers={"retry-after": f"{wait_seconds:.0f}"})
    sign_ins.add(counted, now)


async def arrive(
    request: Request, console: ConsoleServices, old: Session | None, arrival: Arrival
) -> Response:
    """Sign the person in, or show whom to ask for an account. Raises `DatabaseUnavailable`."""
    sign_in = sign_in_of(arrival.issuer, arrival.claims, arrival.groups, console.spec)
    session_there = arrival.claims.get("sid")
    sign_in = replace(
        sign_in,
        issuer_session=session_there if isinstance(session_there, str) else None,
        id_token=None if arrival.id_token is None else console.seal(arrival.id_token),
        authenticated_at=arrival.authenticated_at,
        origin=origin_of(request, arrival.way, step_up=arrival.step_up),
        times=console.spec.sessions,
    )
    who = sign_in.identity
    await refuse_too_many(request, sign_in.origin, who.shown, who)
    begun = await console.run(begin_session, console.installation, sign_in)
    lost = await console.run(_suspend_lost_keys, console, who, begun)
    if begun is None:
        await refuse(request, sign_in.origin, "no rule gives this person an account", who)
        return render(
            request,
            "no_account.html",
            status=403,
            identity=who,
            groups=arrival.groups,
            lost=lost,
            contact=console.spec.contact,
        )
    if begun.own_account is not None and console.spec.welcome_credits:
        await console.run(_welcome, console, who, begun.own_account)
    log_try("signed in", arrival.way, who)
    response = await signed_in_response(console, old, begun, arrival.next_path)
    if lost:
        response.headers["location"] = f"{BASE}?done=keys-lost"
    return response


async def signed_in_response(
    console: ConsoleServices, old: Session | None, begun: Begun, next_path: str
) -> Response:
    """The way on, with the new session's cookie; the old session of the browser is ended."""
    if old is not None:
        await console.run(end_session, old.found.id, old.principal.actor)
    response = redirect(safe_next(next_path))
    set_cookie(response, console.site, begun.secret)
    return response


def signed_out_response(console: ConsoleServices, there: str | None = None) -> Response:
    """The way to the page after a session, ours or another one, without the session's cookie."""
    response = RedirectResponse(there or f"{BASE}/signed-out", 303)
    forget_cookie(response, console.site)
    return response


def log_try(outcome: str, way: Way, who: Identity | None = None, reason: str = "") -> None:
    """Log a try to sign in."""
    fields = {"outcome": outcome, "way": way, "reason": reason}
    if who is not None:
        fields |= {"issuer": who.issuer, "subject": who.subject}
    _log.info("sign-in to the console: %s", outcome, extra={"fields": fields})


def _suspend_lost_keys(
    database: Database, console: ConsoleServices, who: Identity, begun: Begun | None
) -> int:
    """Suspend keys in accounts where the person makes none any more; how many there were."""
    reach, installation = AccountSet(), console.installation
    if begun is not None:
        found = find_session(database, installation, begun.secret)
        if found is None:
            return 0
        reach = Session(found, "").principal.reach("keys")
    return suspend_lost_keys(database, installation, who, reach)


def _welcome(
    database: Database, console: ConsoleServices, who: Identity, account: NamespaceRole
) -> None:
    """Post the credits of a person's first sign-in. The reference makes that once for ever."""
    reference = f"welcome/{who.issuer}/{who.subject}"
    if len(reference) > _REFERENCE_CHARACTERS_MAX:
        reference = f"welcome/{sha256(reference.encode()).hexdigest()}"
    grant = CreditGrant(
        metadata=Metadata(name=f"welcome-{account.account}", namespace=account.namespace),
        spec=CreditGrantSpec(
            account=account.account,
            credits=console.spec.welcome_credits,
            reason="Welcome",
            reference=reference,
        ),
    )
    apply_grant(database, console.installation, grant, Actor("console"))


def moment_of(seconds: object) -> datetime:
    """The moment of a claim; long ago where it is unknown, so that money asks again."""
    if isinstance(seconds, int | float) and 0 < seconds < LAST_MOMENT.timestamp():
        return datetime.fromtimestamp(seconds, UTC)
    return FIRST_MOMENT
