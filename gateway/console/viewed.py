"""The account that a page is about."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request
from msgspec import Struct
from starlette.exceptions import HTTPException

from gateway.console.access import Console, SignedIn
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.store.account_overviews import NamedAccount, find_viewed

_NAME_CHARACTERS_MAX = 128


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
