"""`/api/v1/accounts`: the accounts that a management key looks after."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from gateway.core.errors import InvalidRequest
from gateway.core.principal import is_account
from gateway.http.routes.access import Services
from gateway.http.routes.parameters import private, read_number, read_parameters
from gateway.http.routes.principals import Managing
from gateway.store.account_overviews import list_accounts

router = APIRouter(tags=["accounts"], dependencies=[Depends(private)])

_PAGE_DEFAULT = 50
_PAGE_MAX = 100


class ListedAccount(BaseModel):
    """An account. `granted` is its balance right after the latest grant, `used` of 30 days."""

    object: Literal["account"] = "account"
    account: str
    balance: int
    granted: int
    used: int
    live_keys: int
    last_used_at: datetime | None


class AccountList(BaseModel):
    """A page of accounts, by their names."""

    object: Literal["list"] = "list"
    data: list[ListedAccount]
    has_more: bool
    last_id: str | None


@router.get("/accounts", response_model=AccountList)
async def show_accounts(request: Request, principal: Managing, services: Services) -> AccountList:
    """Accounts by name: those that hold a text (`search`), or have little left (`low`)."""
    given = read_parameters(request, ("search", "low", "limit", "after"))
    low, after = given.get("low", "false"), given.get("after")
    if low not in ("true", "false"):
        raise InvalidRequest("low must be true or false", param="low")
    if after is not None and not is_account(after):
        raise InvalidRequest("after must be the last_id of the page before", param="after")
    found, has_more = await services.reads.read(
        principal.holder,
        list_accounts,
        services.installation,
        principal.reach("read"),
        search=given.get("search", ""),
        is_low=low == "true",
        after=after,
        limit=read_number(given, "limit", 1, _PAGE_MAX) or _PAGE_DEFAULT,
    )
    data = [
        ListedAccount(
            account=line.shown,
            balance=line.balance,
            granted=line.granted,
            used=line.used,
            live_keys=line.keys,
            last_used_at=line.used_at,
        )
        for line in found
    ]
    return AccountList(data=data, has_more=has_more, last_id=data[-1].account if has_more else None)
