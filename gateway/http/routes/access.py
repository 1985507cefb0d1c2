"""The key that asks a free route, as `entrance` has found it, and the services of the route."""

from typing import Annotated

from fastapi import Depends, Request

from gateway.core.errors import FaregateError
from gateway.http.entrance import FREE_REQUEST, FreeRequest
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.services import FreeServices
from gateway.pipeline.key_cache import CachedKey


async def authenticated(request: Request) -> CachedKey:
    """The key that asks. Raises why there is none."""
    free: FreeRequest = request.scope[FREE_REQUEST]
    assert free.caller is not None, "the entrance comes first"
    if isinstance(free.caller, FaregateError):
        raise free.caller
    return free.caller


async def services(request: Request) -> AccountServices:
    """The services that the application was made with; a protocol's has them all."""
    found: AccountServices = request.app.state.services
    return found


AuthenticatedKey = Annotated[CachedKey, Depends(authenticated)]
Services = Annotated[AccountServices, Depends(services)]
ProtocolServices = Annotated[FreeServices, Depends(services)]
