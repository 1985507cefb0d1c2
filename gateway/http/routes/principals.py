"""The principal that asks: a management key, or a person who signed in before."""

from typing import Annotated

from fastapi import Depends, Request

from gateway.core.actor import Actor
from gateway.core.console_spec import ConsoleSpec
from gateway.core.errors import NotFound, PermissionDenied
from gateway.core.keys import MANAGE
from gateway.core.principal import Principal, Right, RoleBinding
from gateway.http.entrance import FREE_REQUEST, FreeRequest
from gateway.http.routes.access import Services, authenticated
from gateway.pipeline.key_cache import CachedKey

#: the scope's name of the principal that has signed in, if there is one
PRINCIPAL = "faregate.principal"
_MAY_NOT_MANAGE = (
    "this API key may not manage keys, accounts or grants; that takes a management key, whose scope"
    " is manage"
)


def principal_of_key(key: CachedKey, console: ConsoleSpec) -> Principal:
    """A key as a principal: one that manages has its account's namespace in hand, and its money
    where the settings name it; another one may read its account."""
    live = key.live
    namespace, _, account = live.account.partition("/")
    bindings: tuple[RoleBinding, ...] = (RoleBinding("auditor", namespace, account),)
    if live.scope == MANAGE:
        bindings = (RoleBinding("manager", namespace), RoleBinding("member", namespace))
        if live.name in console.granting_keys:
            bindings += (RoleBinding("treasurer", namespace),)
    return Principal(
        identity=live.key_id,
        actor=Actor(f"key {live.name}"),
        holder=key.caller.holder,
        bindings=bindings,
        key_id=live.key_id,
        withheld=console.withheld,
    )


async def managing(request: Request, services: Services) -> Principal:
    """The principal. Raises why there is none, and `PermissionDenied` for a key that may infer."""
    signed_in: Principal | None = request.scope.get(PRINCIPAL)
    if signed_in is not None:
        return signed_in
    key = await authenticated(request)
    if key.live.scope != MANAGE:
        raise PermissionDenied(_MAY_NOT_MANAGE, details={"limit": "scope", "level": "key"})
    return principal_of_key(key, services.console)


async def revoking(key_id: str, request: Request, services: Services) -> Principal:
    """The principal; or the very key that is to be revoked, also one that may not manage."""
    free: FreeRequest = request.scope[FREE_REQUEST]
    if isinstance(free.caller, CachedKey) and free.caller.live.key_id == key_id:
        return principal_of_key(free.caller, services.console)
    return await managing(request, services)


def require(principal: Principal, right: Right, account: str) -> None:
    """Raise unless a principal has a right for an account.

    `NotFound` where it may not even read it: others' accounts are as those that are not there.
    """
    if not principal.may("read", account):
        raise NotFound(f"there is no account {account[:128]}", param="account")
    if right in principal.withheld:
        raise PermissionDenied(
            "credits are granted by CreditGrant objects only: the fleet's console.grants is off",
            details={"limit": "console.grants", "level": "fleet"},
        )
    if not principal.may(right, account):
        raise PermissionDenied(
            f"you may not do this in {account[:128]}: that takes the right {right}",
            details={"limit": right, "level": "role"},
        )


Managing = Annotated[Principal, Depends(managing)]
Revoking = Annotated[Principal, Depends(revoking)]
