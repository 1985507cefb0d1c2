"""The key of a request to a free route, as `entrance` has found it."""

from typing import Annotated

from fastapi import Depends, Request

from gateway.errors import FaregateError
from gateway.keyring import Key
from gateway.routes.entrance import CALLER


async def authenticated(request: Request) -> Key:
    """The key that asks. Raises what there was to say of its credentials."""
    found: Key | FaregateError = request.scope[CALLER]
    if isinstance(found, FaregateError):
        raise found
    return found


AuthenticatedKey = Annotated[Key, Depends(authenticated)]
