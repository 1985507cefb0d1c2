"""The account that a route of `/api/v1` is asked about: the key's own, or one that it may read."""

from typing import Annotated

from fastapi import Depends, Request
from msgspec import Struct

from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.shares import Holder
from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.http.routes.principals import principal_of_key
from gateway.store.account_overviews import find_viewed

#: the name of the parameter
ACCOUNT = "account"
_CHARACTERS_MAX = 127


class AccountAsked(Struct, frozen=True):
    """An account by its row and its shown name; `holder` is the one who asks, whose turn it is."""

    id: int
    shown: str
    holder: Holder


async def asked_account(
    request: Request, key: AuthenticatedKey, services: Services
) -> AccountAsked:
    """The account of the parameter, or the key's own. Raises `InvalidRequest` and `NotFound`.

    Others' accounts are as those that are not there.
    """
    live, holder = key.live, key.caller.holder
    given = request.query_params.getlist(ACCOUNT) or [live.account]
    if len(given) > 1:
        raise InvalidRequest(f"{ACCOUNT} is given twice", param=ACCOUNT)
    shown = given[0]
    if shown == live.account:
        return AccountAsked(live.account_id, shown, holder)
    principal = principal_of_key(key, services.console)
    is_name = len(shown) <= _CHARACTERS_MAX and shown.isprintable()
    if is_name and principal.may("read", shown):
        reach, installation = principal.reach("read"), services.installation
        found = await services.reads.read(holder, find_viewed, installation, reach, shown)
        if found is not None:
            return AccountAsked(found.id, found.shown, holder)
    raise NotFound(f"there is no account {shown[:128]}", param=ACCOUNT)


AskedAccount = Annotated[AccountAsked, Depends(asked_account)]
