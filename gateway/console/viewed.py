"""The account that a page is about, and the pages of such accounts."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from msgspec import Struct
from starlette.exceptions import HTTPException

from gateway.console.access import Console, SignedIn
from gateway.console.language import marked
from gateway.console.rendering import render
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.core.key_policy import KeyPolicy, key_policy_of
from gateway.core.principal import Principal
from gateway.store.account_overviews import NamedAccount, find_viewed

_NAME_CHARACTERS_MAX = 128
#: the messages of `?done=…`, the only words that a URL can bring up
DONE = {
    "key-made-before": marked("This key was made already; it is shown only once."),
    "key-rotated-before": marked("The key was rotated already; the new one is shown only once."),
    "key-changed": marked("The changes are saved."),
    "key-suspended": marked("The key is suspended."),
    "key-resumed": marked("The key works again."),
    "keys-lost": marked("Keys that you made are suspended: you have lost the role for them."),
    "key-revoked": marked("The key is revoked."),
    "granted": marked("The credits are granted."),
    "granted-before": marked("This reference was granted already; nothing was added."),
    "voided": marked("The grant is void."),
    "settings": marked("Your settings are saved."),
    "ended": marked("The sessions are ended."),
    "suspended-all": marked("The keys are suspended."),
    "bound": marked("The account is bound."),
    "unbound": marked("The account is unbound."),
}


class NoAccount(Exception):
    """A person is signed in, and no rule gives them an account."""

    def __init__(self, session: Session) -> None:
        super().__init__("no account")
        self.session = session


class Viewed(Struct, frozen=True):
    """An account in reach. `is_named`: the URL names it, and so do those that lead on from here."""

    account: NamedAccount
    is_named: bool

    def at(self, path: str, **query: object) -> str:
        """The URL of a page of the console, about the same account."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        if self.is_named:
            given["account"] = self.account.shown
        return f"{BASE}{path}?{urlencode(given)}" if given else f"{BASE}{path}"

    def key_policy(self, session: Session, console: ConsoleServices) -> KeyPolicy:
        """The policy for keys that a session makes for the account."""
        return key_policy_of(console.spec, session.principal, self.account.shown)


#: for pages about no account, or all of them
NO_ACCOUNT = Viewed(NamedAccount(0, ""), is_named=False)


async def viewed_account(request: Request, session: SignedIn, console: Console) -> Viewed:
    """The account of `?account=…`, else the first of one's own, else the first in reach.

    Raises `HTTPException` for one out of reach, as for one that is not there; and `NoAccount`.
    """
    reach = session.principal.reach("read")
    named = request.query_params.get("account")
    if named is not None:
        if len(named) > _NAME_CHARACTERS_MAX:
            raise HTTPException(404)
        found = await console.run(find_viewed, console.installation, reach, named)
        if found is None:
            raise HTTPException(404)
        return Viewed(found, is_named=True)
    if session.own_accounts:
        own = session.own_accounts[0]
        named_account = NamedAccount(own.id, own.shown, balance=own.balance, granted=own.granted)
        return Viewed(named_account, is_named=False)
    found = await console.run(find_viewed, console.installation, reach, None)
    if found is None:
        raise NoAccount(session)
    return Viewed(found, is_named=False)


ViewedAccount = Annotated[Viewed, Depends(viewed_account)]


def render_page(
    request: Request,
    template: str,
    session: Session,
    viewed: Viewed | None,
    *,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """A page inside the frame with the menu. `viewed` is None where it is about no account."""
    path = request.url.path.removeprefix(BASE)

    def is_current(to: str) -> bool:
        return path == to if to == "" else path == to or path.startswith(f"{to}/")

    def account_field() -> Markup:
        if viewed is None or not viewed.is_named:
            return Markup()
        return Markup('<input type="hidden" name="account" value="{}">').format(
            viewed.account.shown
        )

    values = {
        "at": (viewed or NO_ACCOUNT).at,
        "is_current": is_current,
        "account_field": account_field,
        "viewed": viewed,
        "account": None if viewed is None else viewed.account,
        "account_choices": _choices(session, viewed),
        "sees_namespaces": sees_namespaces(session.principal),
        "done": DONE.get(request.query_params.get("done", ""), ""),
        "contact": request.app.state.services.spec.contact,
        **values,
    }
    return render(request, template, session=session, status=status, **values)


def sees_namespaces(principal: Principal) -> bool:
    """True for who may read all accounts of a namespace."""
    return bool(principal.reach("read").namespaces)


def _choices(session: Session, viewed: Viewed | None) -> list[tuple[str, str]]:
    """The accounts to choose from: one's own, and the one that is shown."""
    names = [own.shown for own in session.own_accounts]
    if viewed is not None and viewed.account.shown not in names:
        names.append(viewed.account.shown)
    return [(name, name) for name in names]
