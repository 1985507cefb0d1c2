"""A request for a page by somebody who is signed in: all that the page needs, as one value."""

from collections.abc import Callable
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from gateway.console.access import (
    NOT_ALLOWED,
    Console,
    PersonSignedIn,
    RecentlySignedIn,
    SignedIn,
)
from gateway.console.language import marked
from gateway.console.rendering import problem_of, render, words
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.console.viewed import NO_ACCOUNT, Viewed, ViewedAccount
from gateway.core.actor import Actor
from gateway.core.errors import FaregateError
from gateway.core.key_policy import KeyPolicy, key_policy_of
from gateway.core.principal import AccountSet, Principal, Right
from gateway.store.account_overviews import NamedAccount
from gateway.store.database import Database

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

P = ParamSpec("P")
T = TypeVar("T")


class PageRequest(Struct, frozen=True, eq=False):
    """One request; `viewed` is the account that the page is about."""

    request: Request
    session: Session
    console: ConsoleServices
    viewed: Viewed = NO_ACCOUNT

    @property
    def query(self) -> QueryParams:
        return self.request.query_params

    @property
    def account(self) -> NamedAccount:
        return self.viewed.account

    @property
    def principal(self) -> Principal:
        return self.session.principal

    @property
    def actor(self) -> Actor:
        return self.principal.actor

    @property
    def key_policy(self) -> KeyPolicy:
        """The policy for keys that the session makes for the account."""
        return key_policy_of(self.console.spec, self.principal, self.account.shown)

    def may(self, right: Right) -> bool:
        """True if the session has this right for the account."""
        return self.principal.may(right, self.account.shown)

    def require(self, right: Right) -> None:
        """Raise `HTTPException` where the session has not this right for the account."""
        if not self.may(right):
            raise HTTPException(403, NOT_ALLOWED)

    def wide_reach(self) -> AccountSet:
        """The accounts that somebody may read. Raises `HTTPException` for members."""
        if not self.sees_namespaces:
            raise HTTPException(404)
        return self.principal.reach("read")

    @property
    def sees_namespaces(self) -> bool:
        """True for somebody who may read all accounts of a namespace."""
        return bool(self.principal.reach("read").namespaces)

    async def run(
        self,
        function: Callable[Concatenate[Database, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """The result of a function of the store, whose first argument is the database."""
        return await self.console.run(function, *arguments, **named)

    async def ask(
        self,
        function: Callable[Concatenate[Database, str, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """As `run`, of this installation in its database."""
        return await self.console.run(function, self.console.installation, *arguments, **named)

    def words(self, text: str) -> str:
        """A text in the language of the request."""
        return words(self.request)(text)

    def problem(self, error: FaregateError) -> dict[str, Any]:
        """The values of a page that shows a refusal: its status and its sentence."""
        return {"status": error.status, "problem": problem_of(self.request, error)}

    def pages(self, path: str, after: object, last: object, **query: object) -> dict[str, Any]:
        """The values of a list that goes on: the way to its newest lines, and to older ones.

        Lines `after` one are shown, up to the `last`; that is None where there are no older ones.
        """
        at = self.viewed.at
        return {
            "newest": at(path, **query) if after else None,
            "older": None if last is None else at(path, **query, after=last),
        }

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page inside the frame with the menu."""
        path = self.request.url.path.removeprefix(BASE)
        viewed = None if self.viewed is NO_ACCOUNT else self.viewed

        def is_current(to: str) -> bool:
            return path == to if to == "" else path == to or path.startswith(f"{to}/")

        def account_field() -> Markup:
            if viewed is None or not viewed.is_named:
                return Markup()
            field = Markup('<input type="hidden" name="account" value="{}">')
            return field.format(viewed.account.shown)

        values = {
            "at": self.viewed.at,
            "is_current": is_current,
            "account_field": account_field,
            "viewed": viewed,
            "account": None if viewed is None else viewed.account,
            "account_choices": self._account_choices(),
            "sees_namespaces": self.sees_namespaces,
            "done": DONE.get(self.query.get("done", ""), ""),
            "contact": self.console.spec.contact,
            **values,
        }
        return render(self.request, template, session=self.session, status=status, **values)

    def _account_choices(self) -> list[tuple[str, str]]:
        """The accounts to choose from: one's own, and the one that is shown."""
        names = [own.shown for own in self.session.own_accounts]
        if self.account.shown not in (*names, ""):
            names.append(self.account.shown)
        return [(name, name) for name in names]


async def _page(request: Request, session: SignedIn, console: Console) -> PageRequest:
    return PageRequest(request, session, console)


async def _person_page(request: Request, session: PersonSignedIn, console: Console) -> PageRequest:
    return PageRequest(request, session, console)


async def _recent_page(
    request: Request, session: RecentlySignedIn, console: Console
) -> PageRequest:
    return PageRequest(request, session, console)


async def _account_page(
    request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
) -> PageRequest:
    return PageRequest(request, session, console, viewed)


async def _person_account_page(
    request: Request, session: PersonSignedIn, console: Console, viewed: ViewedAccount
) -> PageRequest:
    return PageRequest(request, session, console, viewed)


#: of anybody who is signed in; of a person, not of an API key; of a person who came just now
Page = Annotated[PageRequest, Depends(_page)]
PersonPage = Annotated[PageRequest, Depends(_person_page)]
RecentPage = Annotated[PageRequest, Depends(_recent_page)]
#: the same about an account
AccountPage = Annotated[PageRequest, Depends(_account_page)]
PersonAccountPage = Annotated[PageRequest, Depends(_person_account_page)]
