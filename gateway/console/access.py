"""The way into a page: the site it was asked at, the session, and the token of a form.

other host ──▶ 421          POST from another origin ──▶ 403
no session ──▶ sign-in      POST without its token ────▶ 403, with the entries to send again
"""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from gateway.console.language import marked
from gateway.console.parties import Parties
from gateway.console.rendering import FORM_TOKEN, words
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.store.people import shown_text
from gateway.store.sign_ins import find_session

#: money and rights ask for somebody who has authenticated within this time
RECENT = timedelta(minutes=15)
_SAFE = frozenset({"GET", "HEAD"})
_ELSEWHERE = marked("Open the console at {url}")
_OF_ANOTHER_SITE = marked("This form was not sent by a page of the console.")
#: the sentence where a right is missing
NOT_ALLOWED = marked("Your role does not allow this.")
SIGN_IN = f"{BASE}/sign-in"
#: the length of our own cookies' values; anything longer is none of them
_SECRET_CHARACTERS_MAX = 64
#: fields that are not sent again: the token is a new one, and no page shows a key twice
_NOT_SENT_AGAIN = frozenset({FORM_TOKEN, "secret"})
#: fields that nobody has typed: with them a form that is sent twice counts once
_NOT_SHOWN = frozenset({"attempt", "prefix"})


class SignInNeeded(Exception):
    """Nobody is signed in; `next_path` is where they wanted to go."""

    def __init__(self, next_path: str) -> None:
        super().__init__("sign in first")
        self.next_path = next_path

    @property
    def location(self) -> str:
        return f"{SIGN_IN}?next={quote(self.next_path, safe='/')}" if self.next_path else SIGN_IN


async def services(request: Request) -> ConsoleServices:
    """The services that the application was made with."""
    found: ConsoleServices = request.app.state.services
    return found


Console = Annotated[ConsoleServices, Depends(services)]


class FormOver(Exception):
    """A form of a session that is over; `session` is the one of now, if somebody has signed in.

    `fields` are what was sent: by a page of ours, but perhaps by somebody else in this browser. So
    its person sees where it goes, and the entries, before sending it again.
    """

    def __init__(self, session: Session | None, form: FormData) -> None:
        super().__init__("the form is of a session that is over")
        self.session = session
        self.fields = [
            (name, value)
            for name, value in form.multi_items()
            if isinstance(value, str) and name not in _NOT_SENT_AGAIN
        ]

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Names and values of the fields that were filled in, cut to a page's length."""
        shown = [(name, value) for name, value in self.fields if name not in _NOT_SHOWN]
        return [(shown_text(name), shown_text(value.strip())) for name, value in shown]


async def parties_of(request: Request) -> Parties:
    """Those who vouch for people here."""
    found: Parties = request.app.state.parties
    return found


Vouching = Annotated[Parties, Depends(parties_of)]


async def checked_origin(request: Request, console: Console) -> None:
    """Refuse a request at another host's name, and a form that another site's page has sent.

    Raises `HTTPException`. Sources: OWASP ASVS 5.0, 3.5; W3C, "Fetch Metadata Request Headers".
    """
    site = console.site
    # Behind a proxy `Host` may be the proxy's; there, TLS and the cookie's prefix do as much.
    if not site.is_secure and request.headers.get("host", "").lower() not in site.hosts:
        raise HTTPException(421, words(request)(_ELSEWHERE).format(url=site.url))
    _refuse_nul(request.url.path, *request.query_params.values())
    if request.method in _SAFE:
        return
    fetched_from = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_ours = fetched_from == "same-origin" if fetched_from else origin in site.origins
    # Under the policy `no-referrer` browsers hide the origin of a form, too: it is `null`.
    if not is_ours or origin not in (None, "null", *site.origins):
        raise HTTPException(403, _OF_ANOTHER_SITE)


def _refuse_nul(*texts: str) -> None:
    """Raise `HTTPException` for a character that PostgreSQL's texts cannot hold."""
    if any("\0" in text for text in texts):
        raise HTTPException(400)


async def optional_session(request: Request, console: Console, parties: Vouching) -> Session | None:
    """The session of the request's cookie, if it has one that has not ended.

    One that a proxy has begun lasts as long as the proxy vouches for the same person.
    """
    secret = request.cookies.get(console.site.cookie_name(), "")
    if not secret or len(secret) > _SECRET_CHARACTERS_MAX or not secret.isascii():
        return None
    found = await console.run(
        find_session, console.installation, secret, console.spec.sessions.idle
    )
    if found is None:
        return None
    if parties.proxy is not None and found.identity.issuer == parties.proxy.settings.issuer:
        subject = await parties.proxy.subject(request.headers)
        if subject != found.identity.subject:
            return None
    return Session(found, console.form_token(secret), console.spec.withheld)


PerhapsSignedIn = Annotated[Session | None, Depends(optional_session)]


async def signed_in(request: Request, session: PerhapsSignedIn, console: Console) -> Session:
    """The session; a form has its token. Raises `SignInNeeded`, `FormOver`, `HTTPException`."""
    if request.method in _SAFE:
        if session is None:
            raise SignInNeeded(_path_of(request))
        return session
    if session is None and not had_session(request, console):
        raise SignInNeeded("")
    form = await request.form()
    _refuse_nul(*(each for each in form.values() if isinstance(each, str)))
    if session is not None and _has_token(form, session):
        return session
    over = FormOver(session, form)
    if session is None and not over.fields:
        raise SignInNeeded("")
    raise over


def had_session(request: Request, console: ConsoleServices) -> bool:
    """True for a browser with the cookie of a session, which may have ended in any way."""
    return bool(request.cookies.get(console.site.cookie_name()))


def _has_token(form: FormData, session: Session) -> bool:
    given = form.get(FORM_TOKEN, "")
    if isinstance(given, UploadFile) or not given.isascii():
        return False
    return hmac.compare_digest(given, session.form_token)


def _path_of(request: Request) -> str:
    """The way back to a page, none to the first one."""
    path, query = request.url.path, request.url.query
    if query:
        return f"{path}?{query}"
    return "" if path == BASE else path


SignedIn = Annotated[Session, Depends(signed_in)]


async def signed_in_person(session: SignedIn) -> Session:
    """As `signed_in`, for pages that are not for an API key. Raises `HTTPException`."""
    if session.is_key:
        raise HTTPException(404)
    return session


PersonSignedIn = Annotated[Session, Depends(signed_in_person)]


class RecentSignInNeeded(SignInNeeded):
    """The person has to authenticate again, before this page."""

    @property
    def location(self) -> str:
        return f"{SIGN_IN}/again?next={quote(self.next_path or BASE, safe='/')}"


async def signed_in_recently(
    request: Request, session: PersonSignedIn, parties: Vouching
) -> Session:
    """As `signed_in_person`, for what moves money or gives rights (OWASP ASVS 5.0, 7.5.3).

    A person of the identity provider has authenticated there within a quarter of an hour; others
    cannot be asked again. Raises `RecentSignInNeeded`.
    """
    is_of_issuer = parties.issuer and session.identity.issuer == parties.issuer.issuer.url
    if is_of_issuer and session.found.authenticated_at < datetime.now(UTC) - RECENT:
        raise RecentSignInNeeded(_path_of(request))
    return session


RecentlySignedIn = Annotated[Session, Depends(signed_in_recently)]


def safe_next(path: str) -> str:
    """A path of the console's own to go on to, or its first page for anything else."""
    is_ours = path == BASE or path.startswith(f"{BASE}/")
    is_plain = path.isascii() and path.isprintable() and not set(path) & set('\\" ')
    return path if is_ours and is_plain and "//" not in path and len(path) <= 256 else BASE
