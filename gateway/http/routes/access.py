"""The key of a request to a free route, as `entrance` has found it."""

from typing import Annotated

from fastapi import Depends, Request

from gateway.core.errors import FaregateError
from gateway.http.entrance import CALLER
from gateway.pipeline.key_cache import CachedKey


async def authenticated(request: Request) -> CachedKey:
    """The key that asks. Raises what there was to say of its credentials."""
    found: CachedKey | FaregateError = request.scope[CALLER]
    if isinstance(found, FaregateError):
        raise found
    return found


AuthenticatedKey = Annotated[CachedKey, Depends(authenticated)]
