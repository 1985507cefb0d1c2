"""Who may use the free routes: a valid key, a fresh view of the keys, and the key's limits."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from gateway.errors import DatabaseUnavailable
from gateway.keyring import Key, Keyring


async def authenticated(request: Request) -> AsyncIterator[Key]:
    """The key that asks. Raises what `Keyring.authenticate` and `Key.enter` raise, and
    `DatabaseUnavailable` where this replica's view of the keys is too old to be trusted."""
    keyring: Keyring = request.app.state.keyring
    key, _ = await keyring.authenticate(request.scope["headers"])
    if not keyring.is_fresh:
        raise DatabaseUnavailable("the keys could not be checked; try again")
    request.scope["tollgate.key"] = key.live
    key.enter()
    try:
        yield key
    finally:
        key.concurrency.leave()


AuthenticatedKey = Annotated[Key, Depends(authenticated)]
